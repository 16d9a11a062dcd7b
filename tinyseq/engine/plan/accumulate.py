"""Where gradients lie, and who overwrites and who adds.

A gradient's storage is overwritten by the first that writes all of it, and added to by the others; where the first
writes only a part, it is zeroed before. A term of a sum shares the sum's gradient.
"""

from __future__ import annotations

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.fold import Class, Ref, Unplannable
from tinyseq.engine.plan.forward import Forward
from tinyseq.engine.plan.graph import differentiable
from tinyseq.engine.plan.layout import Address, Layout, Split
from tinyseq.engine.plan.maps import MAPS, MIRRORED, passed_on
from tinyseq.engine.plan.planner import Planner
from tinyseq.ops import OPS
from tinyseq.ops.groups import NUMBERED, PARAMETERS


class Gradients(dict):
    """Layouts of gradients, made when first asked for."""

    def __init__(self, backward: Accumulation) -> None:
        super().__init__()
        self.backward = backward

    def __missing__(self, index: int) -> Layout:
        layout = self[index] = self.backward.allocate(self.backward.graph.classes[index])
        return layout

    def __contains__(self, index: object) -> bool:
        return index in self.backward.graph.wants

    def get(self, index: int, default: Layout | None = None) -> Layout | None:  # type: ignore[override]
        """The layout of a class whose gradient is wanted."""
        return self[index] if index in self else default  # noqa: SIM401


class Accumulation:
    """Layouts of gradients and the accumulate flags of what is written to them."""

    def __init__(self, planner: Planner, forward: Forward) -> None:
        self.p, self.f = planner, forward
        self.graph = planner.graph
        self.layouts = Gradients(self)
        planner.gradients = self.layouts
        self.mirror = Forward(planner)
        self.mirror.layouts = self.layouts
        self.ready: set[int] = set()
        self.level: set[int] = set()
        self.deferred: list[tuple] = []
        self.grads_size = 0

    def allocate(self, cls: Class) -> Layout:
        """Where the gradient of a class goes."""
        root = self.graph.inside.get(cls.index, self.same_gradient(cls))
        if root >= 0:
            return self.layouts[root]
        if cls.op in PARAMETERS:
            value = self.p.values[cls.index]
            storage = self.p.storage(value.storage.size, f"∂L/∂{cls.name}", space="grads")
            storage.node = int(cls.nodes[0])
            return Layout(storage, 0, value.member, value.row, value.rows, value.cols)
        if cls.index in self.f.views and cls.op in MIRRORED:
            layout = self.mirror.shown(cls)
            if layout is None:
                raise Unplannable(f"the gradient of a view by {cls.op}", cls)
            return layout
        return self.p.room(cls, f"∂L/∂{cls.name or cls.op}", cls.index in self.level)

    def same_gradient(self, cls: Class) -> int:
        """The sum that is the only reader of a class: its gradient is the class's too. −1 where there is none."""
        readers = self.graph.consumers.get(cls.index, [])
        if len(readers) != 1 or cls.index in self.p.leads or cls.op in PARAMETERS or cls.index in self.f.views:
            return -1
        reader, j = readers[0]
        ref, root = self.graph.classes[reader].refs, self.graph.inside.get(reader, reader)
        sums = cls.index != int(self.graph.state.node_class[self.graph.loss]) and root in self.graph.wants
        if not sums or j not in passed_on(self.graph.classes[reader].op):
            return -1
        alike = ref[j].kind == "same" and cls.group is self.graph.classes[root].group and not cls.ragged
        return root if alike and cls.index not in self.graph.inside else -1

    def passes_on(self, cls: Class, ref: Ref) -> bool:
        """Whether an input shares the gradient of the sum that reads it, so that nothing has to be added."""
        return self.operand(cls, ref) == (self.layouts[cls.index], 0)

    def operand(self, reader: Class, ref: Ref) -> tuple[Layout, int]:
        """Layout of an input's gradient."""
        return self.mirror.operand(reader, ref)

    def zero(self, layout: Layout) -> None:
        """Zero a whole storage, in a block before the one being built."""
        storage = layout.storage
        outer, self.p.loop = self.p.loop, None
        self.p.begin([], "all", f"zero {storage.what}")
        self.p.run(batched.ZERO, [Address(storage, -storage.lead)], [1, 0, 0, storage.size], None, Split(3, 1, (1,)))
        self.p.end()
        self.p.loop = outer
        self.ready.add(storage.index)

    def zero_ends(self, cls: Class, layout: Layout) -> None:
        """Zero what lies before the first member and after the last."""
        storage = layout.storage
        main = storage.size - storage.lead
        members = int(np.maximum(cls.rows, 1).sum()) * cls.cols
        outer, self.p.loop = self.p.loop, None
        self.p.begin([], "all", f"zero ends of {storage.what}")
        for start, length in ((-storage.lead, storage.lead), (members, main - members)):
            if length > 0:
                self.p.run(batched.ZERO, [Address(storage, start)], [1, 0, 0, length])
        self.p.end()
        self.p.loop = outer

    def add_flag(self, target: Class, whole: bool) -> int:
        """0 if this write is the first and covers the target, else 1 (after zeroing, if it is the first)."""
        layout = self.layouts[target.index]
        storage = layout.storage
        if storage.index in self.ready:
            return 1
        rows = int(np.maximum(target.rows, 1).sum())
        before, after = self.p.leads.get(target.index, (0, 0))
        ends = (before + after) * int(np.maximum(target.rows, 1).max()) * target.cols
        covers = whole and layout.packed and rows * target.cols == storage.size - ends
        if not covers:
            self.zero(layout)
            return 1
        if ends:
            self.zero_ends(target, layout)
        self.ready.add(storage.index)
        return 0

    def prepare(self, wanted: list[Class], inside: set[int]) -> None:
        """Zero the gradients that the recurrence adds to, and keep those of one level only in one level."""
        self.pending: set[int] = set()
        self.ahead: set[int] = set()
        plain: dict[int, bool] = {}
        for cls in wanted:
            for target, ref, whole in self.writes(cls):
                if target in inside and self.same_gradient(self.graph.classes[target]) < 0:
                    ok = whole and ref.kind == "same" and target not in self.f.views and self.same_level(cls, target)
                    root = self.graph.inside.get(target, target)
                    plain[root] = plain.get(root, True) and ok
                    for source in self.roots(target):
                        plain[source] = plain.get(source, True) and (ok and source == root)
        stays: dict[int, bool] = {}
        for cls in wanted:
            if cls.index not in self.f.views or cls.op not in MIRRORED:
                owner = self.owner(cls)
                stays[owner] = stays.get(owner, True) and self.one_level(cls, inside, plain)
        self.level |= {owner for owner, stay in stays.items() if stay and owner in inside}
        for cls in wanted:
            layout = self.layouts[cls.index]
            if layout.level or layout.storage.index in self.ready or self.same_gradient(cls) >= 0:
                continue
            if plain.get(cls.index, False) and cls.index not in self.p.leads:
                self.pending.add(layout.storage.index)
            elif shift := self.written_ahead(cls, wanted, inside):
                self.zero_last(cls, layout, shift)
            else:
                self.zero(layout)
        for cls in wanted:
            if self.layouts[cls.index].level:
                self.pending.add(self.layouts[cls.index].storage.index)

    def written_ahead(self, cls: Class, wanted: list[Class], inside: set[int]) -> int:
        """The one delay at which a recurrence reads a value, if what it passes back covers each member before anybody
        adds to it; 0 where that is not so."""
        if cls.ragged or cls.group.levels is not None:
            return 0
        shifts: set[int] = set()
        for reader in wanted:
            for target, ref, whole in self.writes(reader):
                if cls.index in self.roots(target):
                    return 0
                if target != cls.index or ref.kind == "same":
                    continue
                if ref.kind != "delay" or not whole or reader.count != cls.count:
                    return 0
                shifts.add(ref.shift)
        shift = shifts.pop() if len(shifts) == 1 else 0
        return shift if self.p.leads.get(cls.index) == (max(-shift, 0), max(shift, 0)) else 0

    def zero_last(self, cls: Class, layout: Layout, shift: int) -> None:
        """Zero the members that nobody reads with a delay; all others are overwritten by the first who did."""
        first = min(cls.count + shift, cls.count) if shift < 0 else 0
        outer, self.p.loop = self.p.loop, None
        self.p.begin([], "all", f"zero the last of {layout.storage.what}")
        start = Address(layout.storage, layout.offset + first * layout.member)
        self.p.run(batched.ZERO, [start], [1, 0, 0, abs(shift) * layout.member])
        self.p.end()
        self.p.loop = outer
        self.ready.add(layout.storage.index)
        self.ahead.add(layout.storage.index)

    def owner(self, cls: Class) -> int:
        """The class whose gradient's storage a class shares."""
        found = cls.index
        while (root := self.same_gradient(self.graph.classes[found])) >= 0:
            found = root
        return found

    def one_level(self, cls: Class, inside: set[int], plain: dict[int, bool]) -> bool:
        """Whether a gradient is written and read within one level only."""
        if not plain.get(cls.index, True) or cls.index in self.p.leads or cls.ragged:
            return False
        readers = self.graph.consumers.get(cls.index, [])
        roots = [self.graph.inside.get(reader, reader) for reader, _ in readers]
        if any(root not in inside for root in roots):
            return False
        if cls.group.levels is not None and any(self.graph.classes[root].group is not cls.group for root in roots):
            return False
        is_loss = int(self.graph.state.node_class[self.graph.loss]) == cls.index
        return not is_loss and not self.later(cls, inside)

    def roots(self, target: int) -> list[int]:
        """The class that a view, however deep, lies in."""
        found = []
        while target in self.f.views and self.graph.classes[target].op in MIRRORED:
            cls = self.graph.classes[target]
            nodes = self.graph.state.joins.get(target)
            target = int(self.graph.state.node_class[nodes[0]]) if nodes is not None else cls.refs[0].source
            found.append(target)
        return found

    def later(self, cls: Class, inside: set[int]) -> bool:
        """Whether something outside the recurrence reads this gradient."""
        return any(self.graph.inside.get(target, target) not in inside for target, _, _ in self.writes(cls))

    def writes(self, cls: Class) -> list[tuple[int, Ref, bool]]:
        """(target class, ref, whether the write covers the target's members) for every gradient a node passes on."""
        found = []
        if cls.index in self.graph.sums:
            for term in self.graph.sums[cls.index]:
                for j, ref in enumerate(term.cls.refs):
                    if ref.source in self.graph.wants and (term.kind != "matmul" or j < 2):
                        found.append((ref.source, ref, not (term.kind == "matmul" and j == 1)))
            return found
        for j, ref in enumerate(self.f.refs(cls) if cls.index in self.graph.state.joins else cls.refs):
            if not differentiable(cls, j) or (cls.index in self.f.views and cls.op in MIRRORED):
                continue
            for source in ref.sources():
                if source in self.graph.wants:
                    found.append((source, ref, self.covers(cls, j)))
        return found

    def same_level(self, cls: Class, target: int) -> bool:
        """Whether a node's members run at the same level as what they read: by height, only those of one group do, and
        the first to write a gradient in a level need not be the first of all."""
        group = self.graph.classes[target].group
        return cls.group is group or (cls.group.levels is None and group.levels is None)

    def covers(self, cls: Class, j: int) -> bool:
        """Whether what a node passes to an input is one write of all of it."""
        if cls.op in MAPS:
            return True
        if cls.op == "pick" or cls.op in NUMBERED or cls.index in self.f.views:
            return False
        calls = dict(OPS[cls.op].vjps(self.f.site(cls))).get(j, [])
        return len(calls) == 1 and not calls[0].partial

    def flag(self, target: Class, ref: Ref, whole: bool, inside: set[int]) -> int:
        """The accumulate flag of a write."""
        storage = self.layouts[target.index].storage.index
        root = self.graph.inside.get(target.index, target.index)
        if inside and root in inside:
            if storage in self.pending:
                self.pending.discard(storage)
                self.ready.add(storage)
                return 0
            if storage in self.ahead and ref.kind == "delay":
                self.ahead.discard(storage)
                return 0
            return 1
        return self.add_flag(target, whole and ref.kind == "same")

    def clear_level(self, target: Class, layout: Layout) -> None:
        """Zero a gradient of one level before parts of it are written."""
        coefficient, key = self.p.rows_of(target)
        split, d = Split(0, 1, (layout.cols,)), [0, layout.cols, 0, layout.cols]
        self.p.run(batched.ZERO, [Address(layout.storage, 0)], d, {0: (coefficient, key)}, split)
