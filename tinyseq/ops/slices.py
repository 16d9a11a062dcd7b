"""Slices and joins: parts of a tensor, and tensors put side by side or into a sequence."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.ops.block_copies import block
from tinyseq.ops.op import ALL, EACH, JOINED, MOVES, PART, ROW, ROWS, STACKED, Call, Op, Site, each, size
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register


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


def _beside(attrs: tuple, tail: tuple[int, ...]) -> tuple[int, ...]:
    """Rows are as they were, but for an op along the first axis."""
    return (EACH if dict(attrs)["axis"] > 0 else ALL,)


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
        rows=_beside,
        view=PART,
        arranges=True,
        keeps_integers=True,
        words="a part of {a}",
        partials=("1 for the part, 0 elsewhere",),
        jacobian=MOVES,
        example=((("axis", 0), ("start", 1), ("stop", 2)), ((2, 3),), (0,)),
        javascript=script("slice"),
    )
)


def _index_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,) = shapes
    if not shape:
        raise ShapeError("a scalar cannot be indexed")
    return shape[1:], dtypes[0]


def _rows_call(target: str, source: str, site: Site, row: int, partial: bool) -> list[Call]:
    """Copy the result's elements from row ``arg`` on, rows being ``row`` elements long, or (partial) back to there."""
    at = (site.arg * row, 0) if partial else (0, site.arg * row)
    return [block(target, source, 1, size(site.shape), 0, 0, *at, partial=partial)]


register(
    Op(
        "index",
        1,
        "[t]",
        "y = a[t] along the first axis",
        _index_shape,
        lambda site: _rows_call("y", "x0", site, size(site.shape), False),
        {0: lambda site: _rows_call("gx0", "g", site, size(site.shape), True)},
        {0: ()},
        view=ROW,
        arranges=True,
        keeps_integers=True,
        words="{a}[{i}]",
        partials=("1 for the row that was read, 0 elsewhere",),
        jacobian=MOVES,
        javascript=script("index"),
    )
)


def _window_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    (shape,) = shapes
    if not shape:
        raise ShapeError("a scalar has no rows")
    return shape, dtypes[0]  # the caller replaces the first axis: it may differ from step to step


register(
    Op(
        "window",
        1,
        "[i:j]",
        "y = a[i : i + rows] along the first axis",
        _window_shape,
        lambda site: _rows_call("y", "x0", site, size(site.shape[1:]), False),
        {0: lambda site: _rows_call("gx0", "g", site, size(site.shape[1:]), True)},
        {0: ()},
        rows=each,  # from row ``arg`` of the input on
        view=ROWS,
        arranges=True,
        keeps_integers=True,
        words="{a}[{i}:]",
        partials=("1 for the rows that were read, 0 elsewhere",),
        jacobian=MOVES,
        javascript=script("window"),
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
        if len(shape) != len(first) or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
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
        rows=_beside,
        view=JOINED,
        arranges=True,
        words="[{all}]",
        partials=("1 for its own part",),
        jacobian=MOVES,
        example=((("axis", 1),), ((2, 3), (2, 1)), (0, 0)),
        javascript=script("concatenate"),
    )
)


def _stack_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    dtype = _same_dtype("stack", dtypes)
    odd = next((shape for shape in shapes if shape != shapes[0]), None)
    if odd is not None:
        raise ShapeError(f"stack needs equal shapes, got {shapes[0]} and {odd}")
    return (len(shapes), *shapes[0]), dtype


register(
    Op(
        "stack",
        -1,
        "stack",
        "y[t] = a_t",
        _stack_shape,
        _join_forward,
        {0: _join_vjp},
        {0: ()},
        joins=True,
        view=STACKED,
        arranges=True,
        words="stack of {all}",
        partials=("1 for its own row",),
        jacobian=MOVES,
        javascript=script("stack"),
    )
)
