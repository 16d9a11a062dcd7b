"""Rewrites of the folded graph, none of which knows a cell.

What all members of a class have in common is made once; inputs that are lists become picks; sums that end in matrix
products or repeated rows become one node that accumulates in place; classes that recur form components, each run level
by level.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group, Unplannable
from tinyseq.engine.plan.graph import Component, Graph, Term, differentiable, refs_of, repeated_row, tiled
from tinyseq.engine.plan.members import components
from tinyseq.engine.plan.numbers import arange, full, integer, length
from tinyseq.engine.plan.once import once
from tinyseq.engine.plan.reads import Picked, Read, Run, Same, Shared
from tinyseq.ops.groups import PARAMETERS

MANY_JOINED = 4  # members: fewer are copied one by one


def rewrite(folded: Folded, outputs: list[int], loss: int, without: frozenset[str] = frozenset()) -> Graph:
    """The graph for the nodes whose values are wanted. ``folded`` stays as it is."""
    wanted = [folded.places[i][0] for i in outputs]
    state = _copied(folded)
    alike = {} if "once" in without else once(state)
    graph = Graph(state, outputs, loss, without=without, once=alike)
    _gathers(state, without)
    if "picks" not in without:
        _joins(state)
    _needed(graph, wanted)
    _consumers(graph)
    _starts(graph)
    _gradients(graph)
    _recurrences(graph)
    _sums(graph, set(wanted))
    _components(graph)
    return graph


def _copied(folded: Folded) -> Folded:
    """Classes and groups of its own; their arrays are shared."""
    groups = [replace(group) for group in folded.groups]
    classes = [replace(cls, refs=list(cls.refs), group=groups[cls.group.index]) for cls in folded.classes]
    return replace(folded, classes=classes, groups=groups, joins=dict(folded.joins), _joined={})


def _gathers(state: Folded, without: frozenset[str]) -> None:
    """Give each input that is a list a class of its own, which copies the rows it names."""
    made: dict[int, list[tuple[Read, int]]] = {}
    for cls in list(state.classes):
        for j, given in enumerate(cls.refs):
            ref = _some_of_ragged(state, cls, given)
            if not isinstance(ref, Picked):
                continue
            known = made.setdefault(cls.group.index, [])
            found = next((index for other, index in known if _same_list(ref, other)), -1)
            if found < 0 or "picks" in without:
                source, rows = state.classes[ref.sources()[0]], _rows_read(state, cls, ref)
                found = _pick(state, cls, ref, source.tail, source.dtype, rows, cls.group)
                cls.group.ragged = cls.group.ragged or bool((rows != rows[0]).any())
                known.append((ref, found))
            cls.refs[j] = Same(found)


def _same_list(ref: Read, other: Read) -> bool:
    """Whether two lists name the same members."""
    assert ref.classes is not None and ref.numbers is not None
    assert other.classes is not None and other.numbers is not None
    return np.array_equal(ref.classes, other.classes) and np.array_equal(ref.numbers, other.numbers)


def _rows_read(state: Folded, cls: Class, ref: Read) -> np.ndarray:
    """How many rows each member of a list has."""
    assert ref.classes is not None and ref.numbers is not None
    sources = ref.sources()
    first = state.classes[sources[0]].rows[0]
    if all((state.classes[c].rows == first).all() for c in sources):
        return full(cls.count, integer(first))
    rows = full(cls.count, 0)
    for c in sources:
        rows[ref.classes == c] = state.classes[c].rows[ref.numbers[ref.classes == c]]
    return rows


def _pick(
    state: Folded, cls: Class, ref: Read, tail: tuple[int, ...], dtype: np.dtype, rows: np.ndarray, group: Group
) -> int:
    """A class of what a list names, for a class that reads it; its index."""
    count = group.count
    pick = Class(
        len(state.classes), "pick", (), tail, dtype, "", cls.cell, cls.line, full(count, -1), rows, full(count, 0),
        group, [ref],
    )  # fmt: skip
    state.classes.append(pick)
    return pick.index


def _joins(state: Folded) -> None:
    """What many members are put together from, in another order than their own, is picked first, in one operation."""
    for index, ref in list(state.joins.items()):
        cls = state.classes[index]
        assert ref.classes is not None and ref.numbers is not None
        sources = [state.classes[c] for c in ref.sources()]
        first = sources[0]
        in_order = len(sources) == 1 and bool((np.diff(ref.numbers) == 1).all())
        alike = all(
            (source.tail, source.dtype) == (first.tail, first.dtype) and bool((source.rows == first.rows[0]).all())
            for source in sources
        )
        count = length(ref.classes)
        if dict(cls.attrs).get("axis") or in_order or not alike or count < MANY_JOINED:
            continue
        group = Group(len(state.groups), count)
        state.groups.append(group)
        pick = _pick(state, cls, ref, first.tail, first.dtype, full(count, integer(first.rows[0])), group)
        state.joins[index] = Picked(full(count, pick), arange(count))


def _some_of_ragged(state: Folded, cls: Class, ref: Read) -> Read:
    """Some members, of different numbers of rows, of another group: only a list can say where they lie."""
    if not isinstance(ref, Shared | Run) or not state.classes[ref.source].ragged:
        return ref
    if state.classes[ref.source].group is cls.group:
        return ref
    numbers = full(cls.count, ref.number) if isinstance(ref, Shared) else arange(cls.count) + ref.first
    return Picked(full(cls.count, ref.source), numbers)


def _needed(graph: Graph, wanted: list[int]) -> None:
    stack = list(wanted)
    while stack:
        i = stack.pop()
        if i in graph.needed:
            continue
        graph.needed.add(i)
        stack.extend(graph.reads(graph.classes[i]))


def _starts(graph: Graph) -> None:
    """What stands before a delayed class's members must be there when they are, and gets its gradient from them."""
    for i in graph.needed:
        for ref in graph.classes[i].refs:
            if ref.start:
                graph.starts.setdefault(ref.source, []).append(ref.start[0])


def _consumers(graph: Graph) -> None:
    for i in graph.needed:
        cls = graph.classes[i]
        for j, ref in enumerate(cls.refs):
            for source in ref.sources():
                graph.consumers.setdefault(source, []).append((i, j))
        for source in graph.state.joined(i):
            graph.consumers.setdefault(source, []).append((i, 0))


def _gradients(graph: Graph) -> None:
    """Classes whose gradient is needed: they depend on a trainable parameter, and the loss depends on them."""
    if graph.loss < 0:
        return
    below: set[int] = set()
    stack = [i for i in graph.needed if graph.classes[i].op in PARAMETERS and not graph.classes[i].attrs]
    while stack:
        i = stack.pop()
        if i in below:
            continue
        below.add(i)
        stack.extend(c for c, j in graph.consumers.get(i, []) if differentiable(graph.classes[c], j))
        stack.extend(delayed for delayed, starts in graph.starts.items() if i in starts)
    stack = [graph.state.places[graph.loss][0]]
    while stack:
        i = stack.pop()
        if i in graph.wants or i not in below:
            continue
        graph.wants.add(i)
        cls = graph.classes[i]
        for j, ref in enumerate(cls.refs):
            if differentiable(cls, j):
                stack.extend(ref.sources())
        stack.extend(graph.state.joined(i))


def _recurrences(graph: Graph) -> None:
    """Number the recurrences that classes belong to: what is made in one isn't there before it has run."""
    every = sorted(graph.needed)
    place = {c: k for k, c in enumerate(every)}
    around = [graph.reads(graph.classes[c]) + graph.starts.get(c, []) for c in every]
    for number, members in enumerate(components([{place[s] for s in found} for found in around])):
        if len(members) > 1 or every[members[0]] in around[members[0]]:
            graph.recurrence.update((every[k], number) for k in members)


def _sums(graph: Graph, outputs: set[int]) -> None:
    for i in sorted(graph.needed, reverse=True):
        cls = graph.classes[i]
        if i in graph.inside or cls.op not in ("add", "matmul"):
            continue
        if cls.op == "matmul":
            if tiled(graph, cls):
                graph.sums[i] = [Term("matmul", cls)]
            continue
        terms, swallowed = _terms(graph, cls, outputs)
        if any(term.kind == "matmul" for term in terms):
            graph.sums[i] = terms
            graph.inside.update(dict.fromkeys(swallowed, i))


def _terms(graph: Graph, root: Class, outputs: set[int]) -> tuple[list[Term], list[int]]:
    terms: list[Term] = []
    swallowed: list[int] = []
    stack = [root]
    while stack:
        cls = stack.pop()
        for ref in reversed(cls.refs):
            source = graph.classes[ref.source]
            alone = (
                isinstance(ref, Same)
                and source.group is root.group
                and len(graph.consumers.get(source.index, [])) == 1
                and source.index not in outputs
            )
            alone = alone and "in place" not in graph.without
            if alone and source.op == "add":
                swallowed.append(source.index)
                stack.append(source)
            elif alone and (tiled(graph, source) or repeated_row(graph, source)):
                swallowed.append(source.index)
                terms.append(Term("matmul" if source.op == "matmul" else "row", source))
            else:
                terms.append(Term("value", _value(cls, ref)))
    return terms, swallowed


def _value(reader: Class, ref: Read) -> Class:
    """A stand-in that carries the ref of a plain term."""
    return Class(
        ref.source, "term", (), reader.tail, reader.dtype, "", reader.cell, reader.line, reader.nodes, reader.rows,
        reader.args, reader.group, [ref],
    )  # fmt: skip


def _components(graph: Graph) -> None:
    running = sorted(graph.needed - graph.inside.keys())
    place = {c: k for k, c in enumerate(running)}
    successors = [{place[s] for s in _outside(graph, graph.classes[c])} for c in running]
    for members in components(successors):
        classes = [graph.classes[running[k]] for k in members]
        recurrent = len(members) > 1 or members[0] in successors[members[0]]
        if recurrent:
            classes = _level_order(graph, classes)
        graph.components.append(Component(classes, recurrent))


def _outside(graph: Graph, cls: Class) -> list[int]:
    return [s for s in graph.reads(cls) + graph.starts.get(cls.index, []) if s not in graph.inside]


def _level_order(graph: Graph, classes: list[Class]) -> list[Class]:
    """Order within one level: each class after those whose same member it reads."""
    inside = {cls.index: k for k, cls in enumerate(classes)}
    successors: list[set[int]] = []
    for cls in classes:
        reads = set()
        for ref in refs_of(graph, cls):
            if isinstance(ref, Same) and ref.source in inside:
                reads.add(inside[ref.source])
            elif ref.classes is not None and ref.numbers is not None:
                own = ref.numbers == arange(cls.count)
                alike = [c for c in ref.sources() if c in inside and graph.classes[c].group is cls.group]
                reads.update(inside[c] for c in alike if (own & (ref.classes == c)).any())
        reads.update(inside[c] for c in graph.state.joined(cls.index) if c in inside)
        successors.append(reads)
    order = components(successors)
    if any(len(members) > 1 for members in order):
        raise Unplannable("a recurrence without a delay between its cells' steps", classes[0])
    return [classes[members[0]] for members in order]
