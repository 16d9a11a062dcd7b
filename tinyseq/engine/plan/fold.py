"""From nodes to classes: find the repetition in a tape.

Nodes that stand at the same place of repeated calls of a cell form one class; its members are numbered along the
structure (time, or height of a tree). What a class reads is then one of a few things: the member of the same
number, the member d steps before, one node shared by all, or a list. All this is array work on the tape's columns: a
loop written in Python is recognised just as an unfolded cell is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.engine.plan.folded import (
    Class,
    Condensed,
    Group,
    Ref,
    Unplannable,
    compact,
    distinct,
    index_type,
)
from tinyseq.engine.plan.members import Numbering, components, orient
from tinyseq.engine.plan.repeats import instances as repeated_instances
from tinyseq.engine.plan.used import marks_of, split_by_use
from tinyseq.ops import OPS
from tinyseq.ops.groups import GIVEN, JOINS, RANGES
from tinyseq.ops.op import row_by_row
from tinyseq.tape import DTYPES, Tape

MOST_CLASSES = 4000


def condense(tape: Tape, outputs: Sequence[int] = (), loss: int = -1) -> Condensed:
    """Group the nodes of a tape that are needed for some outputs (without any, all) into classes."""
    kind, n = tape.kind, len(tape)
    kinds = tape.kinds
    leaf_kind = np.array([k.op in GIVEN for k in kinds])
    integers = index_type(n)
    inner = np.flatnonzero(~leaf_kind[kind]).astype(integers)
    pointers, edges = tape.input_pointers, tape.input_indices
    starts, found = repeated_instances(tape, inner, kinds)
    members = [(instances, np.arange(length)) for instances, length in found]
    if outputs or loss >= 0:
        members = split_by_use(tape, inner, starts, members, marks_of(tape, outputs, loss))
    state = Condensed([], [], {}, {})
    at = Numbering(np.full(n, -1, integers), np.full(n, -1, integers), {})
    for leaf in np.flatnonzero(leaf_kind[kind]).tolist():
        _add_class(tape, state, at, np.array([leaf]), _add_group(state, 1))
    if sum(len(places) for _, places in members) > MOST_CLASSES:
        raise Unplannable("the tape has too many nodes that repeat nothing")
    first_inner = len(state.classes)
    for instances, places in members:
        group = _add_group(state, len(instances))
        for place in places.tolist():
            _add_class(tape, state, at, inner[starts[instances] + place], group)
    for cls in state.classes[first_inner:]:
        _read(at, cls, pointers, edges)
    for cls in state.classes[first_inner:]:
        _check_alike(state, cls)
    orient(state, first_inner, at)
    for index, nodes in at.joins.items():
        classes, numbers = at.cls[nodes].astype(np.int64), at.number[nodes].astype(np.int64)
        state.joins[index] = Ref("gather", classes=classes, numbers=numbers)
    state.places = {node: (int(at.cls[node]), int(at.number[node])) for node in (*outputs, *([loss] * (loss >= 0)))}
    return state


def _add_group(state: Condensed, count: int) -> Group:
    group = Group(len(state.groups), count)
    state.groups.append(group)
    return group


def _add_class(tape: Tape, state: Condensed, at: Numbering, nodes: np.ndarray, group: Group) -> None:
    k = tape.kinds[int(tape.kind[nodes[0]])]
    rows = compact(tape.rows[nodes].astype(np.int64))
    cls = Class(
        len(state.classes),
        k.op,
        k.attrs,
        k.tail,
        DTYPES[k.dtype],
        k.name,
        k.cell,
        k.line,
        nodes,
        rows,
        compact(tape.arg[nodes].astype(np.int64)),
        group,
    )
    group.ragged = group.ragged or bool((rows != rows[0]).any())
    at.cls[nodes] = cls.index
    at.number[nodes] = np.arange(len(nodes))
    state.classes.append(cls)


def _read(at: Numbering, cls: Class, pointers: np.ndarray, edges: np.ndarray) -> None:
    arity = int(pointers[cls.nodes[0] + 1] - pointers[cls.nodes[0]])
    if cls.op in JOINS and cls.count == 1:
        at.joins[cls.index] = edges[pointers[cls.nodes[0]] : pointers[cls.nodes[0] + 1]]
        return
    for j in range(arity):
        nodes = edges[pointers[cls.nodes] + j]
        classes, numbers = compact(at.cls[nodes]), compact(at.number[nodes])
        cls.refs.append(Ref("gather", classes=classes, numbers=numbers))


def _check_alike(state: Condensed, cls: Class) -> None:
    """Members run by the site of the first, so what they read must be alike: all axes but the first, and that too
    unless each row of it goes with one of theirs. Raises Unplannable."""
    if cls.count == 1 or cls.op in RANGES:  # which says itself how many rows it takes
        return
    for j, ref in enumerate(cls.refs):
        assert ref.classes is not None and ref.numbers is not None
        read = distinct(ref.classes).tolist()
        sources = [state.classes[c] for c in read]
        first = sources[0]
        follows = row_by_row(OPS[cls.op], cls.attrs, cls.tail, j, first.tail)
        if all(s.rows.strides == (0,) or s.count == 1 for s in sources):
            kinds = {int(s.rows[0]) for s in sources}
            alike = len(kinds) == 1 and (not follows or not cls.ragged)
        else:
            alike = False
        if not alike:
            rows = np.empty(cls.count, np.int64)
            for c in read:
                chosen = ref.classes == c
                rows[chosen] = state.classes[c].rows[ref.numbers[chosen]]
            alike = bool((rows == (cls.rows if follows and (rows != rows[0]).any() else rows[0])).all())
        if not alike or any(s.tail != first.tail or s.dtype != first.dtype for s in sources):
            raise Unplannable(f"{cls.op} of inputs whose sizes differ from member to member", cls)


__all__ = ["Class", "Condensed", "Group", "Ref", "Unplannable", "components", "condense"]
