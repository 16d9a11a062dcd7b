"""Long sums of float32: parts in float32, as vectors; the parts added up in float64. Added one by one, 10⁷ numbers lose
three of their seven digits. Sums of float64 go the same way.
"""

from __future__ import annotations

from tinyseq.jit.decorators import inlined, kernel

PART = 1024  # elements of a part: in vector registers a handful of additions one after the other
SHORT = 128  # elements up to which a row is one part
FEW = 32  # rows up to which they are added one by one
ACROSS = 1024  # columns at once: their totals stay in a first-level cache


@inlined
@kernel
def row_total(row):
    """Σ row, in float64."""
    total = 0.0
    for first in range(0, row.size, PART):
        some = row[first : first + PART]
        part = row.dtype.type(0)
        for i in range(some.size):
            part += some[i]
        total += part
    return total


@inlined
@kernel
def product_total(a, b):
    """Σ a ⊙ b of two rows, in float64."""
    total = 0.0
    for first in range(0, a.size, PART):
        left, right = a[first : first + PART], b[first : first + PART]
        part = a.dtype.type(0)
        for i in range(left.size):
            part += left[i] * right[i]
        total += part
    return total


@inlined
@kernel
def add_rows(total, x, first, step, rows, columns):
    """total[i] += Σ_r x[first + r · step + i], eight rows at a time."""
    r, at = 0, first
    while r + 8 <= rows:
        a, b = x[at : at + columns], x[at + step : at + step + columns]
        c, e = x[at + 2 * step : at + 2 * step + columns], x[at + 3 * step : at + 3 * step + columns]
        at += 4 * step
        f, g = x[at : at + columns], x[at + step : at + step + columns]
        h, k = x[at + 2 * step : at + 2 * step + columns], x[at + 3 * step : at + 3 * step + columns]
        for i in range(columns):
            total[i] += ((a[i] + b[i]) + (c[i] + e[i])) + ((f[i] + g[i]) + (h[i] + k[i]))
        at += 4 * step
        r += 8
    while r < rows:
        row = x[at : at + columns]
        for i in range(columns):
            total[i] += row[i]
        at += step
        r += 1


@inlined
@kernel
def column_totals(total, x, first, step, rows, columns):
    """total[i] = Σ_r x[first + r · step + i], in float64; total has `ACROSS` elements. Rows that follow each other are
    taken several as one, as many as it has room for: the loops are then long ones."""
    times = max(1, min(total.size // columns, rows // 8)) if step == columns else 1
    width = columns * times
    for i in range(width):
        total[i] = 0.0
    whole = rows // times
    add_rows(total, x, first, step * times, whole, width)
    for k in range(1, times):
        for i in range(columns):
            total[i] += total[k * columns + i]
    add_rows(total, x, first + whole * times * step, step, rows - whole * times, columns)
