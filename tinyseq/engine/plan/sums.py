"""Sums of products: y = b + U x + W h accumulated in place, with weights packed once."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.kernels.gemm import packed_size, panel_width
from tinyseq.engine.plan.emission import Emission
from tinyseq.engine.plan.fold import Class
from tinyseq.engine.plan.graph import Term
from tinyseq.engine.plan.layout import Address, Layout, Split

ENOUGH_ROWS = 8


class Sums(Emission):
    """Emits sums: what no recurrence reaches for all members at once, the rest level by level."""

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
        products = [t.cls for t in terms if t.kind == "matmul"]
        plain = sorted((t for t in terms if t.kind != "matmul"), key=lambda t: t.kind)
        added = [
            (self.row_operand(t.cls)[0], 0) if t.kind == "row" else self.operand(cls, t.cls.refs[0]) for t in plain
        ]
        start = None
        if len(added) == 1 and products and not begun and (cls.count == 1 or added[0][0].flat):
            start = added.pop()
        for operand in added:
            self.emit_map(batched.ADD_TO, cls, [(out, 0), operand], inside, int(begun))
            begun = True
        for matmul in products:
            self.product(cls, matmul, out, inside, int(begun), start)
            begun, start = True, None

    def product(
        self,
        cls: Class,
        matmul: Class,
        out: Layout,
        inside: set[int],
        add: int,
        start: tuple[Layout, int] | None = None,
    ) -> None:
        """y (+)= x · op(W) with W packed once, or y = start + x · op(W)."""
        a, shift = self.operand(matmul, matmul.refs[0])
        packed, k, n = self.pack(matmul, False)
        flat = cls.count == 1 or (a.flat and out.flat)
        opened = self.open(cls, inside, flat)
        coefficient, key = self.p.rows_of(cls)
        operands = [self.p.address(out, cls), self.p.address(a, matmul, shift), Address(packed.storage, 0)]
        first, place = (out, 0) if start is None else start
        operands.append(self.p.address(first, cls, place))
        add = add if start is None else 1
        strides = (out.row, a.row, 0, first.row)
        split = Split(0, 1, strides)
        self.p.run(batched.GEMM_PACKED, operands, [0, *strides, add, n, k], {0: (coefficient, key)}, split)
        if opened:
            self.p.end()

    def pack(self, matmul: Class, backward: bool, first: int = 0, count: int = -1) -> tuple[Layout, int, int]:
        """The shared operand of a product, packed (transposed for the way back), `count` columns or all of it. Returns
        (packed, k, n)."""
        ref = matmul.refs[1]
        w = self.operand(matmul, ref)[0]
        transposed = bool(dict(matmul.attrs).get("transpose_b"))
        rows, cols = w.rows, w.cols
        k, n = (cols, rows) if transposed else (rows, cols)
        strides = (1, w.row) if transposed else (w.row, 1)
        if backward:
            k, n, strides = n, k, strides[::-1]
        offset, n = w.offset + first * strides[1], n if count < 0 else count
        key = (w.storage.index, offset, k, n, strides)
        if key not in self.p.packs:
            outer, self.p.loop = self.p.loop, None
            storage = self.p.storage(packed_size(k, n, panel_width(self.p.dtype)), "packed weights")
            self.p.begin([], "all", "pack weights")
            self.p.run(batched.PACK, [Address(storage, 0), Address(w.storage, offset)], [1, 0, 0, 0, k, n, *strides])
            self.p.end()
            self.p.loop = outer
            self.p.packs[key] = Layout(storage, 0, 0, 0, k, n)
        return self.p.packs[key], k, n
