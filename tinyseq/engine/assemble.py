"""From blocks to integers: the programs of one thread or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.engine.layout import Block, Instruction, Storage
from tinyseq.engine.plan import Plan
from tinyseq.engine.vm import BLOCK_HEADER, HEADER, kernel_address

Part = tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]


class Assembler:
    """Turns blocks into the integers of one thread's program.

    Threads share a block in one of three ways: each takes some rows of every member (a chain), some members of every
    level (a tree, or all members at once), or its own part of what one instruction writes (a weight gradient).
    """

    def __init__(self, plan: Plan, thread: int = 0, threads: int = 1) -> None:
        self.plan, self.thread, self.threads = plan, thread, threads
        self.code: list[int] = []
        self.tables: list[np.ndarray] = []
        self.table_size = 0
        self.moves: list[tuple[int, int, int]] = []
        self._starts: dict[int, np.ndarray] = {}

    def assemble(self) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(code, tables, (places, storages, constants) of what depends on where storages lie)."""
        for block in self.plan.blocks:
            self.block(block)
        moves = np.array(self.moves, np.int64).reshape(-1, 3).T.copy()
        tables = np.concatenate(self.tables) if self.tables else np.zeros(1, np.int64)
        return np.array(self.code, np.int64), tables.astype(np.int64), (moves[0], moves[1], moves[2])

    def share(self, total: int) -> tuple[int, int]:
        """This thread's part of 0 … total, in steps that keep tiles whole where there are enough rows."""
        step = 8 if total >= 16 * self.threads else 1
        parts = -(-total // step)
        low, high = parts * self.thread // self.threads * step, parts * (self.thread + 1) // self.threads * step
        return min(low, total), min(high, total)

    def mode(self, block: Block) -> str:
        """How threads share a block."""
        if self.threads == 1:
            return "single"
        if block.recurrent and block.by_members:
            disjoint = all(self.writes_members(i) for i in block.instructions)
            return "members" if disjoint else "single"
        alone = block.levels == 1 and len(block.instructions) == 1
        if (block.recurrent or alone) and self.shares_rows(block):
            return "rows"
        apart = block.levels == 1 and block.bounds and all(self.writes_members(i) for i in block.instructions)
        if apart and min(int(b[-1]) for b in block.bounds.values()) >= 2 * self.threads:
            return "members"
        return "single"

    def shares_rows(self, block: Block) -> bool:
        """Whether all instructions split into the same rows, enough of them, one member at a time."""
        rows = set()
        for instruction in block.instructions:
            split = instruction.split
            if split is None:
                return False
            vary = instruction.vary.get(split.slot)
            if vary and not block.recurrent:
                key = vary[1]
                group = self.plan.graph.classes[key[1]].group.index if key[0] == "rows" else key[1]
                if block.bounds[group][-1] != 1:
                    return False
            rows.add(split.rows)
        return len(rows) == 1 and rows.pop() >= 2 * self.threads

    @staticmethod
    def writes_members(instruction: Instruction) -> bool:
        """Whether every member writes a place of its own."""
        target = instruction.operands[0]
        return bool(target.vary and target.vary[0] and target.vary[1][0] != "rowstart") or instruction.disjoint

    def block(self, block: Block) -> None:
        """One block with its tables."""
        mode = self.mode(block)
        header = len(self.code)
        alone = self.threads > 1 and mode == "single"
        each_level = block.recurrent and mode == "members"
        sync = 0 if self.threads == 1 else (2 if each_level else 1)
        self.code += [block.levels, int(block.backwards), 0, self.table_size, int(alone), sync]
        columns: dict[Any, tuple[int, int | None]] = {}
        size = 0
        for instruction in block.instructions:
            for key in self.keys(instruction):
                if key not in columns:
                    column = self.column(block, key, mode)
                    if (column == column[0]).all():
                        columns[key] = (-1, int(column[0]))
                    else:
                        columns[key] = (size, None)
                        self.tables.append(column)
                        size += len(column)
        self.table_size += size
        for instruction in block.instructions:
            self.instruction(instruction, columns, mode)
        self.code[header + 2] = len(self.code) - header - BLOCK_HEADER

    @staticmethod
    def keys(instruction: Instruction) -> list[Any]:
        """Tables that an instruction uses."""
        found = [address.vary[1] for address in instruction.operands if address.vary]
        return found + [vary[1] for vary in instruction.vary.values()]

    def starts(self, c: int) -> np.ndarray:
        """Rows before each member of a class."""
        if c not in self._starts:
            rows = np.maximum(self.plan.graph.classes[c].rows, 1)
            self._starts[c] = np.concatenate([[0], np.cumsum(rows)])
        return self._starts[c]

    def column(self, block: Block, key: Any, mode: str = "single") -> np.ndarray:
        """A table: one number for each level."""
        cls = self.plan.graph.classes[key[1]] if key[0] in ("rows", "rowstart") else None
        bounds = block.bounds[cls.group.index if cls else key[1]]
        first, last = bounds[:-1], bounds[1:]
        if mode == "members":
            count = last - first
            first, last = first + count * self.thread // self.threads, first + count * (self.thread + 1) // self.threads
        if key[0] == "member":
            return first
        if key[0] == "members":
            return last - first
        if key[0] == "within":
            return first - bounds[:-1]
        assert cls is not None
        starts = self.starts(key[1])
        if key[0] == "rows":
            return starts[last] - starts[first]
        place = first + key[2]
        beyond = np.minimum(place, 0) + np.maximum(place - cls.count, 0)
        return starts[np.clip(place, 0, cls.count)] + beyond * int(cls.rows.max())

    def instruction(self, instruction: Instruction, columns: dict[Any, tuple[int, int | None]], mode: str) -> None:
        """One instruction: header, varying numbers, payload."""
        varying: list[tuple[int, int, int, int, Storage | None]] = []
        payload: list[tuple[int, Storage | None]] = []
        low, high = 0, 0
        split = instruction.split if mode == "rows" else None
        if split:
            low, high = self.share(split.rows)
        for slot, address in enumerate(instruction.operands):
            constant = address.offset + (low * split.strides[slot] if split and slot < len(split.strides) else 0)
            if address.vary:
                coefficient, key = address.vary
                place, fixed = columns[key]
                if fixed is not None:
                    constant += coefficient * fixed
                else:
                    varying.append((slot, constant, coefficient, place, address.storage))
            payload.append((constant, address.storage))
        first = len(instruction.operands)
        for slot, number in enumerate(instruction.d):
            if split and slot == split.slot:
                number = (high - low) * split.unit
                if slot in instruction.vary:
                    place, fixed = columns[instruction.vary[slot][1]]
                    if fixed is None:  # levels without a member have no rows
                        varying.append((first + slot, 0, number, place, None))
                    else:
                        number *= fixed
            elif slot in instruction.vary:
                coefficient, key = instruction.vary[slot]
                place, fixed = columns[key]
                if fixed is not None:
                    number = coefficient * fixed
                else:
                    varying.append((first + slot, 0, coefficient, place, None))
            payload.append((int(number), None))
        self.code += [kernel_address(instruction.kernel, self.plan.dtype), len(varying), len(payload), 0]
        assert HEADER == 4
        for slot, base, coefficient, place, storage in varying:
            if storage is not None:
                self.moves.append((len(self.code) + 1, storage.index, base))
            self.code += [slot, base, coefficient, place]
        for number, storage in payload:
            if storage is not None:
                self.moves.append((len(self.code), storage.index, number))
            self.code.append(number)
