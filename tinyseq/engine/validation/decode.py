"""A thread's program read back from its integers as the virtual machine reads it, without machine code.

Addresses are those of a space made up for this: the arena as the plan lays it out, then the flat gradients, one for
each thread, the arrays of the user's, and the integers, none of which overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.machine.vm import BLOCK_HEADER, HEADER, VARYING
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.pipeline import Plan

GAP = 64  # elements between what must not overlap
NOBODY = -1


class Space:
    """Where each storage of a plan lies, and whose an address is.

    base       of each storage by its index; two more entries, as programs have them: the flat gradient, the arena
    gradients  where parameters' gradients begin and end in the flat gradients of all threads, in order
    lists      for each element of the integers that is the address of a row: the address, and the row's storage
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan, self.threads = plan, threads
        self.storages = plan.storages
        assembler = Assembler(plan)
        self.flat = assembler.flat_size
        top = max([plan.arena, *(s.base - s.lead + s.size for s in plan.storages if s.space == "arena")]) + GAP
        self.grads = top
        base = np.full(len(plan.storages) + 2, -1, np.int64)
        base[-2], base[-1] = self.grads, 0
        top += self.flat * threads + GAP
        for storage in plan.storages:
            if storage.space == "arena":
                base[storage.index] = storage.base
            elif storage.space == "grads":
                base[storage.index] = self.grads + assembler.flat_places[storage.index].start
            else:
                base[storage.index] = top + storage.lead
                top += storage.size + GAP
        self.base, self.size = base, top
        ends = [(base[s.index], base[s.index] + s.size) for s in plan.storages if s.space == "grads"]
        copies = np.arange(threads)[:, None] * self.flat
        self.gradients = np.unique((np.array(ends, np.int64).reshape(-1) + copies).reshape(-1))
        self._owners: np.ndarray | None = None
        self.listed = self._lists()

    def _lists(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each storage of addresses: the addresses of rows, and the storage that each row lies in."""
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for _, where, classes, layouts in self.plan.pointers:
            rows, owners = where.data.copy(), np.full(len(where.data), NOBODY, np.int64)
            for c, layout in layouts.items():
                chosen = classes == c
                rows[chosen] += self.base[layout.storage.index] + layout.offset
                owners[chosen] = layout.storage.index
            found[where.index] = rows, owners
        return found

    def owner_of_gradients(self, places: np.ndarray) -> np.ndarray:
        """The storages of elements of the flat gradients; NOBODY for what fills up vectors."""
        if self._owners is None:
            self._owners = np.full(self.flat, NOBODY, np.int64)
            for storage in self.storages:
                if storage.space == "grads":
                    start = self.base[storage.index] - self.grads
                    self._owners[start : start + storage.size] = storage.index
        return self._owners[(places - self.grads) % max(self.flat, 1)]


@dataclass
class Step:
    """One instruction of one thread, at each level at which it runs, in the order in which it does.

    operands   where each operand begins: an array over levels
    storages   the index of each operand's storage, −1 for the arena as a whole, −2 for the flat gradients
    d          the kernel's vector at each level: (levels, numbers)
    interval   how many barriers lie before each level;  order: its place among all that the thread does
    chunk      whether it sums a chunk of the rows, so that there may be none
    """

    instruction: Instruction
    block: Block | None
    thread: int
    operands: list[np.ndarray]
    storages: list[int]
    d: np.ndarray
    level: np.ndarray
    interval: np.ndarray
    order: np.ndarray
    chunk: bool


class Decoder(Assembler):
    """Writes the programs of some threads' shares and reads them back."""

    def __init__(self, plan: Plan, shares: Sequence[int], threads: int) -> None:
        super().__init__(plan, shares, threads)
        self.traced: list[tuple[Instruction, Block | None, bool]] = []
        self.current: Block | None = None
        self.in_chunks = False

    def kernel_number(self, instruction: Instruction) -> int:
        """The number of an instruction among all, in place of its kernel's address."""
        self.traced.append((instruction, self.current, self.in_chunks))
        return len(self.traced) - 1

    def block(self, block: Block, *how, **more) -> None:
        """Remember whose instructions these are."""
        self.current = block
        super().block(block, *how, **more)
        self.current = None

    def share_of_chunks(self, *arguments, **options) -> None:
        """Remember that these sum chunks."""
        self.in_chunks = True
        super().share_of_chunks(*arguments, **options)
        self.in_chunks = False

    def steps(self, space: Space) -> Iterator[Step]:
        """Every instruction, as the machine would run it."""
        code, tables, (places, storages, constants) = self.assemble()
        whose = np.full(len(code), len(space.storages), np.int64)
        code[places] = constants + space.base[storages]
        whose[places] = storages
        yield from read(code.tolist(), tables, whose.tolist(), self.traced, self.shares[0], self.threads)


def read(
    code: list[int],
    tables: np.ndarray,
    whose: list[int],
    traced: list[tuple[Instruction, Block | None, bool]],
    thread: int,
    threads: int,
) -> Iterator[Step]:
    """The steps of a thread's program; `whose` names the storage that a number is counted from."""
    at, interval, order = 0, 0, 0
    while at < len(code):
        levels, backwards, length, table, single, sync = code[at : at + BLOCK_HEADER]
        first, at = at + BLOCK_HEADER, at + BLOCK_HEADER + length
        steps = np.arange(levels)
        level = levels - 1 - steps if backwards else steps
        intervals = interval + (steps if sync > 1 else np.zeros(levels, np.int64))
        entries = [] if single and thread != 0 else list(instructions(code, first, at))
        for k, place in enumerate(entries):
            instruction, block, chunk = traced[code[place]]
            payload = place + HEADER + VARYING * code[place + 1]
            numbers = np.tile(np.array(code[payload : payload + code[place + 2]], np.int64), (levels, 1))
            storages = whose[payload : payload + len(instruction.operands)]
            for q in range(place + HEADER, payload, VARYING):
                slot, constant, coefficient, column = code[q : q + VARYING]
                numbers[:, slot] = constant + coefficient * tables[table + column + level]
                if slot < len(storages):
                    storages[slot] = whose[q + 1]
            count = len(storages)
            yield Step(
                instruction, block, thread, list(numbers[:, :count].T), storages, numbers[:, count:], level, intervals,
                order + steps * len(entries) + k, chunk,
            )  # fmt: skip
        order += levels * len(entries)
        interval += (levels if sync > 1 else 0) + (1 if sync else 0)


def instructions(code: list[int], place: int, end: int) -> Iterator[int]:
    """Where each instruction of a block begins."""
    while place < end:
        yield place
        place += HEADER + VARYING * code[place + 1] + code[place + 2]


def decoded(plan: Plan, threads: int) -> tuple[Space, list[Step]]:
    """Every step of every thread."""
    space = Space(plan, threads)
    return space, [step for k in range(threads) for step in Decoder(plan, (k,), threads).steps(space)]


__all__ = ["NOBODY", "Decoder", "Space", "Step", "decoded"]
