"""Real-valued sequences with a known best error: adding two marked numbers, and filters that look ahead."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.nn.module import generator, positive

ADDING_BASELINE = 1 / 6  # mean squared error of always answering 1: the variance of the sum of two uniform numbers


def adding(rng: np.random.Generator, steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem as it is usual now: x (T, B, 2) of numbers U[0, 1] and marks, y (B, 1) the marked sum.

    One mark lies in the first half, one in the second (Hochreiter and Schmidhuber 1997 mark otherwise).
    """
    positive(steps=steps, batch=batch)
    if steps < 2:
        raise ShapeError(f"two numbers are marked: at least 2 steps, got {steps}")
    rng = generator(rng)
    values, marks = rng.random((steps, batch)), np.zeros((steps, batch))
    columns = np.arange(batch)
    marks[rng.integers(0, steps // 2, batch), columns] = 1
    marks[rng.integers(steps // 2, steps, batch), columns] = 1
    x = np.stack([values, marks], axis=2)
    return x.astype(np.float32), (values * marks).sum(0)[:, None].astype(np.float32)


def filtered(
    rng: np.random.Generator, weights: np.ndarray, behind: int, steps: int, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """y(t) = Σ_k w_k x(t + k), k = −behind … len(w) − 1 − behind, of white noise x of variance 1: x, y (T, B, 1).

    x beyond the ends of the sequence counts 0 in y(t).
    """
    positive(steps=steps, batch=batch)
    ahead = len(weights) - 1 - behind
    if not 0 <= behind < len(weights):
        raise ShapeError(f"of {len(weights)} weights 0 to {len(weights) - 1} can lie behind, got {behind}")
    x = generator(rng).standard_normal((steps, batch))
    padded = np.concatenate([np.zeros((behind, batch)), x, np.zeros((ahead, batch))])
    y = sum(w * padded[i : i + steps] for i, w in enumerate(np.asarray(weights, float)))
    return x[..., None].astype(np.float32), np.asarray(y)[..., None].astype(np.float32)


def unseen_variance(weights: np.ndarray, behind: int, delay: int) -> float:
    """Σ_{k > delay} w_k²: no net that has read only x(1 … t + delay) has a smaller mean squared error at y(t)."""
    return float(np.square(np.asarray(weights, float)[behind + delay + 1 :]).sum())
