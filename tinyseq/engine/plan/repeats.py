"""Cutting a tape into repeated instances: calls of one cell, or turns of one loop, that record the same nodes.

A tape may hold millions of nodes, so it is read in pieces of whole instances that stay in the cache: what is kept of a
node is its number among the inner nodes and whether an instance begins there, what is kept of an instance its hash.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.groups import JOINS, NUMBERED, PARAMETERS, RANGES
from tinyseq.ops.op import EACH, KEPT, WIDER
from tinyseq.tape import Kind, Tape

FEW_JOINED = 16  # tensors: more of them are a whole sequence, not a part of a loop
FEWEST_REPEATS = 8  # of nodes outside cells: fewer are not taken for a loop
PIECE = 1 << 13  # nodes


def instances(tape: Tape, inner: np.ndarray, kinds: list[Any]) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
    """Starts of the instances among ``inner``; and for each template its instances (in order) and their length."""
    if not len(inner):
        return np.zeros(0, np.int64), []
    about = _Kinds(kinds)
    starts = _starts(tape, inner, about)
    ends = np.append(starts, len(inner))
    keys = _keys(tape, inner, ends, about)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    cuts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    templates = [order[cuts[i] : cuts[i + 1]] for i in np.argsort(order[cuts[:-1]], kind="stable")]
    parts: list[np.ndarray] = []
    for instances in templates:
        kind = int(tape.kind[inner[starts[instances[0]]]])
        if about.loose_pick[kind]:
            parts += _runs(instances, tape.arg[inner[starts[instances]]])
        elif about.free[kind] and len(instances) < FEWEST_REPEATS:
            parts += np.split(instances, len(instances))
        else:
            parts.append(instances)
    return starts, [(instances, int(ends[instances[0] + 1] - starts[instances[0]])) for instances in parts]


class _Kinds:
    """What matters of each kind, as tables."""

    def __init__(self, kinds: list[Kind]) -> None:
        def table(which: Callable[[Kind], bool]) -> np.ndarray:
            return np.array([which(k) for k in kinds])

        names = {name: i for i, name in enumerate(dict.fromkeys(["", *(k.cell for k in kinds)]))}
        self.cell = np.array([names[k.cell] for k in kinds], np.int32)
        self.loose = table(lambda k: not k.cell and k.op not in RANGES)
        self.join = table(lambda k: k.op in JOINS and not k.cell)
        self.stack = table(lambda k: k.op in JOINS and not k.attrs)
        self.parameter = table(lambda k: k.op in PARAMETERS)
        self.loose_pick = table(lambda k: not k.cell and k.op in NUMBERED)
        self.free = table(lambda k: not k.cell and k.op not in NUMBERED)
        tails = {tail: i for i, tail in enumerate(dict.fromkeys(k.tail for k in kinds))}
        shapes = {shape: i for i, shape in enumerate(dict.fromkeys((k.tail, k.dtype) for k in kinds))}
        self.tail = np.array([tails[k.tail] for k in kinds], np.int64)
        self.shape = np.array([shapes[k.tail, k.dtype] for k in kinds], np.int64)
        self.rank = np.array([len(k.tail) for k in kinds], np.int64)
        self.columns = np.array([prod(k.tail) for k in kinds], np.int64)
        rules = [rows if len(rows) > 1 else rows * 2 for rows in (OPS[k.op].rows(k.attrs, k.tail) for k in kinds)]
        self.rules = np.array([rows[:2] for rows in rules], np.int64).reshape(-1, 2)

    def row_by_row(self, kind: np.ndarray, position: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Whether nodes read of an input one row for each row of theirs; given its position and its kind."""
        rule = self.rules[kind, np.minimum(position, 1)]
        wider = (rule == WIDER) & (self.rank[source] >= self.rank[kind]) & (self.tail[source] != self.tail[kind])
        return (rule == EACH) | wider | ((rule == KEPT) & (self.columns[source] == self.columns[kind]))


def _starts(tape: Tape, inner: np.ndarray, about: _Kinds) -> np.ndarray:
    """Where instances begin: at each node outside cells, and where the cell or its step changes."""
    bounds = np.ones(len(inner), bool)
    for low in range(1, len(inner), PIECE):
        nodes = inner[low - 1 : low + PIECE]
        cell, step = about.cell[tape.kind[nodes]], tape.step[nodes]
        bounds[low : low + PIECE] = (cell[1:] == 0) | (cell[1:] != cell[:-1]) | (step[1:] != step[:-1])
    return np.flatnonzero(bounds)


def _keys(tape: Tape, inner: np.ndarray, ends: np.ndarray, about: _Kinds) -> np.ndarray:
    """A hash of each instance: of its nodes and of how they are wired."""
    number = np.full(len(tape), -1, inner.dtype)
    number[inner] = np.arange(len(inner), dtype=inner.dtype)
    keys = np.empty(len(ends) - 1, np.uint64)
    cuts = np.unique(np.append(np.searchsorted(ends, np.arange(0, len(inner), PIECE)), len(keys)))
    for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        starts, lengths = ends[a:b], np.diff(ends[a : b + 1])
        low = int(starts[0])
        nodes = inner[low : int(ends[b])]
        start = np.repeat(starts, lengths)
        place = np.arange(low, low + len(nodes)) - start
        kind = tape.kind[nodes]
        code = _mix(kind.astype(np.uint64) * np.uint64(2) + np.uint64(1)) * _mixed(place, 1 << 40)
        loose = about.loose[kind]
        code[loose] += _mixed(tape.rows[nodes[loose]], 1 << 44)
        code += _wiring(tape, nodes, kind, number, start, place, about)
        keys[a:b] = np.add.reduceat(code, starts - low) + _mixed(lengths, 0)
    return keys


def _runs(instances: np.ndarray, args: np.ndarray) -> list[np.ndarray]:
    """Cut a list of picks where it turns: one sequence read twice, or forwards and then backwards, is two runs."""
    way = np.sign(np.diff(args))
    turns = np.flatnonzero(way[1:] != way[:-1]) + 1 if len(way) > 1 else np.zeros(0, np.int64)
    cuts, start = [], 0
    for turn in turns.tolist():
        if turn > start:  # the difference at a turn lies between two runs
            cuts.append(turn + 1 if way[turn] != way[start] else turn)
            start = cuts[-1]
    return [part for part in np.split(instances, cuts) if len(part)]


def _wiring(
    tape: Tape,
    nodes: np.ndarray,
    kind: np.ndarray,
    number: np.ndarray,
    start: np.ndarray,
    place: np.ndarray,
    about: _Kinds,
) -> np.ndarray:
    """A hash of each node's inputs: their number, and which of them lie in the same instance, where.

    ``number`` is that of each node of the tape among the inner ones, -1 for a leaf.
    """
    pointers = tape.input_pointers
    firsts = pointers[nodes].astype(np.int64)
    counts = pointers[nodes + 1] - firsts
    code = _mixed(counts, 1 << 50) * _mixed(place, 1 << 41)
    joins = about.join[kind] & ((counts > FEW_JOINED) | about.stack[kind])
    code[joins] += _mixed(nodes[joins], 1 << 43)
    counts[joins] = 0  # such a node is like no other: what it joins, often a whole sequence, tells nothing more
    reading = np.flatnonzero(counts)
    if not len(reading):
        return code
    before = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(nodes)), counts)
    within = np.arange(len(owner)) - before[owner]
    edge = tape.input_indices[firsts[owner] + within].astype(np.int64)
    source, begin, edge_kind = number[edge], start[owner], tape.kind[edge]
    local = source >= begin
    where = np.where(local, source - begin + 1, 0)
    # rows of two sequences are two classes, though the nodes look alike
    where = np.where(about.loose_pick[kind][owner] & ~local, edge + (1 << 20), where)
    # outside cells the place in a loop is told by what a node reads
    from_leaf = np.where(source < 0, edge + (1 << 30), edge_kind.astype(np.int64) + (1 << 20))
    free = about.free[kind][owner]
    where = np.where(free | about.parameter[edge_kind], from_leaf, where)
    # members run by one site: what they read has the same axes, and as many rows unless each goes with one of theirs
    rows = tape.rows[edge].astype(np.int64)
    alike = about.row_by_row(kind[owner], within, edge_kind) & ~free
    where += (about.shape[edge_kind] << 32) + (np.where(alike, np.minimum(rows, 0), rows) << 42)
    weight = _mixed(place[owner] * 64 + within, 1 << 42)
    code[reading] += np.add.reduceat(_mixed(where, 7) * weight, before[reading])
    return code


def _mixed(x: np.ndarray, salt: int) -> np.ndarray:
    return _mix(x.astype(np.uint64) + np.uint64(salt))


def _mix(x: np.ndarray) -> np.ndarray:
    """Bits of numbers stirred. Overwrites what it is given."""
    with np.errstate(over="ignore"):
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x
