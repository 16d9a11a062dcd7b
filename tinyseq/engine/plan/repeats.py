"""Cutting a tape into repeated instances: calls of one cell, or turns of one loop, that record the same nodes.

A tape may hold millions of nodes, so it is read once, node by node, in machine code: of each instance a hash is kept,
of what its nodes are and how they are wired.
"""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.kind_tables import FREE, JOIN, LOOSE, LOOSE_PICK, PARAMETER, STACK, KindTables
from tinyseq.jit.decorators import kernel
from tinyseq.ops.op import EACH, KEPT, WIDER
from tinyseq.tape import Tape

FEW_JOINED = 16  # tensors: more of them are a whole sequence, not a part of a loop
FEWEST_REPEATS = 8  # of nodes outside cells: fewer are not taken for a loop


def instances(tape: Tape, inner: np.ndarray, about: KindTables) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
    """Starts of the instances among ``inner``; and for each template its instances (in order) and their length."""
    if not len(inner):
        return np.zeros(0, np.int64), []
    starts, keys = _cut(tape, inner, about)
    order, cuts = np.empty(len(keys), np.int64), np.empty(len(keys) + 1, np.int64)
    cuts = cuts[: _grouped(keys, order, cuts) + 1]
    first = order[cuts[:-1]]
    lengths = np.append(starts, len(inner))[first + 1] - starts[first]
    traits = about.traits[tape.kind[inner[starts[first]]]]
    bounds, parts = cuts.tolist(), []
    for i, (length, trait) in enumerate(zip(lengths.tolist(), traits.tolist(), strict=True)):
        alike = order[bounds[i] : bounds[i + 1]]
        if trait & LOOSE_PICK:
            parts += [(run, length) for run in _runs(alike, tape.arg[inner[starts[alike]]])]
        elif trait & FREE and len(alike) < FEWEST_REPEATS:
            parts += [(one, length) for one in alike[:, None]]
        else:
            parts.append((alike, length))
    return starts, parts


def _cut(tape: Tape, inner: np.ndarray, about: KindTables) -> tuple[np.ndarray, np.ndarray]:
    """Where instances begin: at each node outside cells, and where the cell or its step changes; a hash of each."""
    table, number = about.columns, np.full(len(tape), -1, inner.dtype)
    starts, keys = np.empty(len(inner), inner.dtype), np.empty(len(inner), np.uint64)  # room for the most there can be
    columns = tape.kind, tape.rows, tape.step, tape.input_pointers, tape.input_indices
    count = _hashes(*columns, inner, table, number, starts, keys)
    return starts[:count].astype(np.int64), keys[:count]


@kernel
def _grouped(keys, order, cuts):
    """Write instances template after template, each in order, templates as they first appear, and where each begins;
    returns how many templates there are."""
    mask = np.int64(1)
    while mask < 2 * keys.size:
        mask *= 2
    mask -= 1
    table, own = np.full(mask + 1, -1, np.int64), np.empty(keys.size, np.int64)
    first, many = np.empty(keys.size, np.int64), 0
    for i in range(keys.size):
        at = np.int64(keys[i] >> np.uint64(20)) & mask
        while table[at] >= 0 and keys[first[table[at]]] != keys[i]:
            at = (at + 1) & mask
        if table[at] < 0:
            table[at], first[many], cuts[many + 1] = many, i, 0
            many += 1
        own[i] = table[at]
        cuts[own[i] + 1] += 1
    cuts[0] = 0
    for t in range(many):
        cuts[t + 1] += cuts[t]
        first[t] = cuts[t]  # from now on where the next instance goes
    for i in range(keys.size):
        order[first[own[i]]] = i
        first[own[i]] += 1
    return many


@kernel
def _begins(own, cell, step, at):
    """Whether an instance begins at a node of a cell and step, after one of another."""
    return own == 0 or own != cell or step != at


@kernel
def _stirred(code, x):
    """A hash of what a hash stands for, and then a number."""
    found = (code ^ np.uint64(x)) * np.uint64(0x9E3779B97F4A7C15)
    return found ^ (found >> np.uint64(29))


@kernel
def _hashes(kind, rows, step, pointers, edges, inner, table, number, starts, keys):
    """Starts and hashes of all instances, and how many there are; ``number`` becomes that of each node among the inner
    ones, -1 for a leaf.

    A node's hash holds its kind and place, outside cells its rows, and of each input where in the same instance it
    lies, or else what it is. Members are run by one site: what they read has the same axes, and as many rows unless
    each goes with one of theirs. Outside cells the place in a loop is told by what a node reads.
    """
    count, begin, cell, at = 0, 0, np.int64(-1), np.int64(-1)
    code = np.uint64(0)
    for i in range(inner.size):
        node = inner[i]
        number[node] = i
        k = kind[node]
        traits = table[k, 1]
        if i == 0 or _begins(table[k, 0], cell, step[node], at):
            if count:
                keys[count - 1] = _stirred(code, i - begin)
            starts[count], code, begin, cell, at = i, np.uint64(0), i, table[k, 0], step[node]
            count += 1
        if traits & LOOSE:
            code = _stirred(code, rows[node])
        first, inputs = np.int64(pointers[node]), np.int64(pointers[node + 1]) - np.int64(pointers[node])
        code = _stirred(code, (np.int64(k) << 32) + inputs)
        if traits & JOIN and (inputs > FEW_JOINED or traits & STACK):
            code = _stirred(code, node)
            inputs = 0  # such a node is like no other: what it joins, often a whole sequence, tells nothing more
        rule = table[k, 6]
        for j in range(inputs):
            source = np.int64(edges[first + j])
            other, own, where = np.int64(kind[source]), np.int64(number[source]), np.int64(0)
            if own >= begin:
                where = own - begin + 1
            elif traits & FREE or table[other, 1] & PARAMETER:
                where = source + (1 << 30) if own < 0 else other + (1 << 20)
            elif traits & LOOSE_PICK:
                where = source + (1 << 20)  # rows of two sequences are two classes, though the nodes look alike
            many = np.int64(rows[source])
            if not traits & FREE:
                alike = rule == EACH
                if rule == WIDER:
                    alike = table[other, 4] >= table[k, 4] and table[other, 3] != table[k, 3]
                elif rule == KEPT:
                    alike = table[other, 5] == table[k, 5]
                if alike:
                    many = min(many, np.int64(0))
            code = _stirred(code, where + (table[other, 2] << 32) + (many << 42))
            rule = table[k, 7]
    if count:
        keys[count - 1] = _stirred(code, inner.size - begin)
    return count


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
