"""Steps while they are collected; each operand of a product is packed once."""

from __future__ import annotations

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.steps import Pack, Step


class Collected:
    """Steps being collected; each operand is packed once."""

    def __init__(self, buffers: Buffers, packed: set) -> None:
        self.buffers, self.graph, self.packed = buffers, buffers.graph, packed
        self.steps: list[Step] = []

    def pack(self, pack: Pack) -> None:
        """Pack an operand unless it has been."""
        key = packed_as(self.buffers, pack)
        if key not in self.packed:
            self.packed.add(key)
            self.steps.append(pack)


def packed_as(buffers: Buffers, pack: Pack) -> tuple:
    """(storage, offset, k, n, strides) of what is packed: equal for those that can share it."""
    ref = pack.matmul.refs[1]
    w = buffers.shown.operand(pack.matmul, ref)[0]
    transposed = bool(dict(pack.matmul.attrs).get("transpose_b"))
    k, n = (w.cols, w.rows) if transposed else (w.rows, w.cols)
    strides = (1, w.row) if transposed else (w.row, 1)
    if pack.backward:
        k, n, strides = n, k, strides[::-1]
    first, count = pack.columns
    return w.storage.index, w.offset + first * strides[1], k, n if count < 0 else count, strides
