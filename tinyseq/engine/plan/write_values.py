"""The steps that make values: terms of sums in order, packs and starts before."""

from __future__ import annotations

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.collecting import Collected
from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Term
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.maps import MAPS
from tinyseq.engine.plan.regions import Region
from tinyseq.engine.plan.sites import start_sources
from tinyseq.engine.plan.steps import Loop, Pack, Start, Work
from tinyseq.ops.groups import GIVEN, NUMBERED


class Values(Collected):
    """The steps of the forward pass."""

    def __init__(self, buffers: Buffers) -> None:
        super().__init__(buffers, set())

    def region(self, region: Region) -> None:
        """A loop with what comes before it, or one class for all members."""
        if not region.recurrent:
            (cls,) = region.classes
            if cls.op in GIVEN or cls.index in self.buffers.views:
                return
            if cls.index in self.graph.sums:
                self.steps += self.terms(cls, region.hoisted[cls.index], False, False)
            else:
                self.steps.append(self.node(cls))
            self.starts(cls)
            return
        for cls in region.classes:
            self.starts(cls)
        for cls in region.classes:
            self.steps += self.terms(cls, region.hoisted.get(cls.index, ()), False, False)
        work: list[Work] = []
        for cls in region.classes:
            if cls.index in self.graph.sums:
                work += self.terms(cls, region.inner[cls.index], bool(region.hoisted[cls.index]), True)
            elif cls.index not in self.buffers.views:
                work.append(self.node(cls))
        if work:
            self.steps.append(Loop(region, tuple(work)))

    def starts(self, cls: Class) -> None:
        """Copy what stands before the first member (and after the last) next to the members."""
        if any(self.buffers.leads.get(cls.index, (0, 0))):
            for place, (source, number) in start_sources(self.graph, cls).items():
                self.steps.append(Start(cls, place, source, number))

    @staticmethod
    def node(cls: Class) -> Work:
        """How a class that is no sum is made."""
        kind = "call"
        if cls.op == "pick":
            kind = "pick"
        elif cls.op in MAPS:
            kind = "map"
        elif cls.op in NUMBERED:
            kind = "copy"
        return Work(kind, cls)

    def terms(self, cls: Class, terms: tuple[Term, ...], begun: bool, inside: bool) -> list[Work]:
        """y = Σ terms: repeated rows first, then values, then products that accumulate; packs go before. One row or
        value is what the first product starts from."""
        products = [t for t in terms if t.kind == "matmul"]
        plain = sorted((t for t in terms if t.kind != "matmul"), key=lambda t: t.kind)
        begin, work = None, []
        alone = len(plain) == 1 and bool(products) and not begun and "in place" not in self.graph.without
        if alone and (cls.count == 1 or self.operand(cls, plain[0]).flat):
            begin = plain.pop()
        for term in plain:
            work.append(Work("add", cls, begun, term))
            begun = True
        for term in products:
            pack = Pack(term.cls, False)
            if inside:
                self.pack(pack)
                work.append(Work("product", cls, begun, term, begin))
            else:
                self.steps += work
                self.pack(pack)
                work = [Work("product", cls, begun, term, begin)]
            begun, begin = True, None
        return work

    def operand(self, cls: Class, term: Term) -> View:
        """Where a repeated row or a value lies."""
        shown = self.buffers.shown
        return (shown.row_operand(term.cls) if term.kind == "row" else shown.operand(cls, term.cls.refs[0]))[0]
