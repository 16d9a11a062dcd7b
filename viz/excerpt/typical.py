"""What stands for all of a tape in its folded graph: a step with all that is read late, the kinds of positions."""

from __future__ import annotations

import numpy as np

from tinyseq.ops.groups import RANGES, STACKS, TAKEN
from tinyseq.tape import Tape
from tinyseq.viz.excerpt.positions import Positions

NEAR, MANY = 6, 256


def typical_step(tape: Tape, keep: np.ndarray | None = None, wanted: int | None = None) -> int | None:
    """The step with the most late inputs, of several one made as most are, of these ``wanted`` if it is one; None on a
    tape without steps."""
    step, pointers, inputs = tape.step, tape.input_pointers, tape.input_indices
    if keep is not None:
        step = np.where(keep, step, -1)
    total = int(step.max(initial=-1)) + 1
    if total == 0:
        return None
    reader = np.repeat(step, np.diff(pointers))
    late = (reader >= 0) & (step[inputs] >= 0) & (reader != step[inputs])
    counts = np.bincount(reader[late], minlength=total)
    there = np.bincount(step[step >= 0], minlength=total) > 0
    best = np.flatnonzero(there & (counts == counts[there].max()))
    middle = best[max(0, len(best) // 2 - NEAR) : len(best) // 2 + NEAR + 1].tolist()
    middle += [wanted] if wanted is not None and wanted in best and wanted not in middle else []
    made = {int(s): tuple(tape.kind[step == s].tolist()) for s in middle}
    usual = max(dict.fromkeys(made.values()), key=list(made.values()).count)
    alike = [s for s, kinds in made.items() if kinds == usual]
    return wanted if wanted in alike else alike[len(alike) // 2]


def kinds_of_positions(tape: Tape, keep: np.ndarray | None) -> list[int]:
    """A leaf of a tree, an inner node, and the roots."""
    positions = Positions(tape, keep)
    leaves = [p for p in positions.here if p not in positions.children]
    inner = [p for p in positions.children if p not in positions.roots]
    return [*leaves[:1], *inner[-1:], *positions.roots[:1]]


def steps_that_read(tape: Tape, node: int, cell: str) -> set[int]:
    """Time steps of a cell that read a node, at once or by way of what is outside of all steps."""
    found: set[int] = set()
    seen, waiting = {node}, [node]
    while waiting:
        i = waiting.pop()
        for place in np.flatnonzero(tape.input_indices == i).tolist():
            reader = int(np.searchsorted(tape.input_pointers, place, "right")) - 1
            if tape.step[reader] >= 0:
                if tape.kinds[int(tape.kind[reader])].cell == cell:
                    found.add(int(tape.step[reader]))
            elif reader not in seen and len(seen) < MANY:
                seen.add(reader)
                kind = tape.kinds[int(tape.kind[reader])]
                row = place - int(tape.input_pointers[reader])
                waiting += _reading(tape, reader, row) if kind.op in STACKS else [reader]
    return found


def _reading(tape: Tape, stack: int, row: int) -> list[int]:
    """The nodes that read a row of a stack: those that take it, and those that take more than one, or all of them."""
    readers = np.searchsorted(tape.input_pointers, np.flatnonzero(tape.input_indices == stack), "right") - 1
    found = []
    for i in readers.tolist():
        node = tape.node(i)
        rows = 1 if node.op in TAKEN else node.shape[0] if node.op in RANGES else None
        if rows is None or node.arg <= row < node.arg + rows:
            found.append(i)
    return found
