"""What a plan says of itself: the facts and numbers of a chain and of a forest, worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.pipeline import Plan, plan_tape

T, B, V, H, O = 20, 4, 8, 16, 5  # noqa: E741


def plan_of(loss: ts.Tensor) -> Plan:
    return plan_tape(loss.tape, [loss.index], loss.index)


@pytest.fixture(scope="module")
def chain() -> tuple[Plan, str]:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(V, H, O, rng=rng)
    with ts.Tape(executor=ts.Reference):
        loss = net.loss(rng.normal(size=(T, B, V)).astype(np.float32), rng.integers(0, O, (T, B)))
    plan = plan_of(loss)
    return plan, plan.explain()


@pytest.fixture(scope="module")
def forest() -> tuple[Plan, str]:
    rng = np.random.default_rng(0)
    net = ts.nn.RecursiveNet(V, H, O, rng=rng)
    trees = ts.Forest([ts.Tree.balanced(8), ts.Tree.balanced(8)])
    with ts.Tape(executor=ts.Reference):
        loss = net.loss(trees, rng.normal(size=(16, V)).astype(np.float32), np.array([0, 1]))
    plan = plan_of(loss)
    return plan, plan.explain()


def section(text: str, head: str) -> str:
    found = [part for part in text.split("\n\n") if part.startswith(head)]
    assert len(found) == 1, (head, text)
    return found[0]


def test_the_loop_of_a_chain_holds_only_what_recurs(chain: tuple[Plan, str]) -> None:
    loop = section(chain[1], "In the loop")
    assert f"forward: {T} steps × 2 instructions a step, from the first to the last" in loop
    assert f"backward: {T} steps × 2 instructions a step, from the last to the first" in loop
    assert re.search(r"a\(t\) \+= h\(t−1\) · W\s+rnn\.py:\d+", loop)
    assert re.search(r"h\(t\) = tanh\(a\(t\)\)\s+rnn\.py:\d+", loop)
    assert "∂L/∂h(t−1) += ∂L/∂a(t) · W" in loop


def test_lines_are_those_of_the_source(chain: tuple[Plan, str]) -> None:
    number = int(re.search(r"h\(t\) = tanh\(a\(t\)\)\s+rnn\.py:(\d+)", chain[1])[1])
    with open(ts.nn.rnn.__file__, encoding="utf-8") as source:
        assert "tanh(a)" in source.read().splitlines()[number - 1]


def test_what_does_not_recur_is_batched_or_hoisted(chain: tuple[Plan, str]) -> None:
    batched, hoisted = section(chain[1], "Batched"), section(chain[1], "Hoisted")
    assert f"o = c + h · V: {T} members as one (cell rnn, rnn.py:" in batched
    assert f"a = b + x · U: {T * B} rows at once, before the loop" in hoisted
    assert "· W" not in batched + hoisted


def test_weight_gradients_wait_and_are_one_product(chain: tuple[Plan, str]) -> None:
    waits = section(chain[1], "Waits until after the loop")
    for name in "UWV":
        assert f"∂L/∂{name}: one product with inner dimension {T * B} rows = {T} members × {B}" in waits
    for name in "bc":
        assert f"∂L/∂{name}: one sum over {T * B} rows" in waits


def test_sums_are_accumulated_in_place(chain: tuple[Plan, str]) -> None:
    added = section(chain[1], "Accumulated in place")
    assert added.startswith("Accumulated in place: 4 instructions add")
    assert all(f"  {text}" in added for text in ("a = b + x · U", "a(t) += h(t−1) · W", "o = c + h · V"))


def test_views_are_counted(chain: tuple[Plan, str]) -> None:
    uncopied = section(chain[1], "Not copied")
    assert f"index of x: {T} nodes" in uncopied
    assert "x, y, U, W, b, V, c: read from your arrays" in uncopied


def test_nodes_and_instructions_are_counted(chain: tuple[Plan, str]) -> None:
    plan, text = chain
    nodes = int(re.search(r"Plan of ([\d,]+) nodes", text)[1].replace(",", ""))
    # leaves x, y, U, W, b, V, c and h(0); 2 indices and 11 nodes of the cell for each step; stack and sum
    assert nodes == 8 + 13 * T + 2
    run = sum(block.levels * len(block.instructions) for block in plan.blocks)
    assert f"computed by {run} instructions a run, in {len(plan.blocks)} blocks" in text


def test_bytes_are_those_of_the_program(chain: tuple[Plan, str]) -> None:
    plan, text = chain
    arena = Program(plan, 1).arena.nbytes
    assert plan.arena * 4 == arena < plan.without_reuse * 4
    assert f"the arena takes {arena / 1024:,.0f} KiB" in text
    assert (
        f"{plan.without_reuse * 4 / 1024:,.0f} KiB without reuse ({1 - plan.arena / plan.without_reuse:.0%} less)"
        in text
    )
    assert f"gradients of parameters: {4 * (V * H + H * H + H + H * O + O):,} bytes" in text


def test_a_forest_runs_height_by_height(forest: tuple[Plan, str]) -> None:
    loop = section(forest[1], "In the loop")
    assert re.search(r"forward: 3 heights × \d+ instructions a height, .* up to 8 nodes of a height in one", loop)
    assert re.search(r"backward: 3 heights × \d+ instructions a height, from the last to the first", loop)
    assert "rows of h, gathered by a list" in loop and "row by row by a list" in loop
    assert "(t" not in loop
    batched = section(forest[1], "Batched")
    assert "h = tanh(a): 16 members as one (cell recursive" in batched
    waits = section(forest[1], "Waits")
    assert "∂L/∂W: one product with inner dimension 14 rows" in waits
    assert "∂L/∂U: one product with inner dimension 14 rows" in waits


def test_a_reversed_chain_runs_from_the_end() -> None:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(V, H, O, rng=rng)
    with ts.Tape(executor=ts.Reference):
        x = rng.normal(size=(T, B, V)).astype(np.float32)
        loss = ts.sum(net.unfold(x, chain=ts.Chain(T).reversed()).outputs)
    loop = section(plan_of(loss).explain(), "In the loop")
    assert f"forward: {T} steps × 2 instructions a step, from the last to the first" in loop
    assert f"backward: {T} steps × 2 instructions a step, from the first to the last" in loop


def test_without_recurrence_and_without_gradients_it_says_so() -> None:
    w = ts.Parameter(np.ones((3, 3), np.float32), "w")
    with ts.Tape(executor=ts.Reference) as tape:
        y = ts.tanh(ts.linear(ts.tensor(np.ones((2, 3), np.float32)), w))
    text = plan_tape(tape, [y.index]).explain()
    assert "Nothing recurs." in text and "values only" in text and "Waits" not in text
    assert "Threads: one" in text


def test_large_work_says_how_threads_share_it() -> None:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(64, 128, 64, rng=rng)
    with ts.Tape(executor=ts.Reference):
        loss = net.loss(rng.normal(size=(50, 32, 64)).astype(np.float32), rng.integers(0, 64, (50, 32)))
    plan = plan_of(loss)
    last = plan.explain().split("\n\n")[-1]
    threads = Program(plan).threads
    assert last.startswith("Threads: one" if threads == 1 else f"Threads: up to {threads}.")


def zeroed(plan: Plan) -> dict[str, int]:
    """Elements that a run sets to zero before it adds to them, by what they are."""
    found: dict[str, int] = {}
    for block in plan.blocks:
        for instruction in block.instructions:
            if instruction.kernel.name == "zero":
                what = instruction.operands[0].storage.what
                found[what] = found.get(what, 0) + block.levels * max(instruction.d[0], 1) * instruction.d[3]
    return found


def test_a_gradient_that_comes_back_through_a_delay_is_zeroed_only_where_nothing_comes_back() -> None:
    rng = np.random.default_rng(0)
    decay = ts.Parameter(rng.normal(size=(B, H)).astype(np.float32), "decay")

    def step(x: ts.Tensor, s: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        s = decay * s + x
        return s, ts.tanh(s) * x

    with ts.Tape(executor=ts.Reference):
        x = ts.tensor(rng.normal(size=(T, B, H)).astype(np.float32))
        loss = ts.sum(ts.unfold(step, ts.Chain(T), x, ts.zeros((B, H))).outputs)
    plan = plan_of(loss)
    assert max(zeroed(plan).values()) == B * H < T * B * H


def test_a_layer_norm_in_a_loop_zeroes_nothing_of_its_own_and_is_shared_by_rows() -> None:
    rng = np.random.default_rng(0)
    W, gain, bias = (
        ts.Parameter(rng.normal(size=s).astype(np.float32), n) for s, n in (((H, H), "W"), (H, "g"), (H, "b"))
    )

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = ts.tanh(ts.layer_norm(x + h @ W, gain, bias))
        return h, h

    with ts.Tape(executor=ts.Reference):
        x = ts.tensor(rng.normal(size=(T, B, H)).astype(np.float32))
        loss = ts.sum(ts.unfold(step, ts.Chain(T), x, ts.zeros((B, H))).outputs)
    plan = plan_of(loss)
    assert set(zeroed(plan)) <= {"∂L/∂tanh"}
    modes = {Assembler(plan, (0,), 2).mode(block) for block in plan.blocks if block.recurrent}
    assert modes == {"rows"}


def test_values_of_one_name_keep_their_own_lines() -> None:
    rng = np.random.default_rng(0)
    W = ts.Parameter(rng.normal(size=(3, 3)), "W")

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        first = ts.tanh(x + h @ W).named("h")
        second = ts.sigmoid(first @ W).named("h")
        return second, second

    with ts.Tape(executor=ts.Reference) as tape:
        outputs = ts.unfold(step, ts.Chain(5), rng.normal(size=(5, 2, 3)), np.zeros((2, 3))).outputs
        loss = ts.sum(outputs)
    text = plan_tape(tape, [loss.index], loss.index).explain()
    begins = step.__code__.co_firstlineno
    told = {op: re.findall(rf"= {op}\(.*?test_explain\.py:(\d+)", text) for op in ("tanh", "sigmoid")}
    own = {op: set(map(int, lines)) for op, lines in told.items()}
    assert own == {"tanh": {begins + 1}, "sigmoid": {begins + 2}}, text
    back = {int(line) for line in re.findall(r"passes back through sigmoid.*?test_explain\.py:(\d+)", text)}
    assert back == {begins + 2}, text  # ∂L/∂(first @ W) is written there


def test_it_says_which_decisions_are_switched_off() -> None:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(V, H, O, rng=rng)
    with ts.Tape(executor=ts.Reference) as tape:
        loss = net.loss(rng.normal(size=(T, B, V)).astype(np.float32), rng.integers(0, O, (T, B)))
    text = plan_tape(tape, [loss.index], loss.index, without=frozenset({"reuse", "hoist"})).explain()
    off = section(text, "Switched off by TINYSEQ_WITHOUT")
    assert off.splitlines()[1:] == [f"  {name}: {OPTIONAL[name]}" for name in ("hoist", "reuse")]
    assert "Switched off" not in plan_of(loss).explain()
