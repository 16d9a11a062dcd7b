"""The way back, as contributions: for each input through which a gradient passes, one."""

from __future__ import annotations

from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph, Term, differentiable, repeated_row
from tinyseq.engine.plan.maps import MAPS
from tinyseq.engine.plan.sites import inputs_of
from tinyseq.engine.plan.tasks import Back, Tasks
from tinyseq.ops import OPS
from tinyseq.ops.groups import NUMBERED


def differentiate(graph: Graph) -> Tasks:
    """What each class's gradient passes on, in the order of its inputs (BPTT, 10.17–10.28, is the tape's own order
    turned round)."""
    back = {i: tuple(_of(graph, graph.classes[i])) for i in sorted(graph.wants) if i not in graph.inside}
    return Tasks(graph, back)


def _of(graph: Graph, cls: Class) -> list[Back]:
    if cls.op != "pick" and not OPS[cls.op].vjp:
        return []
    if cls.index in graph.sums:
        return [task for term in graph.sums[cls.index] for task in _of_term(graph, cls, term)]
    if cls.op == "pick":
        return [Back("scatter", cls, cls.refs[0])]
    if cls.op == "expand" and repeated_row(graph, cls):
        return [Back("row sum", cls, cls.refs[0], inner=cls)] if cls.refs[0].source in graph.wants else []
    if cls.op in MAPS:
        return [
            Back("map", cls, ref, j)
            for j, ref in enumerate(cls.refs)
            if j in OPS[cls.op].vjp and ref.source in graph.wants
        ]
    if cls.op in NUMBERED:
        return [Back("copy", cls, cls.refs[0])] if cls.refs[0].source in graph.wants else []
    if cls.index in graph.state.joins:  # of what may be a thousand steps, most often a view of them all
        return [Back("join", cls, None)]
    return [
        Back("call", cls, ref, j)
        for j, ref in enumerate(inputs_of(graph, cls))
        if differentiable(cls, j) and ref.source in graph.wants
    ]


def _of_term(graph: Graph, cls: Class, term: Term) -> list[Back]:
    """The gradient of a sum is the gradient of each of its terms."""
    ref = term.cls.refs[0]
    if term.kind == "row":
        return [Back("row sum", cls, ref, inner=term.cls)] if ref.source in graph.wants else []
    if term.kind == "value":
        return [Back("value", cls, ref)] if ref.source in graph.wants else []
    kinds = ("product input", "product weight")
    return [
        Back(kind, cls, ref, j, term.cls)
        for j, (kind, ref) in enumerate(zip(kinds, term.cls.refs, strict=True))
        if ref.source in graph.wants
    ]
