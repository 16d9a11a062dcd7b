"""Steps that the loss does not read are neither run nor differentiated: NaN in them stays there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.users import agree, parameter, plan_of

F64 = np.float64
T, B, H = 8, 2, 3


def step_of(W: Any, V: Any) -> Any:
    def step(x: Any, state: Any) -> Any:
        h, s = state
        o = ts.log(ts.exp(x @ V) + 1.0) * h  # beside the recurrence: read at some steps only
        h = ts.tanh(h @ W + x)
        return (h, ts.tanh(s @ V + x)), (o, h)  # nobody reads what s becomes after the last step

    return step


READS = {
    "a step in the middle": [4], "the first": [0], "the last": [T - 1], "every other": [0, 2, 4, 6], "some": [1, 5, 6],
}  # fmt: skip


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("name", READS)
def test_outputs_of_some_steps(name: str, output: int, rng: np.random.Generator) -> None:
    W, V, reads = parameter(rng, H, H), parameter(rng, H, H), READS[name]

    def f(x: Any) -> Any:
        net = ts.unfold(step_of(W, V), ts.Chain(T), x, (ts.zeros((B, H), F64), ts.zeros((B, H), F64)))
        total = ts.sum(net.output(reads[0])[output] ** 2)
        for t in reads[1:]:
            total = total + ts.sum(net.output(t)[output] ** 2)
        return total

    x = rng.normal(size=(T, B, H))
    agree(f, x)
    x[max(reads) + 1 :] = np.nan
    agree(f, x)
    if output == 0:  # its own product is of the steps that are read
        x[:] = rng.normal(size=x.shape)
        x[max(reads)] = np.inf
        agree(f, x)


def test_a_chain_that_is_cut_short_is_still_one_recurrence(rng: np.random.Generator) -> None:
    W, V = parameter(rng, H, H), parameter(rng, H, H)

    def f(x: Any) -> Any:
        net = ts.unfold(step_of(W, V), ts.Chain(T), x, (ts.zeros((B, H), F64), ts.zeros((B, H), F64)))
        return ts.sum(net.output(5)[1] ** 2)

    forward = [b for b in plan_of(f, rng.normal(size=(T, B, H))).blocks if b.recurrent and b.phase == "forward"]
    assert [block.levels for block in forward] == [6]


def test_products_for_all_steps_at_once_take_the_steps_that_are_read(rng: np.random.Generator) -> None:
    W, V = parameter(rng, H, H), parameter(rng, H, H)

    def step(x: Any, h: Any) -> Any:
        v = ts.tanh(x @ W)
        return v, v

    def f(x: Any) -> Any:
        return ts.sum(ts.tanh(ts.unfold(step, ts.Chain(T), x, ts.zeros((B, H), F64)).output(2) @ V))

    x = rng.normal(size=(T, B, H))
    x[:2], x[3:] = np.nan, np.nan
    agree(f, x)


def test_a_subtree_that_is_not_read(rng: np.random.Generator) -> None:
    W, A = parameter(rng, H, H), parameter(rng, H, H)

    class Net(ts.nn.Cell):
        name = "net"

        def leaf(self, x: Any) -> Any:
            return ts.tanh(x @ W)

        def merge(self, a: Any, b: Any) -> Any:
            return ts.tanh(a @ A + b)

    tree = ts.Tree.from_children([[1, 2], [3, 4], [5, 6], [], [], [7, 8], [], [], []])

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(Net(), tree, x).states[1] ** 2)

    x = rng.normal(size=(tree.n_leaves, H))
    agree(f, x)
    for leaf in range(tree.n_leaves):  # NaN shows exactly where the reference shows it
        spoilt = x.copy()
        spoilt[leaf] = np.nan
        agree(f, spoilt)


def test_values_that_are_wanted_but_not_differentiated(rng: np.random.Generator) -> None:
    """All outputs are returned, the loss reads some: forward all of them run, backward only what the loss reads."""
    W = parameter(rng, H, H)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + x)
        return h, h

    def f(x: Any) -> Any:
        net = ts.unfold(step, ts.Chain(T), x, ts.zeros((B, H), F64))
        return ts.sum(net.output(3) ** 2), net.outputs

    x = rng.normal(size=(T, B, H))
    x[5:] = np.nan
    with ts.Tape(executor=ts.Reference):
        loss, outputs = f(ts.tensor(x))
        loss.backward()
        want = np.array(loss.value), np.array(outputs.value), np.array(W.grad)
    fast = ts.compile(f)
    for _ in range(2):
        value, found = fast.backward(x)
        np.testing.assert_allclose(value, want[0], rtol=1e-12)
        np.testing.assert_allclose(found, want[1], rtol=1e-12)
        np.testing.assert_allclose(W.grad, want[2], rtol=1e-11)
    assert np.isnan(found[5:]).all() and np.isfinite(want[2]).all()
