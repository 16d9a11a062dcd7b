"""The programs of all threads taken apart again: together they are the plan's instructions, each row of each once.

The verifier of the last step, from instructions to integers. What a program's numbers say is read back as the machine
reads it; then, instruction by instruction and level by level, kernel, storages and sizes must be the plan's own, the
operands must begin where the plan has them, a few rows on for a thread that takes some of the rows, and the rows of all
threads must be those of the plan, none left out and none twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinyseq.engine.kernels.batched import ADD_TO
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.machine.vm import kernel_address
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.validation.decode import Decoder, Space, Step
from tinyseq.errors import TapeError


@dataclass
class Disassembled:
    """One thread's program: its steps, and the plan's instruction that each one is, or is a part of."""

    thread: int
    steps: list[Step]
    whole: list[Instruction | None]


class _Tracing(Decoder):
    """Remembers which of the plan's instructions each instruction of a program is a part of."""

    def __init__(self, plan: Plan, thread: int, threads: int) -> None:
        super().__init__(plan, (thread,), threads)
        self.whole: list[Instruction | None] = []
        self.chunked_now: Iterator[Instruction] = iter(())

    def kernel_number(self, instruction: Instruction) -> int:
        """As it is decoded; and what it is a part of."""
        known = next(self.chunked_now, None) if self.in_chunks else instruction
        self.whole.append(None if instruction.kernel is ADD_TO and instruction.operands[0].storage.index < 0 else known)
        return super().kernel_number(instruction)

    def share_of_chunks(self, sums, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        """Whose chunks these are."""
        self.chunked_now = iter([instruction for _, instruction in sums.of])
        super().share_of_chunks(sums, *arguments, **options)


def disassembled(plan: Plan, threads: int) -> list[Disassembled]:
    """The program of every thread, taken apart. Raises TapeError where a kernel's address is not its own."""
    space, found = Space(plan, threads), []
    for thread in range(threads):
        tracing = _Tracing(plan, thread, threads)
        steps = list(tracing.steps(space))
        _kernels(plan, thread, threads, tracing)
        place = {id(instruction): k for k, (instruction, _, _) in enumerate(tracing.traced)}
        found.append(Disassembled(thread, steps, [tracing.whole[place[id(step.instruction)]] for step in steps]))
    return found


def _kernels(plan: Plan, thread: int, threads: int, tracing: _Tracing) -> None:
    """The program that runs differs from the decoded one in the addresses of kernels only, and has those."""
    code = Assembler(plan, (thread,), threads).assemble()[0]
    numbers = np.array(tracing.code, np.int64)
    if len(code) != len(numbers):
        raise TapeError(f"assemble: thread {thread}'s program has {len(code)} numbers, not {len(numbers)}")
    for place in np.flatnonzero(code != numbers).tolist():
        instruction = tracing.traced[int(numbers[place])][0]
        if int(code[place]) != kernel_address(instruction.kernel, plan.dtype):
            raise TapeError(f"assemble: thread {thread} calls another kernel than {instruction.kernel.name}")


def verify_assembled(plan: Plan, threads: int) -> list[Disassembled]:
    """Raise TapeError naming the first instruction that the threads' programs do not run as the plan has it; returns
    the programs, taken apart."""
    every = [id(instruction) for block in plan.blocks for instruction in block.instructions]
    if len(set(every)) < len(every):
        raise TapeError("emit: one instruction stands twice in the plan")
    space = Space(plan, threads)
    parts: dict[int, list[tuple[int, Step]]] = defaultdict(list)
    programs = disassembled(plan, threads)
    for program in programs:
        for step, whole in zip(program.steps, program.whole, strict=True):
            if whole is not None:
                parts[id(whole)].append((program.thread, step))
    assembler = Assembler(plan)
    for program in programs:
        _in_order(plan, program)
    for place, block in enumerate(plan.blocks):
        for instruction in block.instructions:
            where = f"assemble: block {place} ({block.phase}: {block.note}), {instruction.kernel.name}"
            found = parts.pop(id(instruction), [])
            _verify(_Expected(assembler, block, instruction), found, space, where)
    _add_up(plan, programs, space, threads)
    return programs


def _in_order(plan: Plan, program: Disassembled) -> None:
    """A thread runs its instructions in the plan's order, levels from first to last or back; of sums in chunks, whose
    order is free, whoever comes first to a target overwrites and all others add."""
    place = {id(i): k for k, i in enumerate(i for block in plan.blocks for i in block.instructions)}
    last, begun = -1, set[int]()
    for step, whole in zip(program.steps, program.whole, strict=True):
        if whole is None:
            continue
        where = f"assemble: thread {program.thread}, {whole.kernel.name}"
        if step.chunk:
            target = whole.operands[0].storage.index
            adds = step.d[:, 1 + len(step.operands)].tolist()
            if adds != [int(target in begun), *[1] * (len(adds) - 1)]:
                raise TapeError(f"{where}: chunks add to {whole.operands[0].storage.what!r} as {adds}")
            begun.add(target)
            continue
        if place[id(whole)] <= last:
            raise TapeError(f"{where}: runs after an instruction that comes later in the plan")
        last = place[id(whole)]
        backwards = step.block is not None and step.block.backwards
        if (np.diff(step.level) != (-1 if backwards else 1)).any():
            raise TapeError(f"{where}: levels run {'forwards' if backwards else 'backwards'}")


class _Expected:
    """What the plan has an instruction do at each level: where operands begin, d, and how a row moves them."""

    def __init__(self, assembler: Assembler, block: Block, instruction: Instruction) -> None:
        def numbers(given: int, vary: tuple | None) -> np.ndarray:
            column = np.zeros(block.levels, np.int64) if vary is None else vary[0] * assembler.column(block, vary[1])
            return given + column

        self.instruction = instruction
        self.starts = np.array([numbers(a.offset, a.vary) for a in instruction.operands]).T
        vary = instruction.vary
        self.d = np.array([numbers(0 if k in vary else n, vary.get(k)) for k, n in enumerate(instruction.d)]).T

    def shares(self, step: Step) -> tuple[int, int, tuple[int, ...]]:
        """(slot of d that counts what is shared, its unit, how far each operand moves with one)."""
        if step.chunk:
            return 0, 1, self.instruction.sums
        split, count = self.instruction.split, len(self.instruction.operands)
        by_members = step.block is not None and step.block.by_members
        if split is not None and (not by_members or split.slot in self.instruction.vary):
            return split.slot, split.unit, (*split.strides, *[0] * (count - len(split.strides)))
        return 0, 1, tuple(self.instruction.d[1 : 1 + count])


def _verify(expected: _Expected, found: Sequence[tuple[int, Step]], space: Space, where: str) -> None:
    """Each level of an instruction, by all threads that have a part of it."""
    taken: list[np.ndarray] = [np.zeros((3, 0), np.int64)]  # level, first row, row behind the last
    for thread, step in found:
        slot, unit, strides = expected.shares(step)
        flag = 1 + len(step.operands)
        level = np.zeros_like(step.level) if step.chunk else step.level
        d, planned = step.d.copy(), expected.d[level]
        count = d[:, slot] // unit
        moved = np.array(step.operands).T - space.base[step.storages] - expected.starts[level]
        if step.chunk:
            moved[:, 0] -= thread * space.flat
            d[:, flag] = planned[:, flag] = 0
        row, together = _first_rows(moved, np.array(strides, np.int64))
        for k in np.flatnonzero(((row < 0) | ~together) & (count > 0))[:1]:
            raise TapeError(f"{where}: thread {thread} begins elsewhere at level {level[k]}: operands off by "
                            f"{moved[k].tolist()}")  # fmt: skip
        d[:, slot] = planned[:, slot] = 0
        for k in np.flatnonzero((d != planned).any(axis=1) & (count > 0))[:1]:
            raise TapeError(f"{where}: thread {thread} runs with d = {step.d[k].tolist()} at level {level[k]}, the "
                            f"plan says {expected.d[level[k]].tolist()}")  # fmt: skip
        taken.append(np.array([level, row, row + count])[:, count > 0])
    _all_rows(expected, found, np.concatenate(taken, axis=1), where)


def _first_rows(moved: np.ndarray, strides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(by how many rows operands have moved, whether all have moved together) at each level."""
    moving = np.flatnonzero(strides)
    row = moved[:, moving[0]] // strides[moving[0]] if len(moving) else np.zeros(len(moved), np.int64)
    return row, (moved == row[:, None] * strides).all(axis=1)


def _all_rows(expected: _Expected, found: Sequence[tuple[int, Step]], taken: np.ndarray, where: str) -> None:
    """The rows that threads take of a level follow one another from the first to the last."""
    slot, unit = expected.shares(found[0][1])[:2] if found else (0, 1)
    level, first, last = taken[:, np.lexsort((taken[2], taken[1], taken[0]))]
    begins = np.r_[True, level[1:] != level[:-1]][: len(level)]
    before = np.where(begins, 0, np.r_[0, last[:-1]][: len(level)])
    for k in np.flatnonzero(first != before)[:1]:
        raise TapeError(f"{where}: rows {min(first[k], before[k])} to {max(first[k], before[k]) - 1} of level "
                        f"{level[k]} are run {'by nobody' if first[k] > before[k] else 'twice'}")  # fmt: skip
    run, want = np.zeros(len(expected.d), np.int64), expected.d[:, slot] // unit
    np.maximum.at(run, level, last)
    for k in np.flatnonzero(run != want)[:1]:
        raise TapeError(f"{where}: {run[k]} of {want[k]} rows of level {k} are run")


def _add_up(plan: Plan, programs: list[Disassembled], space: Space, threads: int) -> None:
    """Every gradient of which threads have sums of their own is added up, each element once for each thread."""
    own: set[int] = set()
    times = np.zeros((threads, max(space.flat, 1)), np.int64)
    for program in programs:
        for step, whole in zip(program.steps, program.whole, strict=True):
            if step.chunk and whole is not None:
                own.add(whole.operands[0].storage.index)
            if whole is None:
                target, source = (int(o[0]) - space.grads for o in step.operands)
                rows = target + np.arange(int(step.d[0][-1]))
                if (source - target) % space.flat or target >= space.flat:
                    raise TapeError(f"assemble: thread {program.thread} adds gradients of another place")
                times[source // space.flat][rows] += 1
    wanted = np.zeros(max(space.flat, 1), np.int64)
    for index in own if threads > 1 else ():
        place = space.base[index] - space.grads
        wanted[place : place + space.storages[index].size] = 1
    for thread in range(1, threads):
        if ((times[thread] != wanted) & (wanted > 0)).any():
            what = next(s.what for s in plan.storages if s.index in own)
            raise TapeError(f"assemble: gradients of thread {thread} are not added up once each ({what} among them)")
