"""A program before it has memory: its integers, where its storages lie, and what to look at when it has run.

All of it can be made of symbols, and is then that of any tape folded alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinyseq.engine.machine.assemble import Assembler, Common, Part
from tinyseq.engine.plan.layout import Storage
from tinyseq.engine.plan.numbers import integer
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.ops import OPS
from tinyseq.ops.groups import INPUTS
from tinyseq.ops.op import Site


class OutputView(NamedTuple):
    """Where a wanted value lies: ``rows`` of ``cols`` elements, ``row`` apart, from ``start`` on in a storage."""

    storage: int
    start: int
    rows: int
    cols: int
    row: int
    shape: tuple[int, ...]
    dense: bool
    integers: bool


class Limit(NamedTuple):
    """The elements of an integer leaf must lie below ``below``, as ``op`` looks up by them."""

    node: int
    below: int
    op: str


class Listed(NamedTuple):
    """Some entries (``places``) of a list of addresses: those that lie in one storage, ``numbers`` from its base on."""

    where: int
    storage: int
    places: np.ndarray
    numbers: np.ndarray


@dataclass
class Assembled:
    """What a program is made of. ``views`` are those of the nodes asked for, in their order."""

    dtype: np.dtype
    threads: int
    storages: list[Storage]
    parts: list[Part]
    flat_starts: dict[int, int]
    flat_size: int
    limits: list[Limit]
    views: list[OutputView]
    listed: list[Listed]
    classes: int


def assembled(plan: Plan, threads: int) -> Assembled:
    """The integers of each thread's part, and all that binding and running need to know."""
    common = Common(plan, threads)
    parts = [Assembler(plan, (k,), threads, common).assemble() for k in range(threads)]
    starts = {index: place.start for index, place in common.flat_places.items()}
    return Assembled(
        plan.dtype, threads, plan.storages, parts, starts, common.flat_size, index_limits(plan),
        [_view(plan, node) for node in plan.graph.outputs], _listed(plan), len(plan.graph.classes),
    )  # fmt: skip


def _view(plan: Plan, node: int) -> OutputView:
    state = plan.graph.state
    place, number = state.places[node]
    cls, layout = state.classes[place], plan.values[place]
    shape = cls.shape(number)
    start = layout.offset + number * layout.member
    if layout.ragged >= 0:
        start += integer(state.classes[layout.ragged].rows[:number].sum()) * layout.row
    rows = shape[0] if shape else 1
    integers = cls.dtype.kind == "i"
    return OutputView(layout.storage.index, start, rows, cls.cols, layout.row, shape, bool(layout.dense), integers)


def _listed(plan: Plan) -> list[Listed]:
    found = []
    for _, where, classes, layouts in plan.pointers:
        if where.last < 0:
            continue
        for c, layout in layouts.items():
            places = np.flatnonzero(classes == c)
            numbers = where.data[places] + layout.offset
            found.append(Listed(where.index, layout.storage.index, places, numbers))
    return found


def index_limits(plan: Plan) -> list[Limit]:
    """The limits of integer leaves; of several of one leaf the lowest."""
    limits: dict[int, Limit] = {}
    graph = plan.graph
    for i in sorted(graph.needed):
        cls = graph.classes[i]
        of = OPS[cls.op].limit if cls.op in OPS else None
        if of is None:
            continue
        position = len(cls.refs) - 1
        shapes = tuple(graph.classes[ref.sources()[0]].shape() for ref in cls.refs)
        below = of(Site(cls.attrs, integer(cls.args[0]), shapes, cls.shape()))
        stack, seen = list(cls.refs[position].sources()), set()
        while stack:
            source = graph.classes[stack.pop()]
            if source.index in seen:
                continue
            seen.add(source.index)
            if source.op in INPUTS:
                known = limits.get(source.index)
                if known is None or below < known.below or (below == known.below and cls.op < known.op):
                    limits[source.index] = Limit(integer(source.nodes[0]), below, cls.op)
            stack += [s for ref in source.refs for s in ref.sources()]
            stack += graph.state.joined(source.index)
    return list(limits.values())
