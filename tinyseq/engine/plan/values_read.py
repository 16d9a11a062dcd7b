"""Which values the way back reads."""

from __future__ import annotations

from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.maps import VIEWS
from tinyseq.ops import OPS
from tinyseq.ops.groups import LEAVES


def values_read(graph: Graph) -> set[int]:
    """Classes whose values some vjp reads, and what those are views of."""
    found: set[int] = set()
    for i in graph.wants:
        cls = graph.classes[i]
        if cls.op == "pick" or cls.op in LEAVES or i in graph.inside:
            continue
        for term in graph.sums.get(i, []):
            if term.kind == "matmul" and any(s in graph.wants for s in term.cls.refs[1].sources()):
                found.update(term.cls.refs[0].sources())
        if i in graph.sums:
            continue
        for j, ref in enumerate(cls.refs):
            if not any(s in graph.wants for s in ref.sources()):
                continue
            for role in OPS[cls.op].reads.get(j, ()):
                found.update([i] if role == "y" else cls.refs[int(role[1:])].sources())
    stack = list(found)
    while stack:
        cls = graph.classes[stack.pop()]
        if cls.op in VIEWS:
            sources = [s for ref in cls.refs for s in ref.sources()]
            sources += graph.state.joined(cls.index)
            stack += [s for s in sources if s not in found]
            found.update(sources)
    return found
