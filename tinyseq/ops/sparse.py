"""Products with a sparse matrix, kept by rows: only its nonzero elements are stored, read and learned."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.jit.decorators import kernel
from tinyseq.ops.op import ALL, EACH, PRODUCT, Call, Kernel, Op, Site, call
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register
from tinyseq.tape import INT64

# Without "reassoc" the sum stays four chains of scalar multiply-adds. LLVM would turn it into vector gathers, which
# take three to four times as long on the processors measured. Unsigned places spare the test for negative ones.
_SCALAR = frozenset({"contract"})
_ONE, _FOUR = np.uint64(1), np.uint64(4)
ROWS = 64  # of a batch, likewise
_PART = np.uint64(128)  # products added up in the operands' dtype; the parts in float64


@kernel(fastmath=_SCALAR)
def _sparse(d, out, x, values, columns, starts):
    """out[r, i] (+)= Σ_p values[p] x[r, columns[p]], p from starts[i] to starts[i + 1]; d = [rows, strides, add, n]."""
    number = out.dtype.type
    for r in range(d[0]):
        row = x[r * d[2] :]
        y = out[r * d[1] : r * d[1] + d[7]]
        for i in range(d[7]):
            total = 0.0
            p, last = np.uint64(starts[i]), np.uint64(starts[i + 1])
            while p < last:
                end = min(p + _PART, last)
                a, b, c, e = number(0), number(0), number(0), number(0)
                while p + _FOUR <= end:
                    a += values[p] * row[np.uint64(columns[p])]
                    b += values[p + _ONE] * row[np.uint64(columns[p + _ONE])]
                    c += values[p + _ONE + _ONE] * row[np.uint64(columns[p + _ONE + _ONE])]
                    e += values[p + _FOUR - _ONE] * row[np.uint64(columns[p + _FOUR - _ONE])]
                    p += _FOUR
                while p < end:
                    a += values[p] * row[np.uint64(columns[p])]
                    p += _ONE
                total += (a + b) + (c + e)
            y[i] = y[i] + number(total) if d[6] else number(total)


@kernel
def _sparse_vjp_x(d, out, values, g, columns, starts):
    """out[r, columns[p]] += values[p] g[r, i] for p of row i; d = [rows, strides, add, n]."""
    for r in range(d[0]):
        row = out[r * d[1] :]
        for i in range(d[7]):
            scale = g[r * d[3] + i]
            for p in range(starts[i], starts[i + 1]):
                row[columns[p]] += values[p] * scale


@kernel
def _sparse_vjp_values(d, out, x, g, columns, starts):
    """out[p] += Σ_r x[r, columns[p]] g[r, i] for p of row i; d = [rows, strides, add, n]."""
    n, parts = d[7], out[: starts[d[7]]]
    total = np.zeros(parts.size if d[0] > ROWS else 0)
    if total.size:
        parts = np.empty(total.size, out.dtype)
    for first in range(0, d[0], ROWS):
        if total.size:
            for p in range(total.size):
                parts[p] = 0
        for r in range(first, min(first + ROWS, d[0])):
            row = x[r * d[2] :]
            for i in range(n):
                scale = g[r * d[3] + i]
                for p in range(starts[i], starts[i + 1]):
                    parts[p] += row[columns[p]] * scale
        for p in range(total.size):
            total[p] += parts[p]
    for p in range(total.size):
        out[p] += out.dtype.type(total[p])


_INTEGERS = ("columns", "starts")
SPARSE = Kernel("sparse_product", _sparse, ("y", "x", "values", *_INTEGERS), _INTEGERS)
SPARSE_VJP_X = Kernel("sparse_vjp_x", _sparse_vjp_x, ("gx", "values", "g", *_INTEGERS), _INTEGERS)
SPARSE_VJP_VALUES = Kernel("sparse_vjp_values", _sparse_vjp_values, ("gvalues", "x", "g", *_INTEGERS), _INTEGERS)


def _shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    """x (B, k), values (nnz), columns (nnz), starts (n + 1) → (B, n)."""
    x, values, columns, starts = shapes
    if INT64 in dtypes[:2] or dtypes[0] != dtypes[1]:
        raise DtypeError("a sparse product needs floating-point x and values of one dtype")
    if dtypes[2:] != (INT64, INT64):
        raise DtypeError("the columns and the starts of a sparse matrix are integers, got floating point")
    if len(x) != 2 or len(values) != 1 or columns != values or len(starts) != 1 or not starts[0]:
        raise ShapeError(
            f"a sparse product is of x (B, k) with values (nnz), columns (nnz), starts (n + 1); got {x}, {values}, "
            f"{columns}, {starts}"
        )
    return (x[0], starts[0] - 1), dtypes[0]


def _calls(kernel_: Kernel, site: Site, *roles: str) -> list[Call]:
    """A call over the rows of x, which share the matrix: what is of the matrix has no stride."""
    k, n = site.shapes[0][1], site.shape[1]
    strides = {"y": n, "g": n, "x0": k, "gx0": k}
    operands = {role: strides.get(role, 0) for role in (*roles, "x2", "x3")}
    return [call(kernel_, site.shape[0], operands, (n,), partial=roles[0] != "y")]


register(
    Op(
        "sparse",
        4,
        "·",
        "y_i = Σ_p w_p x_c(p), p of row i; ∂L/∂x_c(p) = Σ w_p g_i, ∂L/∂w_p = g_i x_c(p)",
        _shape,
        lambda site: _calls(SPARSE, site, "y", "x0", "x1"),
        {
            0: lambda site: _calls(SPARSE_VJP_X, site, "gx0", "x1", "g"),
            1: lambda site: _calls(SPARSE_VJP_VALUES, site, "gx1", "x0", "g"),
        },
        {0: ("x1", "x2", "x3"), 1: ("x0", "x2", "x3")},
        rows=lambda attrs, tail: (EACH, ALL),
        words="{b} · {a}, {b} sparse",
        partials=("{b}ᵀ", "{a}, at the places that are kept", None, None),
        drawn=(PRODUCT,),
        example=((), ((2, 3), (4,), (4,), (3,)), (0, 0, INT64, INT64)),
        javascript=script("sparse"),
    )
)
