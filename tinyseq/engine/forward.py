"""Emission of the forward pass: how each node of the folded graph becomes instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tinyseq.engine import kernels
from tinyseq.engine.condense import Class, Ref, Unplannable
from tinyseq.engine.graph import VIEWS, Term, Unit, repeated_row
from tinyseq.engine.layout import Address, Layout, Split
from tinyseq.ops import OPS
from tinyseq.ops.linalg import MATMUL
from tinyseq.ops.op import Call, Kernel, Site, size

if TYPE_CHECKING:
    from tinyseq.engine.plan import Planner

COPY = Kernel.registry["detach"]
MOST_JOINED = 1024
ENOUGH_ROWS = 8
BY_ROWS = frozenset({"softmax", "log_softmax", "cross_entropy", "take", "gather", "one_hot", "expand"})


MAPS = frozenset(
    name for name, op in OPS.items() if name in Kernel.registry and op.arity > 0 and name not in
    ("matmul", "sum", "max", "norm", "take", "gather", "one_hot", "softmax", "log_softmax", "cross_entropy", "detach")
)  # fmt: skip


class Forward:
    """Emits units in order into a planner."""

    def __init__(self, planner: Planner) -> None:
        self.p = planner
        self.graph = planner.graph
        self.layouts = planner.values
        self.views: set[int] = set()

    # -- units ----------------------------------------------------------------------------------------------------
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
        if cls.op in ("input", "parameter"):
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
                raise Unplannable("a delayed value without a place of its own")
            for place, (source, number) in self.start_sources(cls).items():
                self.p.begin([], "all", f"start of {cls.name or cls.op}")
                given = self.p.values[source.index]
                rows = 1 if source.scalar else int(source.rows[0])
                if layout.ragged >= 0:
                    at = self.ragged_start(cls, place) * layout.cols
                else:
                    at = place * layout.member
                target = Address(layout.storage, layout.offset + at)
                start = Address(given.storage, given.offset + number * given.member)
                self.p.run(COPY, [target, start], [rows, layout.cols, given.row, 0, layout.cols])
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
                        raise Unplannable("a start that is one of members of different lengths")
                    for k in range(abs(ref.shift)):
                        place = -1 - k if ref.shift < 0 else cls.count + k
                        if places.setdefault(place, (source, ref.start[1])) != (source, ref.start[1]):
                            raise Unplannable("two different starts for one delayed value")
        return places

    # -- nodes ------------------------------------------------------------------------------------------------------
    def operand(self, reader: Class, ref: Ref) -> tuple[Layout, int]:
        """Layout of an input and the shift at which the reader's members find it."""
        layout = self.layouts[ref.source]
        if ref.kind == "shared":
            return replace(layout, offset=layout.offset + ref.shift * layout.member, member=0), 0
        return layout, ref.shift

    def node(self, cls: Class, inside: set[int]) -> None:
        """Emit a node, in the recurrence being built or in a block of its own."""
        if cls.index in self.graph.sums:
            self.add_terms(cls, [t for t in self.graph.sums[cls.index] if not inside or self.recurs(t, inside)], inside)
            return
        if cls.index in self.views:
            return
        if cls.op == "pick":
            self.gather(cls, inside)
        elif cls.op in MAPS or cls.op == "detach":
            self.map(cls, inside)
        elif cls.op in ("index", "window"):
            self.copy(cls, inside)
        else:
            self.generic(cls, inside)

    def open(self, cls: Class, inside: set[int], flat: bool, note: str = "") -> bool:
        """Start a block for a node outside recurrences; inside one, check that it may run there."""
        if inside:
            if not flat and cls.group.levels is not None and np.diff(cls.group.levels).max() > 1:
                raise Unplannable(f"{cls.op} of many members at once")
            return False
        self.p.begin([cls.group], "all" if flat else "member", note or cls.name or cls.op)
        return True

    def map(self, cls: Class, inside: set[int]) -> None:
        """Elementwise: rows × columns with a stride for each operand."""
        kernel = Kernel.registry[cls.op]
        out = self.p.values[cls.index]
        operands = [self.operand(cls, ref) for ref in cls.refs]
        self.emit_map(kernel, cls, [(out, 0), *operands], inside, 0)

    def emit_map(
        self, kernel: Kernel, cls: Class, operands: list[tuple[Layout, int]], inside: set[int], add: int
    ) -> None:
        """One elementwise instruction; the first operand is written."""
        flat = cls.count == 1 or all(layout.flat for layout, _ in operands)
        if cls.dtype.kind == "i":
            kernel = kernels.integer_twin(kernel)
        opened = self.open(cls, inside, flat)
        addresses = [self.p.address(layout, cls, shift) for layout, shift in operands]
        strides = [layout.row for layout, _ in operands]
        attrs = OPS[cls.op].floats if cls.op in OPS and kernel.name.split("_vjp")[0] == cls.op else ()
        if attrs:
            addresses.append(Address(self.floats(cls), 0))
            strides.append(0)
        cols = cls.cols
        coefficient, key = self.p.rows_of(cls)
        slot = len(addresses) + 2
        if all(stride == cols for stride in strides[: len(operands)]):
            d = [1, *strides, add, cols]
            split = Split(slot, coefficient * cols, tuple(coefficient * stride for stride in strides))
            self.p.run(kernel, addresses, d, {slot: (coefficient * cols, key)}, self.per_row(split, coefficient))
        else:
            split = Split(0, coefficient, tuple(coefficient * stride for stride in strides))
            self.p.run(
                kernel, addresses, [0, *strides, add, cols], {0: (coefficient, key)}, self.per_row(split, coefficient)
            )
        if opened:
            self.p.end()

    @staticmethod
    def per_row(split: Split, rows: int) -> Split:
        """A split of a whole member made one of its rows."""
        return Split(split.slot, split.unit // rows, tuple(stride // rows for stride in split.strides), rows)

    def floats(self, cls: Class):
        """The constants of an op, as a storage."""
        numbers = [dict(cls.attrs)[key] for key in OPS[cls.op].floats]
        return self.p.constant(np.array([*numbers, 0.0, 0.0][:2], self.p.dtype), "arena", "constants")

    def copy(self, cls: Class, inside: set[int]) -> None:
        """Copy rows chosen by index, window or slice into a place of their own."""
        view = self.view(cls)
        if view is None:
            if cls.op == "window" and cls.ragged:
                self.ragged_window(cls, inside)
                return
            self.generic(cls, inside)
            return
        self.emit_map(COPY, cls, [(self.p.values[cls.index], 0), (view, 0)], inside, 0)

    def ragged_window(self, cls: Class, inside: set[int]) -> None:
        """The first rows of the member before: the batch of sequences that are still running."""
        ref = cls.refs[0]
        if (cls.args != 0).any() or ref.kind not in ("same", "delay", "shared"):
            raise Unplannable("rows from the middle of members of different lengths")
        source, shift = self.operand(cls, ref)
        out = self.p.values[cls.index]
        opened = self.open(cls, inside, False)
        address = self.p.address(source, cls, shift)
        coefficient, key = self.p.rows_of(cls)
        d = [0, out.row, source.row, 0, cls.cols]
        self.p.run(COPY, [self.p.address(out, cls), address], d, {0: (coefficient, key)})
        if opened:
            self.p.end()

    def gather(self, cls: Class, inside: set[int]) -> None:
        """Rows that a list names, copied next to each other."""
        out = self.p.values[cls.index]
        where = self.pointers(cls.refs[0], self.p.values, cls)
        opened = self.open(cls, inside, True)
        width = out.rows * out.cols
        origin = Address(self.p.origin, 0)
        operands = [self.p.address(out, cls), origin, Address(where, 0, (1, ("member", cls.group.index)))]
        kernel = kernels.GATHER_INTEGERS if cls.dtype.kind == "i" else kernels.GATHER_ROWS
        self.p.run(kernel, operands, [0, width, 0, 1, 0], {0: (1, ("members", cls.group.index))})
        if opened:
            self.p.end()

    def pointers(self, ref: Ref, layouts: dict[int, Layout], cls: Class, unwanted: Layout | None = None):
        """A storage of addresses, filled in when storages have their places."""
        assert ref.classes is not None and ref.numbers is not None
        where = self.p.storage(cls.count, "addresses", space="integers")
        where.data = np.zeros(cls.count, np.int64)
        used = [int(c) for c in np.unique(ref.classes)]
        chosen = {c: unwanted if unwanted and c not in self.graph.wants else layouts[c] for c in used}
        if any(not layout.dense or layout.level or layout.ragged >= 0 for layout in chosen.values()):
            raise Unplannable("rows picked from a value without a place of its own")
        self.p.pointers.append(([layout.storage for layout in chosen.values()], where, ref, chosen))
        return where

    def generic(self, cls: Class, inside: set[int]) -> None:
        """Any op through its own calls, members as more rows where that fits."""
        site = self.site(cls)
        roles = {"y": (self.p.values[cls.index], 0)}
        roles.update({f"x{i}": self.operand(cls, ref) for i, ref in enumerate(self.refs(cls))})
        self.emit_calls(cls, OPS[cls.op].forward(site), site, roles, inside)

    def refs(self, cls: Class) -> list[Ref]:
        """Inputs of a node; those of a join are listed apart."""
        nodes = self.graph.state.joins.get(cls.index)
        if nodes is None:
            return cls.refs
        if len(nodes) > MOST_JOINED:
            raise Unplannable(f"{cls.op} of {len(nodes)} tensors that don't lie in order")
        state = self.graph.state
        return [Ref("shared", int(state.node_class[i]), int(state.node_number[i])) for i in nodes]

    def site(self, cls: Class) -> Site:
        """The op's site at the first member."""
        if cls.count > 1 and (cls.args != cls.args[0]).any():
            raise Unplannable(f"{cls.op} with a number that changes from step to step")
        shapes = tuple(self.input_shape(cls, ref) for ref in self.refs(cls))
        return Site(cls.attrs, int(cls.args[0]), shapes, cls.shape())

    def input_shape(self, cls: Class, ref: Ref) -> tuple[int, ...]:
        """Shape of an input at the first member."""
        source = self.graph.classes[ref.source]
        if ref.start and ref.shift < 0:
            return self.graph.classes[ref.start[0]].shape(ref.start[1])
        return source.shape(ref.shift if ref.kind == "shared" else max(ref.shift, 0))

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
                raise Unplannable(f"{cls.op} of rows that lie apart")
        flat = all(self.evenly(cls, call, sizes, roles) for call in calls)
        if cls.ragged and (
            not flat
            or any(int(call.d[0]) % max(int(cls.rows[0]), 1) or call.d[0] == 1 != cls.rows[0] for call in calls)
        ):
            raise Unplannable(f"{cls.op} over members of different lengths")
        opened = self.open(cls, inside, flat)
        for call in calls:
            kernel = kernels.MATMUL_TILED if call.kernel is MATMUL else call.kernel
            if cls.dtype.kind == "i":
                kernel = kernels.integer_twin(kernel)
            operands = [
                Address(self.floats(cls), 0) if role == "attr" else self.p.address(*self._for(roles[role], cls))
                for role in call.operands
            ]
            d = call.d.tolist()
            d[call.accumulate_slot] = add
            if flat and cls.ragged:
                vary = {0: self.p.rows_of(cls, d[0] // max(int(cls.rows[0]), 1))}
            else:
                vary = {0: (d[0], ("members", cls.group.index))}
            self.p.run(kernel, operands, d, vary, self.shared_rows(cls, call))
        if opened:
            self.p.end()

    @staticmethod
    def shared_rows(cls: Class, call: Call) -> Split | None:
        """How threads may share the rows of an op's call: not where all rows write one place."""
        rows = 1 if cls.scalar else int(cls.rows[0])
        times, rest = divmod(int(call.d[0]), max(rows, 1))
        if rest or not times or call.d[1] == 0 or call.partial:
            return None
        strides = tuple(times * int(stride) for stride in call.d[1 : 1 + len(call.operands)])
        return Split(0, times, strides, rows)

    @staticmethod
    def _for(role: tuple[Layout, int], cls: Class) -> tuple[Layout, Class, int]:
        return role[0], cls, role[1]

    def evenly(self, cls: Class, call: Call, sizes: dict[str, int], roles: dict[str, tuple[Layout, int]]) -> bool:
        """Whether more members are just more rows of a call."""
        if cls.count == 1:
            return True
        rows = int(call.d[0])
        if cls.ragged and not self.by_rows(cls):
            return False
        for j, role in enumerate(call.operands):
            if role == "attr":
                continue
            stride, layout = int(call.d[1 + j]), roles[role][0]
            if layout.member == 0 and layout.ragged < 0 and not layout.level:
                if stride != 0:
                    return False
            elif layout.ragged >= 0 or layout.level:
                if stride * rows != sizes[role]:
                    return False
            elif stride * rows != layout.member or sizes[role] != layout.member:
                return False
        return True

    @staticmethod
    def by_rows(cls: Class) -> bool:
        """Whether an op treats each row of its first axis by itself."""
        flags = dict(cls.attrs)
        return cls.op in BY_ROWS or flags.get("axes", (0,))[0] > 0 or (flags.get("axis") or 0) > 0

    # -- sums -------------------------------------------------------------------------------------------------------
    def recurs(self, term: Term, inside: set[int]) -> bool:
        """Whether a term is added inside the recurrence: it depends on it, or its levels have rows enough to multiply
        there at full speed, where the sum is still in cache."""
        if any(source in inside for ref in term.cls.refs for source in ref.sources()):
            return True
        return bool(inside) and self.rows_per_level(term.cls) >= ENOUGH_ROWS and term.cls.refs[0].kind != "shared"

    def rows_per_level(self, cls: Class) -> float:
        """Rows of a level, on average."""
        levels = cls.count if cls.group.levels is None else len(cls.group.levels) - 1
        return float(np.maximum(cls.rows, 1).sum()) / max(levels, 1)

    def hoisted(self, cls: Class, inside: set[int]) -> None:
        """Terms that no recurrence reaches, for all members at once: they are the sum's initial contents."""
        terms = [t for t in self.graph.sums[cls.index] if not self.recurs(t, inside)]
        if inside and self.p.values[cls.index].level:
            return
        if terms:
            self.add_terms(cls, terms, set())

    def add_terms(self, cls: Class, terms: list[Term], inside: set[int]) -> None:
        """y = Σ terms: repeated rows first, then values, then products that accumulate."""
        out = self.p.values[cls.index]
        every = self.graph.sums[cls.index]
        if inside and out.level:
            terms = every
        begun = bool(inside) and not out.level and len(terms) < len(every)
        order = {"row": 0, "value": 1, "matmul": 2}
        for term in sorted(terms, key=lambda t: order[t.kind]):
            if term.kind == "matmul":
                self.product(cls, term.cls, out, inside, int(begun))
            elif term.kind == "row":
                layout, _ = self.row_operand(term.cls)
                self.emit_map(kernels.ADD_TO, cls, [(out, 0), (layout, 0)], inside, int(begun))
            else:
                self.emit_map(kernels.ADD_TO, cls, [(out, 0), self.operand(cls, term.cls.refs[0])], inside, int(begun))
            begun = True

    def row_operand(self, cls: Class) -> tuple[Layout, int]:
        """The row that an expand repeats, as rows of stride 0."""
        ref = cls.refs[0]
        source, shift = self.operand(cls, ref)
        member = 0 if ref.kind == "shared" or cls.count == 1 else source.member
        rows = 1 if cls.scalar else int(cls.rows[0])
        return replace(source, member=member, row=0, rows=rows, cols=cls.cols), shift

    def product(self, cls: Class, matmul: Class, out: Layout, inside: set[int], add: int) -> None:
        """y (+)= x · op(W) with W packed once."""
        a, shift = self.operand(matmul, matmul.refs[0])
        packed, k, n = self.pack(matmul, False)
        flat = cls.count == 1 or (a.flat and out.flat)
        opened = self.open(cls, inside, flat)
        coefficient, key = self.p.rows_of(cls)
        operands = [self.p.address(out, cls), self.p.address(a, matmul, shift), Address(packed.storage, 0)]
        split = Split(0, 1, (out.row, a.row, 0), coefficient)
        self.p.run(kernels.GEMM_PACKED, operands, [0, out.row, a.row, 0, add, n, k], {0: (coefficient, key)}, split)
        if opened:
            self.p.end()

    def pack(self, matmul: Class, backward: bool) -> tuple[Layout, int, int]:
        """The shared operand of a product, packed (transposed for the way back). Returns (packed, k, n)."""
        ref = matmul.refs[1]
        w = self.operand(matmul, ref)[0]
        transposed = bool(dict(matmul.attrs).get("transpose_b"))
        rows, cols = w.rows, w.cols
        k, n = (cols, rows) if transposed else (rows, cols)
        strides = (1, w.row) if transposed else (w.row, 1)
        if backward:
            k, n, strides = n, k, strides[::-1]
        key = (w.storage.index, w.offset, k, n, strides)
        if key not in self.p.packs:
            from tinyseq.engine.gemm import packed_size, panel_width

            outer, self.p.loop = self.p.loop, None
            storage = self.p.storage(packed_size(k, n, panel_width(self.p.dtype)), "packed weights")
            self.p.begin([], "all", "pack weights")
            self.p.run(kernels.PACK, [Address(storage, 0), Address(w.storage, w.offset)], [1, 0, 0, 0, k, n, *strides])
            self.p.end()
            self.p.loop = outer
            self.p.packs[key] = Layout(storage, 0, 0, 0, k, n)
        return self.p.packs[key], k, n

    # -- views ------------------------------------------------------------------------------------------------------
    def view(self, cls: Class) -> Layout | None:
        """A layout that shows a node's values where they already lie, or None where they must be made."""
        maker = getattr(self, f"view_{cls.op}", None)
        if maker is None or cls.index in self.p.leads:
            return None
        layout = maker(cls)
        if layout is None or (not layout.dense and not self.takes_strides(cls)):
            return None
        return layout

    def takes_strides(self, cls: Class) -> bool:
        """Whether all readers can read rows that lie apart."""
        for reader, j in self.graph.consumers.get(cls.index, []):
            other = self.graph.classes[reader]
            if other.op in MAPS or other.op == "detach":
                continue
            if other.op == "matmul" and j == 0 and (reader in self.graph.sums or reader in self.graph.inside):
                continue
            if other.op == "add" or reader in self.graph.inside:
                continue
            return False
        return not any(int(self.graph.state.node_class[node]) == cls.index for node in self.graph.outputs)

    def source_of(self, cls: Class) -> tuple[Layout, int] | None:
        """The input of a view, if it has a fixed place."""
        ref = cls.refs[0]
        if ref.source not in self.layouts:
            return None
        layout, shift = self.operand(cls, ref)
        if layout.ragged >= 0:
            return None
        return replace(layout, offset=layout.offset + shift * layout.member), 0

    def view_index(self, cls: Class) -> Layout | None:
        """x[t] with t in equal steps."""
        found = self.source_of(cls)
        if found is None or not found[0].dense or found[0].level:
            return None
        source = found[0]
        steps = np.diff(cls.args)
        if len(steps) and (steps != steps[0]).any():
            return None
        slab = size(self.input_shape(cls, cls.refs[0])[1:])
        step = int(steps[0]) if len(steps) else 0
        rows = 1 if cls.scalar else int(cls.rows[0])
        return Layout(
            source.storage,
            source.offset + int(cls.args[0]) * slab,
            source.member + step * slab,
            cls.cols,
            rows,
            cls.cols,
        )

    def view_window(self, cls: Class) -> Layout | None:
        """Rows of x: consecutive runs that cover it, or equal steps."""
        found = self.source_of(cls)
        if found is None or found[0].level:
            return None
        source = found[0]
        if cls.ragged:
            starts = np.cumsum(cls.rows) - cls.rows
            if source.member != 0 or not source.dense or (cls.args != starts + cls.args[0]).any():
                return None
            offset = source.offset + int(cls.args[0]) * cls.cols
            return Layout(source.storage, offset, 0, cls.cols, int(cls.rows[0]), cls.cols, ragged=cls.index)
        steps = np.diff(cls.args)
        if len(steps) and (steps != steps[0]).any():
            return None
        step = int(steps[0]) if len(steps) else 0
        offset = source.offset + int(cls.args[0]) * source.row
        return Layout(source.storage, offset, source.member + step * source.row, source.row, int(cls.rows[0]), cls.cols)

    def view_reshape(self, cls: Class) -> Layout | None:
        """The same numbers under another shape."""
        found = self.source_of(cls)
        if found is None or not found[0].dense:
            return None
        source = found[0]
        rows = 1 if cls.scalar else int(cls.rows[0])
        return replace(source, row=cls.cols, rows=rows, cols=cls.cols)

    def view_detach(self, cls: Class) -> Layout | None:
        """The same numbers."""
        found = self.source_of(cls)
        return found[0] if found else None

    def view_slice(self, cls: Class) -> Layout | None:
        """Some rows, or some columns of a matrix."""
        found = self.source_of(cls)
        flags = dict(cls.attrs)
        if found is None:
            return None
        source = found[0]
        rows = int(cls.rows[0])
        if flags["axis"] == 0:
            return replace(source, offset=source.offset + flags["start"] * source.row, rows=rows, cols=cls.cols)
        if len(cls.tail) != 1:
            return None
        return replace(source, offset=source.offset + flags["start"], rows=rows, cols=cls.cols)

    def view_expand(self, cls: Class) -> Layout | None:
        """A repeated row."""
        if not repeated_row(self.graph, cls) or self.source_of(cls) is None:
            return None
        layout, shift = self.row_operand(cls)
        if cls.ragged and layout.member:
            return None
        return replace(layout, offset=layout.offset + shift * layout.member)

    def view_stack(self, cls: Class) -> Layout | None:
        """All members of a class in their order."""
        nodes = self.graph.state.joins.get(cls.index)
        if nodes is None:
            return None
        sources = self.graph.state.node_class[nodes]
        source = self.graph.classes[int(sources[0])]
        numbers = self.graph.state.node_number[nodes]
        layout = self.layouts.get(source.index)
        if (sources != source.index).any() or layout is None or layout.level or not layout.packed:
            return None
        if (np.diff(numbers) != 1).any() or (layout.ragged >= 0 and (numbers[0] != 0 or len(nodes) != source.count)):
            return None
        rows, cols = (1 if cls.scalar else int(cls.rows[0])), cls.cols
        return Layout(layout.storage, layout.offset + int(numbers[0]) * layout.member, rows * cols, cols, rows, cols)

    def view_concatenate(self, cls: Class) -> Layout | None:
        """Members joined along the first axis are their stack with its first two axes as one."""
        if cls.index not in self.graph.state.joins or dict(cls.attrs)["axis"] != 0:
            return None
        return self.view_stack(cls)


__all__ = ["COPY", "MAPS", "Forward"]
