"""Cutting a tape into repeated instances: calls of one cell, or turns of one loop, that record the same nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.tape import Tape

FEW_JOINED = 16  # tensors: more of them are a whole sequence, not a part of a loop
FEWEST_REPEATS = 8  # of nodes outside cells: fewer are not taken for a loop


def instances(tape: Tape, inner: np.ndarray, kinds: list[Any]) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
    """Starts of the instances among ``inner``; and for each template its instances (in order) and their length."""
    if not len(inner):
        return np.zeros(0, np.int64), []
    kind = tape.kind[inner]
    cells = {name: i for i, name in enumerate(dict.fromkeys(["", *(k.cell for k in kinds)]))}
    cell = np.array([cells[k.cell] for k in kinds])[kind]
    step = tape.step[inner]
    bounds = np.ones(len(inner), bool)
    bounds[1:] = (cell[1:] == 0) | (cell[1:] != cell[:-1]) | (step[1:] != step[:-1])
    starts = np.flatnonzero(bounds)
    lengths = np.diff(np.append(starts, len(inner)))
    instance = np.cumsum(bounds) - 1
    place = np.arange(len(inner)) - starts[instance]
    code = _mix(kind.astype(np.uint64) * np.uint64(2) + np.uint64(1)) * _mix(
        place.astype(np.uint64) + np.uint64(1 << 40)
    )
    loose = (cell == 0) & ~np.array([k.op == "window" for k in kinds])[kind]
    code[loose] += _mix(tape.rows[inner[loose]].astype(np.uint64) + np.uint64(1 << 44))
    code += _wiring(tape, inner, instance, starts, place)
    keys = np.add.reduceat(code, starts) + _mix(lengths.astype(np.uint64))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.searchsorted(inverse[order], np.arange(len(first) + 1))
    templates = [order[cuts[i] : cuts[i + 1]] for i in np.argsort(first, kind="stable")]
    picked = np.array([k.op in ("index", "window") for k in kinds])[kind[starts]]
    free = (cell[starts] == 0) & ~picked
    parts: list[np.ndarray] = []
    for instances in templates:
        first_of = starts[instances[0]]
        if cell[first_of] == 0 and picked[instances[0]]:
            parts += _runs(instances, tape.arg[inner[starts[instances]]])
        elif free[instances[0]] and len(instances) < FEWEST_REPEATS:
            parts += np.split(instances, len(instances))
        else:
            parts.append(instances)
    templates = parts
    return starts, [(instances, int(lengths[instances[0]])) for instances in templates]


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


def _wiring(tape: Tape, inner: np.ndarray, instance: np.ndarray, starts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A hash of each node's inputs: their number, and which of them lie in the same instance, where."""
    pointers, edges = tape.input_pointers, tape.input_indices
    counts = np.diff(pointers)[inner]
    code = _mix(counts.astype(np.uint64) + np.uint64(1 << 50)) * _mix(place.astype(np.uint64) + np.uint64(1 << 41))
    joins = np.array([k.op in ("stack", "concatenate") and not k.cell for k in tape.kinds])[tape.kind[inner]]
    joins &= (counts > FEW_JOINED) | np.array([k.op == "stack" for k in tape.kinds])[tape.kind[inner]]
    code[joins] += _mix(inner[joins].astype(np.uint64) + np.uint64(1 << 43))
    number = np.full(len(tape), -1, np.int64)
    number[inner] = np.arange(len(inner))
    reading = np.flatnonzero(counts)
    if not len(reading):
        return code
    total = int(counts.sum())
    owner = np.repeat(np.arange(len(inner)), counts)
    firsts = np.cumsum(counts) - counts
    within = np.arange(total) - np.repeat(firsts, counts)
    edge = edges[np.repeat(pointers[inner], counts) + within]
    source = number[edge]
    local = (source >= 0) & (instance[source] == instance[owner])
    where = np.where(local, place[source] + 1, 0)
    # rows of two sequences are two classes, though the nodes look alike
    picks = np.array([k.op in ("index", "window") and not k.cell for k in tape.kinds])[tape.kind[inner]]
    where = np.where(picks[owner] & ~local, edge + (1 << 20), where)
    # outside cells the place in a loop is told by what a node reads
    free = np.array([not k.cell and k.op not in ("index", "window") for k in tape.kinds])[tape.kind[inner]]
    from_leaf = np.where(source < 0, edge + (1 << 30), tape.kind[edge] + (1 << 20))
    weights = np.array([k.op == "parameter" for k in tape.kinds])[tape.kind[edge]]
    where = np.where(free[owner] | weights, from_leaf, where)
    weight = _mix((place[owner] * 64 + within).astype(np.uint64) + np.uint64(1 << 42))
    code[reading] += np.add.reduceat(_mix(where.astype(np.uint64) + np.uint64(7)) * weight, firsts[reading])
    return code


def _mix(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
