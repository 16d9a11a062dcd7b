"""Emission of the forward pass: how each node of the folded graph becomes instructions."""

from __future__ import annotations

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.fold import Class, Unplannable
from tinyseq.engine.plan.graph import Unit
from tinyseq.engine.plan.layout import Address, Layout, Split
from tinyseq.engine.plan.maps import COPY, MAPS, VIEWS, kernels_of
from tinyseq.engine.plan.sums import Sums
from tinyseq.ops import OPS
from tinyseq.ops.groups import GIVEN, NUMBERED, RANGES
from tinyseq.ops.op import size


class Forward(Sums):
    """Emits units in order into a planner."""

    # -- units
    def unit(self, unit: Unit) -> None:
        """Emit one unit: a recurrence level by level, anything else for all members at once."""
        if not unit.recurrent:
            self.single(unit.classes[0])
            return
        inside = {cls.index for cls in unit.classes}
        for cls in unit.classes:
            self.allocate(cls, inside)
        self.show(unit)
        self.starts(unit)
        for cls in unit.classes:
            if cls.index in self.graph.sums:
                self.hoisted(cls, inside)
        groups = list({cls.group.index: cls.group for cls in unit.classes}.values())
        block = self.p.begin(groups, "levels", "recurrence of " + ", ".join(c.name or c.op for c in unit.classes))
        block.recurrent = True
        block.by_members = any(group.levels is not None for group in groups)
        block.backwards = groups[0].backwards
        outer = block
        for cls in unit.classes:
            self.p.loop = outer
            self.node(cls, inside)
        self.p.loop = outer
        self.p.end()

    def show(self, unit: Unit) -> None:
        """Find the views inside a recurrence, before anything is emitted that reads them."""
        changed = True
        while changed:
            changed = False
            for cls in unit.classes:
                view = self.view(cls)
                if view is not None and view != self.p.values[cls.index]:
                    self.p.values[cls.index] = view
                    self.views.add(cls.index)
                    changed = True

    def single(self, cls: Class) -> None:
        """A node outside every recurrence."""
        if cls.op in GIVEN:
            self.leaf(cls)
            return
        view = self.view(cls)
        if view is not None:
            self.p.values[cls.index] = view
            self.views.add(cls.index)
            return
        self.allocate(cls, set())
        if cls.index in self.graph.sums:
            self.hoisted(cls, set())
        else:
            self.node(cls, set())
        self.starts(Unit([cls], False))

    def leaf(self, cls: Class) -> None:
        """An array of the user's, addressed where it lies."""
        shape = cls.shape()
        storage = self.p.storage(size(shape), cls.name or cls.op, space="leaf")
        storage.node = int(cls.nodes[0])
        rows = shape[0] if shape else 1
        self.p.values[cls.index] = Layout(storage, 0, rows * cls.cols, cls.cols, rows, cls.cols)

    def allocate(self, cls: Class, inside: set[int]) -> None:
        """Choose where the values of a node go."""
        if cls.index in self.p.values:
            return
        level = bool(inside) and not self.outlives(cls, inside)
        self.p.values[cls.index] = self.p.room(cls, cls.name or cls.op, level)

    def outlives(self, cls: Class, inside: set[int]) -> bool:
        """Whether a value inside a recurrence is read after its level."""
        if cls.index in self.p.kept or cls.index in self.p.leads or cls.ragged:
            return True
        if any(int(self.graph.state.node_class[node]) == cls.index for node in self.graph.outputs):
            return True
        if any(t.kind != "row" and not self.recurs(t, inside) for t in self.graph.sums.get(cls.index, [])):
            return True
        for reader, j in self.graph.consumers.get(cls.index, []):
            root = self.graph.inside.get(reader, reader)
            refs = self.graph.classes[reader].refs
            if root not in inside or not refs or refs[j].kind != "same":
                return True
            if cls.group.levels is not None and self.graph.classes[root].group is not cls.group:
                return True  # in a tree, the same member of another group may be of another height
            if self.graph.classes[root].op in VIEWS and self.outlives(self.graph.classes[root], inside):
                return True
        return False

    def starts(self, unit: Unit) -> None:
        """Copy what stands before the first member (and after the last) next to the members."""
        for cls in unit.classes:
            before, after = self.p.leads.get(cls.index, (0, 0))
            if not before and not after:
                continue
            layout = self.p.values[cls.index]
            if layout.level or not layout.packed:
                raise Unplannable("a delayed value without a place of its own", cls)
            for place, (source, number) in self.start_sources(cls).items():
                self.p.begin([], "all", f"start of {cls.name or cls.op}")
                given = self.p.values[source.index]
                rows = 1 if source.scalar else int(source.rows[0])
                at = self.ragged_start(cls, place) * layout.cols if layout.ragged >= 0 else place * layout.member
                target = Address(layout.storage, layout.offset + at)
                start = Address(given.storage, given.offset + number * given.member)
                kernel = batched.moving(COPY, cls.dtype)
                self.p.run(kernel, [target, start], [rows, layout.cols, given.row, 0, layout.cols])
                self.p.end()

    @staticmethod
    def ragged_start(cls: Class, place: int) -> int:
        """Row at which a place before the first member (negative) or after the last begins, members being ragged."""
        most = int(cls.rows.max())
        return place * most if place < 0 else int(cls.rows.sum()) + (place - cls.count) * most

    def start_sources(self, cls: Class) -> dict[int, tuple[Class, int]]:
        """For each place before the first member (−1, −2 …) or after the last (count …), the member standing there."""
        places: dict[int, tuple[Class, int]] = {}
        for i in sorted(self.graph.needed):
            for ref in self.graph.classes[i].refs:
                if ref.kind == "delay" and ref.source == cls.index and ref.start:
                    source = self.graph.classes[ref.start[0]]
                    if source.ragged:
                        raise Unplannable("a start that is one of members of different lengths", source)
                    for k in range(abs(ref.shift)):
                        place = -1 - k if ref.shift < 0 else cls.count + k
                        if places.setdefault(place, (source, ref.start[1])) != (source, ref.start[1]):
                            raise Unplannable("two different starts for one delayed value", cls)
        return places

    # -- nodes

    def node(self, cls: Class, inside: set[int]) -> None:
        """Emit a node, in the recurrence being built or in a block of its own."""
        if cls.index in self.graph.sums:
            self.add_terms(cls, [t for t in self.graph.sums[cls.index] if not inside or self.recurs(t, inside)], inside)
            return
        if cls.index in self.views:
            return
        if cls.op == "pick":
            self.gather(cls, inside)
        elif cls.op in MAPS:
            self.map(cls, inside)
        elif cls.op in NUMBERED:
            self.copy(cls, inside)
        else:
            self.generic(cls, inside)

    def map(self, cls: Class, inside: set[int]) -> None:
        """Elementwise: rows × columns with a stride for each operand."""
        kernel = kernels_of(cls.op).forward
        out = self.p.values[cls.index]
        operands = [self.operand(cls, ref) for ref in cls.refs]
        self.emit_map(kernel, cls, [(out, 0), *operands], inside, 0)

    def copy(self, cls: Class, inside: set[int]) -> None:
        """Copy rows chosen by index or window into a place of their own."""
        view = self.shown(cls)
        if view is None or (cls.ragged and view.ragged != cls.index):
            if cls.op in RANGES and cls.ragged and not cls.args.any() and cls.refs[0].kind != "gather":
                self.ragged_window(cls, inside)
            else:
                self.gather(cls, inside)
            return
        self.emit_map(COPY, cls, [(self.p.values[cls.index], 0), (view, 0)], inside, 0)

    def ragged_window(self, cls: Class, inside: set[int]) -> None:
        """The first rows of the member before: the batch of sequences that are still running."""
        ref = cls.refs[0]
        source, shift = self.operand(cls, ref)
        out = self.p.values[cls.index]
        opened = self.open(cls, inside, False)
        address = self.p.address(source, cls, shift)
        coefficient, key = self.p.rows_of(cls)
        d = [0, out.row, source.row, 0, cls.cols]
        split = Split(0, 1, (out.row, source.row))
        kernel = batched.moving(COPY, cls.dtype)
        self.p.run(kernel, [self.p.address(out, cls), address], d, {0: (coefficient, key)}, split)
        if opened:
            self.p.end()

    def gather(self, cls: Class, inside: set[int]) -> None:
        """Rows that a list names, copied next to each other."""
        out = self.p.values[cls.index]
        where = self.pointers(cls, self.p.values)
        opened = self.open(cls, inside, True)
        width = out.cols if self.picks_rows(cls) else out.rows * out.cols
        addresses, count = self.picking(cls, where)
        operands = [self.p.address(out, cls), Address(self.p.origin, 0), addresses]
        kernel = batched.GATHER_INTEGERS if cls.dtype.kind == "i" else batched.GATHER_ROWS
        self.p.run(kernel, operands, [0, width, 0, 1, 0], {0: count})
        if opened:
            self.p.end()

    def generic(self, cls: Class, inside: set[int]) -> None:
        """Any op through its own calls, members as more rows where that fits."""
        site = self.site(cls)
        roles = {"y": (self.p.values[cls.index], 0)}
        roles.update({f"x{i}": self.operand(cls, ref) for i, ref in enumerate(self.refs(cls))})
        self.emit_calls(cls, OPS[cls.op].forward(site), site, roles, inside)


__all__ = ["COPY", "MAPS", "Forward"]
