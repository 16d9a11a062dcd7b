"""What an op's calls are made for: the inputs of a class, and the site of its members."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.folded import Class, Unplannable
from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.numbers import arange, full, integer, length
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Shared
from tinyseq.ops import OPS
from tinyseq.ops.groups import TAKEN
from tinyseq.ops.op import Site, row_by_row

MOST_JOINED = 1024


def inputs_of(graph: Graph, cls: Class) -> list[Read]:
    """Inputs of a node; of a join, one for each tensor. Raises Unplannable where those are too many."""
    joined = graph.state.joins.get(cls.index)
    if joined is None:
        return cls.refs
    assert joined.classes is not None and joined.numbers is not None
    if length(joined.classes) > MOST_JOINED:
        raise Unplannable(f"{cls.op} of {len(joined.classes)} tensors that don't lie in order", cls)
    return [Shared(c, n) for c, n in zip(joined.classes.tolist(), joined.numbers.tolist(), strict=True)]


def input_shape(graph: Graph, ref: Read) -> tuple[int, ...]:
    """Shape of an input at the first member."""
    source = graph.classes[ref.source]
    if ref.start and ref.shift < 0:
        return graph.classes[ref.start[0]].shape(ref.start[1])
    return source.shape(ref.number if isinstance(ref, Shared) else max(ref.shift, 0))


def site(graph: Graph, cls: Class) -> Site:
    """The op's site at the first member; that of one row, where members differ in how many they have."""
    if cls.count > 1 and (cls.args != cls.args[0]).any():
        raise Unplannable(f"{cls.op} with a number that changes from step to step", cls)
    shapes = [input_shape(graph, ref) for ref in inputs_of(graph, cls)]
    shape = cls.shape()
    if cls.ragged:
        shape = (1, *cls.tail)
        for i, given in enumerate(shapes):
            if row_by_row(OPS[cls.op], cls.attrs, cls.tail, i, given[1:]):
                shapes[i] = (1, *given[1:])
    return Site(cls.attrs, integer(cls.args[0]), tuple(shapes), shape)


def listed(cls: Class) -> tuple[np.ndarray, np.ndarray]:
    """(classes, numbers) of the members that a node's first input is, one for each of its own."""
    ref = cls.refs[0]
    if isinstance(ref, Picked):
        return ref.classes, ref.numbers
    numbers = full(cls.count, ref.number) if isinstance(ref, Shared) else arange(cls.count) + ref.shift
    classes = full(cls.count, ref.source)
    if ref.start:
        before = numbers < 0 if ref.shift < 0 else arange(cls.count) + ref.shift >= cls.count
        classes[before], numbers[before] = ref.start
    return classes, numbers


def picks_rows(graph: Graph, cls: Class) -> bool:
    """Whether what a list names is picked row by row: its members have different numbers of rows."""
    return cls.op not in TAKEN and (cls.ragged or any(graph.classes[c].ragged for c in cls.refs[0].sources()))


def start_sources(graph: Graph, cls: Class) -> dict[int, tuple[Class, int]]:
    """For each place before the first member (−1, −2 …) or after the last (count …), the member standing there."""
    places: dict[int, tuple[Class, int]] = {}
    for i in sorted(graph.needed):
        for ref in graph.classes[i].refs:
            if isinstance(ref, Delayed) and ref.source == cls.index:
                source = graph.classes[ref.start[0]]
                if source.ragged:
                    raise Unplannable("a start that is one of members of different lengths", source)
                for k in range(abs(ref.shift)):
                    place = -1 - k if ref.shift < 0 else cls.count + k
                    if places.setdefault(place, (source, ref.start[1])) != (source, ref.start[1]):
                        raise Unplannable("two different starts for one delayed value", cls)
    return places


def ragged_start(cls: Class, place: int) -> int:
    """Row at which a place before the first member (negative) or after the last begins, members being ragged."""
    most = integer(cls.rows.max())
    return place * most if place < 0 else integer(cls.rows.sum()) + (place - cls.count) * most
