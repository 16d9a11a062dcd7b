"""Decisions of the planner that were once wrong, made wrong again: the verifier refuses each plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import recorded
from tests.engine.strategies import seeded
from tests.engine.users import attending, parameter, plan_of
from tinyseq.engine.kernels import batched
from tinyseq.engine.plan import building, members, reuse, rewrite, sharing
from tinyseq.engine.plan import place as placing
from tinyseq.engine.plan import write_gradients as writing
from tinyseq.engine.plan.layout import Instruction
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.errors import TapeError

F64 = np.float64
H = 3


def refused(build: Callable[[], Any], words: str) -> None:
    """By the pass that made it, or by the validation of the whole."""
    with pytest.raises(TapeError, match=words):
        verify_plan(build())


def test_lifetimes_by_single_blocks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs are dealt among threads at once: one must not lie where the other still reads."""
    M, N = parameter(rng, 64, 64, scale=0.1), parameter(rng, 64, 64, scale=0.1)

    def f(x: Any) -> Any:
        A, W = M * 2.0, N * 2.0

        def step(x: Any, h: Any) -> Any:
            h = h + 0.1 * (ts.linear(h, A) + ts.tanh(ts.linear(h, W) + x))
            return h, h

        return ts.sum(ts.unfold(step, ts.Chain(4), x, ts.zeros((8, 64), F64)).outputs ** 2)

    x = rng.normal(size=(4, 8, 64))
    verify_plan(plan_of(f, x))
    monkeypatch.setattr(reuse, "grouped", lambda blocks, chunked: [("alone", [block]) for block in blocks])
    refused(lambda: plan_of(f, x), "no barrier between|share memory|written last")


def test_a_matrix_packed_before_the_recurrence_that_computes_it(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    W, V = parameter(rng, H, H), parameter(rng, H, H)

    def f(x: Any) -> Any:
        h, s = ts.zeros((H, H), F64), ts.zeros((H, H), F64)
        for t in range(12):
            s = ts.tanh(s @ V + x[t])
            h = ts.tanh(h @ W + s)
            if t == 6:
                s = x[t] @ h  # met once: its matrix is a state
        return ts.sum(h * h)

    x = rng.normal(size=(12, H, H))
    verify_plan(plan_of(f, x))
    monkeypatch.setattr(rewrite, "_recurrences", lambda graph: None)
    refused(lambda: plan_of(f, x), "nothing (has written|has ever|in this run)|nothing has written|differs")


def test_a_start_copied_before_it_is_made(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    W = parameter(rng, H, H)

    def step(a: Any, b: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + ts.tanh(a) * b)
        return h, h

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(2), (x, x), ts.zeros((2, H), F64)).outputs ** 2)

    x = rng.normal(size=(2, 2, H))
    verify_plan(plan_of(f, x))
    monkeypatch.setattr(members, "_leads_to", lambda *_: False)
    refused(lambda: plan_of(f, x), "nothing has written|differs")


def test_a_start_of_more_rows_than_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state two steps old of a batch that shrinks, where steps with fewer rows are another class."""
    tape, wanted, loss = recorded(seeded(1443, structures=("ragged",)), np.float64)
    verify_plan(plan_tape(tape, wanted, loss))
    monkeypatch.setattr(members, "_fits", lambda *_: True)
    refused(lambda: plan_tape(tape, wanted, loss), ".")


def row_net(rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    step = attending(rng, H)

    def f(x: Any) -> Any:
        net = ts.unfold(step, ts.Chain(6), x, ts.zeros((1, H), F64), truncate=ts.Chunk(2))
        return ts.sum(net.outputs**2)

    return f, rng.normal(size=(6, 1, H))


def test_a_sum_over_rows_at_levels_without_members(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    f, x = row_net(rng)
    verify_plan(plan_of(f, x))
    run = building.Building.run

    def without_flag(self: Any, kernel: Any, operands: Any, d: list[int], *rest: Any) -> None:
        run(self, kernel, operands, [*d[:-1], 0] if kernel.name == "column_sum" else d, *rest)

    monkeypatch.setattr(building.Building, "run", without_flag)
    refused(lambda: plan_of(f, x), "column_sum.*at a level without members")


def test_one_member_of_many_taken_for_all_of_them(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    W = parameter(rng, H, H)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + x)
        return h, h

    def f(x: Any, y: Any) -> Any:
        net = ts.unfold(step, ts.Chain(5), x, ts.zeros((1, H), F64))
        return ts.sum(ts.tanh(ts.expand(net.final, (4, H)) + y))

    arguments = rng.normal(size=(5, 1, H)), rng.normal(size=(4, H))
    verify_plan(plan_of(f, *arguments))
    flag = writing.Gradients.flag

    def whole(self: Any, task: Any, covers: bool, inside: Any, kind: str = "") -> bool:
        return flag(self, task, True, inside, kind)

    monkeypatch.setattr(writing.Gradients, "flag", whole)
    refused(lambda: plan_of(f, *arguments), "nothing has written|written last")


def test_integers_moved_as_floats(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    E, W = parameter(rng, 5, H), parameter(rng, H, H)

    def step(token: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + ts.take(E, token))
        return h, h

    def f(tokens: Any) -> Any:
        net = ts.unfold(step, ts.Chain(4), tokens, ts.zeros((2, H), F64), truncate=ts.Window(4))
        return ts.sum(net.outputs**2)

    tokens = rng.integers(0, 5, (4, 2))
    verify_plan(plan_of(f, tokens))
    monkeypatch.setattr(batched, "moving", lambda kernel, dtype: kernel)
    refused(lambda: plan_of(f, tokens), "integers|numbers")


def test_a_list_of_rows_is_none_of_members(rng: np.random.Generator) -> None:
    """Sequences whose lengths differ, in chunks: members of a level add to rows that a list names, several a member."""
    lengths, W = [6] * 7 + [5], parameter(rng, H, H)

    def step(x: Any, h: Any) -> Any:
        return ts.tanh(ts.linear(x, W)), ts.tanh(ts.linear(h, W) + x)

    def f(x: Any) -> Any:
        net = ts.unfold(step, ts.Chain(lengths), x, ts.zeros((8, H), F64), truncate=ts.Chunk(2))
        return ts.sum(net.outputs**2)

    built = plan_of(f, rng.normal(size=(sum(lengths), H)))
    for threads in (2, 3):
        verify_plan(built)
        modes = [sharing.Shares(built, 0, threads).mode(block) for block in built.blocks]
        assert len(modes) == len(built.blocks)
    assert any(
        isinstance(i, Instruction) and i.kernel.name == "scatter_rows" for b in built.blocks for i in b.instructions
    )


def test_a_gradient_kept_for_one_level_though_a_view_of_it_comes_for_all(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of a value are read by the state, which passes no gradient back, and by outputs after the loop."""
    W = parameter(rng, H, H)

    def f(x: Any) -> Any:
        def step(x: Any, h: Any) -> Any:
            u = ts.sigmoid(x + h @ W)
            v = u[:, :2]
            return ts.concatenate([v, v[:, :1]], 1).detach(), ts.tanh(v * 3.0)

        return ts.sum(ts.unfold(step, ts.Chain(5), x, ts.zeros((2, H), F64)).outputs ** 2)

    x = rng.normal(size=(5, 2, H))
    verify_plan(plan_of(f, x))
    whole = placing._Gradients._within
    monkeypatch.setattr(
        placing._Gradients, "_within", lambda self, cls, inside: cls.op == "slice" or whole(self, cls, inside)
    )
    refused(lambda: plan_of(f, x), "the gradient of class .* is kept for one level, but class .* adds to it outside")
