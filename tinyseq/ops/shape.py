"""Ops that move numbers without changing them: reshape, transpose, slices, joins, explicit broadcasting."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.jit import kernel
from tinyseq.ops.op import Call, Kernel, Op, Site, call, register, size
from tinyseq.ops.reduce import SPREAD, SUM

AXES = 4


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
    """out with the strides d[8:12] += g (contiguous, 4 axes d[4:8]): the gradient of the above."""
    n1, n2, n3 = d[5], d[6], d[7]
    step = d[11]
    for r in range(d[0]):
        for i0 in range(d[4]):
            for i1 in range(n1):
                for i2 in range(n2):
                    at = r * d[2] + ((i0 * n1 + i1) * n2 + i2) * n3
                    up = g[at : at + n3]
                    y = out[r * d[1] + i0 * d[8] + i1 * d[9] + i2 * d[10] :]
                    if step == 1:
                        for i in range(n3):
                            y[i] += up[i]
                    else:
                        for i in range(n3):
                            y[i * step] += up[i]


@kernel
def _fill(d, out, attr):
    """out = constant; d = [rows, strides, accumulate, columns]."""
    for r in range(d[0]):
        for i in range(d[4]):
            out[r * d[1] + i] = attr[0]


COPY_BLOCK = Kernel("copy_block", _copy_block, ("y", "x"))
STRIDED_READ = Kernel("strided_read", _strided_read, ("y", "x"))
STRIDED_ADD = Kernel("strided_add", _strided_add, ("gx", "g"))
FILL = Kernel("fill", _fill, ("y", "attr"))


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


def _copy(target: str, source: str, n: int) -> list[Call]:
    return [block(target, source, 1, n, n, n)]


# -- leaves ---------------------------------------------------------------------------------------------------
def _leaf_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    flags = dict(attrs)
    if any(n < 0 for n in flags["shape"]):
        raise ShapeError(f"sizes are at least 0, got shape {flags['shape']}")
    return flags["shape"], flags.get("dtype", 0)


for _name, _symbol in (("input", "x"), ("parameter", "θ")):
    register(Op(_name, 0, _symbol, "given", _leaf_shape, lambda site: [], shaped=True))

register(
    Op(
        "constant",
        0,
        "k",
        "y = k",
        _leaf_shape,
        lambda site: [call(FILL, 1, {"y": size(site.shape), "attr": 0}, (size(site.shape),))],
        floats=("value",),
        shaped=True,
    )
)


# -- reshape, transpose, expand ---------------------------------------------------------------------------------
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
        shaped=True,
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
        if repeated and padded[repeated[0] : repeated[-1] + 1] == (1,) * (repeated[-1] + 1 - repeated[0]):
            first, last = repeated[0], repeated[-1] + 1
            outer, times, inner = size(wanted[:first]), size(wanted[first:last]), size(wanted[last:])
            widths = {target: inner, source: times * inner} if partial else {target: times * inner, source: inner}
            return [call(simple, outer, widths, (times, inner, 1))]
        same = 0
        while same < len(wanted) and padded[same] == wanted[same] and size(wanted[:same]) > 0:
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
        shaped=True,
    )
)


# -- slices and joins ----------------------------------------------------------------------------------------------
def _slice_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,), flags = shapes, dict(attrs)
    axis, start, stop = flags["axis"], flags["start"], flags["stop"]
    if not 0 <= axis < len(shape) or not 0 <= start <= stop <= shape[axis]:
        raise ShapeError(f"slice {start}:{stop} on axis {axis} of a tensor of shape {shape}")
    return (*shape[:axis], stop - start, *shape[axis + 1 :]), dtypes[0]


def _slice_blocks(site: Site, backward: bool) -> list[Call]:
    (shape,), axis, start = site.shapes, site.attr("axis"), site.attr("start")
    inner = size(shape[axis + 1 :])
    whole, part, rows = shape[axis] * inner, site.shape[axis] * inner, size(shape[:axis])
    if backward:
        return [block("gx0", "g", rows, part, whole, part, start * inner, 0, partial=True)]
    return [block("y", "x0", rows, part, part, whole, 0, start * inner)]


register(
    Op(
        "slice",
        1,
        "[:]",
        "y = a[start:stop] along an axis",
        _slice_shape,
        lambda site: _slice_blocks(site, False),
        {0: lambda site: _slice_blocks(site, True)},
        {0: ()},
    )
)


def _index_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,) = shapes
    if not shape:
        raise ShapeError("a scalar cannot be indexed")
    return shape[1:], dtypes[0]


def _index_call(target: str, source: str, site: Site, partial: bool) -> list[Call]:
    n = size(site.shape)
    at = (site.arg * n, 0) if partial else (0, site.arg * n)
    return [block(target, source, 1, n, 0, 0, *at, partial=partial)]


register(
    Op(
        "index",
        1,
        "[t]",
        "y = a[t] along the first axis",
        _index_shape,
        lambda site: _index_call("y", "x0", site, False),
        {0: lambda site: _index_call("gx0", "g", site, True)},
        {0: ()},
    )
)


def _window_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,) = shapes
    if not shape:
        raise ShapeError("a scalar has no rows")
    return shape, dtypes[0]  # the caller replaces the first axis: it may differ from step to step


def _window_call(target: str, source: str, site: Site, partial: bool) -> list[Call]:
    row = size(site.shape[1:])
    n = size(site.shape)
    at = (site.arg * row, 0) if partial else (0, site.arg * row)
    return [block(target, source, 1, n, 0, 0, *at, partial=partial)]


register(
    Op(
        "window",
        1,
        "[i:j]",
        "y = a[i : i + rows] along the first axis",
        _window_shape,
        lambda site: _window_call("y", "x0", site, False),
        {0: lambda site: _window_call("gx0", "g", site, True)},
        {0: ()},
    )
)


def _same_dtype(name: str, dtypes: tuple) -> int:
    if len(set(dtypes)) > 1:
        raise DtypeError(f"{name} got tensors of different dtypes; make all operands one dtype")
    return dtypes[0]


def _concatenate_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    axis = dict(attrs)["axis"]
    dtype = _same_dtype("concatenate", dtypes)
    first = shapes[0]
    if not 0 <= axis < len(first):
        raise ShapeError(f"concatenate along axis {axis} of tensors of shape {first}")
    for shape in shapes:
        if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ShapeError(f"concatenate along axis {axis}: all other axes must be equal, got {first} and {shape}")
    return (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :]), dtype


def _joined(site: Site) -> tuple[int, int, list[int]]:
    if dict(site.attrs).get("axis") is None:  # stack: every input is one slab of the result
        widths = [size(shape) for shape in site.shapes]
        return 1, sum(widths), widths
    axis = site.attr("axis")
    inner = size(site.shape[axis + 1 :])
    return size(site.shape[:axis]), site.shape[axis] * inner, [shape[axis] * inner for shape in site.shapes]


def _join_forward(site: Site) -> list[Call]:
    rows, whole, widths = _joined(site)
    starts = np.cumsum([0, *widths])
    return [block("y", f"x{i}", rows, w, whole, w, int(starts[i]), 0) for i, w in enumerate(widths)]


def _join_vjp(site: Site) -> list[Call]:
    rows, whole, widths = _joined(site)
    starts = np.cumsum([0, *widths])
    return [block(f"gx{i}", "g", rows, w, w, whole, 0, int(starts[i])) for i, w in enumerate(widths)]


register(
    Op(
        "concatenate",
        -1,
        "[;]",
        "y = [a; b; …]",
        _concatenate_shape,
        _join_forward,
        {0: _join_vjp},
        {0: ()},
        joins=True,
    )
)


def _stack_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    dtype = _same_dtype("stack", dtypes)
    odd = next((shape for shape in shapes if shape != shapes[0]), None)
    if odd is not None:
        raise ShapeError(f"stack needs equal shapes, got {shapes[0]} and {odd}")
    return (len(shapes), *shapes[0]), dtype


register(Op("stack", -1, "stack", "y[t] = a_t", _stack_shape, _join_forward, {0: _join_vjp}, {0: ()}, joins=True))
