"""Wrong programs are refused by name: something of a good plan is changed, and a check says what is wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyseq as ts
from tests.engine.plan.test_plan_mutations import record, stir
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.plan.chunks import grouped
from tinyseq.engine.plan.layout import Address, Block, Instruction
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.plan.sharing import Shares
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.decode import Space, decoded
from tinyseq.engine.validation.elements import verify_elements
from tinyseq.engine.validation.events import Events
from tinyseq.engine.validation.footprint_rules import Known, grid
from tinyseq.engine.validation.footprints import footprint, rule_of
from tinyseq.engine.validation.footprints_of_products import packed
from tinyseq.engine.validation.spans import Spans
from tinyseq.errors import TapeError
from tinyseq.ops.op import Kernel


def tokens() -> tuple[ts.Tape, ts.Tensor]:
    """A net of a table, two computed matrices and a batch large enough to be shared."""
    rng = np.random.default_rng(1)
    names = ("E", (5, 4)), ("M", (4, 4)), ("N", (4, 4)), ("b", (4,))
    E, M, N, b = (ts.Parameter(rng.normal(size=shape), name) for name, shape in names)
    with ts.Tape(executor=ts.Reference) as tape:
        A, W = M * 2.0, N * 2.0

        def step(i: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
            h = ts.tanh(ts.linear(h, A) + ts.sigmoid(ts.linear(ts.take(E, i), W)) + b)
            return h, h

        states = ts.unfold(step, ts.Chain(6), rng.integers(0, 5, (6, 8)), ts.zeros((8, 4), np.float64))
        loss = ts.sum(states.outputs * states.outputs)
    return tape, loss


def forest() -> tuple[ts.Tape, ts.Tensor]:
    rng = np.random.default_rng(2)
    with ts.Tape(executor=ts.Reference) as tape:
        net = ts.nn.RecursiveNet(3, 4, 3, rng=rng, dtype=np.float64)
        stir(net, rng)
        trees = ts.Forest([ts.Tree.balanced(9), ts.Tree.chain(5)])
        loss = net.loss(trees, ts.tensor(rng.normal(size=(14, 3))), rng.integers(0, 3, 2))
    return tape, loss


RECORDS = {"chain": lambda: record("chain"), "tokens": tokens, "forest": forest}


def plan_of(kind: str) -> Plan:
    tape, loss = RECORDS[kind]()
    return plan_tape(tape, [loss.index], loss.index)


def refused(plan: Plan, match: str, threads: int = 1) -> None:
    with pytest.raises(TapeError, match=match):
        verify_elements(plan, threads)


def find(plan: Plan, kernel: str, where: Callable[[Block, Instruction], bool] = lambda b, i: True):
    """The first (block, instruction) of a kernel."""
    return next(
        (block, i) for block in plan.blocks for i in block.instructions if i.kernel.name == kernel and where(block, i)
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", RECORDS)
def test_good_plans_pass(kind: str, threads: int) -> None:
    verify_elements(plan_of(kind), threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_tables_that_are_members_of_a_parameter_pass(threads: int) -> None:
    rng = np.random.default_rng(0)
    W = ts.Parameter(rng.normal(size=(3, 5, 2)), "W")
    with ts.Tape(executor=ts.Reference) as tape:
        h = ts.zeros((3, 2), np.float64)
        for index in rng.integers(0, 5, (4, 3)):
            h = ts.tanh(h + ts.take(W[1], ts.tensor(index)) * ts.take(2.0 * W[2], ts.tensor(index)))
        loss = ts.sum(h * h)
    verify_elements(plan_tape(tape, [loss.index], loss.index), threads)


# -- an address outside its storage
def test_an_operand_moved_before_its_storage() -> None:
    plan = plan_of("chain")
    _, tanh = find(plan, "tanh")
    tanh.operands[1] = replace(tanh.operands[1], offset=tanh.operands[1].offset - 8)
    refused(plan, r"tanh of class \d+ \(h, cell rnn, rnn\.py:\d+\), level 0: reaches elements -\d+ to .*operand x0")


def test_an_operand_whose_rows_lie_too_far_apart() -> None:
    plan = plan_of("tokens")
    _, take = find(plan, "take")
    take.d[1] += 1
    refused(plan, r"take .*reaches elements 0 to .* \(operand y\)")


def test_too_many_rows() -> None:
    plan = plan_of("tokens")
    _, tanh = find(plan, "tanh", lambda b, i: b.recurrent)
    slot = next(iter(tanh.vary))
    coefficient, key = tanh.vary[slot]
    tanh.vary[slot] = (2 * coefficient, key)
    refused(plan, "tanh .*reaches elements")


def test_a_product_of_too_many_columns() -> None:
    plan = plan_of("chain")
    _, product = find(plan, "gemm_packed")
    product.d[6] += 40
    refused(plan, r"gemm_packed .*reaches elements .* of 'packed weights' \(operand w\)|reaches elements")


# -- who wrote it
def test_a_missing_instruction() -> None:
    plan = plan_of("chain")
    block, tanh = find(plan, "tanh")
    block.instructions.remove(tanh)
    refused(plan, "gemm_packed .*, level 1: reads element 0 of 'h', which nothing has written in this run")


def test_a_missing_zero() -> None:
    plan = plan_of("tokens")
    place = next(k for k, block in enumerate(plan.blocks) if block.instructions[0].kernel.name == "zero")
    what = plan.blocks[place].instructions[0].operands[0].storage.what
    del plan.blocks[place]
    refused(plan, f"(adds to|reads) element .* of {re.escape(repr(what))}, (which nothing has|where)")


def test_an_addition_to_what_was_never_set() -> None:
    plan = plan_of("tokens")
    _, product = find(plan, "gemm_packed", lambda b, i: b.phase == "backward" and not i.d[5])
    product.d[5] = 1
    refused(plan, "gemm_packed .*adds to element 0 of .*which nothing has written|where .* was written last")


def test_a_missing_start() -> None:
    plan = plan_of("chain")
    place = next(k for k, block in enumerate(plan.blocks) if block.note.startswith("start of"))
    del plan.blocks[place]
    refused(plan, r"reads element -\d+ of .*, (which nothing has written|where)")


def test_a_level_that_is_still_to_come_is_read() -> None:
    plan = plan_of("chain")
    _, product = find(plan, "gemm_packed", lambda b, i: b.recurrent and b.phase == "forward")
    address = product.operands[1]
    assert address.vary is not None
    product.operands[1] = replace(address, offset=address.offset + 2 * address.vary[0])
    refused(plan, "gemm_packed .*reads element|reaches")


def test_a_recurrence_that_runs_the_other_way() -> None:
    plan = plan_of("chain")
    block = next(block for block in plan.blocks if block.recurrent)
    block.backwards = not block.backwards
    refused(plan, "reads element .*, (which nothing has written in this run|where)")


def test_a_recurring_term_that_is_hoisted() -> None:
    plan = plan_of("chain")
    block, product = find(plan, "gemm_packed", lambda b, i: b.recurrent and b.phase == "forward" and i.d[5] == 1)
    block.instructions.remove(product)
    hoisted = Block({g: np.array([0, b[-1]]) for g, b in block.bounds.items()}, 1, [product], note="hoisted")
    plan.blocks.insert(next(k for k, other in enumerate(plan.blocks) if other is block), hoisted)
    refused(plan, "block .*hoisted.*gemm_packed .*(reads|adds to) element")


def test_blocks_in_the_wrong_order() -> None:
    plan = plan_of("tokens")
    place = next(k for k, block in enumerate(plan.blocks) if block.note == "pack weights" and block.phase == "forward")
    plan.blocks.append(plan.blocks.pop(place))
    refused(plan, "reads element 0 of 'packed weights'")


def test_two_storages_in_one_place_while_both_are_alive() -> None:
    plan = plan_of("tokens")
    stays, other = (s for s in plan.storages if s.what in ("tanh", "sigmoid"))
    other.base = stays.base
    refused(plan, "element .* of '(tanh|sigmoid)', where '(tanh|sigmoid)' was written last")


def test_a_storage_given_away_too_early() -> None:
    plan = plan_of("chain")
    kept = next(s for s in plan.storages if s.what == "h")
    later = next(s for s in plan.storages if s.what == "∂L/∂h")
    later.base = kept.base + 4
    refused(plan, "where .* was written last")


def test_a_gradient_that_nobody_writes() -> None:
    plan = plan_of("chain")
    block, instruction = find(plan, "weight_gradient")
    block.instructions.remove(instruction)
    refused(plan, "after the program: reads element 0 of '∂L/∂.*', which nothing has written in this run")


# -- what is not the program's
def test_a_parameter_that_is_written() -> None:
    plan = plan_of("chain")
    leaf = next(s for s in plan.storages if s.space == "leaf" and s.size >= 12)
    _, zero = find(plan, "pack")
    zero.operands[0] = Address(leaf, 0)
    zero.d[4:6] = [1, 1]
    refused(plan, "pack.* writes to '.*', which is not the program's")


def test_integers_taken_for_numbers_and_numbers_for_integers() -> None:
    plan = plan_of("tokens")
    _, take = find(plan, "take")
    table, index = take.operands[1:]
    take.operands[2] = Address(table.storage, 0)
    refused(plan, "take .*takes 'E' for integers; it holds floating-point numbers")
    take.operands[1:] = index, index
    refused(plan, "take .*takes '.*' for floating-point numbers; it holds integers")


def test_a_list_that_names_a_row_outside() -> None:
    plan = plan_of("forest")
    where = next(where for _, where, _, _ in plan.pointers if where.last >= 0)
    where.data[0] += 10_000
    refused(plan, "(gather|scatter)_rows.* finds a row outside '.*' in its list of addresses")


def test_what_is_written_while_it_is_read() -> None:
    plan = plan_of("chain")
    _, tanh = find(plan, "tanh")
    target = tanh.operands[0]
    tanh.operands[1] = replace(target, offset=target.offset - 4)
    refused(plan, "tanh .*(reads element .* nothing has written|overwrites element .* while it reads it)")


# -- levels and threads
def test_a_write_at_a_level_without_members() -> None:
    plan = plan_of("chain")
    _, total = find(plan, "column_sum", lambda b, i: b.phase == "backward")
    total.vary, total.d[0] = {}, 0
    total.sums = ()
    refused(plan, "column_sum .*overwrites '.*' at a level without members")


def without_barriers(monkeypatch: pytest.MonkeyPatch, keep: int = 0) -> None:
    begin = Assembler.begin
    monkeypatch.setattr(
        Assembler,
        "begin",
        lambda self, levels, sync, *rest, **more: begin(self, levels, min(sync, keep), *rest, **more),
    )


@pytest.mark.parametrize(("kind", "threads"), [("tokens", 2), ("tokens", 3), ("forest", 2)])
def test_barriers_left_out(kind: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(kind)
    without_barriers(monkeypatch)
    verify_elements(plan, 1)
    refused(plan, r"thread \d writes element .*, which thread \d .* with no barrier between", threads)


def test_barriers_between_levels_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("forest")
    without_barriers(monkeypatch, keep=1)
    refused(plan, r"thread \d writes element .*, which thread \d .* with no barrier between", 2)


def test_rows_shared_where_one_thread_reads_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("tokens")
    share = Shares.share_of_rows

    def one_more(self: Shares, counts: np.ndarray) -> tuple[int, np.ndarray]:
        low, rows = share(self, counts)
        return low, np.minimum(rows + 1, counts - low)

    monkeypatch.setattr(Shares, "share_of_rows", one_more)
    refused(plan, "with no barrier between", 2)


def test_members_of_a_level_that_write_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engine.agreement import recorded
    from tests.engine.found import FOUND

    tape, wanted, loss = recorded(FOUND["members of one level that add to one state"], np.float64)
    plan = plan_tape(tape, wanted, loss)
    verify_elements(plan, 2)
    monkeypatch.setattr(Shares, "writes_members", lambda self, block: True)
    refused(plan, r"thread \d writes .* thread \d (reads|adds to|overwrites) with no barrier between", 2)


def test_every_check_of_a_plan_goes_through_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("tokens")
    verify_plan(plan)
    without_barriers(monkeypatch)
    with pytest.raises(TapeError, match="with no barrier between"):
        verify_plan(plan)


def test_of_many_elements_some_addresses_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("tokens")
    whole = {threads: touched(plan, threads) for threads in (1, 2)}
    monkeypatch.setattr("tinyseq.engine.validation.events.MOST", 200)
    monkeypatch.setattr("tinyseq.engine.validation.spans.WINDOW", 4)
    for threads in (1, 2):
        events = Events(plan, *decoded(plan, threads), threads)
        places, *_ = events.pieces()
        assert events.one_in > 1 and 0 < len(places) <= 200
        some = touched(plan, threads)
        assert some == {place: all_of for place, all_of in whole[threads].items() if place in some}  # all or none
        verify_elements(plan, threads)
    without_barriers(monkeypatch)
    refused(plan, "with no barrier between", 2)


def touched(plan: Any, threads: int) -> dict[int, set[tuple[int, int]]]:
    """Of each element, by which runs it is touched, and how."""
    events = Events(plan, *decoded(plan, threads), threads)
    events.pieces()
    found: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for spans, runs, _, kind in events.found:
        for first, last, run in zip(spans.first.tolist(), spans.last.tolist(), runs.tolist(), strict=True):
            for place in range(first, last):
                found[place].add((run, kind))
    return found


@pytest.mark.parametrize("kind", ["chain", "tokens", "forest"])
def test_pieces_are_the_elements(kind: str) -> None:
    plan = plan_of(kind)
    for threads in (1, 3):
        events = Events(plan, *decoded(plan, threads), threads)
        first, run, _, how = events.pieces()
        length = dict(zip(np.unique(first)[:-1].tolist(), np.diff(np.unique(first)).tolist(), strict=True))
        ends = max(int(spans.last.max()) for spans, *_ in events.found)
        pieces: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for place, r, k in zip(first.tolist(), run.tolist(), how.tolist(), strict=True):
            pieces[place].add((r, k))
        every = touched(plan, threads)
        assert all(every[place] == of for place, of in pieces.items())
        for place in range(ends):  # what lies behind the first of a piece is touched as the first is, or by nobody
            if place in every and place not in pieces:
                begins = max(b for b in pieces if b < place)
                assert place < begins + length.get(begins, ends) and every[place] == pieces[begins]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.lists(st.integers(-5, 70), max_size=9, unique=True))
def test_spans_are_cut_without_loss(elements: list[int], bounds: list[int]) -> None:
    spans, cuts = Spans.of(np.array(elements)), np.array(sorted(bounds), np.int64)
    assert expanded(spans) == sorted(set(elements)) and (spans.first[1:] > spans.last[:-1]).all()
    which, pieces = spans.cut(cuts)
    assert expanded(pieces) == expanded(spans)
    for number, first, last in zip(which.tolist(), pieces.first.tolist(), pieces.last.tolist(), strict=True):
        assert spans.first[number] <= first < last <= spans.last[number]
        assert not ((cuts > first) & (cuts < last)).any()


def expanded(spans: Spans) -> list[int]:
    return [
        e for first, last in zip(spans.first.tolist(), spans.last.tolist(), strict=True) for e in range(first, last)
    ]


# -- the decoder and the rules themselves
def test_decoded_addresses_are_those_of_the_plan() -> None:
    plan = plan_of("chain")
    space, steps = decoded(plan, 1)
    count = {id(i) for block in plan.blocks for i in block.instructions}
    in_chunks = sum(len(b.instructions) for kind, bs in grouped(plan.blocks, Assembler(plan).chunked) if kind != "alone"
                    for b in bs)  # fmt: skip
    assert sum(id(step.instruction) in count for step in steps) >= len(count) - in_chunks
    for step in steps:
        for slot, address in enumerate(step.instruction.operands):
            if step.block is None or address.vary is not None or address.storage.index < 0:
                continue
            assert (step.operands[slot] == space.base[address.storage.index] + address.offset).all()


def test_spaces_overlap_only_where_the_arena_is_used_again() -> None:
    plan = plan_of("tokens")
    space = Space(plan, 2)
    apart = [s for s in plan.storages if s.space != "arena"]
    taken = np.concatenate([space.base[s.index] - s.lead + np.arange(s.size) for s in apart])
    assert len(np.unique(taken)) == len(taken)
    assert taken.min() > max(space.base[s.index] + s.size for s in plan.storages if s.space == "arena")


TOUCHED: dict[
    str, tuple[list[int], dict[str, int]]
] = {  # a vector d, and the size of each operand as it should be seen
    "tanh": ([2, 3, 4, 0, 3], {"y": 6, "x0": 7}),
    "affine": ([1, 5, 5, 0, 1, 5], {"y": 5, "x0": 5, "attr": 2}),
    "mul_vjp0": ([2, 3, 3, 0, 1, 3], {"gx": 6, "g": 6, "x1": 3}),
    "matmul": ([2, 6, 12, 8, 0, 3, 2, 4, 4, 1, 2, 1], {"y": 12, "a": 24, "b": 16}),
    "column_sum": ([4, 0, 5, 0, 3, 0], {"y": 3, "g": 18}),
    "weight_gradient": ([4, 3, 2, 3, 1, 2, 3], {"y": 6, "x": 8, "g": 12}),
    "sum": ([2, 3, 12, 0, 4, 3, 1], {"y": 6, "x": 24}),
    "max_vjp": ([2, 12, 3, 12, 3, 0, 4, 3], {"gx": 24, "g": 6, "x": 24, "y": 6}),
    "softmax_vjp": ([2, 3, 3, 3, 0, 3], {"gx": 6, "g": 6, "y": 6}),
    "cross_entropy_vjp": ([2, 3, 1, 3, 1, 0, 3], {"gx": 6, "g": 2, "x": 6, "target": 2}),
    "copy_block": ([2, 5, 3, 0, 3, 2, 0], {"y": 10, "x": 6}),
    "strided_read": ([1, 6, 6, 0, 1, 1, 3, 2, 0, 0, 1, 3], {"y": 6, "x": 6}),
    "one_hot": ([2, 4, 1, 0, 4], {"y": 8, "index": 2}),
    "zero": ([2, 4, 0, 3], {"y": 7}),
    "fill": ([1, 3, 0, 0, 3], {"y": 3, "attr": 1}),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_a_rule_reaches_as_far_as_its_kernel(name: str) -> None:
    """The kernel runs over arrays that end where the rule says; what it writes is what the rule says it writes."""
    d, sizes = TOUCHED[name]
    kernel = Kernel.registry[name]
    found = footprint(kernel, d, Known(8, lambda slot: 1))
    for role, elements in zip(kernel.operands, found.operands, strict=True):
        assert elements is not None
        assert elements.min() == 0 or role == "y"
        assert elements.max() + 1 == sizes[role], role
    arrays = [
        np.zeros(sizes[role], np.int64)
        if role in kernel.integers
        else np.random.default_rng(0).normal(size=sizes[role])
        for role in kernel.operands
    ]
    arrays[0][:] = before = np.random.default_rng(1).normal(size=sizes[kernel.operands[0]])
    kernel(np.array(d, np.int64), *arrays)
    written = np.flatnonzero(arrays[0] != before)
    assert set(written) <= set(np.unique(found.operands[0]).tolist())
    if not found.adds and name not in ("one_hot",):
        assert set(written) == set(np.unique(found.operands[0]).tolist())


def test_packed_matrices_lie_as_the_machine_packs_them() -> None:
    from tinyseq.engine.kernels.batched import PACK
    from tinyseq.engine.kernels.panels import packed_size, panel_width

    k, n = 3, 21
    width = panel_width(np.dtype(np.float64))
    matrix, out = np.arange(1.0, 1 + k * n), np.zeros(packed_size(k, n, width))
    PACK(np.array([1, 0, 0, 0, k, n, n, 1]), out, matrix)
    np.testing.assert_array_equal(out[packed(k, n, width)].ravel(), matrix)


def test_kernels_without_a_rule_are_taken_at_their_word() -> None:
    strange = Kernel("strange_rows_of_a_test", lambda d, y, x: None, ("y", "x"))
    try:
        found = footprint(strange, [2, 3, 4, 0], Known(8, lambda slot: 1))
        np.testing.assert_array_equal(found.operands[0], grid((2, 3), (3, 1)))
        np.testing.assert_array_equal(found.operands[1], grid((2, 4), (4, 1)))
    finally:
        del Kernel.registry["strange_rows_of_a_test"]


def test_integer_twins_have_the_rule_of_their_kernel() -> None:
    from tinyseq.engine.kernels.batched import GATHER_INTEGERS, GATHER_ROWS, moving

    assert rule_of(moving(Kernel.registry["copy_block"], np.dtype(np.int64))) is rule_of(Kernel.registry["copy_block"])
    assert rule_of(GATHER_INTEGERS) is rule_of(GATHER_ROWS)


def test_storages_of_threads_gradients_are_apart() -> None:
    """Two threads add chunks of rows to gradients of their own, which are added at the end."""
    plan = plan_of("chain")
    _, steps = decoded(plan, 2)
    targets = {(s.thread, int(s.operands[0][0])) for s in steps if s.chunk}
    assert len({place for _, place in targets}) == len(targets) > 2
    assert any(s.storages[0] == -2 for s in steps)
