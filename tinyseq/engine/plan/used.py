"""Which nodes a plan needs, and which the loss's gradient reaches: the others are neither run nor differentiated.

The reference executor visits only these. A plan runs all members of a class alike, so members that differ in this must
be of different classes: a step that nobody reads may hold NaN, and 0 · NaN is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tinyseq.engine.plan.kind_tables import POSITIONS, REACHED, KindTables
from tinyseq.engine.plan.members import components
from tinyseq.jit.decorators import kernel
from tinyseq.tape import Tape

NEEDED = 1

NONE = np.zeros(0, np.int64)
Template = tuple[np.ndarray, np.ndarray]  # (instances, places in each)


@lru_cache(maxsize=256)
def all_places(length: int) -> np.ndarray:
    """All places of an instance, read-only."""
    found = np.arange(length)
    found.flags.writeable = False
    return found


@kernel
def _mark(pointers, edges, kind, passes, marks):
    """Backwards over the tape: what a needed node reads is needed; a gradient goes on where a vjp passes it."""
    end = np.int64(pointers[marks.size])
    for i in range(marks.size - 1, -1, -1):
        first = np.int64(pointers[i])
        if marks[i] & REACHED:
            passed = passes[kind[i]]
            for j in range(first, end):
                marks[edges[j]] |= NEEDED | passed[min(j - first, POSITIONS - 1)]
        elif marks[i]:
            for j in range(first, end):
                marks[edges[j]] |= NEEDED
        end = first


@kernel
def _codes(inner, starts, instances, places, marks, code):
    """Write the marks of (instances, places)."""
    for m in range(instances.size):
        for p in range(places.size):
            code[m, p] = marks[inner[starts[instances[m]] + places[p]]]


@kernel
def _alike(inner, starts, instances, sizes, marks, codes):
    """Write the marks of the first instance of each template; whether those of all others are the same. ``sizes`` are
    the instances of each template and their length."""
    first, at = 0, 0
    for t in range(sizes.shape[0]):
        count, length = sizes[t, 0], sizes[t, 1]
        for m in range(count):
            begin = starts[instances[first + m]]
            for p in range(length):
                mark = marks[inner[begin + p]]
                if m == 0:
                    codes[at + p] = mark
                elif mark != codes[at + p]:
                    return False
        first += count
        at += length
    return True


def marks_of(tape: Tape, about: KindTables, outputs: Sequence[int], loss: int) -> np.ndarray:
    """NEEDED and REACHED of each node."""
    marks = np.zeros(len(tape), np.uint8)
    marks[list(outputs)] = NEEDED
    if loss >= 0:
        marks[loss] = NEEDED | REACHED
    _mark(tape.input_pointers, tape.input_indices, tape.kind, about.passes, marks)
    return marks


def split_by_use(
    tape: Tape, inner: np.ndarray, starts: np.ndarray, found: Sequence[tuple[np.ndarray, int]], marks: np.ndarray
) -> list[Template]:
    """The templates, given by their instances and length, cut so that members of a class are marked alike, without what
    nobody needs.

    What recurs is cut between its steps, so that it stays a chain; what only reads the recurrence, place by place.
    """
    sizes = np.array([(len(instances), length) for instances, length in found], np.int64).reshape(-1, 2)
    first = np.empty(int(sizes[:, 1].sum()), np.uint8)
    if _alike(inner, starts, np.concatenate([NONE, *[i for i, _ in found]]), sizes, marks, first):
        needed, at, templates = first.tolist(), 0, []
        for instances, length in found:
            own = needed[at : at + length]
            at += length
            if any(own):
                templates.append((instances, all_places(length) if all(own) else np.flatnonzero(own)))
        return templates
    whole = [(instances, np.arange(length)) for instances, length in found]
    recurs = _recurring(tape, inner, starts, whole, marks)
    templates = []
    for (instances, places), core in zip(whole, recurs, strict=True):
        code = np.empty((len(instances), len(places)), np.uint8)
        _codes(inner, starts, instances, places, marks, code)
        templates += _cut(instances, places, code, core)
    return templates


def _cut(instances: np.ndarray, places: np.ndarray, code: np.ndarray, core: np.ndarray) -> list[Template]:
    """The parts of one template; ``code`` marks (instances, places), ``core`` the places that recur."""
    _, way = np.unique(code[:, core], axis=0, return_inverse=True)
    way = np.asarray(way).reshape(-1) if core.any() else np.zeros(len(instances), np.int64)
    parts: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    for w in dict.fromkeys(way.tolist()):
        rows = np.flatnonzero(way == w)
        for column in range(len(places)):
            marked = code[rows, column]
            for value in np.unique(marked[marked > 0]).tolist():
                members = rows[marked == value]
                parts.setdefault(members.tobytes(), (members, []))[1].append(column)
    return [(instances[members], places[columns]) for members, columns in parts.values()]


def _recurring(
    tape: Tape, inner: np.ndarray, starts: np.ndarray, templates: Sequence[Template], marks: np.ndarray
) -> list[np.ndarray]:
    """For each template the places whose nodes depend on earlier ones of the same place."""
    place_of = np.full(len(tape), -1, np.int64)
    first = 0
    firsts: list[int] = []
    for instances, places in templates:
        place_of[inner[starts[instances][:, None] + places]] = first + np.arange(len(places))
        firsts.append(first)
        first += len(places)
    pointers = tape.input_pointers.astype(np.int64)
    readers = np.repeat(place_of, np.diff(pointers)[: len(tape)])
    sources = place_of[tape.input_indices]
    used = np.repeat(marks > 0, np.diff(pointers)[: len(tape)]) & (readers >= 0) & (sources >= 0)
    pairs = np.unique(readers[used] * first + sources[used])
    successors: list[set[int]] = [set() for _ in range(first)]
    for pair in pairs.tolist():
        successors[pair // first].add(pair % first)
    recurs = np.zeros(first, bool)
    for members in components(successors):
        if len(members) > 1 or members[0] in successors[members[0]]:
            recurs[members] = True
    return [recurs[at : at + len(places)] for at, (_, places) in zip(firsts, templates, strict=True)]


__all__: list[Any] = ["NEEDED", "REACHED", "marks_of", "split_by_use"]
