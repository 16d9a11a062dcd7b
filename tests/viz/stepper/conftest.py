"""One browser for all stepper tests, and pages exported once."""

import pytest

from tests.viz.stepper import pages


@pytest.fixture(scope="session")
def browser():
    if pages.CHROMIUM is None:
        pytest.skip(
            "no Chromium at /usr/bin/chromium: install it (apt-get install chromium) to test the stepper's page"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(pages.CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


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
