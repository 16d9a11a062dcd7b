"""Which rows and members are whose: all of them somebody's, evenly, and never where one thread needs another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, names_of, reference, run_plan
from tinyseq.engine.plan.chunks import share_of_chunks
from tinyseq.engine.plan.layout import Block
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.plan.sharing import Shares, wanted_threads, work
from tinyseq.engine.validation.check import verify_plan

B, V, H = 16, 5, 7


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape) / 2


def parameter(*shape: int, name: str = "W") -> ts.Parameter:
    return ts.Parameter(numbers(*shape, seed=len(name) + ord(name[0])), name)


def planned(build: Callable[[], ts.Tensor]) -> Plan:
    """The plan of a loss; with 1 to 4 threads it agrees with the reference."""
    with ts.Tape(executor=ts.Reference) as tape:
        loss = build()
    expected = reference(tape, [loss.index], loss.index)
    plan = plan_tape(tape, [loss.index], loss.index)
    verify_plan(plan)
    for threads in (1, 2, 3, 4):
        compare(run_plan(plan, tape, [loss.index], loss.index, threads), expected, 1e-10, names_of(tape))
    return plan


def recurrences(plan: Plan) -> list[Block]:
    return [block for block in plan.blocks if block.recurrent]


def modes(plan: Plan, threads: int = 2) -> list[str]:
    return [Shares(plan, 0, threads).mode(block) for block in recurrences(plan)]


class LSTM(ts.nn.Cell):
    """A user's own, states h and s."""

    name = "lstm"

    def __init__(self) -> None:
        self.gates = [(parameter(V, H, name=f"U{k}"), parameter(H, H, name=f"W{k}")) for k in "fgqi"]

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, s = state
        f, g, q, i = (x @ U + h @ W for U, W in self.gates)
        s = ts.sigmoid(f) * s + ts.sigmoid(g) * ts.tanh(i)
        h = ts.tanh(s) * ts.sigmoid(q)
        return (h, s), h


def of_lengths(lengths: list[int], *, backwards: bool = False) -> Plan:
    chain, cell = ts.Chain(lengths), LSTM()
    x = numbers(sum(lengths), V)

    def build() -> ts.Tensor:
        state = tuple(ts.zeros((len(lengths), H), np.float64) for _ in range(2))
        return ts.sum(ts.tanh(ts.unfold(cell, chain.reversed() if backwards else chain, ts.tensor(x), state).outputs))

    return planned(build)


LENGTHS = {
    "all different": list(range(1, 20)),
    "one long": [30] + [2] * 9,
    "equal but one": [6] * 11 + [3],
    "two kinds": [9] * 4 + [1] * 4,
    "many": np.random.default_rng(3).integers(1, 25, 40).tolist(),
}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_rows_of_a_shrinking_batch_are_shared(lengths: str, backwards: bool) -> None:
    plan = of_lengths(LENGTHS[lengths], backwards=backwards)
    assert modes(plan) == ["rows", "rows"]


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_row_is_somebodys_and_each_thread_has_as_many(lengths: str, threads: int) -> None:
    plan = of_lengths(LENGTHS[lengths])
    for block in recurrences(plan):
        counts = Shares(plan, 0, threads).row_counts(block)
        assert counts is not None and counts.sum() == sum(LENGTHS[lengths])
        given = [Shares(plan, k, threads).share_of_rows(counts) for k in range(threads)]
        taken = np.zeros((block.levels, counts.max()), int)
        for first, rows in given:
            for level, count in enumerate(rows):
                taken[level, first : first + count] += 1
        assert (taken == (np.arange(counts.max()) < counts[:, None])).all()
        # as even as whole sequences allow, in steps of four rows where there are many
        longest = np.sort(LENGTHS[lengths])[::-1][:8].sum()
        assert max(rows.sum() for _, rows in given) <= counts.sum() / threads + longest


def test_work_of_sequences_that_differ_counts_their_rows() -> None:
    short, long = of_lengths([3] * 7 + [2]), of_lengths([30] * 7 + [29])
    assert work(long) / work(short) == pytest.approx(239 / 23, rel=0.2)
    same = ts.Chain(30)
    with ts.Tape(executor=ts.Reference) as tape:
        state = tuple(ts.zeros((8, H), np.float64) for _ in range(2))
        loss = ts.sum(ts.tanh(ts.unfold(LSTM(), same, ts.tensor(numbers(30, 8, V)), state).outputs))
    assert work(long) == pytest.approx(work(plan_tape(tape, [loss.index], loss.index)), rel=0.05)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("chunk", [1, 3, 128])
def test_every_row_of_a_sum_is_in_one_chunk_and_each_thread_has_as_many(chunk: int, threads: int) -> None:
    for rows in (*range(40), 127, 128, 129, 1000, 3213):
        taken = np.zeros(rows, int)
        shares = []
        for thread in range(threads):
            starts, counts = share_of_chunks(rows, chunk, thread, threads)
            assert len(starts) > 0 and (counts >= 0).all() and (counts <= chunk).all()
            shares.append(counts.sum())
            for first, count in zip(starts, counts, strict=True):
                taken[first : first + count] += 1
        assert (taken == 1).all() and max(shares) - min(shares) <= 1


def test_work_of_batched_products_counts_what_they_sum_over() -> None:
    def batched(inner: int) -> float:
        with ts.Tape(executor=ts.Reference) as tape:
            a, b = (ts.tensor(numbers(*shape)) for shape in ((B, V, inner), (B, inner, H)))
            loss = ts.sum(a @ b)
        return work(plan_tape(tape, [loss.index], loss.index))

    assert batched(800) / batched(80) == pytest.approx(10, rel=0.2)


def test_a_large_batch_of_different_lengths_wants_as_many_threads_as_there_are(monkeypatch: Any) -> None:
    monkeypatch.setattr("tinyseq.engine.plan.sharing.available", lambda: 3)
    monkeypatch.setattr("tinyseq.engine.plan.sharing.THREADED_WORK", 1e5)
    assert wanted_threads(of_lengths([20] * 7 + [19])) == 3
    assert wanted_threads(of_lengths([2, 1])) == 1


def test_rows_are_not_shared_where_a_matrix_of_as_many_rows_is_read_whole() -> None:
    """h becomes M h with M made at each step: who multiplies needs all rows of both, whoever wrote them."""
    U, W = parameter(B, B, name="U"), parameter(B, B, name="W")

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        m = ts.tanh(h @ W + x)
        h = ts.tanh(ts.reshape(ts.reshape(m, (1, B, B)) @ ts.reshape(h @ U, (1, B, B)), (B, B)))
        return h, h

    def build() -> ts.Tensor:
        x = ts.tensor(numbers(4, B, B))
        return ts.sum(ts.unfold(step, ts.Chain(4), x, ts.tensor(numbers(B, B, seed=1))).outputs)

    assert "rows" not in modes(planned(build))


def test_rows_are_not_shared_where_one_row_is_repeated_that_the_step_wrote() -> None:
    """The mean of the batch goes to each of its rows."""
    W = parameter(H, H)

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(h @ W + x)
        h = h - ts.expand(ts.sum(h, axis=0), (H, H)) / H
        return h, h

    def build() -> ts.Tensor:
        x = ts.tensor(numbers(4, H, H))
        return ts.sum(ts.tanh(ts.unfold(step, ts.Chain(4), x, ts.tensor(numbers(H, H, seed=1))).outputs))

    assert "rows" not in modes(planned(build), threads=3)


def test_rows_are_not_shared_where_rows_change_places() -> None:
    """Each row goes on with the state of another: a permutation at each step."""
    W = parameter(H, H)

    def step(x: Any, order: Any, h: Any) -> tuple[Any, Any]:
        h = ts.take(ts.tanh(h @ W + x), order)
        return h, h

    def build() -> ts.Tensor:
        x, orders = ts.tensor(numbers(4, B, H)), np.stack([np.roll(np.arange(B), 5 * k + 3) for k in range(4)])
        state = ts.tensor(numbers(B, H, seed=1))
        return ts.sum(ts.tanh(ts.unfold(step, ts.Chain(4), (x, ts.tensor(orders)), state).outputs))

    assert "rows" not in modes(planned(build))


class Merge(ts.nn.Cell):
    """tanh(W [l; r] + b), for trees and for calls by hand."""

    name = "merge"

    def __init__(self) -> None:
        self.W, self.b, self.L = parameter(2 * H, H), parameter(H, name="b"), parameter(V, H, name="L")

    def leaf(self, x: Any) -> Any:
        return ts.tanh(x @ self.L)

    def merge(self, left: Any, right: Any) -> Any:
        return ts.tanh(ts.concatenate([left, right]) @ self.W + self.b)

    def step(self, left: Any, right: Any) -> tuple[Any, Any]:
        h = self.merge(left, right)
        return h, h


@pytest.mark.parametrize("leaves", [8, 13, 64])
def test_members_of_a_tree_are_shared_on_the_way_back_too(leaves: int) -> None:
    children: list[list[int]] = [[] for _ in range(leaves)]
    roots = list(range(leaves))
    while len(roots) > 1:
        children += [[a, b] for a, b in zip(roots[::2], roots[1::2], strict=False)]
        rest = roots[len(roots) // 2 * 2 :]
        roots = [*range(len(children) - len(roots) // 2, len(children)), *rest]
    tree, cell = ts.Tree.from_children(children), Merge()

    def build() -> ts.Tensor:
        return ts.sum(ts.unfold(cell, tree, ts.tensor(numbers(leaves, V))).roots)

    assert set(modes(planned(build))) == {"members"}


def test_parents_of_one_child_are_not_shared_on_the_way_back() -> None:
    """Each state feeds two states of the next level, as no tree would: both add to its gradient."""
    cell = Merge()

    def build() -> ts.Tensor:
        states = [ts.tensor(numbers(1, V, seed=k)) @ cell.L for k in range(8)]
        for _ in range(3):
            states = [cell(a, b)[0] for a, b in zip(states, [*states[1:], states[0]], strict=True)]
        return ts.sum(ts.concatenate(states, axis=0))

    plan = planned(build)
    back = [block for block in recurrences(plan) if block.phase != "forward"]
    scatters = [b for b in back if any(i.kernel.name == "scatter_rows" for i in b.instructions)]
    assert scatters and all(Shares(plan, 0, 2).mode(block) == "single" for block in scatters)
