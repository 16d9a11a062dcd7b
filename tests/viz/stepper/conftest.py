"""Pages exported once for all stepper tests."""

import pytest

from tests.viz.stepper import pages


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """``exported(name)``: the file of a loss of ``pages.LOSSES``, and the loss."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def export(name):
        if name not in made:
            loss = pages.LOSSES[name]()
            made[name] = loss.tape.to_html(folder / f"{name}.html", loss=loss, title=name), loss
        return made[name]

    return export
