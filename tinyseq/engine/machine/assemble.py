"""From blocks to integers: the programs of one thread or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np

from tinyseq.engine.kernels.batched import ADD_TO
from tinyseq.engine.machine.vm import BLOCK_HEADER, HEADER, kernel_address
from tinyseq.engine.plan import chunks
from tinyseq.engine.plan.layout import ALIGN, Address, Block, Instruction, Storage
from tinyseq.engine.plan.numbers import arange, full, integer, length, vector
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.plan.share import share
from tinyseq.engine.plan.shared import Sums
from tinyseq.engine.plan.sharing import Shares

NOWHERE = -9  # in place of a storage: a number that moves with none
SHARE = ("share",)  # table key: a thread's rows at each level
Part = tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]


def flat_places(plan: Plan) -> tuple[dict[int, range], int]:
    """Where the gradient of each parameter (by its storage) lies in the flat gradient, up to where the next begins, a
    multiple of a vector; and the elements of all."""
    places: dict[int, range] = {}
    total = 0
    for storage in plan.storages:
        if storage.space == "grads":
            end = total + -(-storage.size // ALIGN) * ALIGN
            places[storage.index] = range(total, end)
            total = end
    return places, total


class Common:
    """What all threads' programs have in common, found once: how they share blocks, places of gradients, tables."""

    def __init__(self, plan: Plan, threads: int) -> None:
        self.sharing = share(plan, threads)
        self.flat_places, self.flat_size = flat_places(plan)
        self.columns: dict[Any, np.ndarray] = {}  # by block, key, mode, and thread where each has its own
        self.alike: dict[Any, int | None] = {}  # the number that a column has at all levels, if it is one


def _only(column: np.ndarray) -> int | None:
    return integer(column[0]) if (column == column[0]).all() else None


class Assembler(Shares):
    """Turns blocks into the integers of one thread's program.

    Threads share a block in one of these ways: each takes some rows of every member (a chain), some members of every
    level (a tree, or all members at once), chunks of the rows that are summed (gradients of weights; `own` are then
    gradients of which each thread has its own), or some of instructions that don't depend on each other.

    A program for `shares` of several threads does their work in turn. What it computes are the same numbers, to the
    bit, as when each thread does its own.
    """

    def __init__(
        self, plan: Plan, shares: Sequence[int] = (0,), threads: int = 1, common: Common | None = None
    ) -> None:
        super().__init__(plan, shares[0], threads)
        self.shares = shares
        self.code: list[int] = []
        self.tables: list[np.ndarray] = []
        self.table_size = 0
        self.moves: list[tuple[int, int, int]] = []
        self.common = common or Common(plan, threads)
        self.chunked = self.common.sharing.chunked
        self.flat_places, self.flat_size = self.common.flat_places, self.common.flat_size
        self.own: set[int] = set()

    def assemble(self) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(code, tables, (places, storages, constants) of what depends on where storages lie)."""
        for part in self.common.sharing.parts:
            if part.way == "chunks":
                self.chunks(part.sums)
            elif part.way == "dealt":
                self.dealt(part.blocks)
            else:
                self.block(part.blocks[0], part.way, part.counts)
        if self.own and self.threads > 1:
            self.add_threads()
        places, storages, constants = (vector([move[k] for move in self.moves]) for k in range(3))
        tables = np.concatenate(self.tables) if self.tables else full(1, 0)
        return vector(self.code), tables.astype(np.int64), (places, storages, constants)

    def column(self, block: Block, key: Any, mode: str = "single") -> np.ndarray:
        """A table: one number for each level."""
        known = self.known(block, key, mode)
        found = self.common.columns.get(known)
        if found is None:
            found = self.common.columns[known] = super().column(block, key, mode)
        return found

    def known(self, block: Block, key: Any, mode: str) -> tuple:
        """What a table is known by."""
        return id(block), key, mode, self.thread if mode == "members" else -1

    def same_everywhere(self, block: Block, key: Any, mode: str, column: np.ndarray) -> int | None:
        """The number that a table has at all levels, if it is one."""
        known = self.known(block, key, mode)
        if key == SHARE:
            return _only(column)
        if known not in self.common.alike:
            self.common.alike[known] = _only(column)
        return self.common.alike[known]

    def in_turn(self) -> Iterator[int]:
        """Write the shares one after the other."""
        for thread in self.shares:
            self.thread = thread
            yield thread

    def chunks(self, every: Sequence[Sums]) -> None:
        """Sums over rows: those over the same rows take each chunk in turn."""
        for place, sums in enumerate(every):
            begun = frozenset(self.own)
            for _ in self.in_turn():
                self.share_of_chunks(sums, begun, sync=int(place == len(every) - 1))

    def share_of_chunks(self, sums: Sums, begun: Set[int], sync: int) -> None:
        """A thread's chunks of the rows that sums share; it adds to the sums that have `begun`."""
        starts, counts = chunks.share_of_chunks(sums.rows, sums.chunk, self.thread, self.threads)
        levels = length(starts)
        adds = (arange(levels) > 0).astype(np.int64)
        self.tables += [starts, counts, adds]
        header = self.begin(levels, sync)
        self.table_size += 3 * levels
        columns: dict[Any, tuple[int, int | None]] = {}
        columns |= {chunks.START: (0, None), chunks.ROWS: (levels, None), chunks.ADDS: (2 * levels, None)}
        written = set(begun)
        for block, instruction in sums.of:
            places = [self.fixed(block, address) for address in instruction.operands]
            places[0] += self.thread * self.flat_size
            target = instruction.operands[0].storage.index
            # By rows, sums stand in another order than planned: whoever comes first overwrites.
            self.instruction(chunks.in_chunks(instruction, places, target in written), columns, "chunks")
            written.add(target)
        self.own |= written
        self.end(header)

    def fixed(self, block: Block, address: Address) -> int:
        """Where an operand begins in a block of one level."""
        return address.offset + (self.only(block, address.vary) if address.vary else 0)

    def only(self, block: Block, vary: tuple[int, Any]) -> int:
        """A varying number in a block of one level."""
        coefficient, key = vary
        return coefficient * integer(self.column(block, key)[0])

    def dealt(self, blocks: Sequence[Block]) -> None:
        """Instructions that don't depend on each other, each thread taking the next."""
        header = self.begin(1, sync=1)
        every = [instruction for block in blocks for instruction in block.instructions]
        for thread in self.shares:
            for instruction in every[thread :: self.threads]:
                self.instruction(instruction, {}, "dealt")
        self.end(header)

    def add_threads(self) -> None:
        """Add the threads' gradients to the first thread's, each thread a part of them."""
        origin = Storage(-2, 0)
        header = self.begin(1, sync=0)
        ranges: list[range] = []  # neighbours joined
        for index in sorted(self.own):
            place = self.flat_places[index]
            joins = bool(ranges) and ranges[-1].stop == place.start
            ranges.append(range(ranges.pop().start, place.stop) if joins else place)
        for _ in self.in_turn():
            for place in ranges:
                low, high = self.share(len(place))
                for other in range(1, self.threads):
                    first = place.start + low
                    operands = [Address(origin, first), Address(origin, other * self.flat_size + first)]
                    self.instruction(Instruction(ADD_TO, operands, [1, 0, 0, 1, high - low]), {}, "alone")
        self.end(header)

    def begin(self, levels: int, sync: int, backwards: bool = False, alone: bool = False) -> int:
        """The header of a block; returns its place."""
        header = len(self.code)
        waits = self.threads > len(self.shares)
        self.code += [levels, int(backwards), 0, self.table_size, int(alone), sync if waits else 0]
        return header

    def end(self, header: int) -> None:
        """Write a block's length into its header."""
        self.code[header + 2] = len(self.code) - header - BLOCK_HEADER

    def block(self, block: Block, mode: str, counts: np.ndarray | None = None) -> None:
        """One block with its tables, shared by rows (so many at each level), by members or not at all ("single")."""
        alone = self.threads > 1 and mode == "single"
        each_level = block.recurrent and mode == "members"
        header = self.begin(block.levels, 2 if each_level else 1, block.backwards, alone)
        size = 0
        for thread in self.in_turn():
            if mode == "single" and thread != self.shares[0]:
                continue
            tables: dict[Any, np.ndarray] = {}
            first_row = 0
            if counts is not None:
                first_row, tables[SHARE] = self.share_of_rows(counts)
            for instruction in block.instructions:
                for key in self.keys(instruction):
                    if key not in tables:
                        tables[key] = self.column(block, key, mode)
            columns: dict[Any, tuple[int, int | None]] = {}
            for key, column in tables.items():
                fixed = self.same_everywhere(block, key, mode, column)
                if fixed is not None:
                    columns[key] = (-1, fixed)
                else:
                    columns[key] = (size, None)
                    self.tables.append(column)
                    size += length(column)
            for instruction in block.instructions:
                self.instruction(instruction, columns, mode, first_row)
        self.table_size += size
        self.end(header)

    def kernel_number(self, instruction: Instruction) -> int:
        """What stands in an instruction for its kernel: its address."""
        return kernel_address(instruction.kernel, self.plan.dtype)

    @staticmethod
    def keys(instruction: Instruction) -> list[Any]:
        """Tables that an instruction uses."""
        found = [address.vary[1] for address in instruction.operands if address.vary]
        return found + [vary[1] for vary in instruction.vary.values()]

    def instruction(
        self, instruction: Instruction, columns: dict[Any, tuple[int, int | None]], mode: str, first_row: int = 0
    ) -> None:
        """One instruction: header, varying numbers, payload."""
        varying: list[tuple[int, int, int, int, int]] = []
        split = instruction.split if mode == "rows" else None
        strides: tuple[int, ...] = split.strides if split else ()
        vary = {**instruction.vary, split.slot: (split.unit, SHARE)} if split else instruction.vary
        operands = instruction.operands
        payload = [address.offset for address in operands]
        for slot, stride in enumerate(strides[: len(operands)]):
            payload[slot] += first_row * stride
        for slot, address in enumerate(operands):
            if address.vary:
                coefficient, key = address.vary
                place, fixed = columns[key]
                if fixed is not None:
                    payload[slot] += coefficient * fixed
                else:
                    varying.append((slot, payload[slot], coefficient, place, address.storage.index))
        payload += instruction.d
        for slot, (coefficient, key) in vary.items():
            place, fixed = columns[key]
            if fixed is not None:
                payload[len(operands) + slot] = coefficient * fixed
            else:
                varying.append((len(operands) + slot, 0, coefficient, place, NOWHERE))
        code, moves = self.code, self.moves
        code += [self.kernel_number(instruction), len(varying), len(payload), 0]
        assert HEADER == 4
        for slot, base, coefficient, place, storage in varying:
            if storage != NOWHERE:
                moves.append((len(code) + 1, storage, base))
            code += (slot, base, coefficient, place)
        first = len(code)
        moves += [(first + slot, address.storage.index, payload[slot]) for slot, address in enumerate(operands)]
        code += payload
