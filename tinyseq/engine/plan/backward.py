"""Emission of the backward pass: units in reverse, inside a recurrence only what the recurrence needs.

A gradient's storage is overwritten by the first that writes all of it, and added to by the others; where the first
writes only a part, it is zeroed before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.accumulate import Accumulation
from tinyseq.engine.plan.fold import Class, Ref
from tinyseq.engine.plan.graph import Unit, differentiable, repeated_row
from tinyseq.engine.plan.layout import Address, Layout, Split
from tinyseq.engine.plan.maps import COPY, MAPS, MIRRORED, kernels_of
from tinyseq.ops import OPS
from tinyseq.ops.groups import JOINS, NUMBERED, RANGES
from tinyseq.ops.leaves import FILL


class Backward(Accumulation):
    """Emits the backward pass into a planner."""

    def run(self) -> None:
        """Seed the loss with 1 (10.17), then every unit in reverse."""
        loss = self.graph.classes[int(self.graph.state.node_class[self.graph.loss])]
        if loss.index not in self.graph.wants:
            return
        number = int(self.graph.state.node_number[self.graph.loss])
        layout = self.layouts[loss.index]
        if layout.storage.size > 1:  # it is one of several, or a part of what it was picked from
            self.zero(layout)
        one = self.p.constant(np.array([1.0, 0.0], self.p.dtype), "arena", "one")
        self.p.begin([], "all", "∂L/∂L = 1 (10.17)")
        self.p.run(
            FILL, [Address(layout.storage, layout.offset + number * layout.member), Address(one, 0)], [1, 1, 0, 0, 1]
        )
        self.p.end()
        self.ready.add(layout.storage.index)
        for unit in reversed(self.graph.units):
            if any(cls.index in self.graph.wants for cls in unit.classes):
                self.unit(unit)

    # -- layouts

    # -- units
    def unit(self, unit: Unit) -> None:
        """Backward through one unit."""
        if not unit.recurrent:
            cls = unit.classes[0]
            if cls.index in self.p.leads:
                self.starts(unit)
            if cls.op == "pick" or OPS[cls.op].vjp:
                self.node(cls, set())
            return
        inside = {cls.index for cls in unit.classes}
        wanted = [cls for cls in unit.classes if cls.index in self.graph.wants]
        self.prepare(wanted, inside)
        groups = list({cls.group.index: cls.group for cls in unit.classes}.values())
        block = self.p.begin(groups, "levels", "backward through " + ", ".join(c.name or c.op for c in unit.classes))
        block.recurrent = True
        block.by_members = any(group.levels is not None for group in groups)
        block.backwards = not groups[0].backwards
        self.deferred = []
        for cls in reversed(wanted):
            self.p.loop = block
            self.node(cls, inside)
        self.p.loop = block
        self.p.end()
        self.starts(unit)
        later, self.deferred = self.deferred, []
        for action in later:
            action[0](*action[1:])

    def starts(self, unit: Unit) -> None:
        """What flowed to the members before the first is the gradient of what stood there."""
        for cls in unit.classes:
            if cls.index not in self.p.leads or cls.index not in self.graph.wants:
                continue
            layout = self.layouts[cls.index]
            for place, (source, number) in self.f.start_sources(cls).items():
                if source.index not in self.graph.wants:
                    continue
                rows = 1 if source.scalar else int(source.rows[0])
                target = self.layouts[source.index]
                add = self.add_flag(source, source.count == 1)
                self.p.begin([], "all", f"gradient of the start of {cls.name or cls.op}")
                at = self.f.ragged_start(cls, place) * layout.cols if layout.ragged >= 0 else place * layout.member
                to = Address(target.storage, target.offset + number * target.member)
                operands = [to, Address(layout.storage, layout.offset + at)]
                self.p.run(COPY, operands, [rows, target.row, layout.cols, add, layout.cols])
                self.p.end()

    # -- nodes

    def send(self, cls: Class, ref: Ref, inside: set[int], emit, *arguments) -> None:
        """Emit now, or after the recurrence if the target lies outside it."""
        if inside and self.graph.inside.get(ref.source, ref.source) not in inside:
            self.deferred.append((emit, cls, *arguments, set()))
        else:
            emit(cls, *arguments, inside)

    def node(self, cls: Class, inside: set[int]) -> None:
        """Pass the gradient of a node on to its inputs."""
        if cls.index in self.graph.sums:
            for term in self.graph.sums[cls.index]:
                self.term(cls, term, inside)
            return
        if cls.index in self.f.views and cls.op in MIRRORED:
            return
        if cls.op == "pick":
            self.scatter(cls, inside)
            return
        if cls.op == "expand" and repeated_row(self.graph, cls):
            if cls.refs[0].source in self.graph.wants:
                self.send(cls, cls.refs[0], inside, self.column_sum, cls)
            return
        if cls.op in MAPS:
            for j, ref in enumerate(cls.refs):
                if j in OPS[cls.op].vjp and ref.source in self.graph.wants and not self.passes_on(cls, ref):
                    self.send(cls, ref, inside, self.map, j)
            return
        if cls.op in NUMBERED:
            if cls.refs[0].source in self.graph.wants:
                self.send(cls, cls.refs[0], inside, self.copy_back)
            return
        refs = self.f.refs(cls)
        for j, ref in enumerate(refs):
            if differentiable(cls, j) and ref.source in self.graph.wants:
                self.send(cls, ref, inside, self.generic, j)

    def map(self, cls: Class, j: int, inside: set[int]) -> None:
        """An elementwise vjp."""
        kernel = kernels_of(cls.op).vjps[j]
        assert kernel is not None
        ref = cls.refs[j]
        target = self.graph.classes[ref.source]
        operands = [self.operand(cls, ref), (self.layouts[cls.index], 0)]
        for role in kernel.operands[2:]:
            if role == "y":
                operands.append((self.p.values[cls.index], 0))
            elif role != "attr":
                operands.append(self.f.operand(cls, cls.refs[int(role[1:])]))
        add = self.flag(target, ref, True, inside)
        self.f.emit_map(kernel, cls, operands, inside, add)

    def column_sum(self, cls: Class, expand: Class, inside: set[int]) -> None:
        """The gradient of a repeated row: the sum over its repetitions. ``cls`` holds the gradient of the rows."""
        ref = expand.refs[0]
        target = self.graph.classes[ref.source]
        g = self.layouts[cls.index]
        shared = ref.kind == "shared" or expand.count == 1
        to, shift = self.operand(expand, ref)
        add = self.flag(target, Ref("same", ref.source), not shared or target.count == 1, inside)
        opened = self.f.open(cls, inside, shared and g.flat, f"∂L/∂{target.name or target.op}: sum over rows")
        block = self.p.loop
        assert block is not None
        if opened and len(next(iter(block.bounds.values()))) > 2 and shared and not add:
            self.p.loop = None
            self.zero(self.layouts[target.index])
            self.p.loop, add = block, 1
        coefficient, key = self.p.rows_of(cls)
        address = Address(to.storage, to.offset) if shared else self.p.address(to, expand, shift)
        split = Split(4, 1, (1, 1))
        operands = [address, self.p.address(g, cls)]
        d = [0, 0, g.row, add, cls.cols, int(bool(inside))]
        self.p.run(batched.COLUMN_SUM, operands, d, {0: (coefficient, key)}, split, (0, g.row))
        if opened:
            self.p.end()

    def copy_back(self, cls: Class, inside: set[int]) -> None:
        """The gradient of rows that were copied."""
        ref = cls.refs[0]
        target = self.graph.classes[ref.source]
        view = self.mirror.shown(cls)
        by_rows = cls.op in RANGES and cls.ragged and not cls.args.any()
        if (view is None or (cls.ragged and view.ragged != cls.index)) and not by_rows:
            self.scatter_now(cls, inside)
            return
        add = self.flag(target, ref, False, inside)
        if by_rows:
            to, shift = self.operand(cls, ref)
            opened = self.f.open(cls, inside, False)
            g = self.layouts[cls.index]
            operands = [self.p.address(to, cls, shift), self.p.address(g, cls)]
            coefficient, key = self.p.rows_of(cls)
            split = Split(0, 1, (to.row, g.row))
            self.p.run(COPY, operands, [0, to.row, g.row, add, cls.cols], {0: (coefficient, key)}, split)
            if opened:
                self.p.end()
            return
        assert view is not None
        self.f.emit_map(COPY, cls, [(view, 0), (self.layouts[cls.index], 0)], inside, add)

    def generic(self, cls: Class, j: int, inside: set[int]) -> None:
        """An op's own vjp calls for one input."""
        op, site = OPS[cls.op], self.f.site(cls)
        calls = dict(op.vjps(site)).get(j)
        if calls is None:
            return
        refs = self.f.refs(cls)
        target = self.graph.classes[refs[j].source]
        partial = len(calls) != 1 or calls[0].partial
        add = self.flag(target, refs[j], not partial, inside)
        if partial and not add:
            layout = self.layouts[target.index]
            if inside and layout.level:
                self.clear_level(target, layout)
            else:
                self.zero(layout)
            add = 1
        roles = {
            "y": (self.p.values[cls.index], 0),
            "g": (self.layouts[cls.index], 0),
            f"gx{j}": self.operand(cls, refs[j]),
        }
        used = {role for call in calls for role in call.operands}
        roles.update({f"x{i}": self.f.operand(cls, ref) for i, ref in enumerate(refs) if f"x{i}" in used})
        roles = {role: layout for role, layout in roles.items() if role in used}
        self.f.emit_calls(cls, calls, site, roles, inside, add)

    def scatter(self, cls: Class, inside: set[int]) -> None:
        """Add the rows of a list to the members they came from."""
        ref = cls.refs[0]
        sources = [s for s in ref.sources() if s in self.graph.wants]
        if (not inside or all(self.graph.inside.get(s, s) not in inside for s in sources)) and inside:
            self.deferred.append((self.scatter_now, cls, set()))
            return
        self.scatter_now(cls, inside)

    def scatter_now(self, cls: Class, inside: set[int]) -> None:
        """Emit the scatter."""
        for source in cls.refs[0].sources():
            if source in self.graph.wants and self.layouts[source].storage.index not in self.ready:
                self.zero(self.layouts[source])
        rows, cols = int(np.maximum(cls.rows, 1).max()), cls.cols
        nowhere = Layout(self.p.storage(rows * cols, "gradients that nobody wants"), 0, 0, cols, rows, cols)
        where = self.f.pointers(cls, self.layouts, nowhere)
        opened = self.f.open(cls, inside, True)
        g = self.layouts[cls.index]
        width = g.cols if self.f.picks_rows(cls) else g.rows * g.cols
        addresses, count = self.f.picking(cls, where)
        operands = [Address(self.p.origin, 0), self.p.address(g, cls), addresses]
        self.p.run(batched.SCATTER_ROWS, operands, [0, 0, width, 1, 1], {0: count})
        if opened:
            self.p.end()

    # -- sums
    def term(self, cls: Class, term, inside: set[int]) -> None:
        """The gradient of a sum is the gradient of each of its terms."""
        if term.kind == "row":
            if term.cls.refs[0].source in self.graph.wants:
                self.send(cls, term.cls.refs[0], inside, self.column_sum, term.cls)
        elif term.kind == "value":
            ref = term.cls.refs[0]
            if ref.source in self.graph.wants and not self.passes_on(cls, ref):
                self.send(cls, ref, inside, self.value_term, ref)
        else:
            a, w = term.cls.refs
            if a.source in self.graph.wants:
                self.send(cls, a, inside, self.product_input, term.cls)
            if w.source in self.graph.wants:
                self.send(cls, w, inside, self.product_weight, term.cls)

    def value_term(self, cls: Class, ref: Ref, inside: set[int]) -> None:
        """g added to the gradient of a plain term."""
        add = self.flag(self.graph.classes[ref.source], ref, True, inside)
        self.f.emit_map(batched.ADD_TO, cls, [self.operand(cls, ref), (self.layouts[cls.index], 0)], inside, add)

    def product_input(self, cls: Class, matmul: Class, inside: set[int]) -> None:
        """∂L/∂x (+)= g · op(W)ᵀ."""
        ref = matmul.refs[0]
        to, shift = self.operand(matmul, ref)
        g = self.layouts[cls.index]
        first, count = self.read_columns(self.graph.classes[ref.source])
        packed, k, n = self.f.pack(matmul, True, first, count)
        to = replace(to, offset=to.offset + first)
        add = self.flag(self.graph.classes[ref.source], ref, True, inside)
        opened = self.f.open(cls, inside, cls.count == 1 or (to.flat and g.flat))
        target = self.p.address(to, matmul, shift)
        operands = [target, self.p.address(g, cls), Address(packed.storage, 0), target]
        vary = {0: self.p.rows_of(cls)}
        strides = (to.row, g.row, 0, to.row)
        split = Split(0, 1, strides)
        self.p.run(batched.GEMM_PACKED, operands, [0, *strides, add, n, k], vary, split)
        if opened:
            self.p.end()

    def read_columns(self, target: Class) -> tuple[int, int]:
        """(first, count) of the columns of a gradient that anybody reads: of values joined side by side for products,
        those of the ones that want a gradient."""
        flags, consumers = dict(target.attrs), self.graph.consumers.get(target.index, [])
        whole = 0, target.cols
        if target.op not in JOINS or flags.get("axis") != 1 or len(target.tail) != 1:
            return whole
        if target.index in self.p.leads or any(self.graph.classes[i].op != "matmul" or j for i, j in consumers):
            return whole
        ends = np.cumsum([0, *(self.graph.classes[ref.source].cols for ref in self.f.refs(target))])
        wanted = [j for j, ref in enumerate(self.f.refs(target)) if ref.source in self.graph.wants]
        if ends[-1] != target.cols or not wanted:
            return whole
        first, last = int(ends[wanted[0]]), int(ends[wanted[-1] + 1])
        return first, last - first

    def product_weight(self, cls: Class, matmul: Class, inside: set[int]) -> None:
        """∂L/∂W (+)= Σ over all members of xᵀ g, as one product whose inner dimension is all rows of all steps."""
        a_ref, w_ref = matmul.refs
        a, shift = self.f.operand(matmul, a_ref)
        g, w = self.layouts[cls.index], self.layouts[w_ref.source]
        transposed = bool(dict(matmul.attrs).get("transpose_b"))
        flat = cls.count == 1 or (a.flat and g.flat and not (a.ragged >= 0 and shift))
        target = self.graph.classes[w_ref.source]
        whole = (flat and w_ref.kind == "same") or target.count == 1
        add = self.flag(target, Ref("same", w_ref.source), bool(whole), inside)
        opened = self.f.open(cls, inside, flat, f"∂L/∂{target.name or target.op}")
        if opened and not flat and not add:
            outer, self.p.loop = self.p.loop, None
            self.zero(w)
            self.p.loop, add = outer, 1
        if w_ref.kind == "shared":
            w = self.mirror.operand(matmul, w_ref)[0]
        x, up = (self.p.address(a, matmul, shift), a.row, a.cols), (self.p.address(g, cls), g.row, cls.cols)
        left, right = (up, x) if transposed else (x, up)
        operands = [Address(w.storage, w.offset), left[0], right[0]]
        vary = {0: self.p.rows_of(cls)}
        split = Split(5, 1, (w.row, 1, 0))
        d = [0, w.row, left[1], right[1], add, left[2], right[2]]
        self.p.run(batched.WEIGHT_GRADIENT, operands, d, vary, split, (0, left[1], right[1]))
        if opened:
            self.p.end()


__all__ = ["Backward"]
