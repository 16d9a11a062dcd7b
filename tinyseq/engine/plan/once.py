"""What all members of a class have in common is made once: a step's own work on weights, or on a context.

A step may write ``h @ (W / norm(W))``; the tape then holds the quotient once a step. All are one value, so the plan
makes one, which every step reads; the gradients that the steps send it add up before it passes them on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyseq.engine.plan.folded import Class, Folded, Group
from tinyseq.engine.plan.maps import VIEWS
from tinyseq.engine.plan.members import components
from tinyseq.engine.plan.numbers import full, integer, vector
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Same, Shared
from tinyseq.ops import OPS
from tinyseq.ops.groups import CONSTANTS, JOINS
from tinyseq.ops.op import REPEATED


def once(state: Folded) -> dict[int, Any]:
    """Give classes whose members are all one value a single member, which those who read any of them read.

    Returns for each such class how many members it had.
    """
    chosen = _chosen(state)
    counts = {i: state.classes[i].group.count for i in sorted(chosen)}
    groups: dict[int, Group] = {}
    for i in counts:
        cls = state.classes[i]
        if cls.group.index not in groups:
            groups[cls.group.index] = Group(len(state.groups), 1)
            state.groups.append(groups[cls.group.index])
        rows, args, nodes = (full(1, integer(a[0])) for a in (cls.rows, cls.args, cls.nodes))
        state.classes[i] = replace(cls, group=groups[cls.group.index], rows=rows, args=args, nodes=nodes)
    if counts:
        for cls in state.classes:
            cls.refs = [_seen(state, cls, ref, chosen) for ref in cls.refs]
        for i in counts:
            _join(state, state.classes[i])
        state.places = {node: (c, 0 if c in chosen else number) for node, (c, number) in state.places.items()}
    return counts


def _seen(state: Folded, cls: Class, ref: Read, chosen: set[int]) -> Read:
    """How a class reads what has one member now, or, having one itself, anything."""
    if cls.index not in chosen and ref.source not in chosen:
        return ref
    if cls.group.count == 1 and state.classes[ref.source].group.count == 1:
        return Same(ref.source)
    return Shared(ref.source, ref.number if isinstance(ref, Shared) and ref.source not in chosen else 0)


def _join(state: Folded, cls: Class) -> None:
    """What a join of one member puts together is a list."""
    if cls.op in JOINS:
        numbers = [ref.number if isinstance(ref, Shared) else 0 for ref in cls.refs]
        state.joins[cls.index] = Picked(vector([ref.source for ref in cls.refs]), vector(numbers))
        cls.refs = []


def _chosen(state: Folded) -> set[int]:
    """Classes to be made once: those that compute something, what of theirs they read, and parts of what is shared."""
    no = _read_otherwise(state)
    worth = _worth(state, _alike(state, no))
    if worth:
        no |= _recurring(state)
        alike = _alike(state, no)
        worth = _worth(state, alike)
    stack = sorted(worth)
    while stack:
        for ref in state.classes[stack.pop()].refs:
            if isinstance(ref, Same) and ref.source not in worth:
                worth.add(ref.source)
                stack.append(ref.source)
    return worth


def _alike(state: Folded, no: set[int]) -> set[int]:
    """Classes of several members that are all one value, but for some."""
    found: set[int] = set()
    for cls in state.classes:
        if cls.group.count == 1 or cls.index in no or cls.rows.strides != (0,) or cls.args.strides != (0,):
            continue
        if all(isinstance(ref, Shared) or (isinstance(ref, Same) and ref.source in found) for ref in cls.refs):
            found.add(cls.index)
    return found


def _worth(state: Folded, alike: set[int]) -> set[int]:
    """Those of them that compute something or show a part of what they read; to repeat a row costs nothing."""
    ops = {i: state.classes[i].op for i in alike}
    return {i for i, op in ops.items() if op not in CONSTANTS and (op not in VIEWS or OPS[op].view != REPEATED)}


def _read_otherwise(state: Folded) -> set[int]:
    """Classes of which somebody reads members by a list or a delay."""
    found = {c for joined in state.joins.values() for c in joined.sources()}
    for cls in state.classes:
        for ref in cls.refs:
            if isinstance(ref, Delayed | Picked):
                found.update(ref.sources())
    return found


def _recurring(state: Folded) -> set[int]:
    """Classes that wait, through others, for members of their own."""
    reads = [{s for ref in cls.refs for s in ref.sources()} for cls in state.classes]
    for index, joined in state.joins.items():
        reads[index].update(joined.sources())
    return {c for members in components(reads) if len(members) > 1 for c in members}
