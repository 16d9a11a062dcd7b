"""Emission of single instructions: elementwise kernels, and any op's own calls, over members and rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.fold import Class, Ref, Unplannable
from tinyseq.engine.plan.layout import Address, Layout, Split, Storage
from tinyseq.engine.plan.views import Views
from tinyseq.ops import OPS
from tinyseq.ops.groups import NUMBERED, TAKEN
from tinyseq.ops.op import Call, Kernel, Site, row_by_row, size
from tinyseq.ops.products import MATMUL

MOST_JOINED = 1024


class Emission(Views):
    """Adds instructions to the planner's blocks."""

    def open(self, cls: Class, inside: set[int], flat: bool, note: str = "") -> bool:
        """Start a block for a node outside recurrences; inside one, check that it may run there."""
        if inside:
            if not flat and cls.group.levels is not None and np.diff(cls.group.levels).max() > 1:
                raise Unplannable(f"{cls.op} of many members at once", cls)
            return False
        self.p.begin([cls.group], "all" if flat else "member", note or cls.name or cls.op)
        return True

    def emit_map(
        self, kernel: Kernel, cls: Class, operands: list[tuple[Layout, int]], inside: set[int], add: int
    ) -> None:
        """One elementwise instruction; the first operand is written."""
        flat = cls.count == 1 or all(layout.flat for layout, _ in operands)
        kernel = batched.moving(kernel, cls.dtype)
        cols, (coefficient, key) = cls.cols, self.p.rows_of(cls)
        if not flat and self.member_by_member(cls, operands, inside):
            flat, cols, coefficient = True, coefficient * cols, 1
            operands = [(replace(layout, row=layout.member, rows=1, cols=cols), shift) for layout, shift in operands]
        opened = self.open(cls, inside, flat)
        addresses = [self.p.address(layout, cls, shift) for layout, shift in operands]
        strides = [layout.row for layout, _ in operands]
        if "attr" in kernel.operands:
            addresses.append(Address(self.floats(cls), 0))
            strides.append(0)
        slot = len(addresses) + 2
        if all(stride == cols for stride in strides[: len(operands)]):
            d = [1, *strides, add, cols]
            self.p.run(kernel, addresses, d, {slot: (coefficient * cols, key)}, Split(slot, cols, tuple(strides)))
        else:
            split = Split(0, 1, tuple(strides))
            self.p.run(kernel, addresses, [0, *strides, add, cols], {0: (coefficient, key)}, split)
        if opened:
            self.p.end()

    @staticmethod
    def member_by_member(cls: Class, operands: list[tuple[Layout, int]], inside: set[int]) -> bool:
        """Whether to run over members as rows, each as long as a member: several at once read what all of them share.
        In a chain, where a level is one member, its own rows are what threads share."""
        several = not inside or (cls.group.levels is not None and np.diff(cls.group.levels).max() > 1)
        layouts = [layout for layout, _ in operands]
        even = all(
            layout.ragged < 0 and layout.dense and layout.member >= 0 for layout in layouts
        )  # kernels go forwards
        return several and even and not cls.ragged

    def floats(self, cls: Class):
        """The constants of an op, as a storage."""
        numbers = [dict(cls.attrs)[key] for key in OPS[cls.op].floats]
        return self.p.constant(
            np.array([*numbers, 0.0, 0.0][: max(2, len(numbers))], self.p.dtype), "arena", "constants"
        )

    def refs(self, cls: Class) -> list[Ref]:
        """Inputs of a node; those of a join are listed apart."""
        nodes = self.graph.state.joins.get(cls.index)
        if nodes is None:
            return cls.refs
        if len(nodes) > MOST_JOINED:
            raise Unplannable(f"{cls.op} of {len(nodes)} tensors that don't lie in order", cls)
        state = self.graph.state
        return [Ref("shared", int(state.node_class[i]), int(state.node_number[i])) for i in nodes]

    def site(self, cls: Class) -> Site:
        """The op's site at the first member; that of one row, where members differ in how many they have."""
        if cls.count > 1 and (cls.args != cls.args[0]).any():
            raise Unplannable(f"{cls.op} with a number that changes from step to step", cls)
        shapes = [self.input_shape(cls, ref) for ref in self.refs(cls)]
        shape = cls.shape()
        if cls.ragged:
            shape = (1, *cls.tail)
            for i, given in enumerate(shapes):
                if row_by_row(OPS[cls.op], cls.attrs, cls.tail, i, given[1:]):
                    shapes[i] = (1, *given[1:])
        return Site(cls.attrs, int(cls.args[0]), tuple(shapes), shape)

    def emit_calls(
        self,
        cls: Class,
        calls: list[Call],
        site: Site,
        roles: dict[str, tuple[Layout, int]],
        inside: set[int],
        add: int = 0,
    ) -> None:
        """Emit an op's calls over members: as more rows where every operand allows, else member by member."""
        sizes = {"y": size(site.shape), "g": size(site.shape)}
        for i, shape in enumerate(site.shapes):
            sizes[f"x{i}"] = sizes[f"gx{i}"] = size(shape)
        for role, (layout, _) in roles.items():
            if not layout.dense and any(role in call.operands for call in calls):
                raise Unplannable(f"{cls.op} of rows that lie apart", cls)
        flat = all(self.evenly(cls, call, sizes, roles) for call in calls)
        if cls.ragged and not all(self.row_after_row(call, sizes, roles) for call in calls):
            raise Unplannable(f"{cls.op} over members of different lengths", cls)
        opened = self.open(cls, inside, flat)
        for call in calls:
            kernel = batched.moving(batched.MATMUL_TILED if call.kernel is MATMUL else call.kernel, cls.dtype)
            operands = [
                Address(self.floats(cls), 0) if role == "attr" else self.p.address(*self._for(roles[role], cls))
                for role in call.operands
            ]
            d = call.d.tolist()
            d[call.accumulate_slot] = add
            # where rows differ, the call is that of one row
            count = self.p.rows_of(cls, d[0]) if cls.ragged else (d[0], ("members", cls.group.index))
            self.p.run(kernel, operands, d, {0: count}, self.shared_rows(cls, call))
        if opened:
            self.p.end()

    @staticmethod
    def shared_rows(cls: Class, call: Call) -> Split | None:
        """How threads may share the rows of an op's call: not where all rows write one place."""
        rows = 1 if cls.scalar or cls.ragged else int(cls.rows[0])
        times, rest = divmod(int(call.d[0]), max(rows, 1))
        if rest or not times or call.d[1] == 0 or call.partial:
            return None
        strides = tuple(times * int(stride) for stride in call.d[1 : 1 + len(call.operands)])
        return Split(0, times, strides)

    @staticmethod
    def _for(role: tuple[Layout, int], cls: Class) -> tuple[Layout, Class, int]:
        return role[0], cls, role[1]

    def evenly(self, cls: Class, call: Call, sizes: dict[str, int], roles: dict[str, tuple[Layout, int]]) -> bool:
        """Whether more members are just more rows of a call."""
        if cls.count == 1:
            return True
        rows = int(call.d[0])
        for j, role in enumerate(call.operands):
            if role == "attr":
                continue
            stride, layout = int(call.d[1 + j]), roles[role][0]
            if layout.member == 0 and layout.ragged < 0 and not layout.level:
                if stride != 0:
                    return False
            elif layout.ragged >= 0:
                if stride * rows != layout.cols or layout.row != layout.cols:
                    return False
            elif stride * rows != layout.member or sizes[role] != layout.member:
                return False
        return True

    @staticmethod
    def row_after_row(call: Call, sizes: dict[str, int], roles: dict[str, tuple[Layout, int]]) -> bool:
        """Whether more rows of a member are just more rows of the call for one: what all of them read does not move."""
        for j, role in enumerate(call.operands):
            if role != "attr":
                stride, layout = int(call.d[1 + j]), roles[role][0]
                moves = layout.ragged >= 0
                if stride * int(call.d[0]) != (sizes[role] if moves else 0) or (moves and layout.cols != sizes[role]):
                    return False
        return True

    @staticmethod
    def listed(cls: Class) -> tuple[np.ndarray, np.ndarray]:
        """(classes, numbers) of the members that a node's first input is, one for each of its own."""
        ref = cls.refs[0]
        if ref.classes is not None and ref.numbers is not None:
            return ref.classes, ref.numbers
        numbers = np.full(cls.count, ref.shift) if ref.kind == "shared" else np.arange(cls.count) + ref.shift
        classes = np.full(cls.count, ref.source)
        if ref.start:
            before = numbers < 0 if ref.shift < 0 else np.arange(cls.count) + ref.shift >= cls.count
            classes[before], numbers[before] = ref.start
        return classes, numbers

    def pointers(self, cls: Class, layouts: dict[int, Layout], unwanted: Layout | None = None):
        """A storage of addresses, filled in when storages have their places: one for each member, or for each row where
        members have different numbers of rows. Until then it holds each place within its storage's layout."""
        classes, numbers = self.listed(cls)
        used = [int(c) for c in np.unique(classes)]
        chosen = {c: unwanted if unwanted and c not in self.graph.wants else layouts[c] for c in used}
        if any(not layout.dense or layout.level for layout in chosen.values()):
            raise Unplannable("rows picked from a value without a place of its own", cls)
        within = cls.args.astype(np.int64) if cls.op in NUMBERED else np.zeros(cls.count, np.int64)
        if self.picks_rows(cls):
            counts = np.maximum(cls.rows, 1)
            classes, numbers, within = (np.repeat(each, counts) for each in (classes, numbers, within))
            within = within + np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
        where = self.p.storage(len(numbers), "addresses", space="integers")
        where.data = np.zeros(len(numbers), np.int64)
        for c, layout in chosen.items():
            at = classes == c
            if layout.ragged >= 0:
                rows = np.maximum(self.graph.classes[layout.ragged].rows, 1)
                where.data[at] = ((np.cumsum(rows) - rows)[numbers[at]] + within[at]) * layout.row
            else:
                where.data[at] = numbers[at] * layout.member + within[at] * layout.row
        self.p.pointers.append(([s.storage for s in chosen.values()], where, Ref("gather", classes=classes), chosen))
        return where

    def picks_rows(self, cls: Class) -> bool:
        """Whether what a list names is picked row by row: its members have different numbers of rows."""
        return cls.op not in TAKEN and (cls.ragged or any(self.graph.classes[c].ragged for c in cls.refs[0].sources()))

    def picking(self, cls: Class, where: Storage) -> tuple[Address, tuple[int, Any]]:
        """Where the addresses of a level begin, and how many there are."""
        if self.picks_rows(cls):
            return Address(where, 0, (1, ("rowstart", cls.index, 0))), self.p.rows_of(cls)
        return Address(where, 0, (1, ("member", cls.group.index))), (1, ("members", cls.group.index))
