"""The cells that came after the chapter beside the nearest of the library: all are timed, none is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tinyseq.bench.contestants import our_nets
from tinyseq.bench.measuring.continued import continued_row
from tinyseq.bench.problems.continued import CONTINUED, HIDDEN, HIDDEN_OF, OfCell
from tinyseq.bench.results.report import continued
from tinyseq.bench.results.results import Settings
from tinyseq.bench.rows import MEASURES

SMALL = {"inputs": 3, "hidden": 4, "steps": 5, "batch": 2}


@pytest.mark.parametrize("name", CONTINUED)
def test_cell_and_nearest_agree_with_the_reference_and_are_timed(name: str) -> None:
    settings = Settings((name,), (), 2, 0.0)
    row = continued_row(f"continued: {name}", name, settings, lambda what: None, **SMALL)
    other = CONTINUED[name][2]
    assert not row.refused and list(row.samples) == [f"tinyseq {name}", f"tinyseq {other}"]
    assert all(count > 0 for count in row.operations.values())
    (_, table) = continued([row])
    assert table.row_count == 1


@pytest.mark.parametrize("name", CONTINUED)
def test_gradients_at_the_size_of_the_row_are_numbers(name: str) -> None:
    net = OfCell(CONTINUED[name][0], hidden=HIDDEN_OF.get(name, HIDDEN))
    loss, gradients = our_nets.reference(net)
    assert np.isfinite(loss) and gradients and all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_every_cell_has_a_row() -> None:
    assert {name.split(": ")[1].rpartition(" ")[0] for name in MEASURES if name.startswith("continued: ")} == set(
        CONTINUED
    )
    assert OfCell(CONTINUED["minGRU"][0], **SMALL).data().x.shape == (5, 2, 3)
