"""What a page counts of the whole tape: arrows at each node that it holds, and the steps at which a loss is read.

A page may hold only the first and last steps. A count in its words is of the tape, not of what was kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyseq.ops import OPS
from tinyseq.tape import Tape


@dataclass
class Arrows:
    """Of each node held: arrows that leave it on the tape, those that bring a gradient back, and those not held.

    elsewhere  (node held, event of the page by which the gradients are there, how many come) of readers not held
    beyond     how many inputs that a gradient goes on to are not held
    """

    leaving: list[int]
    returning: list[int]
    elsewhere: list[tuple[int, int, int]]
    beyond: list[int]


def count_arrows(tape: Tape, nodes: list[int], needed: set[int], event_after: Callable[[int], int]) -> Arrows:
    """Count over the whole tape; ``needed`` are the nodes that get a gradient."""
    local = {i: n for n, i in enumerate(nodes)}
    leaving = np.bincount(tape.input_indices, minlength=len(tape))
    returning, beyond = [0] * len(nodes), [0] * len(nodes)
    elsewhere: Counter[tuple[int, int]] = Counter()
    for i in sorted(needed):
        for j in _reached(tape, i, needed):
            if j in local:
                returning[local[j]] += 1
            if i in local and j not in local:
                beyond[local[i]] += 1
            if j in local and i not in local:
                elsewhere[local[j], event_after(i)] += 1
    found = [(node, event, count) for (node, event), count in sorted(elsewhere.items())]
    return Arrows(leaving[nodes].tolist(), returning, found, beyond)


def _reached(tape: Tape, index: int, needed: set[int]) -> list[int]:
    """Inputs that the backward step of a node adds to, one for each arrow."""
    op = OPS[tape.kinds[int(tape.kind[index])].op]
    return [j for place, j in enumerate(tape.inputs(index)) if j in needed and (op.joins or place in op.vjp)]


def loss_steps(tape: Tape, needed: set[int], loss: int) -> list[tuple[int, int]]:
    """Steps from which a gradient enters the walk through time, as ranges (first, beyond the last).

    It enters where what no step recorded reads a step, or at the loss itself where a step recorded that; not where a
    context between two unfoldings reads one.
    """
    step = tape.step
    found = {int(step[loss])} if step[loss] >= 0 else set()
    head = {loss} if step[loss] < 0 else set()
    for i in sorted(needed, reverse=True):
        if i in head:
            reached = _reached(tape, i, needed)
            head.update(j for j in reached if step[j] < 0)
            found.update(int(step[j]) for j in reached if step[j] >= 0)
    ranges: list[tuple[int, int]] = []
    for t in sorted(found):
        if ranges and ranges[-1][1] == t:
            ranges[-1] = (ranges[-1][0], t + 1)
        else:
            ranges.append((t, t + 1))
    return ranges
