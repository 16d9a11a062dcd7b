"""Copies of blocks of columns between row-major arrays: what ops that only move numbers are made of."""

from __future__ import annotations

from tinyseq.jit.decorators import kernel
from tinyseq.ops.op import Call, Kernel, call


@kernel
def _copy_block(d, out, x):
    """out[r, o : o + c] (+)= x[r, i : i + c]; d = [rows, strides, accumulate, c, o, i]."""
    columns = d[4]
    for r in range(d[0]):
        y = out[r * d[1] + d[5] : r * d[1] + d[5] + columns]
        row = x[r * d[2] + d[6] : r * d[2] + d[6] + columns]
        if d[3]:
            for i in range(columns):
                y[i] += row[i]
        else:
            for i in range(columns):
                y[i] = row[i]


COPY_BLOCK = Kernel("copy_block", _copy_block, ("y", "x"))


def block(
    target: str,
    source: str,
    rows: int,
    columns: int,
    target_stride: int,
    source_stride: int,
    target_at: int = 0,
    source_at: int = 0,
    partial: bool = False,
) -> Call:
    """Copy a block of columns from one row-major array into another."""
    return call(
        COPY_BLOCK,
        rows,
        {target: target_stride, source: source_stride},
        (columns, target_at, source_at),
        partial=partial,
    )
