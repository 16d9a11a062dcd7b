"""States that are inputs of the step before, sequences read twice or out of order, starts that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.users import agree, attending, parameter

F64 = np.float64
T, B, D, H = 7, 2, 4, 3


def zeros(*shape: int) -> Any:
    return ts.zeros(shape, F64)


@pytest.mark.parametrize("taps", [1, 2, 3])
def test_a_state_that_is_the_last_input(taps: int, rng: np.random.Generator) -> None:
    """Token shift, QRNN, short convolutions: c(t) reads x(t), x(t−1) …"""
    W = parameter(rng, (taps + 1) * D, H)

    def step(x: Any, state: Any) -> Any:
        c, *last = state
        z = ts.sigmoid(ts.concatenate([x, *last], axis=1) @ W)
        c = z * c + (1 - z)
        return (c, x, *last[:-1]), c

    def f(x: Any) -> Any:
        starts = (zeros(B, H), *[zeros(B, D) for _ in range(taps)])
        return ts.sum(ts.unfold(step, ts.Chain(T), x, starts).outputs ** 2)

    agree(f, rng.normal(size=(T, B, D)))


def test_a_state_that_is_the_last_token(rng: np.random.Generator) -> None:
    """Integers move as integers, those before the first step too."""
    E, W = parameter(rng, 5, H), parameter(rng, H, H)

    def step(token: Any, state: Any) -> Any:
        h, last = state
        h = ts.tanh(h @ W + ts.take(E, token) - ts.take(E, last))
        return (h, token), h

    def f(tokens: Any) -> Any:
        start = (zeros(B, H), ts.tensor(np.full(B, 4)))
        return ts.sum(ts.unfold(step, ts.Chain(T), tokens, start).outputs ** 2)

    agree(f, rng.integers(0, 5, (T, B)))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6], [6, 1, 4, 0, 2, 5, 3], [0, 0, 3, 3, 1, 6, 6], [2] * 7])
def test_picks_in_any_order(order: list[int], rng: np.random.Generator) -> None:
    """y[p[t]], of an input and of something computed, which collects its gradient again."""
    W, V = parameter(rng, H, H), parameter(rng, H, H)

    def f(x: Any) -> Any:
        y, h = ts.tanh(x @ ts.expand(ts.reshape(V, (1, H, H)), (T, H, H))), zeros(B, H)
        for t in range(T):
            h = ts.tanh(h @ W + y[order[t]] + x[order[-1 - t]])
        return ts.sum(h * h)

    agree(f, rng.normal(size=(T, B, H)))


def test_rows_in_any_order(rng: np.random.Generator) -> None:
    W = parameter(rng, H, H)
    firsts = [5, 0, 3, 3, 8, 1, 6, 2, 2]

    def f(x: Any) -> Any:
        y, h = ts.tanh(x @ W), zeros(2, H)
        for first in firsts:
            h = ts.tanh(h @ W + y[first : first + 2])
        return ts.sum(h * h)

    agree(f, rng.normal(size=(10, H)))


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_the_same_sequence_twice(steps: int, rng: np.random.Generator) -> None:
    W = parameter(rng, H, H)

    def step(a: Any, b: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + ts.tanh(a) * b)
        return h, h

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(steps), (x, x), zeros(B, H)).outputs ** 2)

    agree(f, rng.normal(size=(steps, B, H)))


def test_states_with_several_starts_that_become_one_value(rng: np.random.Generator) -> None:
    W = parameter(rng, H, H)

    def step(x: Any, state: Any) -> Any:
        a, b = state
        h = ts.tanh(a @ W + 0.5 * b + x)
        return (h, h), h

    def f(x: Any, y: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(T), x, (ts.tanh(y @ W), ts.sigmoid(y))).outputs ** 2)

    agree(f, rng.normal(size=(T, B, H)), rng.normal(size=(B, H)))


def test_a_start_of_fewer_or_more_rows_than_the_states(rng: np.random.Generator) -> None:
    """The start of one row is broadcast, that of many rows summed, by the step itself."""
    W = parameter(rng, H, H)
    for rows in (1, B, 5):

        def step(x: Any, h: Any) -> Any:
            h = ts.tanh(ts.expand(ts.mean(h, axis=0, keepdims=True), (B, H)) @ W + x)
            return h, h

        def f(x: Any, start: Any, step: Any = step) -> Any:
            h = ts.tanh(start @ W)
            for t in range(T):
                h, _ = step(x[t], h)
            return ts.sum(h * h)

        agree(f, rng.normal(size=(T, B, H)), rng.normal(size=(rows, H)))


@pytest.mark.parametrize("k", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("cut", [ts.Window, ts.Chunk])
def test_truncated_over_tokens(k: int, cut: Any, rng: np.random.Generator) -> None:
    E, W = parameter(rng, 5, H), parameter(rng, H, H)

    def step(token: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + ts.take(E, token))
        return h, h

    def f(tokens: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(4), tokens, zeros(B, H), truncate=cut(k)).outputs ** 2)

    agree(f, rng.integers(0, 5, (4, B)))


@pytest.mark.parametrize("cut", [None, ts.Window(3), ts.Chunk(2)])
def test_truncated_over_sequences_of_different_lengths(cut: Any, rng: np.random.Generator) -> None:
    lengths, W = [6, 3, 5, 1], parameter(rng, H, H)

    def step(x: Any, state: Any) -> Any:
        h, last = state
        gate = ts.sigmoid(ts.sum(last * h, axis=1, keepdims=True))
        h = ts.tanh(h @ W + x * ts.expand(gate, x.shape))
        return (h, ts.tanh(x @ W)), h

    def f(x: Any) -> Any:
        n = len(lengths)
        net = ts.unfold(step, ts.Chain(lengths), x, (zeros(n, H), zeros(n, H)), truncate=cut)
        return ts.sum(net.outputs**2)

    agree(f, rng.normal(size=(sum(lengths), H)))


@pytest.mark.parametrize("cut", [None, ts.Chunk(1), ts.Chunk(2), ts.Window(2)])
def test_attention_over_a_memory_of_one_sequence(cut: Any, rng: np.random.Generator) -> None:
    """[query; place]: at levels where a group has no member a sum over rows writes nothing."""
    step = attending(rng, H)

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(6), x, zeros(1, H), truncate=cut).final ** 2)

    agree(f, rng.normal(size=(6, 1, H)))


@pytest.mark.parametrize("rows", [1, 4])
def test_one_row_for_all_rows(rows: int, rng: np.random.Generator) -> None:
    """The last state of a batch of one, and a tree's root, broadcast: one member of many gets the sum over rows."""
    W, A = parameter(rng, H, H), parameter(rng, H, H)

    class Net(ts.nn.Cell):
        name = "net"

        def leaf(self, x: Any) -> Any:
            return ts.tanh(x @ W)

        def merge(self, a: Any, b: Any) -> Any:
            return ts.tanh(a @ A + b)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + x)
        return h, h

    def f(x: Any, y: Any) -> Any:
        root = ts.unfold(Net(), ts.Tree.balanced(5), x).root
        chain = ts.unfold(step, ts.Chain(5), ts.reshape(x, (5, 1, H)), zeros(1, H))
        both = ts.expand(chain.final, (rows, H)) * ts.expand(chain.outputs[2], (rows, H))
        return ts.sum(ts.tanh(ts.expand(ts.reshape(root, (1, H)), (rows, H)) + y) + both)

    agree(f, rng.normal(size=(5, H)), rng.normal(size=(rows, H)))


def test_a_tree_in_which_an_arity_occurs_once(rng: np.random.Generator) -> None:
    W, E = parameter(rng, 3, 6), parameter(rng, 3, 2)

    class Net(ts.nn.Cell):
        name = "net"

        def leaf(self, x: Any) -> Any:
            return ts.tanh(ts.linear(x, E))

        def merge(self, a: Any, b: Any, *more: Any) -> Any:
            h = ts.tanh(ts.linear(ts.concatenate([ts.sigmoid(a), ts.sigmoid(b)]), W))
            gate = ts.sigmoid(ts.sum(h, keepdims=True))
            for c in more:
                h = h * c
            return h * ts.expand(gate, h.shape)

    tree = ts.Tree.from_children([[1, 2], [3, 4, 5], [], [6, 7], [], [], [], []])
    agree(lambda x: ts.sum(ts.unfold(Net(), tree, x).root ** 2), rng.normal(size=(tree.n_leaves, 2)))


ROWS_OF_A_STACK = {
    "one row": lambda z: z[0] * 0.7,
    "both": lambda z: z[0] * 0.7 + z[1] * z[0],
    "a run of rows": lambda z: ts.sum(ts.rows(z, 1, 2), axis=0),
    "a row of a row": lambda z: z[2][0] * z[1] + z[0],
}


@pytest.mark.parametrize("delays", [(1,), (2,)], ids=str)
@pytest.mark.parametrize("truncate", [None, ts.Chunk(3), ts.Window(2)], ids=str)
@pytest.mark.parametrize("name", ROWS_OF_A_STACK)
def test_rows_of_what_a_step_stacks(
    name: str, truncate: Any, delays: tuple[int, ...], rng: np.random.Generator
) -> None:
    """What is stacked is wanted in its step alone; its rows are read by their addresses all the same."""
    W = parameter(rng, H, H)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(ROWS_OF_A_STACK[name](ts.stack([h, h, x])) @ W) + 0.1 * x
        return h, h

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(T), x, zeros(B, H), delays=delays, truncate=truncate).outputs ** 2)

    agree(f, rng.normal(size=(T, B, H)))
