"""In which order a page walks a tape, and in which groups: time steps of a chain, heights of a tree, lines of a loop.

The order is the tape's. Two things are moved, and the order stays topological: on trees nodes are sorted by height, so
that one stage is one height; data that depends on no step (x[t]) comes right before what first reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.ops.groups import LEAVES
from tinyseq.tape import Tape
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.excerpt.nodes import NONE

BEFORE, AFTER = -1, -2  # groups of what belongs to no step: sources, totals over all steps
MOST_NODES = 8_000


@dataclass
class Order:
    """The nodes a loss depends on, in the order of the walk.

    nodes   tape indices · group, position  of each: stage it belongs to, and step (tree: position) on the tape
    kind    "chain", "tree" or "bare" · kept  mask of nodes that the page holds · steps  those it holds, total of all
    """

    nodes: np.ndarray
    group: np.ndarray
    position: np.ndarray
    kind: str
    kept: np.ndarray
    steps: list[int]
    total: int


def order_of(tape: Tape, keep: np.ndarray, most: int = MOST_NODES) -> Order:
    """The order in which a page walks the nodes of ``keep``."""
    step = np.where(keep, tape.step, -1)
    total = int(step.max(initial=-1)) + 1
    nodes = np.flatnonzero(keep)
    if total == 0:
        return _bare(tape, nodes, most)
    steps = _chosen(step, total, most)
    excerpt = Excerpt(tape, steps, keep)
    position = _positions(tape, nodes, excerpt)
    if excerpt.is_chain:
        group, kind = position, "chain"
    else:
        group, kind = _heights(tape, nodes), "tree"
    place = _sorted(tape, nodes, group if kind == "tree" else np.zeros(len(nodes), np.int64))
    nodes, group, position = nodes[place], group[place], position[place]
    shown = np.zeros(total + 2, bool)
    shown[steps] = True
    known = position == AFTER
    known[position == BEFORE] = [i in excerpt.found for i in nodes[position == BEFORE].tolist()]
    kept = shown[position] & (position >= 0) | known
    return Order(nodes, group, position, kind, kept, steps, total)


def _chosen(step: np.ndarray, total: int, most: int) -> list[int]:
    """All steps, or the first and the last that ``most`` nodes allow."""
    counts = np.bincount(step[step >= 0], minlength=total)
    if counts.sum() <= most:
        return list(range(total))
    ends = np.empty(total, np.int64)  # from both ends inwards
    ends[0::2], ends[1::2] = np.arange(total)[::-1][: len(ends[0::2])], np.arange(total)[: len(ends[1::2])]
    fits = int(np.searchsorted(np.cumsum(counts[ends]), most, "right"))
    return sorted(ends[: max(fits, 2)].tolist())


def _positions(tape: Tape, nodes: np.ndarray, excerpt: Excerpt) -> np.ndarray:
    position = tape.step[nodes].astype(np.int64)
    for place in np.flatnonzero(position < 0).tolist():
        i = int(nodes[place])
        known = excerpt.found.get(i)
        if known is None:
            known = excerpt.step_of(i)
            known = BEFORE if known == NONE else known if known >= 0 else AFTER
        position[place] = known
    return position


def _heights(tape: Tape, nodes: np.ndarray) -> np.ndarray:
    """Height of each node's position: leaves 0, a parent one above its highest child."""
    of_position: dict[int, int] = {}
    height: dict[int, int] = {}
    step = tape.step
    for i in nodes.tolist():
        inputs = tape.inputs(i)
        p = int(step[i])
        if p < 0:
            height[i] = max((height.get(j, BEFORE) for j in inputs), default=BEFORE)
            continue
        below = [of_position.get(int(step[j]), 0) + 1 for j in inputs if step[j] >= 0 and step[j] != p]
        of_position[p] = max([of_position.get(p, 0), *below])
        height[i] = of_position[p]
    for i in nodes.tolist():
        if step[i] >= 0:
            height[i] = of_position[int(step[i])]
    result = np.array([height[i] for i in nodes.tolist()], np.int64)
    known = {i: place for place, i in enumerate(nodes.tolist())}
    for i in nodes[::-1].tolist():  # x[i] stands at the height of what reads it
        for j in tape.inputs(i):
            at = known[j]
            if step[j] < 0 and result[at] == BEFORE and tape.kinds[int(tape.kind[j])].op not in LEAVES:
                result[at] = result[known[i]]
    return result


def _sorted(tape: Tape, nodes: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Places of the nodes by level, then by index; sources right before their first reader."""
    place = {i: at for at, i in enumerate(nodes.tolist())}
    source: dict[int, bool] = {}
    for i in nodes.tolist():
        source[i] = bool(tape.step[i] < 0) and all(source[j] for j in tape.inputs(i))
    key = nodes.astype(np.float64)
    first = np.full(len(nodes), np.inf)
    for i in nodes[::-1].tolist():
        at = place[i]
        if source[i] and np.isfinite(first[at]):
            key[at] = first[at]
        for j in tape.inputs(i):
            first[place[j]] = min(first[place[j]], key[at] - 1e-6)
    return np.lexsort((nodes, key, level))


def _bare(tape: Tape, nodes: np.ndarray, most: int) -> Order:
    """A tape without steps: a stage is a run of nodes that one line of the user's code recorded."""
    lines = [tape.kinds[k].line for k in tape.kind[nodes].tolist()]
    group = np.zeros(len(nodes), np.int64)
    number, previous = -1, None
    for at, (i, line) in enumerate(zip(nodes.tolist(), lines, strict=True)):
        if tape.kinds[int(tape.kind[i])].op in LEAVES:
            group[at] = BEFORE
            continue
        if line != previous:
            number, previous = number + 1, line
        group[at] = number
    kept = np.ones(len(nodes), bool)
    if len(nodes) > most:
        ops = np.flatnonzero(group >= 0)
        kept[ops[most // 2 : len(ops) - most // 2]] = False
    return Order(nodes, group, np.full(len(nodes), -1), "bare", kept, [], 0)
