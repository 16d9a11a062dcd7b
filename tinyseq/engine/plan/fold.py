"""From nodes to classes: find the repetition in a tape.

Nodes that stand at the same place of repeated calls of a cell form one class; its members are numbered along the
structure (time, or height of a tree). What a class reads is then one of a few things: the member of the same
number, the member d steps before, one node shared by all, or a list. All this is array work on the tape's columns: a
loop written in Python is recognised just as an unfolded cell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group, Unplannable, index_type
from tinyseq.engine.plan.kind_tables import tables_of
from tinyseq.engine.plan.members import Numbering, components, orient
from tinyseq.engine.plan.reading import parted_by, read, repeated, take
from tinyseq.engine.plan.reads import Picked
from tinyseq.engine.plan.repeats import instances as repeated_instances
from tinyseq.engine.plan.used import NONE, Template, all_places, marks_of, split_by_use
from tinyseq.ops import OPS
from tinyseq.ops.groups import JOINS, RANGES
from tinyseq.ops.op import row_by_row
from tinyseq.tape import DTYPES, Kind, Tape

MOST_CLASSES = 4000


def fold(tape: Tape, outputs: Sequence[int] = (), loss: int = -1) -> Folded:
    """Group the nodes of a tape that are needed for some outputs (without any, all) into classes."""
    kind, n, about = tape.kind, len(tape), tables_of(tape.kinds)
    integers = index_type(n)
    parted = np.empty(n, integers)
    inner, leaves = np.split(parted, [parted_by(kind, about.given, parted)])
    starts, found = repeated_instances(tape, inner, about)
    if outputs or loss >= 0:
        members = split_by_use(tape, inner, starts, found, marks_of(tape, about, outputs, loss))
    else:
        members = [(instances, all_places(length)) for instances, length in found]
    state = Folded([], [], {}, {})
    at = Numbering(np.full(n, -1, integers), np.full(n, -1, integers), {})
    _add_leaves(tape, state, at, leaves)
    if sum(len(places) for _, places in members) > MOST_CLASSES:
        raise Unplannable("the tape has too many nodes that repeat nothing")
    first_inner = len(state.classes)
    sizes = np.array([(len(instances), len(places)) for instances, places in members], np.int64).reshape(-1, 2)
    nodes, arity = _add_groups(tape, state, at, inner, starts, members, sizes)
    _read(tape, at, nodes, sizes, arity, state.classes[first_inner:])
    for cls in state.classes[first_inner:]:
        _check_alike(state, cls)
    orient(state, first_inner, at)
    for index, joined in at.joins.items():
        lists = at.cls[joined].astype(np.int64), at.number[joined].astype(np.int64)
        state.joins[index] = Picked(*lists)
    state.places = {node: (int(at.cls[node]), int(at.number[node])) for node in (*outputs, *([loss] * (loss >= 0)))}
    return state


def _add_leaves(tape: Tape, state: Folded, at: Numbering, leaves: np.ndarray) -> None:
    """A group of one class of one member for each leaf."""
    at.cls[leaves], at.number[leaves] = np.arange(len(leaves)), 0
    kinds = tape.kinds
    columns = zip(*(column[leaves].tolist() for column in (tape.kind, tape.rows, tape.arg)), strict=True)
    for i, (kind, rows, arg) in enumerate(columns):
        group = Group(i, 1)
        state.groups.append(group)
        numbers = leaves[i : i + 1], repeated(rows, 1), repeated(arg, 1)
        state.classes.append(_class(i, kinds[kind], numbers, group))


def _add_groups(
    tape: Tape, state: Folded, at: Numbering, inner: np.ndarray, starts: np.ndarray, members: list[Template],
    sizes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A group for each template, with a class for each place in it: (all their nodes, each class's number of
    inputs)."""
    first = len(state.classes)
    nodes = np.empty(int(sizes.prod(axis=1).sum()), at.cls.dtype)
    told = np.empty((int(sizes[:, 1].sum()), 5), np.int64)
    flat = (np.concatenate([NONE, *[each[k] for each in members]]) for k in range(2))
    columns = tape.kind, tape.rows, tape.arg, tape.input_pointers
    take(inner, starts, *flat, sizes, *columns, first, at.cls, at.number, nodes, told)
    kinds, about, begin, index = tape.kinds, told.tolist(), 0, first
    for count, many in sizes.tolist():
        group = Group(len(state.groups), count)
        state.groups.append(group)
        for kind, row, arg, alike, _ in about[index - first : index - first + many]:
            own = nodes[begin : begin + count]
            rows = repeated(row, count) if alike & 1 else tape.rows[own].astype(np.int64)
            args = repeated(arg, count) if alike & 2 else tape.arg[own].astype(np.int64)
            group.ragged |= not alike & 1
            state.classes.append(_class(index, kinds[kind], (own, rows, args), group))
            begin, index = begin + count, index + 1
    return nodes, told[:, 4]


def _class(index: int, kind: Kind, numbers: tuple[np.ndarray, np.ndarray, np.ndarray], group: Group) -> Class:
    op, attrs, tail, dtype, name, cell, line = kind
    return Class(index, op, attrs, tail, DTYPES[dtype], name, cell, line, *numbers, group)


def _read(
    tape: Tape, at: Numbering, nodes: np.ndarray, sizes: np.ndarray, arity: np.ndarray, classes: list[Class]
) -> None:
    """What each class reads; lists of members until they are seen in order."""
    pointers, edges = tape.input_pointers, tape.input_indices
    for p, cls in enumerate(classes):
        if cls.op in JOINS and cls.count == 1:
            begin = pointers[cls.nodes[0]]
            at.joins[cls.index] = edges[begin : begin + arity[p]]
            arity[p] = 0
    total = int((arity * sizes[:, 0].repeat(sizes[:, 1])).sum())
    sources, numbers = np.empty(total, nodes.dtype), np.empty(total, nodes.dtype)
    found = np.empty((int(arity.sum()), 2), np.int64)
    read(nodes, sizes, arity, pointers, edges, at.cls, at.number, sources, numbers, found)
    told, begin = iter(found.tolist()), 0
    for cls, inputs in zip(classes, arity.tolist(), strict=True):
        count = len(cls.nodes)
        for only, step in islice(told, inputs):
            own = slice(begin, begin + count)
            cls.refs.append(Picked(sources[own], numbers[own], only=only, step=step))
            begin += count


def _check_alike(state: Folded, cls: Class) -> None:
    """Members run by the site of the first, so what they read must be alike: all axes but the first, and that too
    unless each row of it goes with one of theirs. Raises Unplannable."""
    if cls.count == 1 or cls.op in RANGES:  # which says itself how many rows it takes
        return
    for j, ref in enumerate(cls.refs):
        assert ref.classes is not None and ref.numbers is not None
        if ref.only >= 0 and not cls.group.ragged and state.classes[ref.only].rows.strides == (0,):
            continue
        members = ref.sources()
        sources = [state.classes[c] for c in members]
        first = sources[0]
        follows = row_by_row(OPS[cls.op], cls.attrs, cls.tail, j, first.tail)
        if all(s.rows.strides == (0,) or s.count == 1 for s in sources):
            kinds = {int(s.rows[0]) for s in sources}
            alike = len(kinds) == 1 and (not follows or not cls.ragged)
        else:
            alike = False
        if not alike:
            rows = np.empty(cls.count, np.int64)
            for c in members:
                chosen = ref.classes == c
                rows[chosen] = state.classes[c].rows[ref.numbers[chosen]]
            alike = bool((rows == (cls.rows if follows and (rows != rows[0]).any() else rows[0])).all())
        if not alike or any(s.tail != first.tail or s.dtype != first.dtype for s in sources):
            raise Unplannable(f"{cls.op} of inputs whose sizes differ from member to member", cls)


__all__ = ["Class", "Folded", "Group", "Unplannable", "components", "fold"]
