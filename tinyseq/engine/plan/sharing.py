"""How threads share a block: which rows or members of each level are whose."""

from __future__ import annotations

import os
from math import prod
from typing import Any

import numpy as np

from tinyseq.engine.kernels.batched import MATMUL_TILED, SCATTER_ROWS
from tinyseq.engine.plan.layout import Block, Instruction, View
from tinyseq.engine.plan.numbers import arange, full, integer, larger, length, meet, smaller
from tinyseq.engine.plan.parts import Parts

THREADED_WORK = 2e7


class Shares:
    """The share of one of several threads in a plan's blocks."""

    def __init__(self, plan: Parts, thread: int, threads: int) -> None:
        self.plan, self.threads = plan, threads
        self.thread = thread  # whose share is being written
        self._starts: dict[int, np.ndarray] = {}

    def share(self, total: int) -> tuple[int, int]:
        """This thread's part of 0 … total, in steps that keep tiles whole where there are enough rows."""
        step = 8 if total >= 16 * self.threads else 1
        parts = -(-total // step)
        low, high = parts * self.thread // self.threads * step, parts * (self.thread + 1) // self.threads * step
        return smaller(low, total), smaller(high, total)

    def mode(self, block: Block) -> str:
        """How threads share a block by itself: "rows", "members" or not at all ("single")."""
        return self.way(block)[0]

    def way(self, block: Block) -> tuple[str, np.ndarray | None]:
        """The mode, and where rows are shared how many each level has."""
        if self.threads == 1:
            return "single", None
        if block.recurrent and block.by_members:
            return "members" if self.writes_members(block) else "single", None
        rows = self.row_counts(block)
        if rows is not None and rows.max(initial=0) >= 2 * self.threads:
            return "rows", rows
        apart = block.levels == 1 and block.bounds and self.writes_members(block)
        if apart and min(integer(b[-1]) for b in block.bounds.values()) >= 2 * self.threads:
            return "members", None
        return "single", None

    def row_counts(self, block: Block) -> np.ndarray | None:
        """Rows at each level, if all instructions have the same and none reads rows of which others write some."""
        counts: np.ndarray | None = None
        written: dict[int, int] = {}  # how far apart the rows of each storage lie, as its first writer has it
        for instruction in block.instructions:
            split = instruction.split
            if split is None or not split.strides[0]:
                return None
            number, key = instruction.vary.get(split.slot, (instruction.d[split.slot], None))
            rows = full(block.levels, number) if key is None else number * self.column(block, key)
            rows = rows // split.unit
            if counts is not None and (rows != counts).any():
                return None
            counts = rows
            written.setdefault(instruction.operands[0].storage.index, split.strides[0])
        for instruction in block.instructions:
            assert instruction.split is not None
            strides = instruction.split.strides
            for slot, address in enumerate(instruction.operands):
                stride = strides[slot] if slot < len(strides) else 0
                if written.get(address.storage.index, stride) != stride:
                    return None
        return counts

    def rows_of(self, block: Block, instruction: Instruction) -> int:
        """Rows of an instruction in a block of one level."""
        if 0 not in instruction.vary:
            return instruction.d[0]
        coefficient, key = instruction.vary[0]
        return coefficient * integer(self.column(block, key)[0])

    def share_of_rows(self, counts: np.ndarray) -> tuple[int, np.ndarray]:
        """The first of this thread's rows, and how many of them each level has: the same rows at all levels, so many
        that each thread has as much to do, though there may be fewer rows from level to level."""
        most = integer(counts.max(initial=0))
        if (counts == most).all():
            low, high = self.share(most)
        else:
            levels = np.cumsum(np.count_nonzero(counts[:, None] > arange(most), axis=0))
            step = 4 if most >= 8 * self.threads else 1
            cuts = [self.cut(levels, k) for k in (self.thread, self.thread + 1)]
            low, high = (smaller(-(-cut // step) * step, most) for cut in cuts)
        return low, np.minimum(np.maximum(counts - low, 0), high - low)

    def cut(self, levels: np.ndarray, thread: int) -> int:
        """How many rows come before a thread's, so that each has as much to do."""
        done = np.concatenate([[0], levels])
        return integer(np.searchsorted(done, done[-1] * thread / self.threads))

    def writes_members(self, block: Block) -> bool:
        """Whether threads that each take some members of a level write places of their own: not where a member adds to
        others, to those some steps before it or to those that a list names, and another one of its level does so too.
        """
        if "members" in self.plan.graph.without:
            return False
        written: dict[int, list[tuple[int, int, int]]] = {}  # (group, elements of a member, shift) by storage
        for instruction in block.instructions:
            if instruction.kernel is SCATTER_ROWS:
                for layout in self.scattered(instruction)[1].values():
                    written.setdefault(layout.storage.index, []).append((-1, 0, 0))
                continue
            target = instruction.operands[0]
            if target.vary is None or not target.vary[0] or target.vary[1][0] == "rowstart":
                return False
            size, key = target.vary
            if key[0] == "member":
                written.setdefault(target.storage.index, []).append((key[1], size, target.offset // size))
        shared = [
            index
            for index, ways in written.items()
            if any(way != ways[0] or way[0] < 0 for way in ways) or any(shift for _, _, shift in ways)
        ]
        return all(self.writes_apart(block, index) for index in shared)

    def scattered(self, instruction: Instruction) -> tuple[np.ndarray, dict[int, View], np.ndarray]:
        """Where a list's members go: (class of each, the classes' layouts, place of each in its layout)."""
        where = instruction.operands[2].storage
        _, _, classes, layouts = next(p for p in self.plan.pointers if p[1] is where)
        return classes, {c: layout for c, layout in layouts.items() if c in self.plan.graph.wants}, where.data

    def writes_apart(self, block: Block, index: int) -> bool:
        """Whether no two members of a level write one place of a storage."""
        found: list[tuple[np.ndarray, np.ndarray, int, int]] = []  # places, members, group, elements of each
        for instruction in block.instructions:
            target = instruction.operands[0]
            if instruction.kernel is SCATTER_ROWS:
                classes, layouts, places = self.scattered(instruction)
                each, key = instruction.vary[0]
                for c, layout in layouts.items():
                    if layout.storage.index == index:
                        if key[0] != "members" or each != 1:  # a list of rows, several for each member
                            return False
                        members = np.flatnonzero(classes == c)
                        found.append((layout.offset + places[members], members, key[1], instruction.d[2]))
            elif target.storage.index == index and target.vary is not None:
                size, key = target.vary
                if key[0] == "member":
                    members = arange(block.bounds[key[1]][0], block.bounds[key[1]][-1])
                    found.append((size * (target.offset // size + members), members, key[1], size))
        if any(size != found[0][3] for *_, size in found):
            return False
        columns = (
            [members for _, members, *_ in found],
            [full(length(members), group) for _, members, group, _ in found],
            [places for places, *_ in found],
            [self.levels(block, group)[members] for _, members, group, _ in found],
        )
        joined = [each[0] if len(each) == 1 else np.concatenate(each) for each in columns]
        return not meet(joined, found[0][3])

    @staticmethod
    def levels(block: Block, group: int) -> np.ndarray:
        """The level of each member of a group."""
        bounds = block.bounds[group]
        return np.searchsorted(bounds, arange(bounds[-1]), side="right")

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
        return starts[np.minimum(np.maximum(place, 0), cls.count)] + beyond * integer(cls.rows.max())


def available() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wanted_threads(plan: Parts) -> int:
    """As many threads as there are processors, for work that outweighs waking them."""
    return available() if work(plan) > THREADED_WORK else 1


def work(plan: Parts) -> float:
    """Multiplications, roughly: products count in full, all else by its rows and columns."""
    total = 0.0
    for block in plan.blocks:
        for instruction in block.instructions:
            d: list[Any] = [1.0 * n for n in instruction.d]
            levels = 1.0 * block.levels
            for slot, (coefficient, key) in instruction.vary.items():
                if key[0] == "rows":  # of members that differ in their rows
                    cls = plan.graph.classes[key[1]]
                    bounds = block.bounds[cls.group.index]
                    count = np.maximum(cls.rows, 1)[bounds[0] : bounds[-1]].sum()
                else:
                    count = block.bounds[key[1]][-1]
                d[slot] = coefficient * count / levels
            sizes = d[1 + len(instruction.operands) + 1 :]
            sizes = sizes[: 3 if instruction.kernel is MATMUL_TILED else 2]
            total += levels * larger(d[0], 1.0) * prod([larger(n, 1.0) for n in sizes])
    return total
