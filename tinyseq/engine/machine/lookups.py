"""Which integers of the leaves ops look up by: those alone have to be in range, not padding that nobody reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.reference import Reference
from tinyseq.ops import OPS
from tinyseq.ops.groups import INPUTS
from tinyseq.ops.op import those
from tinyseq.ops.picks import in_range
from tinyseq.tape import INT64, Tape

ARRANGED = those(lambda op: op.arranges and not op.limit)


class Lookup(NamedTuple):
    """Some integers of a leaf (tape index), by their places in it, and the number below which ``op`` needs them."""

    leaf: int
    op: str
    limit: int
    places: np.ndarray


def lookups(tape: Tape, plan: Plan) -> list[Lookup] | None:
    """All that a plan looks up; None where an integer is more than a number of a leaf.

    The arrangement of integers is run on their places instead of their numbers.
    """
    executor, starts, total = Reference(tape), [], 0
    kinds = tape.kinds
    for leaf in [i for i in range(len(tape)) if _is_leaf(kinds[int(tape.kind[i])])]:
        size = int(np.prod(tape.shape(leaf), dtype=np.int64))
        executor.values[leaf] = np.arange(total, total + size).reshape(tape.shape(leaf))
        starts.append((total, leaf))
        total += size
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    checked = [OPS[kind.op].limit for kind in kinds]
    needed, waiting = set(plan.graph.outputs), list(plan.graph.outputs)
    while waiting:
        node = waiting.pop()
        inputs = tape.inputs(node)
        new = set(inputs) - needed
        needed |= new
        waiting += new
        if not checked[int(tape.kind[node])]:
            continue
        if not all(kinds[int(tape.kind[i])].op in ARRANGED for i in executor._missing(inputs[-1])):
            return None
        op = kinds[int(tape.kind[node])].op
        places = executor.value(inputs[-1]).ravel()
        below = OPS[op].limit
        assert below is not None
        found.setdefault((op, below(executor.place(node).site)), []).append(places)
    made = []
    for (op, limit), parts in found.items():
        places = np.unique(np.concatenate(parts))
        ends = [start for start, _ in starts[1:]] + [total]
        for (start, leaf), end in zip(starts, ends, strict=True):
            own = places[(places >= start) & (places < end)] - start
            if len(own):
                made.append(Lookup(leaf, op, limit, own))
    return made


def check_lookups(wanted: list[Lookup], arrays: dict[int, np.ndarray]) -> None:
    """Raise DataError where an integer that is looked up by is out of range."""
    for leaf, op, limit, places in wanted:
        numbers = arrays[leaf].reshape(-1)[places]
        if numbers.view(np.uint64).max() >= limit:  # a negative number read without its sign is larger than any limit
            read = np.zeros(arrays[leaf].size, np.int64)
            read[places] = numbers
            in_range(f"{op}: input %{leaf}", limit, read.reshape(arrays[leaf].shape))


def _is_leaf(kind) -> bool:
    return kind.op in INPUTS and kind.dtype == INT64
