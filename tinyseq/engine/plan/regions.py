"""Regions: what runs together and in which order, before, in and after each loop; and the verifier of schedules."""

from __future__ import annotations

from dataclasses import dataclass

from tinyseq.engine.plan.folded import Class, Group
from tinyseq.engine.plan.graph import Graph, Term
from tinyseq.engine.plan.reads import Delayed, Same
from tinyseq.engine.plan.tasks import Back, Tasks
from tinyseq.errors import TapeError


@dataclass(frozen=True)
class Region:
    """Classes that run together: for all members at once, or, where they recur, level by level.

    hoisted   for each sum, the terms that are made before the loop, for all steps; ``inner`` those made in it
    now       backward: contributions passed on in the loop, in order
    deferred  backward: contributions that wait until after the loop, for all steps in one operation
    why       for each class (forward) or contribution (backward), why it stands where it does
    """

    phase: str
    classes: tuple[Class, ...]
    recurrent: bool
    hoisted: dict[int, tuple[Term, ...]]
    inner: dict[int, tuple[Term, ...]]
    now: tuple[Back, ...] = ()
    deferred: tuple[Back, ...] = ()
    why: tuple[str, ...] = ()

    @property
    def inside(self) -> set[int]:
        """The classes of a loop; none outside of one."""
        return {cls.index for cls in self.classes} if self.recurrent else set()

    @property
    def groups(self) -> list[Group]:
        """Groups of the classes, each once."""
        return list({cls.group.index: cls.group for cls in self.classes}.values())

    @property
    def names(self) -> str:
        """The classes in words."""
        return ", ".join(cls.name or cls.op for cls in self.classes)


@dataclass(frozen=True)
class Schedule:
    """Regions in the order in which they run.

    kept       classes whose values the way back reads
    leads      members that delayed readers want before the first and after the last
    one_level  classes in loops whose values nobody reads after their level
    """

    tasks: Tasks
    regions: tuple[Region, ...]
    kept: frozenset[int]
    leads: dict[int, tuple[int, int]]
    one_level: frozenset[int]

    @property
    def graph(self) -> Graph:
        """The graph that is scheduled."""
        return self.tasks.graph

    def dump(self) -> str:
        """One line a region, and one for each reason."""
        lines = []
        for k, region in enumerate(self.regions):
            lines.append(f"{k} {region.phase} {'loop over' if region.recurrent else 'at once'} {region.names}")
            lines += [f"    {reason}" for reason in region.why]
        return "\n".join(lines)


def verify_schedule(schedule: Schedule) -> None:
    """Each task once; what is read is written earlier; what is hoisted reads nothing of its loop. Raises TapeError."""
    graph = schedule.graph
    _leads(schedule)
    made: set[int] = set()
    todo = {id(task): task for tasks in schedule.tasks.back.values() for task in tasks}
    passed: set[int] = set()
    for region in schedule.regions:
        if region.phase == "forward":
            _forward(graph, region, made)
            continue
        for task in (*region.now, *region.deferred):
            if id(task) not in todo:
                raise TapeError(f"schedule: {task} runs twice, or is none of the tasks")
            del todo[id(task)]
        for cls in region.classes:
            passed.add(cls.index)
        _backward(graph, region, passed)
        _order(graph, region)
    if todo:
        raise TapeError(f"schedule: {next(iter(todo.values()))} is never run")


def _leads(schedule: Schedule) -> None:
    """There is a place before the first member, or after the last, for what each delayed read reads there."""
    graph = schedule.graph
    for i in sorted(graph.needed):
        for ref in graph.classes[i].refs:
            if not isinstance(ref, Delayed):
                continue
            before, after = schedule.leads.get(ref.source, (0, 0))
            if before < -ref.by or after < ref.by:
                raise TapeError(
                    f"schedule: class {i} ({graph.classes[i].where}) reads class {ref.source} {ref.by:+d}, which has "
                    f"{before} places before its members and {after} after them"
                )


def _order(graph: Graph, region: Region) -> None:
    """In a loop a gradient is whole before the same member passes it on."""
    passed: dict[int, Back] = {}
    for task in region.now:
        target = graph.root(task.target) if isinstance(task.ref, Same) else -1
        if target in passed and graph.classes[target].group is task.cls.group:
            raise TapeError(f"schedule: {task} adds to class {target}, after this has passed on: {passed[target]}")
        passed.setdefault(task.cls.index, task)


def _forward(graph: Graph, region: Region, made: set[int]) -> None:
    inside = {cls.index for cls in region.classes}
    for cls in region.classes:
        if cls.index in made:
            raise TapeError(f"schedule: class {cls.index} ({cls.where}) is made twice")
        for source in graph.reads(cls) + graph.starts.get(cls.index, []):
            if source not in made and source not in inside and source not in graph.inside:
                raise TapeError(f"schedule: class {cls.index} ({cls.where}) reads class {source} before it is made")
        for term in region.hoisted.get(cls.index, ()):
            if region.recurrent and any(s in inside for ref in term.cls.refs for s in ref.sources()):
                raise TapeError(
                    f"schedule: a {term.kind} term of class {cls.index} ({cls.where}) is hoisted out of the loop that "
                    "it depends on"
                )
        terms = [*region.hoisted.get(cls.index, ()), *region.inner.get(cls.index, ())]
        expected = graph.sums.get(cls.index, [])
        if len(terms) != len(expected) or {id(t) for t in terms} != {id(t) for t in expected}:
            raise TapeError(
                f"schedule: class {cls.index} ({cls.where}) is made of {len(terms)} terms, the tape has {len(expected)}"
            )
    made |= inside


def _backward(graph: Graph, region: Region, passed: set[int]) -> None:
    """A gradient is whole when it is passed on: all readers have passed theirs before, or do so in the same loop."""
    for cls in region.classes:
        if cls.index not in graph.wants:
            continue
        for reader, _ in graph.consumers.get(cls.index, []):
            root = graph.root(reader)
            if root in graph.wants and root not in passed:
                where = graph.classes[root].where
                raise TapeError(
                    f"schedule: class {cls.index} ({cls.where}) passes its gradient on before class {root} ({where}) "
                    "has added to it"
                )
    for task in region.deferred:
        targets = [] if task.ref is None else task.ref.sources()
        if any(t in graph.wants and graph.root(t) in region.inside for t in targets):
            raise TapeError(f"schedule: {task} waits until after the loop, which needs it")
