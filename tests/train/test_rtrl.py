"""Real-time recurrent learning gives the gradients of back-propagation through time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.train import RTRL

T, B, F, H = 9, 2, 3, 4


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_same_gradient_as_back_propagation(kind: Any, rng: np.random.Generator) -> None:
    cell = kind(F, H, rng=rng, dtype=np.float64)
    for p in cell.parameters():
        p.value = rng.standard_normal(p.shape)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))

    def step(x_t: Any, u_t: Any, state: Any) -> Any:
        state, h = cell.step(x_t, state)
        return state, ts.sum(h * h * u_t)

    zero = np.zeros((B, H))
    online = RTRL(step, cell.parameters(), (zero, zero) if kind is nn.LSTMCell else zero)
    size = online.bytes
    for t in range(T):
        losses = online.advance(x[t], u[t])
        with ts.Tape():
            h = ts.unfold(cell, ts.Chain(t + 1), x[: t + 1], cell.initial_state(B)).outputs
            L = ts.sum(h * h * u[: t + 1])
            L.backward()
            last = ts.sum(h[t] * h[t] * u[t]).item()
        assert losses == pytest.approx(last, rel=1e-12)
        for p, g in zip(cell.parameters(), online.gradients(), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-10, atol=1e-10)
    assert online.bytes == size
    states = B * H * (2 if kind is nn.LSTMCell else 1)
    assert size == 8 * (states * sum(p.value.size for p in cell.parameters()) + states**2)
    whole = online.gradients()
    online.publish()
    for p, g in zip(cell.parameters(), whole, strict=True):
        np.testing.assert_array_equal(p.grad, g)
    assert not any(g.any() for g in online.gradients())


def test_bad_input(rng: np.random.Generator) -> None:
    with pytest.raises(TinyseqError, match="no parameters"):
        RTRL(lambda x, h: (h, ts.sum(h)), [], np.zeros(2))
    with pytest.raises(TinyseqError, match="carries a state"):
        RTRL(lambda x, h: (h, ts.sum(x)), [ts.Parameter(np.ones(2))], ())
