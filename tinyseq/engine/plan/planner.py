"""The planner's memory: storages, layouts, the block being built."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.engine.plan.chunks import grouped, sums_of_rows, sums_together
from tinyseq.engine.plan.fold import Class, Group, Unplannable
from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.layout import FOREVER, Address, Block, Instruction, Layout, Split, Storage, allocate
from tinyseq.engine.plan.parts import Parts, Pointers
from tinyseq.engine.plan.values_read import values_read
from tinyseq.ops.op import Kernel


class Planner:
    """Builds a plan: layouts for values and gradients, blocks of instructions."""

    def __init__(self, graph: Graph, dtype: np.dtype, keep: bool = False) -> None:
        self.graph, self.dtype = graph, dtype
        self.blocks: list[Block] = []
        self.storages: list[Storage] = []
        self.values: dict[int, Layout] = {}
        self.gradients: dict[int, Layout] = {}
        self.pointers: list[Pointers] = []
        self.packs: dict[tuple, Layout] = {}
        self.phase = "forward"
        self.origin = Storage(-1, 0, space="origin", what="arena")
        self.loop: Block | None = None
        self.leads = self._leads()
        self.kept = self._kept()

    # -- storages
    def storage(self, size: int, what: str, lead: int = 0, space: str = "arena") -> Storage:
        """A new run of elements."""
        storage = Storage(len(self.storages), size, lead, space, what=what)
        self.storages.append(storage)
        return storage

    def constant(self, values: np.ndarray, space: str, what: str) -> Storage:
        """A storage whose contents are known now."""
        storage = self.storage(len(values), what, space=space)
        storage.data = values
        return storage

    def _leads(self) -> dict[int, tuple[int, int]]:
        """Members that delayed readers want before the first and after the last."""
        leads: dict[int, tuple[int, int]] = {}
        for i in self.graph.needed:
            for ref in self.graph.classes[i].refs:
                if ref.kind == "delay" and ref.start:
                    before, after = leads.get(ref.source, (0, 0))
                    leads[ref.source] = (max(before, -ref.shift), max(after, ref.shift))
        return leads

    def room(self, cls: Class, what: str, level: bool = False) -> Layout:
        """A storage of its own for a class: all members, or those of one level."""
        rows, cols = (1 if cls.scalar else int(cls.rows[0])), cls.cols
        if level:
            size = self.level_rows(cls) * cols
            return Layout(self.storage(size, what), 0, rows * cols, cols, rows, cols, level=True)
        total = int(np.maximum(cls.rows, 1).sum()) * cols if cls.ragged else cls.count * rows * cols
        before, after = self.leads.get(cls.index, (0, 0))
        most = int(np.maximum(cls.rows, 1).max()) * cols
        storage = self.storage(total + (before + after) * most, what, before * most)
        if cls.dtype.kind == "i":
            storage.space, storage.data = "integers", np.zeros(storage.size, np.int64)
        return Layout(storage, 0, rows * cols, cols, rows, cols, ragged=cls.index if cls.ragged else -1)

    def level_rows(self, cls: Class) -> int:
        """Most rows that one level of a class has."""
        most = int(np.maximum(cls.rows, 1).max())
        if cls.group.levels is not None:
            most *= int(np.diff(cls.group.levels).max())
        return most

    def _kept(self) -> set[int]:
        """Classes whose values the backward pass reads."""
        return values_read(self.graph) if self.graph.loss >= 0 else set()

    # -- instructions
    def address(self, layout: Layout, cls: Class, shift: int = 0, whole: bool = False) -> Address:
        """Where the members of the current level begin."""
        group = cls.group.index
        if layout.level:
            return Address(layout.storage, layout.offset, (layout.member, ("within", group)) if layout.member else None)
        if layout.ragged >= 0:
            source = self.graph.classes[layout.ragged]
            if source.group is cls.group:
                return Address(layout.storage, layout.offset, (layout.row, ("rowstart", layout.ragged, shift)))
            if shift < 0 or not np.array_equal(source.rows[shift : shift + cls.count], cls.rows):
                raise Unplannable("sequences of different lengths that don't match", cls)
            before = int(np.maximum(source.rows[:shift], 1).sum()) * layout.row
            return Address(layout.storage, layout.offset + before, (layout.row, ("rowstart", cls.index, 0)))
        offset = layout.offset + shift * layout.member
        return Address(layout.storage, offset, (layout.member, ("member", group)) if layout.member else None)

    def rows_of(self, cls: Class, times: int = 1) -> tuple[int, Any]:
        """Rows of the current level, as a varying number."""
        if cls.ragged:
            return times, ("rows", cls.index)
        return times * (1 if cls.scalar else int(cls.rows[0])), ("members", cls.group.index)

    def run(
        self,
        kernel: Kernel,
        operands: list[Address],
        d: list[int],
        vary: dict[int, Any] | None = None,
        split: Split | None = None,
        sums: tuple[int, ...] = (),
    ) -> None:
        """Add an instruction to the block being built."""
        assert self.loop is not None
        self.loop.instructions.append(Instruction(kernel, operands, d, vary or {}, split, sums))

    def begin(self, groups: list[Group], mode: str, note: str = "", rows: int = 0) -> Block:
        """Start a block: "all" members at once, "member" by member, or by the "levels" of a recurrence."""
        bounds: dict[int, np.ndarray] = {}
        for group in groups:
            if mode == "all":
                bounds[group.index] = np.array([0, group.count])
            elif mode == "levels" and group.levels is not None:
                bounds[group.index] = group.levels
            else:
                bounds[group.index] = np.arange(group.count + 1)
        levels = max(len(b) for b in bounds.values()) - 1 if bounds else 1
        if any(len(b) != levels + 1 for b in bounds.values()):
            raise Unplannable("groups of different lengths in one recurrence")
        self.loop = Block(bounds, levels, [], phase=self.phase, note=note)
        return self.loop

    def end(self) -> None:
        """Close the block being built."""
        assert self.loop is not None
        if self.loop.instructions:
            self.blocks.append(self.loop)
        self.loop = None

    def finish(self) -> Parts:
        self.blocks = sums_together(self.storages, self.blocks)
        self._lifetimes()
        self._extend_for_pointers()
        for node in self.graph.outputs:
            cls = int(self.graph.state.node_class[node])
            layout = self.values[cls]
            layout.storage.last = FOREVER
            if layout.storage.first == FOREVER:
                layout.storage.first = 0
        for storage in self.storages:
            if storage.data is not None and storage.last >= 0:
                storage.first, storage.last = 0, FOREVER
        arena, total = allocate(self.storages)
        return Parts(
            self.graph, self.dtype, self.blocks, self.storages, self.values, self.gradients,
            [], arena, total, 0, self.pointers,
        )  # fmt: skip

    def _lifetimes(self) -> None:
        """From where to where each storage is alive: blocks that threads run at once count as one."""
        place = 0
        for _, together in grouped(self.blocks, sums_of_rows(self.storages, self.blocks)):
            for block in together:
                for storage in block.storages():
                    storage.first = min(storage.first, place)
                    storage.last = max(storage.last, place + len(together) - 1)
            place += len(together)

    def _extend_for_pointers(self) -> None:
        """Storages reached through lists of addresses live as long as the instructions that use the lists."""
        for sources, where, _, _ in self.pointers:
            for storage in sources:
                storage.first = min(storage.first, where.first)
                storage.last = max(storage.last, where.last)
