"""How many bytes must be live at each moment: values rise while forward runs and fall as backward uses them up.

A value is held until its last reader ran forward and the last vjp that reads it (``Op.reads``) ran backward. A gradient
is held from its first increment to the backward step of its node; gradients of parameters stay. Parameters and inputs
themselves are not counted: they are there with or without a graph.
"""

from __future__ import annotations

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.groups import LEAVES
from tinyseq.tape import DTYPES, Tape


def live_bytes(tape: Tape, nodes: np.ndarray, grads: set[int]) -> np.ndarray:
    """Bytes after each event, (1 + forward + backward): at the start, after each op of ``nodes``, after each vjp.

    ``nodes`` are in the order of the walk, ``grads`` those among them that get a gradient which a parameter needs.
    """
    ops = [i for i in nodes.tolist() if tape.kinds[int(tape.kind[i])].op not in LEAVES]
    back = [i for i in reversed(ops) if i in grads]
    forward = {i: at for at, i in enumerate(ops, 1)}
    backward = {i: at for at, i in enumerate(back, 1 + len(ops))}
    last = dict(forward)  # the last event that needs a value
    first: dict[int, int] = {}  # the first event that makes a gradient
    for i in ops:
        op = OPS[tape.kinds[int(tape.kind[i])].op]
        inputs = tape.inputs(i)
        for j in inputs:
            if j in last:
                last[j] = max(last[j], forward[i])
        if i not in backward:
            continue
        for place, j in enumerate(inputs):
            if j not in grads or (not op.joins and place not in op.vjp):
                continue
            first[j] = min(first.get(j, backward[i]), backward[i])
            for role in () if op.joins else op.reads.get(place, ()):
                needed = i if role == "y" else inputs[int(role[1:])]
                if needed in last:
                    last[needed] = max(last[needed], backward[i])
    change = np.zeros(2 + len(ops) + len(back), np.int64)
    for i in ops:
        change[forward[i]] += _bytes(tape, i)
        change[last[i] + 1] -= _bytes(tape, i)
    for i in grads:
        born = first.get(i, 1 + len(ops) if back and i == back[0] else None)
        if born is not None:
            change[born] += _bytes(tape, i)
            if i in backward:
                change[backward[i] + 1] -= _bytes(tape, i)
    return np.cumsum(change[:-1])


def _bytes(tape: Tape, index: int) -> int:
    size = DTYPES[tape.kinds[int(tape.kind[index])].dtype].itemsize
    for n in tape.shape(index):
        size *= n
    return size
