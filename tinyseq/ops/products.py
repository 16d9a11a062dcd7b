"""Matrix products, plain and batched, with either operand transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.jit.decorators import inlined, kernel
from tinyseq.ops.op import ALL, EACH, MULTIPLIES, PRODUCT, Call, Kernel, Op, Site, call
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register
from tinyseq.ops.totals import product_total
from tinyseq.tape import INT64

_PART = 64  # products added up in the operands' dtype; the parts in float64


@inlined
@kernel
def _row_times(total, x, x_step, w, w_row, n, k):
    """total = Σ_p x[p · x_step] w[p · w_row :][: n]."""
    for j in range(n):
        total[j] = 0
    for p in range(k):
        scale = x[p * x_step]
        row = w[p * w_row : p * w_row + n]
        for j in range(n):
            total[j] += scale * row[j]


@kernel
def _matmul(d, out, a, b):
    """out[i, j] (+)= Σ_p a[i, p] b[p, j] for each of d[0] matrices; out is row-major, a and b have any strides."""
    m, n, k = d[5], d[6], d[7]
    a_row, a_col, b_row, b_col = d[8], d[9], d[10], d[11]
    number = out.dtype.type
    sums, totals = np.empty(n, out.dtype), np.empty(n)
    for r in range(d[0]):
        for i in range(m):
            y = out[r * d[1] + i * n : r * d[1] + i * n + n]
            x = a[r * d[2] + i * a_row :]
            if b_col == 1:
                for j in range(n):
                    totals[j] = 0.0
                for p in range(0, k, _PART):
                    _row_times(sums, x[p * a_col :], a_col, b[r * d[3] + p * b_row :], b_row, n, min(_PART, k - p))
                    for j in range(n):
                        totals[j] += sums[j]
                for j in range(n):
                    y[j] = number(totals[j]) + (y[j] if d[4] else number(0))
            elif a_col == 1 and b_row == 1:
                for j in range(n):
                    at = r * d[3] + j * b_col
                    y[j] = number(product_total(x[:k], b[at : at + k])) + (y[j] if d[4] else number(0))
            else:
                w = b[r * d[3] :]
                for j in range(n):
                    total = 0.0
                    for p in range(k):
                        total += x[p * a_col] * w[p * b_row + j * b_col]
                    y[j] = number(total) + (y[j] if d[4] else number(0))


MATMUL = Kernel("matmul", _matmul, ("y", "a", "b"))


def matmul_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    """(m, k) (k, n) → (m, n), or the same with a leading batch axis on both; flags transpose the last two axes."""
    if INT64 in dtypes:
        raise DtypeError(
            "matmul needs floating point, got integers; for a row of W by its number use ts.take(W, index)"
        )
    if dtypes[0] != dtypes[1]:
        raise DtypeError("matmul got float32 and float64 together; make both operands one dtype")
    a, b = shapes
    if len(a) != len(b) or len(a) not in (2, 3):
        wanted = (*b[:1], *a) if len(a) == 2 and len(b) == 3 else None
        advice = f"; for one matrix times many write ts.matmul(ts.expand(A, {wanted}), B)" if wanted else ""
        raise ShapeError(f"matmul needs two 2-D or two 3-D operands, got {a} and {b}{advice}")
    flags = dict(attrs)
    m, k = a[-2:][::-1] if flags.get("transpose_a") else a[-2:]
    k_b, n = b[-2:][::-1] if flags.get("transpose_b") else b[-2:]
    if k != k_b or a[:-2] != b[:-2]:
        how = "".join(f", {key}" for key, value in attrs if value)
        raise ShapeError(
            f"matmul of {a} and {b}{how}: inner sizes {k} and {k_b} must be equal"
            + ("" if a[:-2] == b[:-2] else f", and so must the batch sizes {a[0]} and {b[0]}")
        )
    return (*a[:-2], m, n), dtypes[0]


def _strides(shape: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    return (1, shape[-1]) if transposed else (shape[-1], 1)


def _product(
    roles: tuple[str, str, str], batch: int, m: int, n: int, k: int, a: tuple[int, int], b: tuple[int, int]
) -> Call:
    """A call for roles[0] (+)= roles[1] · roles[2], the strides of both given."""
    return call(MATMUL, batch, {roles[0]: m * n, roles[1]: m * k, roles[2]: k * n}, (m, n, k, *a, *b))


def _layout(site: Site) -> tuple[int, int, int, int, tuple[int, int], tuple[int, int]]:
    flags = dict(site.attrs)
    a, b = site.shapes
    m, n = site.shape[-2:]
    k = a[-2] if flags.get("transpose_a") else a[-1]
    batch = site.shape[0] if len(site.shape) == 3 else 1
    return (
        batch,
        m,
        n,
        k,
        _strides(a, flags.get("transpose_a", False)),
        _strides(b, flags.get("transpose_b", False)),
    )


def _forward(site: Site) -> list[Call]:
    batch, m, n, k, a, b = _layout(site)
    return [_product(("y", "x0", "x1"), batch, m, n, k, a, b)]


def _vjp_a(site: Site) -> list[Call]:
    """∂L/∂A = G Bᵀ, or B Gᵀ where A was transposed."""
    batch, m, n, k, _, b = _layout(site)
    if dict(site.attrs).get("transpose_a"):
        return [_product(("gx0", "x1", "g"), batch, k, m, n, b, (1, n))]
    return [_product(("gx0", "g", "x1"), batch, m, k, n, (n, 1), b[::-1])]


def _vjp_b(site: Site) -> list[Call]:
    """∂L/∂B = Aᵀ G, or Gᵀ A where B was transposed."""
    batch, m, n, k, a, _ = _layout(site)
    if dict(site.attrs).get("transpose_b"):
        return [_product(("gx1", "g", "x0"), batch, n, k, m, (1, n), a)]
    return [_product(("gx1", "x0", "g"), batch, k, n, m, a[::-1], (n, 1))]


def _rows(attrs: tuple, tail: tuple[int, ...]) -> tuple[int, ...]:
    """Of one product, rows of Y are those of A; of many, the first axis counts them."""
    if len(tail) == 2:
        return EACH, EACH
    return (ALL if dict(attrs).get("transpose_a") else EACH), ALL


def _written(attrs: dict[str, Any]) -> str:
    return f"A{'ᵀ' if attrs.get('transpose_a') else ''}·B{'ᵀ' if attrs.get('transpose_b') else ''}"


register(
    Op(
        "matmul",
        2,
        "·",
        "Y = A B; ∂L/∂A = ∂L/∂Y Bᵀ, ∂L/∂B = Aᵀ ∂L/∂Y",
        matmul_shape,
        _forward,
        {0: _vjp_a, 1: _vjp_b},
        {0: ("x1",), 1: ("x0",)},
        rows=_rows,
        words="{a} · {b}",
        partials=("{b}", "{a}"),
        drawn=(PRODUCT,),
        jacobian=MULTIPLIES,
        javascript=script("matmul"),
        written=_written,
    )
)
