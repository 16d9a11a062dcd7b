"""Members of one place in a program that differ in size: each runs with its own sizes, or there is no plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.users import agree, parameter, plan_of
from tinyseq.engine.plan import fold as condensing
from tinyseq.engine.plan import kind_tables
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.ops.op import EACH

F64 = np.float64
H = 3


def state(B: int = 2) -> Any:
    return ts.zeros((B, H), F64)


REDUCTIONS = {
    "mean": ts.mean, "sum": ts.sum, "max": ts.max, "norm": ts.norm,
    "its first row": lambda h, axis, keepdims: ts.tanh(h[:1]),
    "rows joined to themselves": lambda h, axis, keepdims: ts.mean(ts.concatenate([h, h * h], axis=0), axis, keepdims),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("lengths", [[4, 2, 3], [1, 5, 5, 2]])
def test_over_a_batch_that_shrinks(name: str, lengths: list[int], rng: np.random.Generator) -> None:
    W, reduce = parameter(rng, H, H), REDUCTIONS[name]

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(x @ W + h)
        return h, reduce(h, axis=0, keepdims=True)

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(lengths), x, state(len(lengths))).outputs ** 2)

    agree(f, rng.normal(size=(sum(lengths), H)))


def gate(h: Any, U: Any) -> Any:
    return h * ts.expand(ts.sigmoid(ts.sum(h * U, axis=1, keepdims=True)), h.shape)


def outer(h: Any, U: Any) -> Any:
    B = h.shape[0]
    return ts.sum(ts.reshape(h, (B, H, 1)) * ts.reshape(h, (B, 1, H)), axis=1)


ROW_BY_ROW = {
    "a gate broadcast over columns": gate,
    "a constant": lambda h, U: h * (ts.zeros(h.shape, F64) + 0.5),
    "norms": lambda h, U: h / (1.0 + ts.norm(h, axis=1, keepdims=True)),
    "softmax": lambda h, U: ts.softmax(h) * h,
    "columns joined and cut": lambda h, U: ts.concatenate([h, h * h], axis=1)[:, 1 : 1 + H],
    "a matrix for each row": outer,
}


@pytest.mark.parametrize("name", ROW_BY_ROW)
@pytest.mark.parametrize("backwards", [False, True])
def test_row_by_row_over_a_batch_that_shrinks_there_is_one_recurrence(
    name: str, backwards: bool, rng: np.random.Generator
) -> None:
    W, U, body = parameter(rng, H, H), parameter(rng, H), ROW_BY_ROW[name]

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(x @ W + body(h, U))
        return h, h

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain([4, 2, 3], backwards), x, state(3)).outputs ** 2)

    x = rng.normal(size=(9, H))
    agree(f, x)
    recurrences = [block for block in plan_of(f, x).blocks if block.recurrent and block.phase == "forward"]
    assert len(recurrences) == 1 and recurrences[0].levels == 4


@pytest.mark.parametrize("last", [1, 3, 20])
def test_over_the_states_so_far(last: int, rng: np.random.Generator) -> None:
    """Averages over, and attention to, all states so far or the last few, in a plain loop."""
    W, Q = parameter(rng, H, H), parameter(rng, H, H)

    def f(x: Any) -> Any:
        h, history = state(), []
        for t in range(x.shape[0]):
            h = ts.tanh(h @ W + x[t])
            history.append(h)
            S = ts.stack(history[-last:])  # (k, B, H)
            a = ts.softmax(ts.sum(S * ts.expand(h @ Q, S.shape), axis=2).T)  # (B, k)
            h = ts.tanh(
                h + ts.sum(ts.expand(ts.reshape(a.T, (*S.shape[:2], 1)), S.shape) * S, axis=0) + ts.mean(S, axis=0)
            )
        return ts.sum(h * h)

    agree(f, rng.normal(size=(12, 2, H)))


def test_bags_of_words(rng: np.random.Generator) -> None:
    E, W = parameter(rng, 5, H), parameter(rng, H, H)
    bags = [rng.integers(0, 5, 1 + t % 3) for t in range(24)]

    def f() -> Any:
        h = state(1)
        for bag in bags:
            h = ts.tanh(h @ W + ts.sum(ts.take(E, bag), axis=0, keepdims=True))
        return ts.sum(h * h)

    agree(f)


class Cell(ts.nn.Cell):
    """h = tanh(W h⁻ + what the body makes of its inputs)."""

    def __init__(self, W: Any, body: Any) -> None:
        self.W, self.body, self.name = W, body, "cell"

    def step(self, *args: Any) -> Any:
        *xs, h = args
        return ts.tanh(h @ self.W + self.body(*xs)), h


def mean(x: Any) -> Any:
    return ts.mean(x, axis=0, keepdims=True)


# what the cell makes of its inputs, and the shapes of these at each step
WIDTHS = {
    "mean over rows": (lambda V, x: mean(x), lambda t: [(2 + 2 * (t % 2), H)]),
    "a product": (lambda V, a, b: a @ b, lambda t: [(2, 2 + t % 3), (2 + t % 3, H)]),
    "a transposed product": (lambda V, a, b: a.T @ b, lambda t: [(2 + t % 3, 2), (2 + t % 3, H)]),
    "joined columns": (lambda V, *ab: ts.concatenate(ab, axis=1) @ V, lambda t: [(2, 1 + t % 3), (2, 3 - t % 3)]),
    "joined rows": (lambda V, a, b: mean(ts.concatenate([a, b], axis=0)), lambda t: [(1 + t % 3, H), (2, H)]),
    "the first two columns": (lambda V, x: ts.tanh(x[:, :2] @ V[:2]), lambda t: [(2, 2 + t % 3)]),
    "broadcast": (lambda V, x: ts.expand(x, (2, H)) * 0.5, lambda t: [(1 + t % 2, H)]),
    "broadcast over columns": (lambda V, x: ts.expand(x, (2, H)) * 0.5, lambda t: [(2, (1, H)[t % 2])]),
    "reshaped": (lambda V, x: ts.reshape(x, (2, H)), lambda t: [((2 * H, 1), (H, 2), (1, 2 * H))[t % 3]]),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_one_cell_on_inputs_of_several_widths(name: str, rng: np.random.Generator) -> None:
    body, shapes = WIDTHS[name]
    W, V = parameter(rng, H, H), parameter(rng, 4, H)
    data = [[rng.normal(size=shape) for shape in shapes(t)] for t in range(24)]

    def f() -> Any:
        cell, h = Cell(W, lambda *xs: body(V, *xs)), state()
        for xs in data:
            h, _ = cell(*[ts.tensor(x) for x in xs], h)
        return ts.sum(h * h)

    agree(f)


def test_one_cell_at_two_batch_sizes(rng: np.random.Generator) -> None:
    W, V = parameter(rng, H, H), parameter(rng, H, H)
    data = [rng.normal(size=((2, 3)[t % 2], H)) for t in range(24)]

    def f() -> Any:
        cell, states = Cell(W, lambda x: x @ V), [state(2), state(3)]
        for t, x in enumerate(data):
            states[t % 2], _ = cell(ts.tensor(x), states[t % 2])
        return ts.sum(states[0] ** 2) + ts.sum(states[1] ** 2)

    agree(f)


def test_members_that_are_not_alike_are_refused_wherever_they_come_from(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the key of a class to forget what its members read, the check of classes would say so, with op and line."""
    E, W = parameter(rng, 5, H), parameter(rng, H, H)

    class Bag(ts.nn.Cell):
        name = "bag"

        def step(self, rows: Any, h: Any) -> Any:
            return ts.tanh(h @ W + ts.sum(rows, axis=0, keepdims=True)), h

    def f() -> Any:
        cell, h = Bag(), state(1)
        for t in range(24):
            h, _ = cell(ts.take(E, np.arange(1 + t % 3)), h)
        return ts.sum(h * h)

    monkeypatch.setattr(kind_tables, "_made", kind_tables._made.__wrapped__)  # what is known of these kinds is right
    monkeypatch.setattr(kind_tables, "rules_of", lambda kinds: np.full((len(kinds), 2), EACH))
    with pytest.raises(Unplannable, match=r"sum of inputs whose sizes differ .*cell 'bag'.*test_members_differ"):
        plan_of(f)
    assert condensing._check_alike
