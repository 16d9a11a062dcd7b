"""Which gradients flow where, and whether a write covers its target."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph, differentiable
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.maps import MAPS, MIRRORED
from tinyseq.engine.plan.numbers import integer
from tinyseq.engine.plan.reads import Read, Same
from tinyseq.engine.plan.sites import inputs_of, site
from tinyseq.ops import OPS
from tinyseq.ops.groups import NUMBERED
from tinyseq.ops.op import Call


class Placed(Protocol):
    """A graph whose values have their places: ``views`` are classes that show what lies elsewhere."""

    @property
    def graph(self) -> Graph:
        """The graph."""

    @property
    def views(self) -> Collection[int]:
        """Classes that show what lies elsewhere."""


def roots(placed: Placed, target: int) -> list[int]:
    """The classes that a view, however deep, lies in."""
    graph, found = placed.graph, []
    while target in placed.views and graph.classes[target].op in MIRRORED:
        joined = graph.state.joined(target)
        target = joined[0] if joined else graph.classes[target].refs[0].source
        found.append(target)
    return found


def plain_targets(
    placed: Placed, wanted: list[Class], inside: set[int], shares: Callable[[Class], bool]
) -> dict[int, bool]:
    """For each class that a loop's gradients flow to: whether each write is of the whole member of its own level; not
    for those that lie in the gradient of a sum, as ``shares`` says."""
    plain: dict[int, bool] = {}
    graph = placed.graph
    for cls in wanted:
        for target, ref, whole in writes(placed, cls):
            if target in inside and not shares(graph.classes[target]):
                ok = whole and isinstance(ref, Same) and target not in placed.views and same_level(graph, cls, target)
                root = graph.root(target)
                plain[root] = plain.get(root, True) and ok
                for source in roots(placed, target):
                    plain[source] = plain.get(source, True) and (ok and source == root)
    return plain


def writes(placed: Placed, cls: Class) -> list[tuple[int, Read, bool]]:
    """(target class, ref, whether the write covers the target's members) for every gradient a node passes on."""
    graph = placed.graph
    found: list[tuple[int, Read, bool]] = []
    if cls.index in graph.sums:
        for term in graph.sums[cls.index]:
            for j, ref in enumerate(term.cls.refs):
                if ref.source in graph.wants and (term.kind != "matmul" or j < 2):
                    found.append((ref.source, ref, not (term.kind == "matmul" and j == 1)))
        return found
    for j, ref in enumerate(inputs_of(graph, cls) if cls.index in graph.state.joins else cls.refs):
        if not differentiable(cls, j) or (cls.index in placed.views and cls.op in MIRRORED):
            continue
        found += [(source, ref, covers(placed, cls, j)) for source in ref.sources() if source in graph.wants]
    return found


def same_level(graph: Graph, cls: Class, target: int) -> bool:
    """Whether a node's members run at the same level as what they read: by height, only those of one group do, and
    the first to write a gradient in a level need not be the first of all."""
    group = graph.classes[target].group
    return cls.group is group or (cls.group.levels is None and group.levels is None)


def covers(placed: Placed, cls: Class, j: int) -> bool:
    """Whether what a node passes to an input is one write of all of it."""
    if cls.op in MAPS:
        return True
    if cls.op == "pick" or cls.op in NUMBERED or cls.index in placed.views:
        return False
    calls = dict(OPS[cls.op].vjps(site(placed.graph, cls))).get(j, [])
    return writes_whole(placed.graph, cls, j, calls)


def writes_whole(graph: Graph, cls: Class, j: int, calls: list[Call]) -> bool:
    """Whether an op's own calls for an input are one write of all of its gradient: not in parts, and not the rows of
    members that differ in how many they have, all of which add to one place."""
    if len(calls) != 1 or calls[0].partial:
        return False
    if not cls.ragged or integer(calls[0].d[0]) != 1:
        return True
    return all(graph.classes[source].ragged for source in inputs_of(graph, cls)[j].sources())


def flat_product(cls: Class, a: View, shift: int, g: View) -> bool:
    """Whether the rows of all members are evenly spaced in both operands of a weight's gradient."""
    return cls.count == 1 or (a.flat and g.flat and not (a.ragged >= 0 and shift))
