"""Which time steps of a long tape a picture shows, and which nodes one of them depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape


def choose_steps(count: int, steps: int | Sequence[int] | None, default: int) -> list[int]:
    """Which of ``count`` steps to show: all, or the first and last of a number of them, or those given."""
    if steps is None:
        steps = default
    if isinstance(steps, (bool, str)) or not (
        isinstance(steps, (int, np.integer)) or (isinstance(steps, Iterable) and all(_whole(s) for s in steps))
    ):
        raise TinyseqError(f"steps is a number of steps or the steps to show, as range(10, 20); got {steps!r}")
    if isinstance(steps, (int, np.integer)):
        if steps < 1:
            raise TinyseqError(f"steps must be at least 1, got {steps}")
        if count <= steps + 1:
            return list(range(count))
        last = int(steps) // 2
        return [*range(int(steps) - last), *range(count - last, count)]
    chosen = sorted({int(s) for s in steps})
    if not chosen:
        raise TinyseqError("steps is empty: give at least one step to show")
    if chosen[0] < 0 or chosen[-1] >= count:
        raise TinyseqError(f"steps {chosen[0]} to {chosen[-1]} asked for, this tape has steps 0 to {count - 1}")
    return chosen


def _whole(step: Any) -> bool:
    return isinstance(step, (int, np.integer)) and not isinstance(step, bool)


def ancestors(tape: Tape, index: int) -> np.ndarray:
    """Mask of the nodes that a node depends on, itself included."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    pointers, inputs = tape.input_pointers[: index + 2], tape.input_indices
    edges = inputs[: pointers[-1]]
    graph = csr_array((np.ones(len(edges)), edges, pointers), shape=(index + 1, index + 1))
    mask = np.zeros(len(tape), bool)
    mask[breadth_first_order(graph, index, return_predecessors=False)] = True
    return mask
