"""Reductions over one run of neighbouring axes: sum, mean, max, Euclidean norm.

An array is seen as (outer, reduced, inner). Reductions over axes that are not neighbours are recorded as several.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.jit.decorators import kernel
from tinyseq.ops import elementary
from tinyseq.ops.op import ALL, CARRIES, EACH, REDUCES, Call, Kernel, Op, Site, call
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register
from tinyseq.ops.totals import ACROSS, FEW, SHORT, column_totals, row_total
from tinyseq.tape import INT64

sqrt = elementary.sqrt


@kernel
def _exact(x, first, step, count):
    """Σ_j x[first + j · step] in float64 alone, where no sum of two float32 is too large for one."""
    total = 0.0
    for j in range(count):
        total += np.float64(x[first + j * step])
    return total


@kernel
def _sum(d, out, x):
    """out[r, i] (+)= Σ_j x[r, j, i] / divisor; d = [outer, strides, accumulate, reduced, inner, divisor]."""
    reduced, inner = d[4], d[5]
    number = out.dtype.type
    zero, divisor, few = number(0), np.float64(d[6]), number(d[6])
    total = np.empty(ACROSS if inner > 1 and reduced > FEW else 0)
    for r in range(d[0]):
        if inner == 1 and reduced <= SHORT:
            row = x[r * d[2] : r * d[2] + reduced]
            part = zero
            for j in range(reduced):
                part += row[j]
            out[r * d[1]] = (out[r * d[1]] if d[3] else zero) + part / few
        elif inner == 1:
            value = row_total(x[r * d[2] : r * d[2] + reduced])
            if divisor > 1 and value - value != 0.0:
                value = _exact(x, r * d[2], 1, reduced)
            out[r * d[1]] = (out[r * d[1]] if d[3] else zero) + number(value / divisor)
        elif reduced > FEW:
            for first in range(0, inner, ACROSS):
                y = out[r * d[1] + first : r * d[1] + min(first + ACROSS, inner)]
                column_totals(total, x, r * d[2] + first, inner, reduced, y.size)
                for i in range(y.size):
                    value = total[i]
                    if divisor > 1 and value - value != 0.0:
                        value = _exact(x, r * d[2] + first + i, inner, reduced)
                    y[i] = (y[i] if d[3] else zero) + number(value / divisor)
        else:
            y = out[r * d[1] : r * d[1] + inner]
            if not d[3]:
                for i in range(inner):
                    y[i] = zero
            for j in range(reduced):
                row = x[r * d[2] + j * inner : r * d[2] + j * inner + inner]
                for i in range(inner):
                    y[i] += row[i] / few


@kernel
def _spread(d, out, g):
    """out[r, j, i] (+)= g[r, i] / divisor: the gradient of a sum reaches every element."""
    reduced, inner = d[4], d[5]
    divisor = out.dtype.type(d[6])
    for r in range(d[0]):
        if inner == 1:
            value = g[r * d[2]] / divisor
            row = out[r * d[1] : r * d[1] + reduced]
            if d[3]:
                for j in range(reduced):
                    row[j] += value
            else:
                for j in range(reduced):
                    row[j] = value
        else:
            up = g[r * d[2] : r * d[2] + inner]
            for j in range(reduced):
                row = out[r * d[1] + j * inner : r * d[1] + j * inner + inner]
                if d[3]:
                    for i in range(inner):
                        row[i] += up[i] / divisor
                else:
                    for i in range(inner):
                        row[i] = up[i] / divisor


@kernel
def _max(d, out, x):
    """out[r, i] = max_j x[r, j, i]; NaN wins."""
    reduced, inner = d[4], d[5]
    for r in range(d[0]):
        for i in range(inner):
            best = x[r * d[2] + i]
            for j in range(1, reduced):
                value = x[r * d[2] + j * inner + i]
                if not (value <= best) and best == best:
                    best = value
            out[r * d[1] + i] = best


@kernel
def _max_vjp(d, out, g, x, y):
    """The gradient goes to the first of the largest elements."""
    reduced, inner = d[6], d[7]
    zero = out.dtype.type(0)
    for r in range(d[0]):
        for i in range(inner):
            pending = True
            for j in range(reduced):
                value = x[r * d[3] + j * inner + i]
                best = y[r * d[4] + i]
                hit = pending and (value == best or value != value)
                if hit:
                    pending = False
                at = r * d[1] + j * inner + i
                out[at] = (out[at] if d[5] else zero) + (g[r * d[2] + i] if hit else zero)


@kernel(fastmath={"contract"})
def quotient(a, b):
    """a / b, never as a · (1/b): the reciprocal of the smallest numbers is infinite."""
    return a / b


@kernel
def _norm(d, out, x):
    """out[r, i] = (Σ_j x²)^½, scaled by the largest |x| so that nothing overflows."""
    reduced, inner = d[4], d[5]
    number = out.dtype.type
    zero = number(0)
    for r in range(d[0]):
        for i in range(inner):
            largest = zero
            for j in range(reduced):
                value = abs(x[r * d[2] + j * inner + i])
                if not (value <= largest) and largest == largest:
                    largest = value
            total = 0.0
            if largest > zero and largest - largest == zero:
                for j in range(reduced):
                    value = quotient(x[r * d[2] + j * inner + i], largest)
                    total += np.float64(value * value)
                out[r * d[1] + i] = largest * number(np.sqrt(total))
            else:
                out[r * d[1] + i] = largest


@kernel
def _norm_vjp(d, out, g, x, y):
    """g x / ‖x‖, and 0 where the norm is 0."""
    reduced, inner = d[6], d[7]
    zero = out.dtype.type(0)
    for r in range(d[0]):
        for j in range(reduced):
            for i in range(inner):
                norm = y[r * d[4] + i]
                at = r * d[1] + j * inner + i
                value = zero if norm == zero else g[r * d[2] + i] * quotient(x[r * d[3] + j * inner + i], norm)
                out[at] = (out[at] if d[5] else zero) + value


SUM = Kernel("sum", _sum, ("y", "x"))
SPREAD = Kernel("spread", _spread, ("gx", "g"))
MAX = Kernel("max", _max, ("y", "x"))
MAX_VJP = Kernel("max_vjp", _max_vjp, ("gx", "g", "x", "y"))
NORM = Kernel("norm", _norm, ("y", "x"))
NORM_VJP = Kernel("norm_vjp", _norm_vjp, ("gx", "g", "x", "y"))


def _shape(name: str):
    def rule(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
        (shape,), (dtype,) = shapes, dtypes
        if dtype == INT64:
            raise DtypeError(f"{name} needs floating point, got integers; convert with array.astype('float32')")
        flags = dict(attrs)
        first, last = flags["axes"]
        if not 0 <= first <= last <= len(shape):
            raise ShapeError(f"{name} over axes {first}..{last - 1} of a tensor of shape {shape}")
        if name in ("max", "mean") and 0 in shape[first:last]:
            raise ShapeError(f"{name} over no elements: axes {first}..{last - 1} of shape {shape} are empty")
        kept = (1,) * (last - first) if flags.get("keepdims") else ()
        return shape[:first] + kept + shape[last:], dtype

    return rule


def _extent(site: Site) -> tuple[int, int, int]:
    first, last = site.attr("axes")
    (shape,) = site.shapes
    return prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])


def _reduction(
    name: str, forward: Kernel, backward: Kernel, reads: tuple[str, ...], symbol: str, equation: str, **said: Any
) -> None:
    def divisor(reduced: int) -> tuple[int, ...]:
        return (reduced if name == "mean" else 1,) if forward is SUM else ()

    def run(site: Site) -> list[Call]:
        outer, reduced, inner = _extent(site)
        return [call(forward, outer, {"y": inner, "x0": reduced * inner}, (reduced, inner, *divisor(reduced)))]

    def vjp(site: Site) -> list[Call]:
        outer, reduced, inner = _extent(site)
        widths = {"x0": reduced * inner, "y": inner}
        roles = {"gx0": reduced * inner, "g": inner, **{role: widths[role] for role in reads}}
        return [call(backward, outer, roles, (reduced, inner, *divisor(reduced)))]

    def rows(attrs: tuple, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (EACH if dict(attrs)["axes"][0] > 0 else ALL,)

    register(
        Op(
            name,
            1,
            symbol,
            equation,
            _shape(name),
            run,
            {0: vjp},
            {0: reads},
            rows=rows,
            jacobian=REDUCES,
            javascript=script(name),
            example=((("axes", (1, 2)),), ((2, 3),), (0,)),
            **said,
        )
    )


_reduction("sum", SUM, SPREAD, (), "Σ", "y = Σ a", drawn=(CARRIES,), words="Σ {a}", partials=("1 for every summand",))
_reduction(
    "mean",
    SUM,
    SPREAD,
    (),
    "mean",
    "y = (1/n) Σ a",
    drawn=(CARRIES,),
    words="mean of {a}",
    partials=("1/n for every one of n",),
)
_reduction(
    "max",
    MAX,
    MAX_VJP,
    ("x0", "y"),
    "max",
    "y = max a, the first of equals gets the gradient",
    words="max {a}",
    partials=("1 at the largest, else 0",),
)
_reduction(
    "norm", NORM, NORM_VJP, ("x0", "y"), "‖·‖", "y = (Σ a²)^½, slope 0 at 0", words="‖{a}‖", partials=("{a} / {y}",)
)
