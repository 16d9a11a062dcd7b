"""Echo state networks as rows: ours and ReservoirPy compute the states and outputs of the recurrence in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tinyseq.bench.contestants import peers, reservoirs
from tinyseq.bench.contestants.reservoirs import BOUND, ECHOES, Echo
from tinyseq.bench.measuring import measure
from tinyseq.bench.measuring.agree import deviation
from tinyseq.bench.measuring.measure import echo_row
from tinyseq.bench.results.report import render
from tinyseq.bench.results.results import Report, Settings
from tinyseq.bench.variant import Variant
from tinyseq.nn import Reservoir


def small(fits: bool, hidden: int = 12) -> Echo:
    return replace(ECHOES[0], row="esn", hidden=hidden, steps=300, fits=fits)


def way(echo: Echo, library: str) -> dict[str, Variant]:
    return reservoirs.ours(echo) if library == "tinyseq" else peers.echo_variants(echo, [library])


@pytest.mark.parametrize("fits", [False, True])
@pytest.mark.parametrize("library", ["tinyseq", "reservoirpy"])
def test_states_and_outputs_are_those_of_the_recurrence(library: str, fits: bool) -> None:
    pytest.importorskip(library)
    expected = reservoirs.standard(small(fits))
    assert set(expected[1]) == ({"h", "o"} if fits else {"h"})
    found = way(small(fits), library)
    assert found
    for name, variant in found.items():
        assert deviation(variant(), expected) < BOUND, name
        variant.run()
        assert deviation(variant(), expected) < BOUND, f"{name}, again: it starts from h(0) = 0 each time"


def test_the_rows_are_those_of_the_claim() -> None:
    sizes = [(echo.hidden, echo.steps, echo.fits) for echo in ECHOES]
    assert sizes == [(n, 10_000, fits) for fits in (False, True) for n in (100, 500, 1000)]
    assert len({echo.row for echo in ECHOES}) == 6


def test_the_readout_is_fitted_after_the_washout() -> None:
    """Against the closed form on the states, [1 Z]'s normal equations with the bias free."""
    echo = small(True)
    arrays = reservoirs.standard(echo)[1]
    h, y = arrays["h"][reservoirs.WASHOUT :], echo.data()[1][reservoirs.WASHOUT :]
    rows = np.concatenate([np.ones((len(h), 1)), h], axis=1)
    penalty = reservoirs.RIDGE * np.diag([0.0] + [1.0] * echo.hidden)
    V = np.linalg.solve(rows.T @ rows + penalty, rows.T @ y)
    np.testing.assert_allclose(arrays["o"][reservoirs.WASHOUT :], rows @ V, rtol=0, atol=1e-9)


def told(monkeypatch: pytest.MonkeyPatch, change: Callable[[Reservoir], None]) -> measure.Row:
    """The row measured with a reservoir of ours that is changed behind the standard's back."""
    right = reservoirs.ours

    def wrong(echo: Echo) -> dict[str, Variant]:
        made = Echo.reservoir

        def changed(self: Echo) -> Reservoir:
            reservoir = made(self)
            change(reservoir)
            return reservoir

        with monkeypatch.context() as patch:
            patch.setattr(Echo, "reservoir", changed)
            return right(echo)

    monkeypatch.setattr(reservoirs, "ours", wrong)
    return echo_row(small(False), Settings(("esn",), (), 1, 1e-4), lambda what: None)


def test_wrong_states_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(reservoir: Reservoir) -> None:
        reservoir.W.value[...] *= 1.001

    row = told(monkeypatch, change)
    assert not row.samples and row.ratio is None
    assert row.error.startswith("states differ from those of the recurrence in NumPy by ")


def test_a_row_is_timed_and_shown() -> None:
    pytest.importorskip("reservoirpy")
    settings = Settings(("esn",), ("numpy", "reservoirpy"), 1, 1e-4)
    row = echo_row(small(True), settings, lambda what: None)
    assert not row.error and not row.failed and not row.refused
    assert row.libraries == ["reservoirpy"] and row.ratio is not None and max(row.checked.values()) < BOUND
    machine = dict.fromkeys(("flops_per_second", "flops_per_second_1", "bytes_per_second"), 1.0)
    parts = list(render(Report({}, {}, settings, [row])))
    titles = [str(part) for part in parts]
    assert any("Echo state networks" in title for title in titles)
    assert Report(machine, {}, settings, [row]).geometric_mean("library", "user", "process") is None
