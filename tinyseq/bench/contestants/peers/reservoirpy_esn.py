"""ReservoirPy: the same reservoir from the same arrays, W sparse as it keeps one itself, and dense."""

from __future__ import annotations

from typing import Any

from reservoirpy.nodes import Reservoir, Ridge
from scipy.sparse import csr_array

from tinyseq.bench.contestants.reservoirs import LEAK, RIDGE, WASHOUT, Echo, found
from tinyseq.bench.variant import Gradients, Variant


def variants(echo: Echo) -> dict[str, Variant]:
    """A run from h(0) = 0, with the readout fitted to its states where the row says so.

    Two threads are for the readout's products: a sparse product runs on one.
    """
    W = echo.reservoir().matrix
    return {
        f"{name}, {count} thr": _variant(echo, weights, count)
        for name, weights, count in (("sparse", csr_array(W), 1), ("sparse", csr_array(W), 2), ("dense", W, 1))
    }


def _variant(echo: Echo, W: Any, count: int) -> Variant:
    own, (x, y) = echo.reservoir(), echo.data()
    assert own.U is not None and own.b is not None
    reservoir = Reservoir(W=W, Win=own.U.value, bias=own.b.value, lr=LEAK, input_dim=1)

    def states() -> Any:
        if reservoir.initialized:
            reservoir.reset()
        return reservoir.run(x)

    def fitted() -> tuple[Any, Any]:
        h = states()
        return h, Ridge(ridge=RIDGE).fit(h, y, warmup=WASHOUT)

    def compared() -> Gradients:
        if not echo.fits:
            return found(states())
        h, readout = fitted()
        return found(h, readout.run(h))

    return Variant(fitted if echo.fits else states, compared, count)
