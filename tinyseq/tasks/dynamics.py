"""Nonlinear systems to model, the tasks of echo state networks: Mackey–Glass and NARMA."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError
from tinyseq.jit.decorators import kernel

EULER_STEP = 0.1
UNBOUNDED = 10.0  # a NARMA output beyond this is on its way to infinity


def mackey_glass(
    rng: np.random.Generator,
    steps: int,
    batch: int = 1,
    *,
    tau: float = 17.0,
    every: int = 10,
    skip: int = 1000,
    squash: bool = True,
    dtype: Any = np.float32,
) -> np.ndarray:
    """ẏ = α y(t−τ) / (1 + y(t−τ)^β) − γ y with α = 0.2, β = 10, γ = 0.1 (Mackey and Glass 1977), (steps, batch, 1).

    Euler steps of 0.1, one value for each ``every`` of them after the first ``skip``, from histories around 1.2 drawn
    from ``rng``; ``squash`` gives tanh(y − 1) (Jaeger 2001). Chaotic for τ > 16.8.
    """
    positive(steps=steps, batch=batch, every=every)
    if not tau >= EULER_STEP:
        raise DataError(f"the delay τ is at least one Euler step, {EULER_STEP}; got {tau}")
    history = round(tau / EULER_STEP)
    y = 1.2 + 0.2 * (generator(rng).random((batch, history + 1)) - 0.5)
    series = np.empty((batch, (skip + steps) * every + history + 1))
    series[:, : history + 1] = y
    _mackey_glass(series, history, EULER_STEP)
    kept = series[:, history + every :: every][:, skip : skip + steps]
    return np.ascontiguousarray((np.tanh(kept - 1) if squash else kept).T[:, :, None].astype(dtype))


@kernel
def _mackey_glass(series, history, step):
    for b in range(series.shape[0]):
        y = series[b]
        for t in range(history, y.size - 1):
            late = y[t - history]
            y[t + 1] = y[t] + step * (0.2 * late / (1 + late**10) - 0.1 * y[t])


def narma10(
    rng: np.random.Generator, steps: int, batch: int = 1, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """y(t) = 0.3 y(t−1) + 0.05 y(t−1) Σ_{i=1}^{10} y(t−i) + 1.5 u(t−10) u(t−1) + 0.1 (Atiya and Parlos 2000).

    u ~ U[0, 0.5] and y, both (steps, batch, 1), without the first 200 steps. An input on which y runs away, as
    happens rarely, is drawn again.
    """
    positive(steps=steps, batch=batch)
    rng = generator(rng)
    total = steps + 200
    u, y = np.empty((total, batch)), np.empty((total, batch))
    for b in range(batch):
        while True:
            u[:, b] = rng.uniform(0, 0.5, total)
            y[:, b] = _narma10(u[:, b])
            if np.abs(y[:, b]).max() < UNBOUNDED:
                break
    return u[200:, :, None].astype(dtype), y[200:, :, None].astype(dtype)


@kernel
def _narma10(u):
    y = np.zeros(u.size)
    for t in range(10, u.size):
        total = 0.0
        for i in range(1, 11):
            total += y[t - i]
        y[t] = min(0.3 * y[t - 1] + 0.05 * y[t - 1] * total + 1.5 * u[t - 10] * u[t - 1] + 0.1, 1e6)
    return y


def nrmse(found: np.ndarray, true: np.ndarray) -> float:
    """Root mean squared error over the standard deviation of the truth."""
    return float(np.sqrt(np.mean(np.square(np.asarray(found, float) - true))) / np.std(np.asarray(true, float)))
