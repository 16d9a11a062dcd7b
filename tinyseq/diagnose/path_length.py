"""Lengths of ways through a graph, counted on the tape: how many nonlinear units lie between two values."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.ops.groups import ACTIVATIONS
from tinyseq.tensor.handles import Tensor


def path_length(
    source: Tensor, target: Tensor, ops: Collection[str] = ACTIVATIONS, longest: bool = False
) -> int | None:
    """How many nodes of ``ops`` lie on the shortest (or longest) way from one tensor to another, the target included.

    None where there is no way. By default ops are the nonlinear units, as depth is counted in section 10.5.
    """
    if source.tape is not target.tape:
        raise TapeError("the two tensors are on different tapes; a way leads through one graph")
    source._settled()
    target._settled()
    tape, first, last = source.tape, source.index, target.index
    if last < first:
        return None
    counts = np.isin(tape.column("op"), list(ops))
    pointers, inputs = tape.input_pointers, tape.input_indices
    better = max if longest else min
    length: dict[int, int] = {first: 0}
    for i in range(first + 1, last + 1):
        ways = [length[j] for j in inputs[pointers[i] : pointers[i + 1]].tolist() if j in length]
        if ways:
            length[i] = better(ways) + int(counts[i])
    return length.get(last)
