"""``unfolded.outputs[2].grad``: parts and arrangements of what a loss depends on have the gradient of their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")

RNG = np.random.default_rng(0)
X, H = RNG.standard_normal((40, 3, 2)), RNG.standard_normal((3, 2))
W = ts.Parameter(0.5 * RNG.standard_normal((2, 2)), "W")


def step(x: Any, h: Any) -> Any:
    h = ts.tanh(ts.linear(h, W) + x)
    return h, h


def by_hand() -> np.ndarray:
    """∂L/∂h(t) of L = Σ_t t ‖h(t)‖²/2, as (10.20) has it: ∇h(t) = t h(t) + Wᵀ (1 − h(t+1)²) ∇h(t+1)."""
    h, states = H, []
    for x in X:
        h = np.tanh(h @ W.value.T + x)
        states.append(h)
    grads, after = np.zeros_like(X), np.zeros_like(H)
    for t in range(len(X) - 1, -1, -1):
        grads[t] = after = t * states[t] + after
        after = ((1 - states[t] ** 2) * after) @ W.value
    return grads


def test_of_stacked_outputs_on_the_way_to_the_loss() -> None:
    with Tape():
        net = ts.unfold(step, ts.Chain(40), X, H)
        weight = np.broadcast_to(np.arange(40.0)[:, None, None], X.shape)
        early = net.outputs[5]
        assert early.grad is None  # before a backward pass
        ts.sum(net.outputs * net.outputs * (0.5 * weight)).backward()
        own = ts.stack([net.output(t) for t in range(40)]).grad
    want = by_hand()
    np.testing.assert_allclose(own, want, rtol=1e-10)
    np.testing.assert_allclose(net.output(2).grad, want[2], rtol=1e-10)


@pytest.mark.parametrize("make", ["plain", "steps"])
def test_of_outputs_that_the_loss_read_one_by_one(make: str) -> None:
    """Stacked after the fact: nothing of the loss reads the stack."""
    with Tape():
        net = ts.unfold(step, ts.Chain(40), X, H)
        early = net.outputs[3] if make == "steps" else None
        loss = ts.tensor(0.0 * X[0, 0, 0])
        for t in range(40):
            loss = loss + ts.sum(net.output(t) * net.output(t)) * (0.5 * t)
    loss.backward()
    want = by_hand()
    np.testing.assert_allclose(net.outputs.grad, want, rtol=1e-10)
    np.testing.assert_allclose(net.outputs[2].grad, want[2], rtol=1e-10)
    np.testing.assert_allclose(net.outputs[-1][:, 1].grad, want[-1][:, 1], rtol=1e-10)
    np.testing.assert_allclose(net.outputs[4:9].grad, want[4:9], rtol=1e-10)
    np.testing.assert_allclose(net.outputs.reshape(40, 6).grad, want.reshape(40, 6), rtol=1e-10)
    np.testing.assert_allclose(ts.transpose(net.outputs, (1, 0, 2)).grad, want.transpose(1, 0, 2), rtol=1e-10)
    with loss.tape:
        np.testing.assert_allclose(ts.take(net.outputs, np.array([7, 7, 1])).grad, want[[7, 7, 1]], rtol=1e-10)
        np.testing.assert_allclose(W[0].grad, W.grad[0], rtol=1e-12)
    if early is not None:
        np.testing.assert_allclose(early.grad, want[3], rtol=1e-10)
    with pytest.raises(ValueError, match="read-only"):
        net.outputs[2].grad[...] = 0


def test_where_the_loss_reads_some_of_the_parts() -> None:
    with Tape():
        net = ts.unfold(step, ts.Chain(5), X[:5], H)
        ts.sum(net.output(1)).backward()
    np.testing.assert_array_equal(net.outputs[1].grad, np.ones((3, 2)))
    np.testing.assert_array_equal(
        net.outputs[3].grad, np.zeros((3, 2))
    )  # a part of outputs, of which the loss reads some
    assert net.output(3).grad is None and (net.outputs[1] * 2.0).grad is None


def test_of_nets_with_a_loss_at_each_step_and_of_unequal_lengths() -> None:
    net = nn.RNN(4, 3, 4, rng=np.random.default_rng(1), dtype=np.float64)
    tokens = np.arange(12).reshape(6, 2) % 4
    with Tape():
        loss, unfolded = net.losses(tokens, tokens)
        loss.backward()
        o = unfolded.outputs[0]
        p = np.exp(o.value - o.value.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        want = (p - np.eye(4)[tokens]) / 2  # (10.18), the mean over a batch of 2
        np.testing.assert_allclose(o.grad, want, rtol=1e-10)
        np.testing.assert_allclose(o[2].grad, want[2], rtol=1e-10)
    chain = ts.Chain([4, 2, 3])
    rows = RNG.standard_normal((9, 2))
    for structure in (chain, chain.reversed()):
        with Tape():
            net_ = ts.unfold(step, structure, rows, H)
            ts.sum(ts.concatenate([net_.output(t) for t in range(4)], 0)).backward()
            made = np.concatenate([net_.output(t).grad for t in range(4)])
            assert net_.outputs.grad.shape == made.shape == (9, 2)
            np.testing.assert_allclose(np.sort(net_.outputs.grad, 0), np.sort(made, 0))
            assert net_.final.grad.shape == (3, 2)


def test_of_trees() -> None:
    class Cell(nn.TreeCell):
        def leaf(self, x: Any) -> Any:
            return ts.tanh(x @ W)

        def merge(self, left: Any, right: Any) -> Any:
            return ts.tanh(left + right)

    with Tape():
        net = ts.unfold(Cell(), ts.Tree.balanced(4), RNG.standard_normal((4, 2)))
        ts.sum(net.root).backward()
        for position in range(7):
            np.testing.assert_array_equal(net.states[position].grad, net.state(position).grad[0])
