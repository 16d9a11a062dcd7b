"""Blocks of instructions while they are built, and the addresses of operands at each level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.collecting import packed_as
from tinyseq.engine.plan.folded import Class, Group, Unplannable
from tinyseq.engine.plan.layout import Address, Block, Instruction, Split, Storage, View
from tinyseq.engine.plan.numbers import arange, full, integer, length, vector
from tinyseq.engine.plan.parts import Pointers
from tinyseq.engine.plan.sites import listed, picks_rows
from tinyseq.engine.plan.steps import Pack
from tinyseq.ops import OPS
from tinyseq.ops.groups import NUMBERED
from tinyseq.ops.op import Kernel


class Building:
    """Blocks, and the storages that only instructions need: constants, lists of addresses, packed weights."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers, self.graph, self.dtype = buffers, buffers.graph, buffers.dtype
        self.shown, self.mirror = buffers.shown, buffers.mirror
        self.blocks: list[Block] = []
        self.storages = list(buffers.storages)
        self.pointers: list[Pointers] = []
        self.packs: dict[tuple, View] = {}
        self.phase = "forward"
        self.origin = Storage(-1, 0, space="origin", what="arena")
        self.block: Block | None = None
        self.because: Any = None

    def storage(self, size: int, what: str, space: str = "arena", data: np.ndarray | None = None) -> Storage:
        """A new run of elements, perhaps with contents that are known now."""
        storage = Storage(len(self.storages), size, 0, space, what=what)
        storage.data = data
        self.storages.append(storage)
        return storage

    def floats(self, cls: Class) -> Storage:
        """The constants of an op."""
        numbers = [dict(cls.attrs)[key] for key in OPS[cls.op].floats]
        return self.storage(
            max(2, len(numbers)), "constants", data=np.array([*numbers, 0.0, 0.0][: max(2, len(numbers))], self.dtype)
        )

    # -- blocks
    def begin(self, groups: list[Group], mode: str, note: str) -> Block:
        """Start a block: "all" members at once, "member" by member, or by the "levels" of a recurrence."""
        bounds: dict[int, np.ndarray] = {}
        for group in groups:
            if mode == "all":
                bounds[group.index] = vector([0, group.count])
            elif mode == "levels" and group.levels is not None:
                bounds[group.index] = group.levels
            else:
                bounds[group.index] = arange(group.count + 1)
        levels = max(length(b) for b in bounds.values()) - 1 if bounds else 1
        if any(length(b) != levels + 1 for b in bounds.values()):
            raise Unplannable("groups of different lengths in one recurrence", groups=[g.index for g in groups])
        self.block = Block(bounds, levels, [], phase=self.phase, note=note)
        return self.block

    def open(self, cls: Class, inside: set[int], flat: bool, note: str = "") -> bool:
        """Start a block for a node outside recurrences; inside one, check that it may run there."""
        if inside:
            if not flat and cls.group.levels is not None and np.diff(cls.group.levels).max() > 1:
                raise Unplannable(f"{cls.op} of many members at once", cls)
            return False
        self.begin([cls.group], "all" if flat else "member", note or cls.name or cls.op)
        return True

    def end(self, opened: bool = True) -> None:
        """Close the block being built, if it was opened for this alone."""
        if opened:
            assert self.block is not None
            if self.block.instructions:
                self.blocks.append(self.block)
            self.block = None

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
        assert self.block is not None
        if "chunks" in self.graph.without:
            sums = ()
        self.block.instructions.append(Instruction(kernel, operands, d, vary or {}, split, sums, self.because))

    # -- operands
    def address(self, layout: View, cls: Class, shift: int = 0) -> Address:
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
            before = integer(np.maximum(source.rows[:shift], 1).sum()) * layout.row
            return Address(layout.storage, layout.offset + before, (layout.row, ("rowstart", cls.index, 0)))
        offset = layout.offset + shift * layout.member
        return Address(layout.storage, offset, (layout.member, ("member", group)) if layout.member else None)

    @staticmethod
    def rows_of(cls: Class, times: int = 1) -> tuple[int, Any]:
        """Rows of the current level, as a varying number."""
        if cls.ragged:
            return times, ("rows", cls.index)
        return times * (1 if cls.scalar else integer(cls.rows[0])), ("members", cls.group.index)

    def elementwise(
        self, kernel: Kernel, cls: Class, operands: list[tuple[View, int]], inside: set[int], adds: bool
    ) -> None:
        """One elementwise instruction; the first operand is written."""
        flat = cls.count == 1 or all(layout.flat for layout, _ in operands)
        kernel = batched.moving(kernel, cls.dtype)
        cols, (coefficient, key) = cls.cols, self.rows_of(cls)
        if not flat and member_by_member(cls, operands, inside):
            flat, cols, coefficient = True, coefficient * cols, 1
            operands = [(replace(layout, row=layout.member, rows=1, cols=cols), shift) for layout, shift in operands]
        opened = self.open(cls, inside, flat)
        addresses = [self.address(layout, cls, shift) for layout, shift in operands]
        strides = [layout.row for layout, _ in operands]
        if "attr" in kernel.operands:
            addresses.append(Address(self.floats(cls), 0))
            strides.append(0)
        slot = len(addresses) + 2
        if all(stride == cols for stride in strides[: len(operands)]):
            d = [1, *strides, int(adds), cols]
            self.run(kernel, addresses, d, {slot: (coefficient * cols, key)}, Split(slot, cols, tuple(strides)))
        else:
            split = Split(0, 1, tuple(strides))
            self.run(kernel, addresses, [0, *strides, int(adds), cols], {0: (coefficient, key)}, split)
        self.end(opened)

    def listed(self, cls: Class, layouts: dict[int, View], unwanted: View | None = None) -> Storage:
        """A storage of addresses, filled in when storages have their places: one for each member, or for each row where
        members have different numbers of rows. Until then it holds each place within its storage's layout."""
        classes, numbers = listed(cls)
        used = sorted(set(cls.refs[0].sources()))
        chosen = {c: unwanted if unwanted and c not in self.graph.wants else layouts[c] for c in used}
        if any(not layout.dense or layout.level for layout in chosen.values()):
            raise Unplannable("rows picked from a value without a place of its own", cls)
        within = cls.args.astype(np.int64) if cls.op in NUMBERED else full(cls.count, 0)
        if picks_rows(self.graph, cls):
            counts = np.maximum(cls.rows, 1)
            classes, numbers, within = (np.repeat(each, counts) for each in (classes, numbers, within))
            within = within + arange(length(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
        where = self.storage(length(numbers), "addresses", "integers", full(length(numbers), 0))
        for c, layout in chosen.items():
            at = classes == c
            if layout.ragged >= 0:
                rows = np.maximum(self.graph.classes[layout.ragged].rows, 1)
                where.data[at] = ((np.cumsum(rows) - rows)[numbers[at]] + within[at]) * layout.row
            else:
                where.data[at] = numbers[at] * layout.member + within[at] * layout.row
        self.pointers.append(([s.storage for s in chosen.values()], where, classes, chosen))
        return where

    def picking(self, cls: Class, where: Storage) -> tuple[Address, tuple[int, Any]]:
        """Where the addresses of a level begin, and how many there are."""
        if picks_rows(self.graph, cls):
            return Address(where, 0, (1, ("rowstart", cls.index, 0))), self.rows_of(cls)
        return Address(where, 0, (1, ("member", cls.group.index))), (1, ("members", cls.group.index))

    def packed(self, pack: Pack) -> tuple[Storage, int, int]:
        """(packed operand, k, n) of a product."""
        _, _, k, n, _ = key = packed_as(self.buffers, pack)
        return self.packs[key].storage, k, n


def member_by_member(cls: Class, operands: list[tuple[View, int]], inside: set[int]) -> bool:
    """Whether to run over members as rows, each as long as a member: several at once read what all of them share.
    In a chain, where a level is one member, its own rows are what threads share. Kernels step forwards."""
    several = not inside or (cls.group.levels is not None and np.diff(cls.group.levels).max() > 1)
    layouts = [layout for layout, _ in operands]
    even = all(layout.ragged < 0 and layout.dense and layout.member >= 0 for layout in layouts)
    return several and even and not cls.ragged
