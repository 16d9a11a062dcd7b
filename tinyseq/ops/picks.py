"""Indexing by integers: rows of a table (embedding), one element per row, one-hot rows."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DataError, DtypeError, ShapeError
from tinyseq.jit.decorators import inlined, kernel
from tinyseq.ops.op import ALL, EACH, MOVES, PRODUCT, WIDER, Call, Kernel, Op, Site, call, size
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register
from tinyseq.ops.totals import FEW
from tinyseq.tape import INT64


@kernel
def _take(d, out, table, index):
    """out[r] = table[index[r]]; d = [count, strides, accumulate, columns]."""
    columns = d[5]
    for r in range(d[0]):
        y = out[r * d[1] : r * d[1] + columns]
        at = index[r * d[3]] * columns
        row = table[at : at + columns]
        for i in range(columns):
            y[i] = row[i]


@inlined
@kernel
def totals_of(index, step, count, limit):
    """For each of the numbers 0 … limit − 1 the place of its total in float64, −1 for those that occur a few times; and
    how many totals there are."""
    places = np.full(limit if count > FEW and limit <= 16 * count else 0, -1)
    totals = 0
    if places.size:
        times = np.zeros(limit, np.int64)
        for r in range(count):
            times[index[r * step]] += 1
        for i in range(limit):
            if times[i] > FEW:
                places[i] = totals
                totals += 1
    return places, totals


@kernel
def _take_vjp(d, out, g, index):
    """out[index[r]] += g[r]; d = [count, strides, accumulate, columns, rows of the table]."""
    columns = d[5]
    places, totals = totals_of(index, d[3], d[0], d[6])
    total = np.zeros(totals * columns)
    for r in range(d[0]):
        at = index[r * d[3]]
        row = g[r * d[2] : r * d[2] + columns]
        if totals and places[at] >= 0:
            sums = total[places[at] * columns : places[at] * columns + columns]
            for i in range(columns):
                sums[i] += row[i]
        else:
            y = out[at * columns : at * columns + columns]
            for i in range(columns):
                y[i] += row[i]
    if totals:
        for at in range(d[6]):
            if places[at] >= 0:
                for i in range(columns):
                    out[at * columns + i] += out.dtype.type(total[places[at] * columns + i])


@kernel
def _gather(d, out, x, index):
    """out[r] = x[r, index[r]]."""
    for r in range(d[0]):
        out[r * d[1]] = x[r * d[2] + index[r * d[3]]]


@kernel
def _gather_vjp(d, out, g, index):
    """out[r, index[r]] += g[r]."""
    for r in range(d[0]):
        out[r * d[1] + index[r * d[3]]] += g[r * d[2]]


@kernel
def _one_hot(d, out, index):
    """out[r, j] = 1 where j = index[r], else 0."""
    columns = d[4]
    for r in range(d[0]):
        for i in range(columns):
            out[r * d[1] + i] = out.dtype.type(0)
        out[r * d[1] + index[r * d[2]]] = out.dtype.type(1)


@kernel
def _take_columns(d, out, table, index):
    """out[r, i] = table[i, index[r]]; d = [count, strides, accumulate, rows of the table, its columns]."""
    for r in range(d[0]):
        for i in range(d[5]):
            out[r * d[1] + i] = table[i * d[6] + index[r * d[3]]]


@kernel
def _take_columns_vjp(d, out, g, index):
    """out[i, index[r]] += g[r, i]."""
    rows = d[5]
    places, totals = totals_of(index, d[3], d[0], d[6])
    total = np.zeros(totals * rows)
    for r in range(d[0]):
        at = index[r * d[3]]
        if totals and places[at] >= 0:
            for i in range(rows):
                total[places[at] * rows + i] += g[r * d[2] + i]
        else:
            for i in range(rows):
                out[i * d[6] + at] += g[r * d[2] + i]
    if totals:
        for at in range(d[6]):
            if places[at] >= 0:
                for i in range(rows):
                    out[i * d[6] + at] += out.dtype.type(total[places[at] * rows + i])


TAKE_COLUMNS = Kernel("take_columns", _take_columns, ("y", "table", "index"), ("index",))
TAKE_COLUMNS_VJP = Kernel("take_columns_vjp", _take_columns_vjp, ("gtable", "g", "index"), ("index",))
TAKE = Kernel("take", _take, ("y", "table", "index"), ("index",))
TAKE_VJP = Kernel("take_vjp", _take_vjp, ("gtable", "g", "index"), ("index",))
GATHER = Kernel("gather", _gather, ("y", "x", "index"), ("index",))
GATHER_VJP = Kernel("gather_vjp", _gather_vjp, ("gx", "g", "index"), ("index",))
ONE_HOT = Kernel("one_hot", _one_hot, ("y", "index"), ("index",))


def in_range(what: str, limit: int, index: np.ndarray) -> None:
    """Raise where an index lies outside 0 … limit − 1, naming the first that does."""
    bad = np.flatnonzero((index < 0) | (index >= limit))
    if len(bad):
        place = tuple(int(i) for i in np.unravel_index(bad[0], index.shape)) if index.ndim else ()
        raise DataError(
            f"{what}: index {int(index.ravel()[bad[0]])} at position {place} is outside 0 to {limit - 1} "
            f"({len(bad)} of {index.size} indices are)"
        )


def integers(name: str, code: int) -> None:
    """Raise where an index tensor is not integer."""
    if code != INT64:
        raise DtypeError(
            f"{name} needs integer indices, got floating point; give an integer array, e.g. x.astype('int64')"
        )


def _take_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    table, index = shapes
    integers("take", dtypes[1])
    if dtypes[0] == INT64:
        raise DtypeError("take reads rows of a floating-point table, got an integer table")
    if dict(attrs).get("axis"):
        if len(table) != 2:
            raise ShapeError(f"take of columns needs a matrix, got shape {table}")
        return (*index, table[0]), dtypes[0]
    if len(table) < 1:
        raise ShapeError("take reads rows of a table of at least one axis, got a scalar")
    return (*index, *table[1:]), dtypes[0]


def _take_calls(roles: tuple[str, str], site: Site, forward: bool) -> list[Call]:
    table, index = site.shapes
    count = size(index)
    if dict(site.attrs).get("axis"):
        kernel_, sizes = (TAKE_COLUMNS if forward else TAKE_COLUMNS_VJP), table
        columns = table[0]
    else:
        columns = size(table[1:])
        kernel_, sizes = (TAKE if forward else TAKE_VJP), (columns, table[0])
    strides = (columns, 0) if forward else (0, columns)
    return [call(kernel_, count, {roles[0]: strides[0], roles[1]: strides[1], "x1": 1}, sizes, partial=not forward)]


def _take_limit(site: Site) -> int:
    return site.shapes[0][1 if dict(site.attrs).get("axis") else 0]


register(
    Op(
        "take",
        2,
        "[i]",
        "y = W[i]; row i of ∂L/∂W collects g",
        _take_shape,
        lambda site: _take_calls(("y", "x0"), site, True),
        {0: lambda site: _take_calls(("gx0", "g"), site, False)},
        {0: ("x1",)},
        rows=lambda attrs, tail: (ALL, EACH),
        limit=_take_limit,
        arranges=True,
        words="rows {b} of {a}",
        partials=("g, added to the rows that were read", None),
        drawn=(PRODUCT,),
        jacobian=MOVES,
        example=((), ((4, 3), (2,)), (0, INT64)),
        javascript=script("take"),
    )
)


def _gather_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    x, index = shapes
    integers("gather", dtypes[1])
    if dtypes[0] == INT64:
        raise DtypeError("gather picks elements of a floating-point tensor, got integers")
    if x[:-1] != index or not x:
        raise ShapeError(f"gather picks one element in each row: x {x} needs an index of shape {x[:-1]}, got {index}")
    return index, dtypes[0]


def _gather_forward(site: Site) -> list[Call]:
    return [call(GATHER, size(site.shape), {"y": 1, "x0": site.shapes[0][-1], "x1": 1})]


def _gather_backward(site: Site) -> list[Call]:
    return [call(GATHER_VJP, size(site.shape), {"gx0": site.shapes[0][-1], "g": 1, "x1": 1}, partial=True)]


register(
    Op(
        "gather",
        2,
        "[·,i]",
        "y_r = x[r, i_r]",
        _gather_shape,
        _gather_forward,
        {0: _gather_backward},
        {0: ("x1",)},
        rows=lambda attrs, tail: (WIDER, EACH),
        limit=lambda site: site.shapes[0][-1],
        words="{a}[r, {b}[r]]",
        partials=("g, at the places that were read", None),
        drawn=(PRODUCT,),
        jacobian=MOVES,
        example=((), ((2, 3), (2,)), (0, INT64)),
        javascript=script("gather"),
    )
)


def _one_hot_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    integers("one_hot", dtypes[0])
    flags = dict(attrs)
    if flags["classes"] < 1:
        raise ShapeError(f"one_hot needs at least one class, got {flags['classes']}")
    return (*shapes[0], flags["classes"]), flags["dtype"]


register(
    Op(
        "one_hot",
        1,
        "1ᵢ",
        "y_j = 1 where j = i, else 0",
        _one_hot_shape,
        lambda site: [call(ONE_HOT, size(site.shapes[0]), {"y": site.shape[-1], "x0": 1}, (site.shape[-1],))],
        rows=lambda attrs, tail: (EACH if tail else ALL,),
        limit=lambda site: site.shape[-1],
        words="1 at {a}, else 0",
        partials=(None,),
        example=((("classes", 3), ("dtype", 0)), ((2,),), (INT64,)),
        javascript=script("one_hot"),
    )
)
