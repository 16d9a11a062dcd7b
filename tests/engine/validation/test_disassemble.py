"""Programs taken apart are the plan's instructions; what `assemble` does wrong, in any thread, is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.plan.golden import programs
from tinyseq.engine.kernels.batched import ZERO
from tinyseq.engine.machine import assemble
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.machine.vm import kernel_address
from tinyseq.engine.plan import chunks
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.plan.sharing import Shares
from tinyseq.engine.validation.disassemble import disassembled, verify_assembled
from tinyseq.engine.validation.passes import guilty_pass
from tinyseq.errors import TapeError

NETS = [name for name in programs() if name.startswith(("cell", "tree"))]


def planned(name: str) -> Plan:
    return plan_tape(*programs()[name]())


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", NETS)
def test_all_threads_together_run_the_plan(name: str, threads: int) -> None:
    verify_assembled(planned(name), threads)


def test_a_program_of_one_thread_is_the_plans_instructions_one_by_one() -> None:
    plan = planned("cell RNN")
    (program,) = disassembled(plan, 1)
    alone = [i for block in plan.blocks for i in block.instructions]
    assert {id(i) for i in program.whole} == {id(i) for i in alone}
    for step, whole in zip(program.steps, program.whole, strict=True):
        assert whole is not None
        assert step.storages == [a.storage.index for a in whole.operands]
        if not step.chunk and not whole.vary:
            assert step.d.tolist() == [whole.d] * len(step.level)


Patch = Callable[[pytest.MonkeyPatch], None]


def wrapped(cls: type, name: str, change: Callable[..., Any]) -> Patch:
    """A method, its result changed: ``change(self, result, arguments)``."""
    before = getattr(cls, name)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cls, name, lambda self, *a, **k: change(self, before(self, *a, **k), *a, **k))

    return patch


def everybody_deals(monkeypatch: pytest.MonkeyPatch) -> None:
    def dealt(self: Assembler, blocks: Any) -> None:
        header = self.begin(1, sync=1)
        for block in blocks:
            for instruction in block.instructions:
                self.instruction(instruction, {}, "dealt")
        self.end(header)

    monkeypatch.setattr(Assembler, "dealt", dealt)


def nobody_deals_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Assembler.dealt

    def dealt(self: Assembler, blocks: Any) -> None:
        instructions, blocks[-1].instructions = blocks[-1].instructions, blocks[-1].instructions[:-1]
        before(self, blocks)
        blocks[-1].instructions = instructions

    monkeypatch.setattr(Assembler, "dealt", dealt)


def added_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Assembler.add_threads

    def twice(self: Assembler) -> None:
        before(self)
        before(self)

    monkeypatch.setattr(Assembler, "add_threads", twice)


def another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    real = assemble.kernel_address

    def address(kernel: Any, dtype: Any) -> int:
        return kernel_address(ZERO, dtype) if kernel.name == "tanh" else real(kernel, dtype)

    monkeypatch.setattr(assemble, "kernel_address", address)


def all_chunks_add(monkeypatch: pytest.MonkeyPatch) -> None:
    before = chunks.in_chunks
    monkeypatch.setattr(chunks, "in_chunks", lambda i, places, adds: before(i, places, True))


def chunks_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = chunks.share_of_chunks

    def shares(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        starts, counts = before(*given)
        return starts, np.maximum(counts - 1, 0)

    monkeypatch.setattr(chunks, "share_of_chunks", shares)


def instructions_reversed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Assembler.block

    def block(self: Assembler, given: Any, *how: Any) -> None:
        given.instructions.reverse()
        before(self, given, *how)
        given.instructions.reverse()

    monkeypatch.setattr(Assembler, "block", block)


def turned_around(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Assembler.block

    def block(self: Assembler, given: Any, *how: Any) -> None:
        before(self, replace(given, backwards=not given.backwards) if given.levels > 1 else given, *how)

    monkeypatch.setattr(Assembler, "block", block)


def only_one_level(self: Assembler, found: Any, *given: Any) -> Any:
    return int(given[-1][0]) if found is None and given[1] != assemble.SHARE else found


WRONG: dict[str, tuple[Patch, str]] = {
    "a row left out": (wrapped(Shares, "share", lambda self, r, n: (min(r[0] + 1, r[1]), r[1])), "by nobody|rows of"),
    "a row twice": (wrapped(Shares, "share", lambda self, r, n: (max(r[0] - 1, 0), r[1])), "twice|rows of"),
    "rows that do not move": (wrapped(Shares, "share_of_rows", lambda self, r, n: (0, r[1])), "twice|rows of"),
    "gradients of threads left out": (
        lambda m: m.setattr(Assembler, "add_threads", lambda self: None),
        "not added up once each",
    ),
    "gradients of threads twice": (added_up_twice, "not added up once each"),
    "weights packed by all": (everybody_deals, "twice"),
    "weights packed by none": (nobody_deals_the_last, "0 of"),
    "one level for all": (wrapped(Assembler, "same_everywhere", only_one_level), "begins elsewhere|runs with d"),
    "members of nobody": (
        wrapped(Assembler, "column", lambda self, r, b, k, mode="single": r * (mode != "members" or self.thread != 1)),
        "begins elsewhere|runs with d|by nobody|rows of",
    ),
    "levels the other way round": (turned_around, "levels run"),
    "another kernel": (another_kernel, "calls another kernel than tanh"),
    "chunks that all add": (all_chunks_add, "chunks add to"),
    "chunks that leave out a row": (chunks_apart, "by nobody|rows of"),
    "instructions in another order": (instructions_reversed, "comes later in the plan"),
}


def refusals() -> Iterator[str]:
    for name in NETS:
        plan = planned(name)
        for threads in (1, 2, 3):
            try:
                verify_assembled(plan, threads)
            except TapeError as error:
                yield str(error)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_assembled_wrong_is_refused(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, message = WRONG[what]
    patch(monkeypatch)
    found = next(refusals(), "nothing is refused")
    assert found.startswith("assemble: ")
    assert any(words in found for words in message.split("|")), found


def test_the_guilty_pass_is_assemble(monkeypatch: pytest.MonkeyPatch) -> None:
    with ts.Tape(ts.Reference) as tape:
        net = ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0), dtype=np.float64)
        loss = net.loss(np.zeros((20, 8), np.int64), np.zeros((20, 8), np.int64))
    assert guilty_pass(tape, loss) == guilty_pass(tape, loss.index) == ("", "")
    chunks_apart(monkeypatch)
    found, what = guilty_pass(tape, loss)
    assert found == "assemble" and "rows of level" in what
