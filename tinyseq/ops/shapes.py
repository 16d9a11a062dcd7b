"""Ops that give the same numbers another shape: reshape, transpose, explicit broadcasting."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.jit.decorators import kernel
from tinyseq.ops.block_copies import block
from tinyseq.ops.op import (
    ALL,
    CARRIES,
    EACH,
    KEPT,
    MOVES,
    REPEATED,
    RESHAPED,
    WIDER,
    Call,
    Kernel,
    Op,
    Site,
    call,
    size,
)
from tinyseq.ops.page_scripts import script
from tinyseq.ops.reductions import SPREAD, SUM
from tinyseq.ops.registering import register
from tinyseq.ops.totals import row_total

AXES = 4


@kernel
def _strided_read(d, out, x):
    """out (contiguous, 4 axes d[4:8]) (+)= x read with the strides d[8:12]: transposition and broadcasting."""
    n1, n2, n3 = d[5], d[6], d[7]
    step = d[11]
    for r in range(d[0]):
        for i0 in range(d[4]):
            for i1 in range(n1):
                for i2 in range(n2):
                    at = r * d[1] + ((i0 * n1 + i1) * n2 + i2) * n3
                    y = out[at : at + n3]
                    row = x[r * d[2] + i0 * d[8] + i1 * d[9] + i2 * d[10] :]
                    if d[3]:
                        for i in range(n3):
                            y[i] += row[i * step]
                    elif step == 1:
                        for i in range(n3):
                            y[i] = row[i]
                    else:
                        for i in range(n3):
                            y[i] = row[i * step]


@kernel
def _strided_add(d, out, g):
    """out with the strides d[8:12] += g (contiguous, 4 axes d[4:8]), added up in float64: the gradient of the above."""
    n1, n2, n3 = d[5], d[6], d[7]
    step = d[11]
    total = np.empty(max(0, 1 + (d[4] - 1) * d[8] + (n1 - 1) * d[9] + (n2 - 1) * d[10] + (n3 - 1) * step))
    for r in range(d[0]):
        total[:] = 0.0
        for i0 in range(d[4]):
            for i1 in range(n1):
                for i2 in range(n2):
                    at = r * d[2] + ((i0 * n1 + i1) * n2 + i2) * n3
                    up = g[at : at + n3]
                    y = total[i0 * d[8] + i1 * d[9] + i2 * d[10] :]
                    if step == 0:
                        y[0] += row_total(up)
                    elif step == 1:
                        for i in range(n3):
                            y[i] += up[i]
                    else:
                        for i in range(n3):
                            y[i * step] += up[i]
        y = out[r * d[1] : r * d[1] + total.size]
        for i in range(total.size):
            y[i] += out.dtype.type(total[i])


STRIDED_READ = Kernel("strided_read", _strided_read, ("y", "x"))
STRIDED_ADD = Kernel("strided_add", _strided_add, ("gx", "g"))


def _copy(target: str, source: str, n: int) -> list[Call]:
    return [block(target, source, 1, n, n, n)]


def _reshape_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,), wanted = shapes, dict(attrs)["shape"]
    if size(shape) != size(wanted) or any(n < 0 for n in wanted):
        raise ShapeError(f"reshape of {shape} ({size(shape)} elements) to {wanted} ({size(wanted)} elements)")
    return wanted, dtypes[0]


register(
    Op(
        "reshape",
        1,
        "reshape",
        "same numbers, other shape",
        _reshape_shape,
        lambda site: _copy("y", "x0", size(site.shape)),
        {0: lambda site: _copy("gx0", "g", size(site.shape))},
        {0: ()},
        shape_is_given=True,
        rows=lambda attrs, tail: (KEPT,),
        view=RESHAPED,
        arranges=True,
        keeps_integers=True,
        words="{a}, in another shape",
        partials=("the same numbers, moved back",),
        jacobian=MOVES,
        drawn=(CARRIES,),
        example=((("shape", (6,)),), ((2, 3),), (0,)),
        javascript=script("reshape"),
    )
)


def _row_major(shape: tuple[int, ...]) -> list[int]:
    return [size(shape[i + 1 :]) for i in range(len(shape))]


def _four(values: list[int] | tuple[int, ...], fill: int) -> tuple[int, ...]:
    return (*(fill,) * (AXES - len(values)), *values)


def _rank(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) > AXES:
        raise ShapeError(f"{name} handles at most {AXES} axes, got shape {shape}; reshape it to fewer first")


def _transpose_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,), axes = shapes, dict(attrs)["axes"]
    _rank("transpose", shape)
    if sorted(axes) != list(range(len(shape))):
        raise ShapeError(f"transpose of shape {shape} needs each of the axes 0 to {len(shape) - 1} once, got {axes}")
    return tuple(shape[a] for a in axes), dtypes[0]


def _transposed(target: str, source: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> list[Call]:
    strides = _row_major(shape)
    out = [shape[a] for a in axes]
    sizes = (*_four(out, 1), *_four([strides[a] for a in axes], 0))
    return [call(STRIDED_READ, 1, {target: size(shape), source: size(shape)}, sizes)]


register(
    Op(
        "transpose",
        1,
        "ᵀ",
        "axes in another order",
        _transpose_shape,
        lambda site: _transposed("y", "x0", site.shapes[0], site.attr("axes")),
        {0: lambda site: _transposed("gx0", "g", site.shape, tuple(int(i) for i in np.argsort(site.attr("axes"))))},
        {0: ()},
        rows=lambda attrs, tail: (EACH if dict(attrs)["axes"][:1] == (0,) else ALL,),
        arranges=True,
        words="{a}, axes in another order",
        partials=("the same numbers, moved back",),
        jacobian=MOVES,
        example=((("axes", (1, 0)),), ((2, 3),), (0,)),
        javascript=script("transpose"),
    )
)


def _expand_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,), wanted = shapes, dict(attrs)["shape"]
    _rank("expand", wanted)
    padded = (1,) * (len(wanted) - len(shape)) + shape
    if (
        len(shape) > len(wanted)
        or any(n < 0 for n in wanted)
        or any(a not in (1, b) for a, b in zip(padded, wanted, strict=True))
    ):
        raise ShapeError(
            f"{shape} does not broadcast to {wanted}: each axis must be equal or 1, counted from the right"
        )
    return wanted, dtypes[0]


def expand_strides(shape: tuple[int, ...], wanted: tuple[int, ...]) -> list[int]:
    """Strides that read ``shape`` as ``wanted``: 0 where an axis is repeated."""
    missing = len(wanted) - len(shape)
    strides = [0] * missing + _row_major(shape)
    padded = (1,) * missing + shape
    return [0 if padded[i] == 1 else strides[i] for i in range(len(wanted))]


def _expand(kernel_: Kernel, simple: Kernel, target: str, source: str, partial: bool):
    """Axes that are equal from the left on are rows of the call; the rest is read with strides of 0.

    Where all repeated axes are neighbours this is what a sum over them passes back, and its gradient the sum.
    """

    def run(site: Site) -> list[Call]:
        given, wanted = site.shapes[0], site.shape
        padded = (1,) * (len(wanted) - len(given)) + given
        repeated = [i for i, n in enumerate(wanted) if n != padded[i]]
        one_row = len(given) < len(wanted) and wanted[0] == 1  # a row is one row of the call, that more may follow
        most = 1 if one_row else len(wanted)
        neighbours = repeated and padded[repeated[0] : repeated[-1] + 1] == (1,) * (repeated[-1] + 1 - repeated[0])
        if neighbours and size(wanted[: repeated[0]][most:]) == 1:
            first, last = repeated[0], repeated[-1] + 1
            outer, times, inner = size(wanted[:first]), size(wanted[first:last]), size(wanted[last:])
            widths = {target: inner, source: times * inner} if partial else {target: times * inner, source: inner}
            return [call(simple, outer, widths, (times, inner, 1))]
        same = 0
        while same < most and padded[same] == wanted[same] and size(wanted[:same]) > 0:
            same += 1
        rows, strides = size(wanted[:same]), expand_strides(padded[same:], wanted[same:])
        small, large = size(padded[same:]), size(wanted[same:])
        widths = {target: small, source: large} if partial else {target: large, source: small}
        return [call(kernel_, rows, widths, (*_four(wanted[same:], 1), *_four(strides, 0)), partial=partial)]

    return run


register(
    Op(
        "expand",
        1,
        "⇶",
        "repeated along new or single axes; ∂L/∂a sums over them",
        _expand_shape,
        _expand(STRIDED_READ, SPREAD, "y", "x0", False),
        {0: _expand(STRIDED_ADD, SUM, "gx0", "g", True)},
        {0: ()},
        shape_is_given=True,
        rows=lambda attrs, tail: (WIDER,),
        view=REPEATED,
        words="{a}, repeated",
        partials=("1 for every copy: they are summed",),
        jacobian=MOVES,
        example=((("shape", (2, 3)),), ((3,),), (0,)),
        javascript=script("expand"),
    )
)
