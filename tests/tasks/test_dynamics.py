"""Mackey–Glass and NARMA against their equations, and memory capacity against the exact staircase."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.diagnose.memory_capacity import linear_memory, memory_capacity, ring_memory
from tinyseq.tasks.dynamics import mackey_glass, narma10, nrmse


def test_mackey_glass_follows_its_equation() -> None:
    y = mackey_glass(
        np.random.default_rng(0), 400, 2, tau=3.0, every=1, skip=0, squash=False, dtype=np.float64
    )[..., 0]  # fmt: skip
    late, now, after = y[:-31], y[30:-1], y[31:]
    np.testing.assert_allclose(after, now + 0.1 * (0.2 * late / (1 + late**10) - 0.1 * now), rtol=1e-12)
    assert not np.array_equal(y[:, 0], y[:, 1])
    squashed = mackey_glass(np.random.default_rng(0), 10, 2, tau=3.0, every=10, skip=5, dtype=np.float64)[..., 0]
    np.testing.assert_allclose(squashed, np.tanh(y[59:159:10] - 1), rtol=1e-12)
    with pytest.raises(ts.errors.DataError, match="Euler"):
        mackey_glass(np.random.default_rng(0), 10, tau=0.01)


def test_narma_follows_its_equation() -> None:
    u, y = (a[..., 0] for a in narma10(np.random.default_rng(0), 300, 2, np.float64))
    assert u.min() >= 0 and 0.4 < u.max() <= 0.5
    for t in range(10, 300):
        expected = 0.3 * y[t - 1] + 0.05 * y[t - 1] * y[t - 10 : t].sum(0) + 1.5 * u[t - 10] * u[t - 1] + 0.1
        np.testing.assert_allclose(y[t], expected, rtol=1e-12)


def test_the_error_of_the_mean_is_one() -> None:
    y = np.random.default_rng(0).standard_normal(50)
    assert nrmse(np.full(50, y.mean()), y) == pytest.approx(1.0) and nrmse(y, y) == 0


def ring(radius: float, units: int) -> tuple[np.ndarray, np.ndarray]:
    return radius * np.roll(np.eye(units), 1, axis=0), np.eye(units)[:, :1]


@pytest.mark.parametrize(("radius", "units"), [(0.9, 8), (0.5, 3)])
def test_the_memory_of_a_linear_ring_is_a_staircase(radius: float, units: int) -> None:
    W, v = ring(radius, units)
    exact = ring_memory(radius, units, 5 * units)
    np.testing.assert_allclose(linear_memory(W, v, 5 * units), exact, rtol=1e-10)
    assert ring_memory(radius, units, 400 * units).sum() == pytest.approx(units)
    r = nn.Reservoir(1, units, rng=np.random.default_rng(0), W=W, U=v, activation="linear", dtype=np.float64)
    measured = memory_capacity(r, 5 * units, rng=np.random.default_rng(1), steps=20_000)
    np.testing.assert_allclose(measured, exact, atol=0.03)


def test_what_has_no_memory_capacity() -> None:
    with pytest.raises(ts.TinyseqError, match="below 1"):
        linear_memory(np.eye(2), np.ones(2), 3)
    r = nn.Reservoir(2, 20, rng=np.random.default_rng(0))
    with pytest.raises(ts.errors.ShapeError, match="input_size=1"):
        memory_capacity(r, 3, rng=np.random.default_rng(0))
