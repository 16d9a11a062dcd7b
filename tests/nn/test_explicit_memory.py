"""A cell with explicit memory against a NumPy twin, differences, and both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.errors import ShapeError

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H, N, W = 5, 2, 3, 4, 6, 3
Array = np.ndarray


def made(rng: np.random.Generator, kind: Any = nn.RNNCell) -> nn.MemoryCell:
    return twins.randomise(nn.MemoryCell(kind(F + W, H, rng=rng, dtype=np.float64), N, W, rng=rng), rng)


def softplus(a: Array) -> Array:
    return np.log1p(np.exp(a))


def address(o: Array, M: Array, before: Array) -> Array:
    """One sequence, cell by cell."""
    k, beta, g, gamma = np.tanh(o[:W]), softplus(o[W]), twins.sigmoid(o[W + 1]), 1 + softplus(o[W + 5])
    s = np.exp(o[W + 2 : W + 5]) / np.exp(o[W + 2 : W + 5]).sum()
    cos = np.array([m @ k / (np.sqrt(m @ m + 1e-8) * np.sqrt(k @ k + 1e-8)) for m in M])
    c = np.exp(beta * cos) / np.exp(beta * cos).sum()
    w = g * c + (1 - g) * before
    moved = np.array([sum(s[j + 1] * w[(i - j) % len(w)] for j in (-1, 0, 1)) for i in range(len(w))])
    sharp = (moved + 1e-6) ** gamma
    return sharp / sharp.sum()


def twin(cell: Any, xs: Array) -> tuple[Array, Any]:
    M, w, v, r = np.full((N, W), 1e-3), np.eye(N)[0], np.eye(N)[0], np.zeros(W)
    inner, outputs = twins.zero_state(cell.task), []
    for x in xs:
        inner, h = twins.TWINS[type(cell.task).__name__](cell.task, np.concatenate([x, r]), inner)
        o = cell.write.c.value + cell.write.V.value @ h
        w = address(o, M, w)
        e, a = twins.sigmoid(o[W + 6 : 2 * W + 6]), np.tanh(o[2 * W + 6 :])
        M = np.array([M[i] * (1 - w[i] * e) + w[i] * a for i in range(N)])
        v = address(cell.read.c.value + cell.read.V.value @ h, M, v)
        r = sum(v[i] * M[i] for i in range(N))
        outputs.append(np.concatenate([h, r]))
    return np.array(outputs), (M, w, v)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_twin(kind: Any, rng: np.random.Generator) -> None:
    cell, x = made(rng, kind), rng.standard_normal((T, B, F))
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B))
        outputs, (_, M, w, v, _) = net.outputs.value, net.final
        for b in range(B):
            expected, (M_b, w_b, v_b) = twin(cell, x[:, b])
            np.testing.assert_allclose(outputs[:, b], expected, rtol=1e-10, atol=1e-12)
            for ours, theirs in ((M, M_b), (w, w_b), (v, v_b)):
                np.testing.assert_allclose(ours.value[b], theirs, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(cell.hidden(net.final).value, outputs[-1], rtol=1e-12)


def test_gradients(rng: np.random.Generator) -> None:
    cell, x = made(rng), rng.standard_normal((T, B, F))
    u = rng.standard_normal((T, B, H + W))

    def f() -> ts.Tensor:
        return ts.sum(ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B)).outputs * u)

    assert ts.gradcheck(f, *cell.parameters())


def test_it_is_planned_and_executors_agree(rng: np.random.Generator) -> None:
    cell, x = made(rng, nn.LSTMCell), rng.standard_normal((12, B, F))

    def f(x: Any) -> ts.Tensor:
        y = ts.unfold(cell, ts.Chain(12), x, cell.initial_state(B)).outputs
        return ts.sum(y * y)

    compiled = ts.compile(f)
    assert not isinstance(compiled.program(x), str), compiled.program(x)
    compiled.backward(x)
    fast = [p.grad.copy() for p in cell.parameters()]
    with ts.Tape(executor=ts.Reference):
        f(ts.tensor(x)).backward()
    for p, g in zip(cell.parameters(), fast, strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-11)


def test_weights_are_a_distribution_and_more_slots_need_no_other_parameters(rng: np.random.Generator) -> None:
    cell, x = made(rng), rng.standard_normal((T, B, F))
    cell.slots = 20
    with ts.Tape():
        _, M, w, _, _ = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B)).final
        assert M.shape == (B, 20, W)
        np.testing.assert_allclose(w.value.sum(axis=1), 1)


def test_a_task_network_too_narrow(rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match=r"takes only 3 inputs; make it with input_size \+ 3"):
        nn.MemoryCell(nn.RNNCell(W, H, rng=rng), N, W, rng=rng)
