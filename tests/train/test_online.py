"""UORO and sparse RTRL beside RTRL: what they share with it, and in what they differ from it exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.train import RTRL, UORO, SparseRTRL

T, F, H = 5, 2, 3


def problem(seed: int = 0) -> tuple[nn.RNNCell, Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    cell = nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    for p in cell.parameters():
        p.value[...] = rng.normal(0, 0.7, p.shape)

    def step(x: Any, state: Any) -> Any:
        state, h = cell.step(x, state)
        return state, ts.sum(h * h)

    return cell, step, rng.normal(size=(T, 1, F))


def run(online: RTRL, x: np.ndarray) -> np.ndarray:
    for row in x:
        online.advance(row)
    return np.concatenate([g.reshape(-1) for g in online.gradients()])


def test_with_all_paths_it_is_rtrl() -> None:
    cell, step, x = problem()
    exact = run(RTRL(step, cell.parameters(), np.zeros((1, H))), x)
    kept = SparseRTRL(step, cell.parameters(), np.zeros((1, H)), paths=1.0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(run(kept, x), exact, rtol=1e-12)


def test_snap_1_of_a_vanilla_net_by_hand() -> None:
    """P_i of a unit's own weights is carried on by ∂h_i(t)/∂h_i(t−1) = (1 − h_i²) W_ii alone."""
    cell, step, x = problem()
    found = run(SparseRTRL(step, cell.parameters(), np.zeros((1, H))), x)
    U, W, b = cell.a.U.value, cell.a.W.value, cell.a.b.value
    h, trace = np.zeros(H), {"U": np.zeros((H, F)), "W": np.zeros((H, H)), "b": np.zeros(H)}
    total = {name: np.zeros_like(t) for name, t in trace.items()}
    for row in x[:, 0]:
        before, h = h, np.tanh(b + W @ h + U @ row)
        slope = 1 - h**2
        back = W.T @ (slope * 2 * h)  # ∂L(t)/∂h(t−1), which the trace of the step before carries on
        for name, own in (("U", np.outer(slope, row)), ("W", np.outer(slope, before)), ("b", slope)):
            column = (slice(None), None) if own.ndim == 2 else slice(None)
            total[name] += back[column] * trace[name] + (2 * h)[column] * own
            trace[name] = (slope * np.diag(W))[column] * trace[name] + own
    expected = [total[str(p.name)].reshape(-1) for p in cell.parameters()]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-10)


def test_uoro_is_unbiased() -> None:
    """The mean over 3,000 draws lies within a few standard errors of RTRL's gradient, in every element."""
    cell, step, x = problem()
    exact = run(RTRL(step, cell.parameters(), np.zeros((1, H))), x[:3])
    draws = []
    online = UORO(step, cell.parameters(), np.zeros((1, H)), rng=np.random.default_rng(1))
    for _ in range(3000):
        online.restart([np.zeros((1, H))])
        draws.append(run(online, x[:3]))
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(mean - exact) <= 4.5 * error + 1e-9).all()
    assert np.std(draws, axis=0).max() > 0.01  # and it is noise


def test_the_share_of_paths_is_checked() -> None:
    cell, step, _ = problem()
    with pytest.raises(TinyseqError, match="from 0 to 1; got 6"):
        SparseRTRL(step, cell.parameters(), np.zeros((1, H)), paths=6)
