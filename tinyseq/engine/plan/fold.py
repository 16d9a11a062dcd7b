"""From nodes to classes: find the repetition in a tape.

Nodes that stand at the same place of repeated calls of a cell form one class; its members are numbered along the
structure (time, or height of a tree). What a class reads is then one of a few things: the member of the same
number, the member d steps before, one node shared by all, or a list. All this is array work on the tape's columns: a
loop written in Python is recognised just as an unfolded cell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group, Unplannable, index_type
from tinyseq.engine.plan.kind_tables import tables_of
from tinyseq.engine.plan.members import Numbering, components, orient
from tinyseq.engine.plan.reading import read, repeated, take
from tinyseq.engine.plan.reads import Picked
from tinyseq.engine.plan.repeats import instances as repeated_instances
from tinyseq.engine.plan.used import marks_of, split_by_use
from tinyseq.ops import OPS
from tinyseq.ops.groups import JOINS, RANGES
from tinyseq.ops.op import row_by_row
from tinyseq.tape import DTYPES, Tape

MOST_CLASSES = 4000


def fold(tape: Tape, outputs: Sequence[int] = (), loss: int = -1) -> Folded:
    """Group the nodes of a tape that are needed for some outputs (without any, all) into classes."""
    kind, n, about = tape.kind, len(tape), tables_of(tape.kinds)
    integers = index_type(n)
    given = about.given[kind]
    inner, leaves = np.flatnonzero(~given).astype(integers), np.flatnonzero(given)
    del given
    starts, found = repeated_instances(tape, inner, about)
    members = [(instances, np.arange(length)) for instances, length in found]
    if outputs or loss >= 0:
        members = split_by_use(tape, inner, starts, members, marks_of(tape, about, outputs, loss))
    state = Folded([], [], {}, {})
    at = Numbering(np.full(n, -1, integers), np.full(n, -1, integers), {})
    _add_singles(tape, state, at, list(leaves[:, None]))
    if sum(len(places) for _, places in members) > MOST_CLASSES:
        raise Unplannable("the tape has too many nodes that repeat nothing")
    first_inner = len(state.classes)
    made = []
    for once, run in groupby(members, lambda each: len(each[0]) == 1):
        if once:
            made.append(_add_singles(tape, state, at, [inner[starts[instances] + places] for instances, places in run]))
        else:
            made += [_add_classes(tape, state, at, inner, starts[instances], places) for instances, places in run]
    for nodes, classes in made:
        _read(tape, at, nodes, classes)
    for cls in state.classes[first_inner:]:
        _check_alike(state, cls)
    orient(state, first_inner, at)
    for index, joined in at.joins.items():
        lists = at.cls[joined].astype(np.int64), at.number[joined].astype(np.int64)
        state.joins[index] = Picked(*lists)
    state.places = {node: (int(at.cls[node]), int(at.number[node])) for node in (*outputs, *([loss] * (loss >= 0)))}
    return state


def _add_singles(
    tape: Tape, state: Folded, at: Numbering, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[Class]]:
    """Groups of one member each, given by their nodes: (nodes of all their classes, the classes)."""
    first = len(state.classes)
    nodes = np.concatenate([np.zeros(0, at.cls.dtype), *groups]).astype(at.cls.dtype)
    at.cls[nodes], at.number[nodes] = np.arange(first, first + len(nodes)), 0
    kinds, columns = tape.kinds, zip(*(c[nodes].tolist() for c in (tape.kind, tape.rows, tape.arg)), strict=True)
    place = 0
    for own in groups:
        group = Group(len(state.groups), 1)
        state.groups.append(group)
        for kind, rows, arg in islice(columns, len(own)):
            op, attrs, tail, dtype, name, cell, line = kinds[kind]
            numbers = nodes[place : place + 1], repeated(rows, 1), repeated(arg, 1)
            place += 1
            state.classes.append(
                Class(len(state.classes), op, attrs, tail, DTYPES[dtype], name, cell, line, *numbers, group)
            )
    return nodes[:, None], state.classes[first:]


def _add_classes(
    tape: Tape, state: Folded, at: Numbering, inner: np.ndarray, begins: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, list[Class]]:
    """A group whose members begin at some of the inner nodes, with a class for each place in them: (the nodes of each,
    the classes)."""
    group = Group(len(state.groups), len(begins))
    state.groups.append(group)
    shape, first = (len(places), len(begins)), len(state.classes)
    nodes = np.empty(shape, at.cls.dtype)
    rows, args = np.empty(shape, tape.rows.dtype), np.empty(shape, tape.arg.dtype)
    alike = np.empty(len(places), np.int64)
    take(inner, begins, places, tape.rows, tape.arg, first, at.cls, at.number, nodes, rows, args, alike)
    kinds, known = tape.kinds, alike.tolist()
    for p, kind in enumerate(tape.kind[nodes[:, 0]].tolist()):
        k, bits = kinds[kind], known[p]
        group.ragged |= not bits & 1
        own_rows, own_args = (
            repeated(a[p, 0], group.count) if bits & bit else a[p].astype(np.int64) for a, bit in ((rows, 1), (args, 2))
        )
        dtype = DTYPES[k.dtype]
        state.classes.append(
            Class(first + p, k.op, k.attrs, k.tail, dtype, k.name, k.cell, k.line, nodes[p], own_rows, own_args, group)
        )
    return nodes, state.classes[first:]


def _read(tape: Tape, at: Numbering, nodes: np.ndarray, classes: list[Class]) -> None:
    """What each class of a group reads; lists of members until they are seen in order."""
    pointers, edges = tape.input_pointers, tape.input_indices
    arity = (pointers[nodes[:, 0] + 1] - pointers[nodes[:, 0]]).astype(np.int64)
    for p, cls in enumerate(classes):
        if cls.op in JOINS and cls.count == 1:
            begin = pointers[nodes[p, 0]]
            at.joins[cls.index] = edges[begin : begin + arity[p]]
            arity[p] = 0
    total = int(arity.sum())
    sources, numbers = np.empty((total, nodes.shape[1]), nodes.dtype), np.empty((total, nodes.shape[1]), nodes.dtype)
    only, step = np.empty(total, np.int64), np.empty(total, np.int64)
    read(nodes, arity, pointers, edges, at.cls, at.number, sources, numbers, only, step)
    ones, steps, r = only.tolist(), step.tolist(), 0
    for cls, inputs in zip(classes, arity.tolist(), strict=True):
        cls.refs = [Picked(sources[k], numbers[k], only=ones[k], step=steps[k]) for k in range(r, r + inputs)]
        r += inputs


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
