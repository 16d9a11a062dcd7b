"""Echo state networks as rows: the states of a fixed reservoir, and these with the readout fitted to them.

Every variant gets the same W, U and b in float64. What is compared before timing are the states h(t), and where the
readout is fitted also its outputs; the standard is the recurrence written out in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq import nn
from tinyseq.bench.variant import Gradients, Variant

WASHOUT = 100
RIDGE = 1e-4
LEAK = 0.3
BOUND = 1e-6
"""Of the largest state or output. States leave about 1e-14 in another order of summation; a readout from normal
equations, as everybody solves it, keeps half the digits of float64 at most."""


@dataclass(frozen=True)
class Echo:
    """One row: N = `hidden` units, a tenth of W's elements not 0, over T = `steps`; `fits` the readout or not."""

    row: str
    hidden: int
    steps: int = 10_000
    fits: bool = False
    seed: int = 0

    def reservoir(self) -> nn.Reservoir:
        """The reservoir with its weights."""
        rng = np.random.default_rng(self.seed)
        return nn.Reservoir(1, self.hidden, rng=rng, leak=LEAK, bias_scaling=0.2, dtype=np.float64)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (T, 1) ~ U[−1, 1], and as target the product of the last two inputs, (T, 1)."""
        x = np.random.default_rng(self.seed + 1).uniform(-1, 1, (self.steps, 1))
        return x, x * np.roll(x, 1, axis=0)


def found(states: np.ndarray, outputs: np.ndarray | None = None) -> Gradients:
    """What is compared: states (T, N), and outputs (T, 1) if there are any."""
    arrays = {"h": states} if outputs is None else {"h": states, "o": outputs}
    return float(np.abs(states).mean()), arrays


def standard(echo: Echo) -> Gradients:
    """The equations one by one, and the readout by least squares on rows that hold the ridge."""
    reservoir, (x, y) = echo.reservoir(), echo.data()
    assert reservoir.U is not None and reservoir.b is not None
    W, U, b = reservoir.matrix, reservoir.U.value, reservoir.b.value
    h, states = np.zeros(echo.hidden), np.empty((echo.steps, echo.hidden))
    for t in range(echo.steps):
        h = (1 - LEAK) * h + LEAK * np.tanh(W @ h + U @ x[t] + b)
        states[t] = h
    if not echo.fits:
        return found(states)
    seen, target = states[WASHOUT:], y[WASHOUT:]
    z, d = seen - seen.mean(0), target - target.mean(0)
    rows = np.concatenate([z, np.sqrt(RIDGE) * np.eye(echo.hidden)])
    V = np.linalg.lstsq(rows, np.concatenate([d, np.zeros((echo.hidden, 1))]), rcond=None)[0]
    return found(states, target.mean(0) + (states - seen.mean(0)) @ V)


def ours(echo: Echo) -> dict[str, Variant]:
    """`nn.EchoStateNetwork`, as anybody would run it."""
    net = nn.EchoStateNetwork(echo.reservoir(), 1, ridge=RIDGE)
    x, y = (a[:, None] for a in echo.data())

    def compared() -> Gradients:
        states = net.run(x)[0][:, 0]
        return found(states, net.fit(x, y, WASHOUT).predict(x)[:, 0]) if echo.fits else found(states)

    return {"esn": Variant((lambda: net.fit(x, y, WASHOUT)) if echo.fits else (lambda: net.run(x)), compared)}


ECHOES: tuple[Echo, ...] = tuple(
    Echo(f"esn {hidden}, 10,000 steps, {'fit + run' if fits else 'run'}", hidden, fits=fits)
    for fits in (False, True)
    for hidden in (100, 500, 1000)
)
