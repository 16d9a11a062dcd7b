"""What there is to do on the way back: contributions to gradients, and their verifier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph, differentiable
from tinyseq.engine.plan.reads import Read
from tinyseq.errors import TapeError
from tinyseq.ops.groups import LEAVES


@dataclass(frozen=True)
class Back:
    """What the gradient of ``cls`` passes on to one input.

    kind    "map" and "call" are an op's vjp, elementwise or by its own calls; "copy" and "scatter" take rows back to
            where they came from; of a sum, "value" is a plain term, "row sum" a repeated row, "product input" and
            "product weight" the two of a product; "join" stands for all that a join outside cells puts together
    ref     the input; None for a join
    inner   the product or the repeated row itself
    """

    kind: str
    cls: Class
    ref: Read | None
    position: int = 0
    inner: Class | None = None

    @property
    def target(self) -> int:
        """The class of the input."""
        return -1 if self.ref is None else self.ref.source

    def __str__(self) -> str:
        return f"{self.kind} of class {self.cls.index} ({self.cls.where}), input {self.position}"


@dataclass(frozen=True)
class Tasks:
    """The graph, and for each class whose gradient is wanted what it passes on."""

    graph: Graph
    back: dict[int, tuple[Back, ...]]

    def dump(self) -> str:
        """One line a contribution."""
        lines = [
            f"∂L/∂ class {i} ({self.graph.classes[i].where}) -> class {task.target}: {task.kind}, input {task.position}"
            for i, tasks in self.back.items()
            for task in tasks
        ]
        return "\n".join(lines) or "no gradient is wanted"


SIDES = {"product input": 0, "product weight": 1}


def verify_tasks(tasks: Tasks) -> None:
    """For each input with a vjp and a wanted gradient exactly one contribution. Raises TapeError."""
    graph = tasks.graph
    for i in sorted(graph.wants - graph.inside.keys()):
        cls = graph.classes[i]
        for task in tasks.back.get(i, ()):
            if SIDES.get(task.kind, task.position) != task.position:
                raise TapeError(f"differentiate: {task}: the {task.kind} of a product is its input {SIDES[task.kind]}")
        found = Counter(((task.inner or task.cls).index, task.position) for task in tasks.back.get(i, ()) if task.ref)
        expected = _expected(graph, cls)
        if any(task.ref is None for task in tasks.back.get(i, ())):
            continue
        for key in found.keys() | expected.keys():
            if found[key] != expected[key]:
                reader, position = graph.classes[key[0]], key[1]
                raise TapeError(
                    f"differentiate: class {reader.index} ({reader.where}), input {position}: "
                    f"{found[key]} contributions to its gradient, the tape has {expected[key]}"
                )


def _expected(graph: Graph, cls: Class) -> Counter:
    """(class whose input it is, position) of every input that gets a gradient."""
    if cls.index in graph.sums:
        found: Counter = Counter()
        for term in graph.sums[cls.index]:
            for j, ref in enumerate(term.cls.refs):
                if any(s in graph.wants for s in ref.sources()):
                    found[cls.index if term.kind == "value" else term.cls.index, j] += 1
        return found
    if cls.op in LEAVES:
        return Counter()
    if cls.index in graph.state.joins:
        sources = graph.state.joins[cls.index].classes
        assert sources is not None
        return Counter((cls.index, j) for j, s in enumerate(sources.tolist()) if s in graph.wants)
    return Counter(
        (cls.index, j)
        for j, ref in enumerate(cls.refs)
        if differentiable(cls, j) and any(s in graph.wants for s in ref.sources())
    )
