"""How threads share a block: which rows or members of each level are whose."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from tinyseq.engine.kernels import SCATTER_ROWS
from tinyseq.engine.layout import Address, Block, Instruction
from tinyseq.engine.plan import Plan


class Shares:
    """The share of one of several threads in a plan's blocks."""

    def __init__(self, plan: Plan, thread: int, threads: int) -> None:
        self.plan, self.threads = plan, threads
        self.thread = thread  # whose share is being written
        self._starts: dict[int, np.ndarray] = {}

    def share(self, total: int) -> tuple[int, int]:
        """This thread's part of 0 … total, in steps that keep tiles whole where there are enough rows."""
        step = 8 if total >= 16 * self.threads else 1
        parts = -(-total // step)
        low, high = parts * self.thread // self.threads * step, parts * (self.thread + 1) // self.threads * step
        return min(low, total), min(high, total)

    def mode(self, block: Block) -> str:
        """How threads share a block by itself: "rows", "members" or not at all ("single")."""
        if self.threads == 1:
            return "single"
        if block.recurrent and block.by_members:
            return "members" if self.writes_members(block) else "single"
        rows = self.row_counts(block)
        if rows is not None and rows.max(initial=0) >= 2 * self.threads:
            return "rows"
        apart = block.levels == 1 and block.bounds and self.writes_members(block)
        if apart and min(int(b[-1]) for b in block.bounds.values()) >= 2 * self.threads:
            return "members"
        return "single"

    def row_counts(self, block: Block) -> np.ndarray | None:
        """Rows at each level, if all instructions have the same and none reads rows of which others write some."""
        counts: np.ndarray | None = None
        strides: dict[int, int] = {}  # how far apart the rows lie in storages that are written
        for instruction in block.instructions:
            split = instruction.split
            if split is None or not split.strides[0]:
                return None
            number, key = instruction.vary.get(split.slot, (instruction.d[split.slot], None))
            rows = np.full(block.levels, number) if key is None else number * self.column(block, key)
            rows = rows // split.unit
            if counts is not None and (rows != counts).any():
                return None
            counts = rows
            target = instruction.operands[0].storage.index
            if strides.setdefault(target, split.strides[0]) != split.strides[0]:
                return None
        for instruction in block.instructions:
            assert instruction.split is not None
            for address, stride in zip_longest(instruction.operands, instruction.split.strides, fillvalue=0):
                assert isinstance(address, Address)
                if strides.get(address.storage.index, stride) != stride:
                    return None
        return counts

    def share_of_rows(self, counts: np.ndarray) -> tuple[int, np.ndarray]:
        """The first of this thread's rows, and how many of them each level has: the same rows at all levels, so many
        that each thread has as much to do, though there may be fewer rows from level to level."""
        most = int(counts.max(initial=0))
        if (counts == most).all():
            low, high = self.share(most)
        else:
            levels = np.array([0, *np.cumsum([np.count_nonzero(counts > r) for r in range(most)])])
            step = 4 if most >= 8 * self.threads else 1
            cuts = [np.searchsorted(levels, levels[-1] * k / self.threads) for k in (self.thread, self.thread + 1)]
            low, high = (min(int(-(-cut // step)) * step, most) for cut in cuts)
        return low, np.clip(counts - low, 0, high - low)

    def writes_members(self, block: Block) -> bool:
        """Whether every member writes places of its own."""
        scatters = [i for i in block.instructions if i.kernel is SCATTER_ROWS]
        targets = [i.operands[0].vary for i in block.instructions if i.kernel is not SCATTER_ROWS]
        own = all(vary is not None and vary[0] and vary[1][0] != "rowstart" for vary in targets)
        return own and (not scatters or self.scatters_apart(block, scatters))

    def scatters_apart(self, block: Block, scatters: list[Instruction]) -> bool:
        """Whether no two members of a level add to the same place, as two parents of one child would."""
        sources = {where.index: (where, ref, layouts) for _, where, ref, layouts in self.plan.pointers}
        found: list[np.ndarray] = []
        width = 1
        for instruction in scatters:
            where, ref, layouts = sources[instruction.operands[2].storage.index]
            key = instruction.vary[0][1]
            if key[0] != "members" or ref.classes is None:
                return False
            bounds = block.bounds[key[1]]
            width = max(width, instruction.d[2])
            for c, layout in layouts.items():
                if c in self.plan.graph.wants:
                    chosen = np.flatnonzero(ref.classes == c)
                    storage = np.full(len(chosen), layout.storage.index)
                    level = np.searchsorted(bounds, chosen, side="right")
                    found.append(np.stack([layout.offset + where.data[chosen], storage, level]))
        places = np.concatenate(found, axis=1) if found else np.zeros((3, 0), np.int64)
        places = places[:, np.lexsort(places)]
        near = (np.diff(places[0]) < width) & (np.diff(places[1:]) == 0).all(axis=0)
        return not near.any()

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
