"""Real-valued sequences with a known best error: adding two marked numbers, filters that look ahead, waveforms."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError

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


def adding_1997(rng: np.random.Generator, steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem of Hochreiter and Schmidhuber 1997, experiment 4: x (T, B, 2), y (B, 1).

    Values U[−1, 1]; the length is uniform in T … T + T/10, here one for the batch. Marked 1 are one of the first ten
    pairs and one of the first T/2 − 1 others; the first and last pair, unmarked, carry −1, all others 0. The target is
    0.5 + (X₁ + X₂)/4; X₁ is set to 0 where the first pair is marked. Right means an error below 0.04.
    """
    positive(steps=steps, batch=batch)
    if steps < 20:
        raise ShapeError(f"marks lie in the first ten pairs and the first half: at least 20 steps, got {steps}")
    rng = generator(rng)
    length, columns = int(rng.integers(steps, steps + steps // 10 + 1)), np.arange(batch)
    values, marks = rng.uniform(-1, 1, (length, batch)), np.zeros((length, batch))
    marks[[0, -1]] = -1
    first = rng.integers(0, 10, batch)
    second = rng.integers(0, steps // 2 - 1, batch)
    second += second >= first  # among the others
    marks[first, columns] = marks[second, columns] = 1
    values[0] = np.where(marks[0] == 1, 0.0, values[0])
    y = 0.5 + np.where(marks == 1, values, 0.0).sum(0) / 4
    return np.stack([values, marks], axis=2).astype(np.float32), y[:, None].astype(np.float32)


def adding_1997_baseline(steps: int) -> float:
    """Mean squared error of always answering 0.5: (1/3)(2 − 1/10 − (9/10)/(T/2 − 1))/16, nearly 1/24.

    1/10 and (9/10)/(T/2 − 1) are the chances that the first and the second mark fall on the first pair.
    """
    return (2 - 0.1 - 0.9 / (steps // 2 - 1)) / 3 / 16


def waveform(
    rng: np.random.Generator, samples: int = 320, waves: int = 1, partials: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Waves to be generated from nothing, as in Koutník et al. 2014: x (T, B, 1) all zeros, y (T, B, 1) in [−1, 1].

    In place of their 320 samples of music: ``partials`` sinusoids of random phase with periods of 4 samples to the
    whole wave, spread evenly on a log scale, with amplitudes that grow with the square root of the period. Each wave
    is scaled to mean 0 and largest value 1; ``nmse`` of the constant 0 is 1.
    """
    positive(samples=samples, waves=waves, partials=partials)
    if samples < 8:
        raise ShapeError(f"a wave needs at least 8 samples, got {samples}")
    rng = generator(rng)
    periods = np.geomspace(4, samples, partials) * rng.uniform(0.9, 1.1, (waves, partials))
    angle = np.arange(samples)[:, None, None] / periods + rng.random((waves, partials))
    y = (np.sqrt(periods) * np.sin(2 * np.pi * angle)).sum(2)
    y -= y.mean(0)
    y /= np.abs(y).max(0)
    return np.zeros((samples, waves, 1), np.float32), y[..., None].astype(np.float32)


def nmse(o: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error over the mean square of the target about its mean over time, averaged over the waves."""
    o, y = np.asarray(o, np.float64), np.asarray(y, np.float64)
    if o.shape != y.shape:
        raise ShapeError(f"outputs and targets need one shape, got {o.shape} and {y.shape}")
    return float((np.square(o - y).mean(0) / y.var(0)).mean())


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
