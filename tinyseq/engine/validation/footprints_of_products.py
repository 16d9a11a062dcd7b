"""Footprints of products, of sums and of what they pass back."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.validation.footprint_rules import Elements, Footprint, Known, grid, rule
from tinyseq.ops.op import Kernel


def packed(k: int, n: int, width: int) -> Elements:
    """Where element (p, j) of a packed k × n matrix lies."""
    columns = np.arange(n)
    return np.arange(k)[:, None] * width + columns // width * (k * width) + columns % width


@rule("gemm_packed")
def _gemm_packed(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, n, k = d[0], d[6], d[7]
    start = grid((rows, d[4]), (n, 1)) if d[5] else None
    y, x = grid((rows, d[1]), (n, 1)), grid((rows, d[2]), (k, 1))
    return Footprint((y, x, packed(k, n, known.width) if rows else None, start))


@rule("pack")
def _pack(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((packed(d[4], d[5], known.width), grid((d[4], d[6]), (d[5], d[7]))))


@rule("weight_gradient")
def _weight_gradient(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, m, n = d[0], d[5], d[6]
    return Footprint((grid((m, d[1]), (n, 1)), grid((rows, d[2]), (m, 1)), grid((rows, d[3]), (n, 1))), bool(d[4]))


@rule("matmul", "matmul_tiled")
def _matmul(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, m, n, k = d[0], d[5], d[6], d[7]
    y = grid((rows, d[1]), (m, n), (n, 1))
    a, b = grid((rows, d[2]), (m, d[8]), (k, d[9])), grid((rows, d[3]), (k, d[10]), (n, d[11]))
    return Footprint((y, a, b), bool(d[4]))


@rule("sparse_product")
def _sparse(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, n, whole = d[0], d[7], known.room(3)
    x = grid((rows, d[2]), (max(d[2], 1), 1))
    y = grid((rows, d[1]), (n, 1))
    return Footprint((y, x, grid((whole, 1)), grid((whole, 1)), grid((n + 1, 1))), bool(d[6]))


@rule("sparse_vjp_x")
def _sparse_vjp_x(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, n, whole = d[0], d[7], known.room(3)
    x, g = grid((rows, d[1]), (max(d[1], 1), 1)), grid((rows, d[3]), (n, 1))
    return Footprint((x, grid((whole, 1)), g, grid((whole, 1)), grid((n + 1, 1))), True)


@rule("sparse_vjp_values")
def _sparse_vjp_values(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, n, whole = d[0], d[7], known.room(3)
    x, g = grid((rows, d[2]), (max(d[2], 1), 1)), grid((rows, d[3]), (n, 1))
    return Footprint((grid((whole, 1)), x, g, grid((whole, 1)), grid((n + 1, 1))), True)


# -- sums and what they pass back
@rule("column_sum")
def _column_sum(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    if (d[3] or d[5]) and not d[0]:  # nothing is added, or there is nothing to write
        return Footprint((None, None), True)
    return Footprint((grid((d[4], 1)), grid((d[0], d[2]), (d[4], 1))), bool(d[3]))


@rule("sum", "max", "norm")
def _reduce(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, reduced, inner = d[0], d[4], d[5]
    return Footprint((grid((rows, d[1]), (inner, 1)), grid((rows, d[2]), (reduced, inner), (inner, 1))), bool(d[3]))


@rule("spread")
def _spread(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, reduced, inner = d[0], d[4], d[5]
    return Footprint((grid((rows, d[1]), (reduced, inner), (inner, 1)), grid((rows, d[2]), (inner, 1))), bool(d[3]))


@rule("max_vjp", "norm_vjp")
def _reduce_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    rows, reduced, inner = d[0], d[6], d[7]
    wide, narrow = ((reduced, inner), (inner, 1)), ((inner, 1),)
    axes = (wide, narrow, wide, narrow)
    return Footprint(tuple(grid((rows, d[1 + j]), *axes[j]) for j in range(4)), bool(d[5]))


@rule("strided_read")
def _strided_read(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    sizes, strides = d[4:8], d[8:12]
    dense = [int(np.prod(sizes[j + 1 :])) for j in range(4)]
    y = grid((d[0], d[1]), *zip(sizes, dense, strict=True))
    return Footprint((y, grid((d[0], d[2]), *zip(sizes, strides, strict=True))), bool(d[3]))


@rule("strided_add")
def _strided_add(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    sizes, strides = d[4:8], d[8:12]
    dense = [int(np.prod(sizes[j + 1 :])) for j in range(4)]
    y = grid((d[0], d[1]), *zip(sizes, strides, strict=True))
    return Footprint((y, grid((d[0], d[2]), *zip(sizes, dense, strict=True))), True)
