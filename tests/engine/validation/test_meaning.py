"""A program that computes something else than its tape is refused, for every input: each wrong decision on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import recorded
from tests.engine.found import FOUND
from tests.engine.strategies import STRUCTURES, seeded
from tests.engine.test_agreement_nets import NETS, Named
from tests.engine.validation.test_elements import RECORDS, find
from tinyseq.engine.plan import chunks, schedule
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.engine.plan.layout import Address, Block
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.elements import verify_elements
from tinyseq.engine.validation.field import (
    PRIME,
    hashed,
    hashed_along,
    inverse,
    matrix_product,
    of_floats,
    product,
    random_numbers,
)
from tinyseq.engine.validation.footprint_rules import Known
from tinyseq.engine.validation.footprints import footprint
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.engine.validation.meanings import meaning
from tinyseq.errors import TapeError
from tinyseq.ops.op import Kernel


def made(kind: str) -> tuple[Plan, ts.Tape]:
    tape, loss = RECORDS[kind]()
    return plan_tape(tape, [loss.index], loss.index), tape


def refused(plan: Plan, tape: ts.Tape, match: str, threads: int = 1) -> None:
    with pytest.raises(TapeError, match=match):
        verify_meaning(plan, tape, threads)


# -- no false alarms
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", RECORDS)
def test_good_plans_mean_what_their_tapes_say(kind: str, threads: int) -> None:
    verify_meaning(*made(kind), threads)


def check(tape: ts.Tape, wanted: list[int], loss: int, threads: int) -> bool:
    """Both validations of a plan; False if there is none."""
    try:
        plan = plan_tape(tape, wanted, loss)
    except Unplannable:
        return False
    verify_elements(plan, threads)
    verify_meaning(plan, tape, threads)
    return True


@pytest.mark.parametrize("name", FOUND)
def test_what_the_search_once_found_means_what_it_says(name: str) -> None:
    tape, wanted, loss = recorded(FOUND[name], np.float64)
    check(tape, wanted, loss, 1)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_random_cells_mean_what_they_say(structure: str) -> None:
    planned = [
        check(*recorded(seeded(400 + k, structures=(structure,)), np.float32), threads=1 + k % 3) for k in range(4)
    ]
    assert any(planned)


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_many_random_cells_mean_what_they_say(structure: str) -> None:
    for k in range(200):
        check(*recorded(seeded(9000 + k, structures=(structure,)), np.float64), threads=1 + k % 3)


# -- wrong decisions about a value
def test_a_term_overwrites_the_others() -> None:
    plan, tape = made("chain")
    _, product = find(plan, "gemm_packed", lambda b, i: b.recurrent and i.d[5] == 1)
    product.d[5] = 0
    refused(plan, tape, r"the first that differs is the value of class \d+ \(a, cell rnn, rnn\.py:\d+\), member 0")


def test_a_term_is_added_twice() -> None:
    plan, tape = made("tokens")
    block, add = find(plan, "add_to", lambda b, i: b.recurrent and i.d[3] == 1)
    block.instructions.insert(block.instructions.index(add), add)
    refused(plan, tape, r"value of %\d+.* is not what the tape says: 1 of its 1 elements differ")


def test_a_term_is_lost() -> None:
    plan, tape = made("tokens")
    block, add = find(plan, "add_to", lambda b, i: b.recurrent and i.d[3] == 1)
    block.instructions.remove(add)
    refused(plan, tape, r"the first that differs is the value of class \d+ \(tanh, cell step")


def test_a_product_of_too_few_rows() -> None:
    plan, tape = made("tokens")
    _, product = find(plan, "gemm_packed", lambda b, i: b.recurrent and b.phase == "forward")
    coefficient, key = product.vary[0]
    product.vary[0] = (coefficient - 1, key)
    refused(plan, tape, "is not what the tape says")


def test_an_inner_size_that_is_too_small() -> None:
    plan, tape = made("chain")
    _, product = find(plan, "gemm_packed")
    product.d[7] -= 1
    refused(plan, tape, r"the first that differs is the value of class \d+ \(a, cell rnn")


def test_a_matrix_packed_transposed() -> None:
    plan, tape = made("tokens")
    _, pack = find(plan, "pack")
    pack.d[6:8] = pack.d[:5:-1]
    refused(plan, tape, r"the first that differs is the value of class \d+ \(matmul, cell step")


def test_another_members_value_is_read() -> None:
    plan, tape = made("tokens")
    _, tanh = find(plan, "tanh")
    _, sigmoid = find(plan, "add_to", lambda b, i: i.operands[1].storage.what == "sigmoid")
    address = sigmoid.operands[1]
    sigmoid.operands[1] = Address(address.storage, address.offset)
    refused(plan, tape, r"the first that differs is the value of class \d+ \(tanh, cell step.* member 1 ")
    assert tanh.kernel.name == "tanh"


def test_a_start_from_something_else() -> None:
    plan, tape = made("chain")
    _, start = find(plan, "detach", lambda b, i: b.note.startswith("start of"))
    start.d[2] = 1
    start.operands[1] = replace(start.operands[1], storage=next(s for s in plan.storages if s.what == "b"))
    refused(plan, tape, "is not what the tape says")


def test_another_constant() -> None:
    plan, tape = made("tokens")
    next(s for s in plan.storages if s.what == "constants").data[0] = 3.0
    refused(plan, tape, r"the first that differs is the value of class \d+ \(affine")


def test_a_mean_over_another_number() -> None:
    plan, tape = made("chain")
    _, total = find(plan, "sum", lambda b, i: i.d[6] > 1)
    total.d[6] += 1
    refused(plan, tape, "value of .*is not what the tape says")


def test_rows_picked_in_another_order() -> None:
    plan, tape = made("forest")
    where = next(where for _, where, _, _ in plan.pointers if where.last >= 0 and len(set(where.data.tolist())) > 1)
    where.data[:] = where.data[::-1].copy()
    refused(plan, tape, "is not what the tape says")


def test_a_recurring_term_that_is_hoisted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "recurs", lambda graph, term, inside: False)
    with pytest.raises(TapeError, match=r"schedule: a matmul term of class .* is hoisted out of the loop"):
        made("chain")
    monkeypatch.setenv("TINYSEQ_CHECK", "0")  # and by the validation of the whole
    plan, tape = made("chain")
    with pytest.raises(TapeError):
        verify_elements(plan)
    refused(plan, tape, "is not what the tape says")


# -- wrong decisions about a gradient
def test_values_that_the_way_back_reads_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    with ts.Tape(executor=ts.Reference) as tape:
        net = ts.nn.LSTM(4, 4, 3, rng=rng, dtype=np.float64)
        loss = net.loss(ts.tensor(rng.normal(size=(6, 3, 4))), rng.integers(0, 3, (6, 3)))
    good = plan_tape(tape, [loss.index], loss.index)
    verify_meaning(good, tape)
    monkeypatch.setattr(schedule, "values_read", lambda graph: set())
    refused(plan_tape(tape, [loss.index], loss.index), tape, "∂L/∂.* is not what the tape says")


def test_a_gradient_overwritten_inside_a_recurrence() -> None:
    plan, tape = made("tokens")
    _, product = find(plan, "gemm_packed", lambda b, i: b.recurrent and b.phase == "backward" and i.d[5] == 1)
    product.d[5] = 0
    refused(plan, tape, r"∂L/∂\w+ .*is not what the tape says.*the first that differs is the gradient of class")


def test_a_gradient_added_twice() -> None:
    plan, tape = made("tokens")
    block, vjp = find(plan, "mul_vjp0")
    block.instructions.append(vjp)
    refused(plan, tape, "∂L/∂.*is not what the tape says")


def test_a_use_of_a_parameter_is_forgotten() -> None:
    plan, tape = made("tokens")
    block, vjp = find(plan, "mul_vjp1")
    block.instructions.remove(vjp)
    refused(plan, tape, "∂L/∂.*is not what the tape says")


def test_the_operands_of_a_weights_gradient_exchanged() -> None:
    plan, tape = made("tokens")
    _, gradient = find(plan, "weight_gradient")
    gradient.operands[1:] = gradient.operands[:0:-1]
    refused(plan, tape, r"∂L/∂[MN] \(%\d\) is not what the tape says: 12 of its 16 elements differ")


def test_a_vjp_that_reads_another_value() -> None:
    plan, tape = made("tokens")
    _, vjp = find(plan, "sigmoid_vjp0")
    vjp.operands[2] = replace(vjp.operands[2], storage=find(plan, "gemm_packed")[1].operands[0].storage)
    refused(plan, tape, "is not what the tape says.*the first that differs is the gradient of class")


def test_another_seed() -> None:
    plan, tape = made("chain")
    next(s for s in plan.storages if s.what == "one").data[0] = 2.0
    refused(plan, tape, "∂L/∂.*is not what the tape says")


def test_a_table_whose_gradient_is_not_zeroed() -> None:
    plan, tape = made("tokens")
    block = next(b for b in plan.blocks if b.note == "zero ∂L/∂E")
    block.instructions[0].d[3] -= 4
    refused(plan, tape, r"∂L/∂E .* is not what the tape says: 4 of its 20 elements differ, the first is 16")


def test_chunks_that_leave_out_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, tape = made("chain")
    share = chunks.share_of_chunks

    def all_but_one(*arguments: int) -> tuple[np.ndarray, np.ndarray]:
        starts, counts = share(*arguments)
        return starts, np.maximum(counts - 1, 0)

    monkeypatch.setattr(chunks, "share_of_chunks", all_but_one)
    verify_elements(plan, 2)  # nothing is read or written that may not be
    refused(plan, tape, r"∂L/∂\w+ .* is not what the tape says", 2)


def test_a_thread_whose_gradients_are_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, tape = made("chain")
    monkeypatch.setattr("tinyseq.engine.machine.assemble.Assembler.add_threads", lambda self: None)
    verify_meaning(plan, tape, 1)
    refused(plan, tape, "∂L/∂", 2)


def test_a_gradient_that_is_not_made() -> None:
    plan, tape = made("chain")
    plan.storages[:] = [s if s.what != "∂L/∂b" else replace(s, space="arena") for s in plan.storages]
    refused(plan, tape, r"∂L/∂b \(%\d+\) is not made|is not what the tape says")


def test_large_plans_are_left_out_where_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, tape = made("tokens")
    plan.blocks.append(Block({}, 1, []))
    find(plan, "gemm_packed")[1].d[7] -= 1
    monkeypatch.setattr("tinyseq.engine.validation.meaning.MOST_NODES", 3)
    verify_meaning(plan, tape, bounded=True)
    refused(plan, tape, "is not what the tape says")


# -- the field
def test_the_field_adds_and_multiplies_as_numbers_do() -> None:
    a, b = random_numbers((1,), 12).reshape(3, 4), random_numbers((2,), 20).reshape(4, 5)
    exact = a.astype(object) @ b.astype(object) % PRIME
    np.testing.assert_array_equal(matrix_product(a, b).astype(object), exact)


def test_a_product_over_very_many_rows_leaves_no_number_of_63_bits() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, PRIME, (2, 200_000)), rng.integers(1, PRIME, (200_000, 3))
    exact = (a.astype(object) @ b.astype(object)) % PRIME
    np.testing.assert_array_equal(matrix_product(a, b).astype(object), exact)
    np.testing.assert_array_equal(product(a, a).astype(object), a.astype(object) ** 2 % PRIME)
    assert inverse(7) * 7 % PRIME == 1
    halves = of_floats(np.array([0.5, -0.25, 3.0]))
    assert halves[0] * 2 % PRIME == 1
    assert (halves[1] * 4 + 1) % PRIME == 0
    assert halves[2] == 3


def test_hashes_tell_words_places_and_numbers_apart() -> None:
    x = np.arange(1000)
    assert len(np.unique(hashed("a", x))) == 1000
    assert (hashed("a", x) != hashed("b", x)).all()
    assert (hashed("a", x, x + 1) != hashed("a", x + 1, x)).all()
    assert hashed_along("row", np.array([[1, 2], [2, 1]]), 1).tolist()[0] != hashed_along("row", np.array([2, 1]), 0)


def call(name: str, d: list[int], sizes: list[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A kernel on small integers as floating-point numbers, and its meaning on the same integers."""
    kernel = Kernel.registry[name]
    arrays = [rng.integers(1, 9, n) for n in sizes]
    floats = [
        a if role in kernel.integers else a.astype(float) for role, a in zip(kernel.operands, arrays, strict=True)
    ]
    kernel(np.array(d, np.int64), *floats)
    found = footprint(kernel, d, Known(8, lambda slot: len(arrays[slot]), lambda slot, e: arrays[slot][e]))
    made = meaning(kernel, d, [a[e] for a, e in zip(arrays[1:], found.operands[1:], strict=True)])
    if found.adds:
        np.add.at(arrays[0], found.operands[0], made)
    else:
        arrays[0][found.operands[0]] = made
    return floats[0], arrays[0] % PRIME


LINEAR: dict[str, tuple[list[int], list[int]]] = {
    "add": ([2, 3, 3, 3, 1, 3], [6, 6, 6]),
    "sub": ([2, 3, 3, 0, 0, 3], [6, 6, 3]),
    "mul": ([2, 3, 3, 3, 0, 3], [6, 6, 6]),
    "neg": ([1, 5, 5, 0, 5], [5, 5]),
    "affine": ([2, 3, 3, 0, 1, 3], [6, 6, 2]),
    "affine_vjp0": ([2, 3, 3, 0, 0, 3], [6, 6, 2]),
    "sub_vjp1": ([2, 3, 3, 1, 3], [6, 6]),
    "mul_vjp0": ([2, 3, 3, 3, 1, 3], [6, 6, 6]),
    "detach": ([3, 2, 4, 0, 2], [6, 12]),
    "copy_block": ([2, 5, 3, 1, 2, 2, 1], [10, 6]),
    "matmul": ([2, 6, 12, 8, 0, 3, 2, 4, 4, 1, 2, 1], [12, 24, 16]),
    "matmul_tiled": ([2, 6, 12, 8, 1, 3, 2, 4, 1, 3, 1, 4], [12, 24, 16]),
    "weight_gradient": ([4, 3, 2, 3, 1, 2, 3], [6, 8, 12]),
    "column_sum": ([5, 0, 4, 1, 3, 0], [3, 20]),
    "sum": ([2, 3, 12, 0, 4, 3, 1], [6, 24]),
    "spread": ([2, 12, 3, 1, 4, 3, 1], [24, 6]),
    "strided_read": ([1, 6, 6, 0, 1, 1, 3, 2, 0, 0, 1, 3], [6, 6]),
    "strided_add": ([1, 6, 6, 0, 1, 1, 3, 2, 0, 0, 1, 3], [6, 6]),
    "take": ([3, 2, 0, 1, 0, 2], [6, 18, 3]),
    "take_vjp": ([3, 0, 2, 1, 1, 2], [18, 6, 3]),
    "take_columns": ([3, 2, 0, 1, 0, 2, 9], [6, 18, 3]),
    "take_columns_vjp": ([3, 0, 2, 1, 1, 2, 9], [18, 6, 3]),
    "gather": ([3, 1, 9, 1, 0], [3, 27, 3]),
    "gather_vjp": ([3, 9, 1, 1, 1], [27, 3, 3]),
    "one_hot": ([3, 9, 1, 0, 9], [27, 3]),
    "zero": ([2, 4, 0, 3], [7]),
    "fill": ([2, 3, 0, 0, 3], [6, 1]),
    "add_to": ([2, 3, 3, 1, 3], [6, 6]),
}


@pytest.mark.parametrize("name", LINEAR)
def test_sums_products_and_copies_mean_what_their_kernels_compute(name: str, rng: np.random.Generator) -> None:
    found, expected = call(name, *LINEAR[name], rng)
    np.testing.assert_array_equal(np.mod(found, PRIME), expected)


@pytest.mark.parametrize("name", ["sparse_product", "sparse_vjp_x", "sparse_vjp_values"])
def test_sparse_products_mean_what_their_kernels_compute(name: str) -> None:
    rng = np.random.default_rng(0)
    kernel, rows, k, n = Kernel.registry[name], 2, 4, 3
    columns, starts = np.array([0, 3, 1, 2, 3]), np.array([0, 2, 2, 5])
    sizes = {"y": rows * n, "g": rows * n, "x": rows * k, "gx": rows * k, "values": 5, "gvalues": 5}
    strides = {"y": n, "g": n, "x": k, "gx": k}
    arrays = [
        columns if r == "columns" else starts if r == "starts" else rng.integers(1, 9, sizes[r])
        for r in kernel.operands
    ]
    d = [rows, *(strides.get(role, 0) for role in kernel.operands), 1, n]
    floats = [a if r in kernel.integers else a.astype(float) for r, a in zip(kernel.operands, arrays, strict=True)]
    kernel(np.array(d, np.int64), *floats)
    found = footprint(kernel, d, Known(8, lambda slot: len(arrays[slot])))
    np.add.at(
        arrays[0], found.operands[0],
        meaning(kernel, d, [a[e] for a, e in zip(arrays[1:], found.operands[1:], strict=True)]),
    )  # fmt: skip
    np.testing.assert_array_equal(floats[0], arrays[0])


@pytest.mark.parametrize("name", NETS)
def test_nets_mean_what_they_say(name: str) -> None:
    with ts.Tape(executor=ts.Reference) as tape:
        loss = NETS[name](Named(1, np.float64), 5, 3)
    assert check(tape, [loss.index], loss.index, 1 + len(name) % 3)


@pytest.mark.parametrize("lengths", [[2], [3], [3, 3]])
@pytest.mark.parametrize("truncate", [None, ts.Chunk(1), ts.Window(2)])
def test_integers_that_are_copied_stay_what_they_are(truncate: Any, lengths: list[int]) -> None:
    """Tokens, of which windows have copies: the program reads the same ones."""
    W = ts.Parameter(np.arange(10.0).reshape(5, 2) / 7, "W")

    def step(token: Any, h: Any) -> Any:
        v = ts.reshape(ts.one_hot(token, 4, "float64"), (token.shape[0], 2, 2))
        return ts.sigmoid(ts.linear(ts.norm(v + 3.0, 2), W)) * h + 0.3, v

    for seed in range(6):
        tokens = np.random.default_rng(seed).integers(0, 4, sum(lengths))
        with ts.Tape(ts.Reference) as tape:
            start = ts.zeros((len(lengths), 5), "float64")
            unfolded = ts.unfold(step, ts.Chain(lengths), ts.tensor(tokens), start, truncate=truncate)
            loss = ts.sum(ts.tanh(unfolded.final))
        plan = plan_tape(tape, [loss.index], loss.index)
        verify_plan(plan)
        verify_meaning(plan, tape)
