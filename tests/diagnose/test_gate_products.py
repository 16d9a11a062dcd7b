"""Products of gates and of Jacobians: against twins in plain loops and against gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.diagnose.gate_products import forget_products, jacobian_norms

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H = 7, 2, 3, 4


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((T, B, F))


@pytest.mark.parametrize("peepholes", [None, "gers"])
def test_the_product_of_forget_gates(peepholes: Any, x: np.ndarray, rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.LSTMCell(F, H, rng=rng, dtype=np.float64, peepholes=peepholes), rng)
    found = forget_products(cell, x)
    state, product = twins.zero_state(cell), np.ones(H)
    for t in range(T):
        h, s = state
        peep = cell.p["f"].value * s if peepholes else 0
        product = product * twins.sigmoid(twins.affine(cell.f, x[t, 1], h) + peep)
        state, _ = twins.lstm(cell, x[t, 1], state)
        np.testing.assert_allclose(found[t, 1], product, rtol=1e-12)


def test_it_is_the_gradient_along_the_straight_way(x: np.ndarray, rng: np.random.Generator) -> None:
    """Without W nothing goes round: then ∂s(T)/∂s(0) is the product itself."""
    cell = twins.randomise(nn.LSTMCell(F, H, rng=rng, dtype=np.float64), rng)
    for part in cell.affines().values():
        part.W.value[...] = 0
    with ts.Tape():
        s0 = ts.tensor(rng.standard_normal((B, H)))
        ts.sum(cell.encode(x, state=(ts.zeros((B, H), np.float64), s0)).final[1]).backward()
    np.testing.assert_allclose(forget_products(cell, x)[-1], s0.grad, rtol=1e-12)


def test_gru_and_leaky(x: np.ndarray, rng: np.random.Generator) -> None:
    gru = twins.randomise(nn.GRUCell(F, H, rng=rng, dtype=np.float64), rng)
    h, product = np.zeros(H), np.ones(H)
    for t in range(T):
        product = product * twins.sigmoid(twins.affine(gru.u, x[t, 0], h))
        h, _ = twins.gru(gru, x[t, 0], h)
    np.testing.assert_allclose(forget_products(gru, x)[-1, 0], product, rtol=1e-12)
    leaky = nn.LeakyCell(F, H, alpha=0.9, rng=rng)
    np.testing.assert_allclose(forget_products(leaky, x)[:, 1, 2], 0.9 ** np.arange(1, T + 1), rtol=1e-12)


@pytest.mark.parametrize("squash", ["tanh", "relu"])
def test_the_jacobian_of_an_rnn_is_that_of_its_gradients(squash: str, x: np.ndarray, rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.RNNCell(F, H, squash=squash, rng=rng, dtype=np.float64), rng)
    found = jacobian_norms(cell, x)
    for t in (0, T - 1):
        J = np.zeros((H, H))
        for i in range(H):
            with ts.Tape():
                h0 = ts.tensor(np.zeros((B, H)))
                unfolded = ts.unfold(cell, ts.Chain(T), x, h0)
                ts.sum(unfolded.output(t)[:, i : i + 1]).backward()
            J[i] = h0.grad[0]
        assert found[t, 0] == pytest.approx(np.linalg.norm(J, 2), rel=1e-10)


def test_errors(x: np.ndarray, rng: np.random.Generator) -> None:
    with pytest.raises(ts.TinyseqError, match="a RNNCell does not; for an RNNCell see jacobian_norms"):
        forget_products(nn.RNNCell(F, H, rng=rng), x)
    for cell in (nn.LSTMCell(F, H, rng=rng), nn.RNNCell(F, H, layer_norm=True, rng=rng)):
        with pytest.raises(ts.TinyseqError, match=f"got a {type(cell).__name__}; for gated cells see forget_products"):
            jacobian_norms(cell, x)
