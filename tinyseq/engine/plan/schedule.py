"""The order of work: what recurs runs level by level, all else for all members at once, before it or after it."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.folded import Class, Group, Unplannable
from tinyseq.engine.plan.graph import Component, Graph, Term
from tinyseq.engine.plan.maps import VIEWS
from tinyseq.engine.plan.numbers import integer, length
from tinyseq.engine.plan.reads import Delayed, Same, Shared
from tinyseq.engine.plan.regions import Region, Schedule
from tinyseq.engine.plan.tasks import Back, Tasks
from tinyseq.engine.plan.values_read import values_read
from tinyseq.ops.groups import NUMBERED

ENOUGH_ROWS = 8


def schedule(tasks: Tasks) -> Schedule:
    """Forward components in order, then those whose gradient is wanted in reverse."""
    graph = tasks.graph
    kept = frozenset(values_read(graph)) if graph.loss >= 0 else frozenset()
    leads = _leads(graph)
    one_level: set[int] = set()
    regions = []
    for component in graph.components:
        lifetimes = _Lifetimes(graph, component, kept, leads)
        if component.recurrent:
            _same_lengths({cls.group.index: cls.group for cls in component.classes})
            one_level |= {cls.index for cls in component.classes if not lifetimes.outlives(cls)}
        regions.append(_forward(graph, component, one_level))
    if graph.loss >= 0 and graph.loss_class.index in graph.wants:
        for component in reversed(graph.components):
            if any(cls.index in graph.wants for cls in component.classes):
                regions.append(_backward(tasks, component))
    return Schedule(tasks, tuple(regions), kept, leads, frozenset(one_level))


def _leads(graph: Graph) -> dict[int, tuple[int, int]]:
    leads: dict[int, tuple[int, int]] = {}
    for i in graph.needed:
        for ref in graph.classes[i].refs:
            if isinstance(ref, Delayed):
                before, after = leads.get(ref.source, (0, 0))
                leads[ref.source] = (max(before, -ref.by), max(after, ref.by))
    return leads


def _same_lengths(groups: dict[int, Group]) -> None:
    """What recurs together has as many levels each. Raises Refused."""
    levels = [group.count if group.levels is None else length(group.levels) - 1 for group in groups.values()]
    if any(number != levels[0] for number in levels):
        raise Unplannable("groups of different lengths in one recurrence", groups=list(groups))


def enough_rows(cls: Class) -> bool:
    """Whether a level has, on average, rows enough to multiply at full speed."""
    levels = cls.count if cls.group.levels is None else length(cls.group.levels) - 1
    return integer(np.maximum(cls.rows, 1).sum()) >= ENOUGH_ROWS * max(levels, 1)


def recurs(graph: Graph, term: Term, inside: set[int]) -> bool:
    """Whether a term is added inside the loop: it depends on it, or its levels have rows enough to multiply there at
    full speed, where the sum is still in cache."""
    if any(source in inside for ref in term.cls.refs for source in ref.sources()):
        return True
    if not inside:
        return False
    if "hoist" in graph.without:
        return True
    return enough_rows(term.cls) and not isinstance(term.cls.refs[0], Shared)


class _Lifetimes:
    """Which values of one component are read after their level."""

    def __init__(
        self, graph: Graph, component: Component, kept: frozenset[int], leads: dict[int, tuple[int, int]]
    ) -> None:
        self.graph, self.kept, self.leads = graph, kept, leads
        self.inside = {cls.index for cls in component.classes}

    def outlives(self, cls: Class) -> bool:
        """Whether a value inside a loop is read after its level."""
        graph = self.graph
        if cls.index in self.kept or cls.index in self.leads or cls.ragged or graph.is_output(cls):
            return True
        if any(t.kind != "row" and not recurs(graph, t, self.inside) for t in graph.sums.get(cls.index, [])):
            return True
        for reader, j in graph.consumers.get(cls.index, []):
            root = graph.classes[graph.root(reader)]
            refs = graph.classes[reader].refs
            if root.index not in self.inside or not refs or not isinstance(refs[j], Same):
                return True
            if cls.group.levels is not None and root.group is not cls.group:
                return True  # in a tree, the same member of another group may be of another height
            if root.op in NUMBERED or (root.op in VIEWS and self.outlives(root)):
                return True  # rows are found by their addresses, of which each member has its own
        return False


def _forward(graph: Graph, component: Component, one_level: set[int]) -> Region:
    inside = {cls.index for cls in component.classes} if component.recurrent else set()
    hoisted: dict[int, tuple[Term, ...]] = {}
    inner: dict[int, tuple[Term, ...]] = {}
    why = []
    for cls in component.classes:
        terms = graph.sums.get(cls.index, [])
        if not terms:
            continue
        before = tuple(t for t in terms if not recurs(graph, t, inside))
        if component.recurrent and cls.index in one_level:
            before = ()  # repeated rows begin the sum of each level anew
        hoisted[cls.index] = before
        inner[cls.index] = tuple(t for t in terms if all(t is not b for b in before))
        if before and component.recurrent:
            kinds = ", ".join(t.kind for t in before)
            why.append(f"class {cls.index} ({cls.where}): {kinds} before the loop, as no step has to wait for them")
    if component.recurrent:
        why.append("each step needs the one before")
    return Region("forward", tuple(component.classes), component.recurrent, hoisted, inner, why=tuple(why))


def _backward(tasks: Tasks, component: Component) -> Region:
    graph, inside = tasks.graph, {cls.index for cls in component.classes}
    wanted = tuple(cls for cls in component.classes if cls.index in graph.wants)
    every = [task for cls in reversed(wanted) for task in tasks.back.get(cls.index, ())]
    waits = [component.recurrent and _waits(graph, task, inside) for task in every]
    now = tuple(task for task, wait in zip(every, waits, strict=True) if not wait)
    later = tuple(task for task, wait in zip(every, waits, strict=True) if wait)
    why = tuple(f"{task}: nothing in the loop needs it, so all steps are taken at once after it" for task in later)
    return Region("backward", tuple(component.classes), component.recurrent, {}, {}, now, later, why)


def _waits(graph: Graph, task: Back, inside: set[int]) -> bool:
    """Whether what is passed on leaves the loop."""
    if "defer" in graph.without or task.ref is None:
        return False
    sources = [s for s in task.ref.sources() if s in graph.wants] if task.kind == "scatter" else [task.target]
    return all(graph.root(s) not in inside for s in sources)
