"""Kernels that exist only for batching: packed products, weight gradients, gathers, sums over rows."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from tinyseq.engine.kernels.gemm import gemm, gemm_from, pack, packed_size, panel_width
from tinyseq.engine.kernels.panels import lane_count, pack_narrow
from tinyseq.jit.decorators import inlined, kernel
from tinyseq.ops.op import Kernel, map_kernel
from tinyseq.ops.totals import ACROSS, FEW, column_totals

LONG = 2048  # products from which on a sum in float32 is parts that are added up in float64
LONG_MORE = 512  # where the sum goes on from what is there
PART = 1024
_ROWS_OF_TOTALS = 64
_SMALL = 65536  # elements whose totals stay in a second-level cache


@kernel
def _gemm_packed(d, y, x, w, c):
    """y (rows, n) = c + x (rows, k) · w, packed, or x · w; d = [rows, stride of y, of x, 0, of c, from c?, n, k].

    y is its own c where the product is added to what is there. One kernel for all: each compiles every tile. Sums of
    more than `LONG` products in float32 are parts that are added up in float64, here and below.
    """
    rows, n, k, width = d[0], d[6], d[7], panel_width(y.dtype)
    if k <= LONG or y.itemsize == 8:
        gemm_from(rows, n, k, x, 0, d[2], 1, w, 0, width, k * width, y, 0, d[1], d[5], c, 0, d[4])
        return
    sums, total = np.empty(_ROWS_OF_TOTALS * n, y.dtype), np.empty(_ROWS_OF_TOTALS * n)
    for r in range(0, rows, _ROWS_OF_TOTALS):
        count = min(_ROWS_OF_TOTALS, rows - r)
        total[:] = 0.0
        for p in range(0, k, PART):
            some = min(PART, k - p)
            x_off = r * d[2] + p
            gemm_from(count, n, some, x, x_off, d[2], 1, w, p * width, width, k * width, sums, 0, n, 0, sums, 0, n)
            for i in range(count * n):
                total[i] += sums[i]
        for i in range(count):
            out, start = y[(r + i) * d[1] : (r + i) * d[1] + n], c[(r + i) * d[4] : (r + i) * d[4] + n]
            for j in range(n):
                out[j] = total[i * n + j] + (start[j] if d[5] else 0)


@kernel
def _pack(d, y, w):
    """Pack the k × n matrix w[p · d[6] + j · d[7]]; d = [1, 0, 0, accumulate, k, n, row stride, column stride]."""
    pack(w, 0, d[6], d[7], d[4], d[5], y, 0)


ROWS_AT_ONCE = 128  # of a panel of 64 columns: 32 KiB, a first-level cache
_COLUMNS_AT_ONCE = 512  # of a block: 256 KiB, a second-level cache
_ENOUGH = 32  # rows and columns from which on copies are worth making


@inlined
@kernel
def _weight_products(m, n, rows, x, x_off, x_step, g, g_off, g_step, y, y_step, accumulate):
    """y (m, n) (+)= Σ_r x[r, :]ᵀ g[r, :].

    A product whose inner dimension is far apart in memory on both sides: a block of rows at a time, x and g are copied
    into panels, of which the tiles then read neighbours.
    """
    width = panel_width(y.dtype)
    if rows < _ENOUGH or m < _ENOUGH or n < _ENOUGH:
        gemm(m, n, rows, x, x_off, 1, x_step, g, g_off, g_step, width, y, 0, y_step, accumulate)
        return
    most, lanes = min(rows, ROWS_AT_ONCE), lane_count(y.dtype)
    tall, wide = min(m, _COLUMNS_AT_ONCE), min(n, _COLUMNS_AT_ONCE)
    left_size, right_size = packed_size(most, tall, lanes), packed_size(most, wide, width)
    copies = np.empty(left_size + right_size + width, y.dtype)
    left = (-copies.ctypes.data // y.itemsize) % width
    right = left + left_size
    for r in range(0, rows, most):
        k = min(most, rows - r)
        for first_i in range(0, m, tall):
            height = min(tall, m - first_i)
            pack_narrow(x, x_off + r * x_step + first_i, x_step, 1, k, height, copies, left)
            for first_j in range(0, n, wide):
                across = min(wide, n - first_j)
                pack(g, g_off + r * g_step + first_j, g_step, 1, k, across, copies, right)
                j = 0
                while j < across:
                    columns = across - j if across - j <= width + lanes else width
                    for i in range(0, height, lanes):
                        gemm(
                            min(lanes, height - i), columns, k, copies, left + i * k, 1, lanes,
                            copies, right + j * k, width, k * width, y, (first_i + i) * y_step + first_j + j, y_step,
                            accumulate,
                        )  # fmt: skip
                    j += columns
        accumulate = 1


@kernel
def _weight_gradient(d, y, x, g):
    """y (m, n) (+)= Σ_r x[r, :]ᵀ g[r, :]; d = [rows, stride of y, of x, of g, accumulate, m, n]."""
    rows, m, n, accumulate = d[0], d[5], d[6], d[4]
    few = rows <= (LONG_MORE if accumulate else LONG) or y.itemsize == 8
    part = rows if few else (PART if m * n <= _SMALL else 4 * PART)
    sums = y if few else np.empty(m * n, y.dtype)
    step = d[1] if few else n
    total = np.zeros(0 if few else m * n)
    for r in range(0, max(rows, 1), max(part, 1)):
        k = min(part, rows - r)
        _weight_products(m, n, k, x, r * d[2], d[2], g, r * d[3], d[3], sums, step, accumulate if few else 0)
        for i in range(total.size):
            total[i] += sums[i]
    if not few:
        for i in range(m):
            row = y[i * d[1] : i * d[1] + n]
            for j in range(n):
                row[j] = total[i * n + j] + (row[j] if accumulate else 0)


_FEW = 8  # rows from which on copying the right operand is worth its time


@inlined
@kernel
def _dots(m, n, k, a, a_off, a_rs, b, b_off, b_cs, out, out_off, add):
    """out (m, n) (+)= the inner products of rows of a with columns of b whose elements are neighbours in memory."""
    zero = out.dtype.type(0)
    for i in range(m):
        row = a[a_off + i * a_rs : a_off + i * a_rs + k]
        y = out[out_off + i * n : out_off + i * n + n]
        j = 0
        while j + 4 <= n:  # four at a time, so that sums don't wait for each other
            first = b_off + j * b_cs
            w0, w1 = b[first : first + k], b[first + b_cs : first + b_cs + k]
            w2, w3 = b[first + 2 * b_cs : first + 2 * b_cs + k], b[first + 3 * b_cs : first + 3 * b_cs + k]
            s0, s1, s2, s3 = zero, zero, zero, zero
            for p in range(k):
                s0 += row[p] * w0[p]
                s1 += row[p] * w1[p]
                s2 += row[p] * w2[p]
                s3 += row[p] * w3[p]
            y[j] = s0 + (y[j] if add else zero)
            y[j + 1] = s1 + (y[j + 1] if add else zero)
            y[j + 2] = s2 + (y[j + 2] if add else zero)
            y[j + 3] = s3 + (y[j + 3] if add else zero)
            j += 4
        while j < n:
            w = b[b_off + j * b_cs : b_off + j * b_cs + k]
            total = zero
            for p in range(k):
                total += row[p] * w[p]
            y[j] = total + (y[j] if add else zero)
            j += 1


@kernel
def _matmul_tiled(d, out, a, b):
    """The op matmul by register tiles; the same numbers in d. A product with a column is that of its transpose, whose
    result is a row; few rows times columns that are neighbours in memory are inner products; else columns that lie
    apart are copied into panels."""
    m, n, k = d[5], d[6], d[7]
    left, right, left_step, right_step = a, b, d[2], d[3]
    left_rs, left_cs, right_rs, right_cs = d[8], d[9], d[10], d[11]
    if n == 1:
        m, n = n, m
        left, right, left_step, right_step = b, a, d[3], d[2]
        left_rs, left_cs, right_rs, right_cs = d[11], d[10], d[9], d[8]
    width = panel_width(out.dtype)
    copies = right_cs != 1
    dots = copies and right_rs == 1 and left_cs == 1 and m < _FEW
    few = k <= LONG or out.itemsize == 8
    part = k if few else PART
    sums = out if few else np.empty(m * n, out.dtype)
    total = np.zeros(0 if few else m * n)
    packed = np.empty(packed_size(part, n, width) if copies and not dots else 1, out.dtype)
    for r in range(d[0]):
        y, add = (r * d[1], d[4]) if few else (0, 0)
        total[:] = 0.0
        for p in range(0, max(k, 1), max(part, 1)):
            some = min(part, k - p)
            x, w = r * left_step + p * left_cs, r * right_step + p * right_rs
            if dots:
                _dots(m, n, some, left, x, left_rs, right, w, right_cs, sums, y, add)
            elif copies:
                pack(right, w, right_rs, right_cs, some, n, packed, 0)
                gemm(m, n, some, left, x, left_rs, left_cs, packed, 0, width, some * width, sums, y, n, add)
            else:
                gemm(m, n, some, left, x, left_rs, left_cs, right, w, right_rs, width, sums, y, n, add)
            for i in range(total.size):
                total[i] += sums[i]
        if not few:
            row = out[r * d[1] : r * d[1] + m * n]
            for i in range(row.size):
                row[i] = total[i] + (row[i] if d[4] else 0)


@kernel
def _column_sum(d, y, g):
    """y (+)= Σ_r g[r, :]; d = [rows, 0, stride of g, accumulate, columns, may there be none to write].

    A level of a recurrence may have no member of a group: then there is no sum, where elsewhere one of no rows is 0.
    """
    rows, columns, step = d[0], d[4], d[2]
    if d[5] and not rows:
        return
    if rows > FEW:
        total = np.empty(ACROSS)
        for first in range(0, columns, ACROSS):
            out = y[first : min(first + ACROSS, columns)]
            column_totals(total, g, first, step, rows, out.size)
            for i in range(out.size):
                out[i] = total[i] + (out[i] if d[3] else 0)
        return
    sums = y[:columns]
    if not d[3]:
        for i in range(columns):
            sums[i] = y.dtype.type(0)
    r = 0
    while r + 4 <= rows:  # four rows at a time: the sums are read and written once for all of them
        a, b = g[r * step : r * step + columns], g[(r + 1) * step : (r + 1) * step + columns]
        c, e = g[(r + 2) * step : (r + 2) * step + columns], g[(r + 3) * step : (r + 3) * step + columns]
        for i in range(columns):
            sums[i] += (a[i] + b[i]) + (c[i] + e[i])
        r += 4
    while r < rows:
        row = g[r * step : r * step + columns]
        for i in range(columns):
            sums[i] += row[i]
        r += 1


@intrinsic
def _from(typing_context, array, offset):  # type: ignore[no-untyped-def]
    """The array seen from an element on, before its beginning too: an array of the user's lies anywhere."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        made.data = builder.gep(made.data, [arguments[1]])
        return made._getvalue()

    return array(array, types.int64), generate


@kernel
def _gather_rows(d, y, arena, where):
    """y[r] = arena[where[r] :][: width]; d = [members, width, 0, 1, accumulate]."""
    width = d[1]
    for r in range(d[0]):
        row = _from(arena, where[r])[:width]
        out = y[r * width : r * width + width]
        for i in range(width):
            out[i] = row[i]


@kernel
def _scatter_rows(d, arena, g, where):
    """arena[where[r] :][: width] += g[r]; d = [members, 0, width, 1, accumulate]."""
    width = d[2]
    for r in range(d[0]):
        row = _from(arena, where[r])[:width]
        up = g[r * width : r * width + width]
        for i in range(width):
            row[i] += up[i]


@kernel
def _zero(d, y):
    """y = 0; d = [rows, stride, accumulate, columns]."""
    for r in range(d[0]):
        row = y[r * d[1] : r * d[1] + d[3]]
        for i in range(row.size):
            row[i] = y.dtype.type(0)


GEMM_PACKED = Kernel("gemm_packed", _gemm_packed, ("y", "x", "w", "c"))
PACK = Kernel("pack", _pack, ("y", "w"))
WEIGHT_GRADIENT = Kernel("weight_gradient", _weight_gradient, ("y", "x", "g"))
MATMUL_TILED = Kernel("matmul_tiled", _matmul_tiled, ("y", "a", "b"))
COLUMN_SUM = Kernel("column_sum", _column_sum, ("y", "g"))
GATHER_ROWS = Kernel("gather_rows", _gather_rows, ("y", "arena", "where"), ("where",))
GATHER_INTEGERS = Kernel("gather_integers", _gather_rows, ("y", "arena", "where"), ("y", "arena", "where"))
SCATTER_ROWS = Kernel("scatter_rows", _scatter_rows, ("arena", "g", "where"), ("where",))
ZERO = Kernel("zero", _zero, ("y",))
ADD_TO = map_kernel("add_to", ("y", "x0"), "x0", {})


def moving(kernel_: Kernel, dtype: np.dtype) -> Kernel:
    """The kernel for numbers of a dtype: what moves floats moves integers too, as a kernel of its own."""
    if dtype.kind != "i":
        return kernel_
    name = f"{kernel_.name}_integers"
    return Kernel.registry.get(name) or Kernel(name, kernel_.function, kernel_.operands, kernel_.operands)
