"""Gradient checkpointing in time: the same loss, state and gradients as one tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import GradientError, ShapeError, TinyseqError

T, B, F, H = 23, 2, 3, 4


def net(kind: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    cell = kind(F, H, rng=rng, dtype=np.float64)

    def loss(x: Any, u: Any, state: Any) -> Any:
        start = cell.initial_state(B) if state is None else state
        unfolded = ts.unfold(cell, ts.Chain(len(x)), x, start)
        return ts.sum(unfolded.outputs * u), unfolded.final

    return cell, loss


@pytest.mark.parametrize("k", [True, 1, 4, 23, 100])
@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_same_gradients_as_one_tape(kind: Any, k: Any, rng: np.random.Generator) -> None:
    cell, loss = net(kind, rng)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    whole, final = ts.compile(loss).backward(x, u, None)
    expected = [p.grad.copy() for p in cell.parameters()]
    pieces = ts.compile(loss, checkpoint=k)
    for _ in range(2):
        value, state = pieces.backward(x, u, None)
        assert value == pytest.approx(whole, rel=1e-12)
        for p, g in zip(cell.parameters(), expected, strict=True):
            np.testing.assert_allclose(p.grad, g, rtol=1e-11, atol=1e-13)
        for a, b in zip([state] if isinstance(state, np.ndarray) else state,
                        [final] if isinstance(final, np.ndarray) else final, strict=True):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert pieces(x, u, None)[0] == pytest.approx(whole, rel=1e-12)


def test_a_learned_initial_state_gets_its_gradient(rng: np.random.Generator) -> None:
    cell, h0 = nn.RNNCell(F, H, rng=rng, dtype=np.float64), ts.Parameter(rng.standard_normal((B, H)), "h0")
    x = rng.standard_normal((T, B, F))

    def loss(x: Any, state: Any) -> Any:
        unfolded = ts.unfold(cell, ts.Chain(len(x)), x, h0 if state is None else state)
        return ts.sum(unfolded.outputs * unfolded.outputs), unfolded.final

    ts.compile(loss).backward(x, None)
    expected = h0.grad.copy()
    ts.compile(loss, checkpoint=5).backward(x, None)
    np.testing.assert_allclose(h0.grad, expected, rtol=1e-11)


def test_one_segment_is_recorded_however_long_the_sequence_is(rng: np.random.Generator) -> None:
    _, loss = net(nn.RNNCell, rng)
    pieces = ts.compile(loss, checkpoint=10)
    x, u = rng.standard_normal((1000, B, F)), rng.standard_normal((1000, B, H))
    pieces.backward(x, u, None)
    functions = [pieces._plain, pieces._first, *[f for _, f in pieces._next.values()]]
    tapes = [version.tape for f in functions for version in f._versions.values()]
    assert max(len(tape) for tape in tapes) < 150


def test_what_cannot_be_cut_is_refused(rng: np.random.Generator) -> None:
    cell, loss = net(nn.RNNCell, rng)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))

    def mean(x: Any, u: Any, state: Any) -> Any:
        total, final = loss(x, u, state)
        return total / len(x), final

    def last(x: Any, state: Any) -> Any:
        unfolded = ts.unfold(cell, ts.Chain(len(x)), x, cell.initial_state(B) if state is None else state)
        return ts.sum(unfolded.final), unfolded.final

    def forgetful(x: Any, u: Any, state: Any) -> Any:
        return loss(x, u, None)

    with pytest.raises(GradientError, match=r"a loss that is a sum over steps.*\n.*sum rather than the mean"):
        ts.compile(mean, checkpoint=True).backward(x, u, None)
    with pytest.raises(GradientError, match="a loss that is a sum over steps"):
        ts.compile(last, checkpoint=True).backward(x, None)
    with pytest.raises(GradientError, match="checkpoint needs"):
        ts.compile(forgetful, checkpoint=True).backward(x, u, None)
    with pytest.raises(ShapeError, match=r"returns \(loss, state\)"):
        ts.compile(lambda x, state: ts.sum(x), checkpoint=True).backward(x, None)
    with pytest.raises(ShapeError, match=r"sequences .* of one length T"):
        ts.compile(loss, checkpoint=True).backward(x, u[:-1], None)
    with pytest.raises(TinyseqError, match="checkpoint is True"):
        ts.compile(loss, checkpoint=-3)
