"""Bytes that the values of a tape hold from the forward pass for the backward one."""

from __future__ import annotations

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.groups import LEAVES
from tinyseq.tape import DTYPES, INT64, Tape


def held_bytes(tape: Tape, nodes: np.ndarray) -> dict[int, int]:
    """Bytes of each value among ``nodes`` that the backward pass reads; leaves not counted.

    It reads what the vjps of the nodes read that a gradient reached; before any backward pass, of all nodes. Readers
    may stand outside ``nodes``: a state that only the next step needs is held, whether or not that step is shown.
    """
    among = np.zeros(len(tape), bool)
    among[nodes] = True
    edges = np.flatnonzero(among[tape.input_indices])
    readers = np.union1d(nodes, np.searchsorted(tape.input_pointers, edges, "right") - 1)
    leaves = [tape.node_of(p) for p in tape.parameters]
    ran = tape.executor is not None and any(i is not None and tape.executor.grad(i) is not None for i in leaves)
    held: dict[int, int] = {}
    for i in readers.tolist():
        if ran and tape.executor.grad(i) is None:
            continue
        for needed in _read_backward(tape, i):
            kind = tape.kinds[int(tape.kind[needed])]
            if among[needed] and kind.op not in LEAVES:
                size = DTYPES[kind.dtype].itemsize
                held[needed] = int(np.prod(tape.shape(needed), dtype=np.int64)) * size
    return held


def _read_backward(tape: Tape, index: int) -> list[int]:
    """Nodes whose values the vjps of a node read, itself perhaps among them."""
    op = OPS.get(tape.kinds[int(tape.kind[index])].op)
    if op is None or op.joins:
        return []
    inputs = tape.inputs(index)
    return [
        index if role == "y" else inputs[int(role[1:])]
        for place, j in enumerate(inputs)
        if place in op.vjp and tape.kinds[int(tape.kind[j])].dtype != INT64
        for role in op.reads.get(place, ())
    ]


def memory(size: float) -> str:
    """A number of bytes in words."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
