"""A bad plan is caught: one thing of a good plan is changed, and the verifier or the comparison must say so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, names_of, reference, run_plan
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.errors import TapeError

SAFE_SHIFTS = (-16, -1, 1, 16)


def record(kind: str) -> tuple[ts.Tape, ts.Tensor]:
    rng = np.random.default_rng(0)
    with ts.Tape(executor=ts.Reference) as tape:
        if kind == "chain":
            net = ts.nn.RNN(3, 4, 3, rng=rng, dtype=np.float64, learn_initial_state=True)
            stir(net, rng)
            loss = net.loss(ts.tensor(rng.normal(size=(5, 2, 3))), rng.integers(0, 3, (5, 2)))
        else:
            tree = ts.nn.RecursiveNet(3, 4, 3, rng=rng, dtype=np.float64)
            stir(tree, rng)
            forest = ts.Forest([ts.Tree.balanced(5), ts.Tree.chain(3)])
            loss = tree.loss(forest, ts.tensor(rng.normal(size=(8, 3))), rng.integers(0, 3, 2))
    return tape, loss


def stir(net: ts.nn.Module, rng: np.random.Generator) -> None:
    """No parameter may be 0: a 0 put in a wrong place would not show."""
    for parameter in net.parameters():
        parameter.value = parameter.value + 0.1 * rng.normal(size=parameter.shape)


@dataclass
class Mutation:
    """What was changed, and the plan with the change."""

    what: str
    change: Callable[[], None]


def instructions(plan: Plan) -> Iterator[tuple[int, Block, Instruction]]:
    for place, block in enumerate(plan.blocks):
        for instruction in block.instructions:
            yield place, block, instruction


def flags(plan: Plan) -> Iterator[Mutation]:
    """Overwrite instead of adding, add instead of overwriting."""
    for place, _, instruction in instructions(plan):
        slot = 1 + len(instruction.operands)
        has_flag = instruction.kernel.name in ("gemm_packed", "add_to", "weight_gradient", "column_sum")
        if has_flag or "_vjp" in instruction.kernel.name:
            yield Mutation(
                f"flag of {instruction.kernel.name} in block {place}",
                partial(instruction.d.__setitem__, slot, 1 - instruction.d[slot]),
            )


def offsets(plan: Plan) -> Iterator[Mutation]:
    """Address a few elements aside."""
    for place, _, instruction in instructions(plan):
        for k, address in enumerate(instruction.operands):
            if address.storage.space in ("origin",) or address.storage.what == "constants":
                continue
            if instruction.kernel.name == "gemm_packed" and k == 3 and not instruction.d[5]:
                continue  # it starts from nothing
            for shift in SAFE_SHIFTS:
                moved = replace(address, offset=address.offset + shift)
                yield Mutation(
                    f"operand {k} of {instruction.kernel.name} in block {place} moved by {shift}",
                    partial(instruction.operands.__setitem__, k, moved),
                )


def missing(plan: Plan) -> Iterator[Mutation]:
    """Leave an instruction out: a zero, a start, a product."""
    for place, block in enumerate(plan.blocks):
        for k, instruction in enumerate(block.instructions):
            yield Mutation(f"{instruction.kernel.name} of block {place} left out", partial(block.instructions.pop, k))


def order(plan: Plan) -> Iterator[Mutation]:
    """Run a recurrence the other way."""
    for place, block in enumerate(plan.blocks):
        if block.recurrent:
            yield Mutation(
                f"block {place} run the other way", partial(setattr, block, "backwards", not block.backwards)
            )


def memory(plan: Plan) -> Iterator[Mutation]:
    """Put a storage where another lives."""
    arena = [s for s in plan.storages if s.space == "arena" and s.last >= 0]
    for one, other in itertools.pairwise(arena):
        if one.first <= other.last and other.first <= one.last:
            yield Mutation(f"{one.what} put on {other.what}", partial(setattr, one, "base", other.base))


MUTATIONS = {"flags": flags, "offsets": offsets, "missing": missing, "order": order, "memory": memory}


def caught(kind: str, family: Callable[[Plan], Iterator[Mutation]], number: int) -> tuple[str, bool]:
    """Make a fresh plan, change the numbered thing, and see whether anything notices."""
    tape, loss = record(kind)
    expected = reference(tape, [loss.index], loss.index)
    plan = plan_tape(tape, [loss.index], loss.index)
    mutation = list(family(plan))[number]
    mutation.change()
    try:
        verify_plan(plan)
        compare(run_plan(plan, tape, [loss.index], loss.index), expected, 1e-10, names_of(tape))
    except (TapeError, AssertionError):
        return mutation.what, True
    return mutation.what, False


@pytest.mark.parametrize("kind", ["chain", "forest"])
@pytest.mark.parametrize("family", MUTATIONS)
def test_changed_plans_are_caught(kind: str, family: str) -> None:
    tape, loss = record(kind)
    count = len(list(MUTATIONS[family](plan_tape(tape, [loss.index], loss.index))))
    results = [caught(kind, MUTATIONS[family], k) for k in range(0, count, 1 if family != "offsets" else 3)]
    missed = [what for what, noticed in results if not noticed]
    assert results and not missed, missed
