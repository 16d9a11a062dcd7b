"""What plans of tapes folded alike have in common, and what of a folded tape may be another number for the next.

The structure is who reads whom and how, with ops, numbers of axes, and names. Unknown are counts: steps, rows of a
batch, members of a group and their order, which rows are picked; and, of the axes behind the first, those that have
been seen to differ between tapes of one structure.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Shared
from tinyseq.engine.plan.symbols import Array, Num
from tinyseq.engine.plan.tracing import Trace
from tinyseq.ops.groups import PARAMETERS

Axes = frozenset[tuple[int, int]]
"""(class, axis behind the first) of lengths that differ from tape to tape."""


def tails(folded: Folded) -> tuple[tuple[int, ...], ...]:
    """The axes of each class behind the first."""
    return tuple([cls.tail for cls in folded.classes])


def differing(these: tuple[tuple[int, ...], ...], those: tuple[tuple[int, ...], ...]) -> Axes:
    """Where the axes of two tapes of one structure differ."""
    if these == those:
        return frozenset()
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip(these, those, strict=True)) if a != b]
    return frozenset([(i, j) for i, a, b in pairs for j, (m, n) in enumerate(zip(a, b, strict=True)) if m != n])


class Structure:
    """What tapes whose plans differ in numbers alone have in common; its hash is taken once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, *parts: Hashable) -> None:
        self.parts, self._hash = parts, hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._hash == other._hash and self.parts == other.parts


def structure(folded: Folded, outputs: Sequence[int], loss: int, *beside: Hashable) -> Structure:
    """Equal for tapes whose plans differ in numbers alone; what else a plan depends on stands ``beside``."""
    groups = tuple([(g.levels is None, g.backwards, g.ragged, g.count == 1) for g in folded.groups])
    classes = tuple([_of_class(cls) for cls in folded.classes])
    attrs = repr([cls.attrs for cls in folded.classes if cls.attrs])  # 1, 1.0 and True are equal
    joins = tuple([(index, *ref.sources()) for index, ref in folded.joins.items()])
    order = list(folded.places)
    places = tuple([(order.index(node), folded.places[node][0]) for node in (*outputs, *([loss] * (loss >= 0)))])
    return Structure(groups, classes, attrs, joins, places, loss >= 0, *beside)


def _of_class(cls: Class) -> Hashable:
    rows = cls.rows
    fixed = cls.op in PARAMETERS
    shape: Hashable = (*rows.tolist(), *cls.tail) if fixed else (rows[0] < 0, _alike(rows), len(cls.tail))
    reads = tuple([_of_ref(ref) for ref in cls.refs])
    kind = (cls.op, cls.attrs, cls.dtype.char, cls.name, cls.cell, cls.line)
    return kind, cls.group.index, shape, _alike(cls.args), reads


def _of_ref(ref: Read) -> Hashable:
    if isinstance(ref, Shared):
        return ref.source
    if isinstance(ref, Picked):
        return Picked, *ref.sources()
    return type(ref), ref.source, ref.shift, None if ref.start is None else ref.start[0]


def _alike(numbers: np.ndarray) -> bool:
    return numbers.strides == (0,) or len(numbers) == 1 or bool((numbers == numbers[0]).all())


def symbolic(folded: Folded, trace: Trace, axes: Axes = frozenset()) -> Folded:
    """The folded tape with its unknown numbers replaced by symbols, read from ``C`` (classes), ``G`` (groups), ``J``
    (joins) and ``P`` (numbers of the places asked for)."""

    def number(text: str, value: Any) -> Any:
        return Num(trace, trace.let(text, ()), int(value))

    def array(text: str, value: np.ndarray) -> Any:
        return Array(trace, trace.let(text, ()), value)

    groups = []
    for i, group in enumerate(folded.groups):
        count = number(f"G[{i}].count", group.count) if group.count > 1 else 1
        levels = None if group.levels is None else array(f"G[{i}].levels", group.levels)
        groups.append(Group(i, count, group.backwards, group.ragged, levels))
    classes = []
    for i, cls in enumerate(folded.classes):
        group = groups[cls.group.index]
        numbers: list[Any] = []
        for what, values in (("rows", cls.rows), ("args", cls.args)):
            if what == "rows" and (cls.op in PARAMETERS or values[0] < 0):
                numbers.append(Array.repeated(trace, group.count, int(values[0])))
            elif _alike(values):
                numbers.append(Array.repeated(trace, group.count, number(f"int(C[{i}].{what}[0])", values[0])))
            else:
                numbers.append(array(f"C[{i}].{what}", values))
        nodes: Any = Array.repeated(trace, 1, number(f"int(C[{i}].nodes[0])", cls.nodes[0]))
        refs = [_ref(ref, f"C[{i}].refs[{j}]", number, array) for j, ref in enumerate(cls.refs)]
        tail: Any = tuple([number(f"C[{i}].tail[{j}]", n) if (i, j) in axes else n for j, n in enumerate(cls.tail)])
        own = {"tail": tail, "nodes": nodes, "rows": numbers[0], "args": numbers[1]}
        classes.append(replace(cls, group=group, refs=refs, **own))
    joins = {i: _picked(ref, f"J[{i}]", array) for i, ref in folded.joins.items()}
    places = {
        node: (c, number(f"P[{k}]", at) if len(folded.classes[c].rows) > 1 else 0)
        for k, (node, (c, at)) in enumerate(folded.places.items())
    }
    return Folded(classes, groups, joins, places)


def _ref(ref: Read, text: str, number: Any, array: Any) -> Read:
    if isinstance(ref, Picked):
        return _picked(ref, text, array)
    if isinstance(ref, Shared):
        return Shared(ref.source, number(f"{text}.number", ref.number))
    if isinstance(ref, Delayed):
        return Delayed(ref.source, ref.by, (ref.start[0], number(f"{text}.start[1]", ref.start[1])))
    return copy(ref)


def _picked(ref: Picked, text: str, array: Any) -> Picked:
    lists = array(f"{text}.classes", ref.classes), array(f"{text}.numbers", ref.numbers)
    return Picked(*lists, named=tuple(ref.sources()))
