"""Softmax over the last axis and the cross-entropy it feeds. Stable for logits of any size.

A row whose loss is masked away gets the gradient 0, whatever it holds.
"""

from __future__ import annotations

from typing import Any

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.jit.decorators import inlined, kernel
from tinyseq.ops import elementary, float_bits
from tinyseq.ops.op import ACTIVATION, ALL, BY_ROWS, EACH, LOSS, REDUCES, WIDER, Call, Kernel, Op, Site, call, size
from tinyseq.ops.page_scripts import script
from tinyseq.ops.picks import integers
from tinyseq.ops.registering import register
from tinyseq.ops.totals import PART, product_total, row_total
from tinyseq.tape import INT64

exp, log = elementary.exp, elementary.log


@kernel(fastmath={"contract"})
def excess(x, top, rest):
    """(x − top) − rest, in this order: reassociated, a large top would swallow the rest."""
    return (x - top) - rest


@kernel
def row_max(row):
    """Largest element of a row; NaN wins."""
    best = float_bits.rank(row[0])
    for i in range(row.size):
        here = float_bits.rank(row[i])
        best = here if here > best else best
    return float_bits.of_rank(best)


@inlined
@kernel
def unread(up):
    """Whether the gradient that reaches a row is 0, as that of a masked row is: so is then what the row passes on,
    whatever it holds; 0 · NaN would not be."""
    reached = False
    for i in range(up.size):
        reached = reached or up[i] != 0
    return not reached


@inlined
@kernel
def nothing(out, accumulate):
    """out (+)= 0."""
    if not accumulate:
        for i in range(out.size):
            out[i] = 0


@kernel
def _softmax(d, y, x):
    """y = eˣ⁻ᵐ / Σ eˣ⁻ᵐ with m the row's largest; d = [rows, strides, accumulate, columns]."""
    columns = d[4]
    for r in range(d[0]):
        row = x[r * d[2] : r * d[2] + columns]
        out = y[r * d[1] : r * d[1] + columns]
        top = row_max(row)
        # Apart from the sum: where arrays lie decides if a loop that writes runs in vectors, and so a last digit.
        for i in range(columns):
            out[i] = exp(row[i] - top)
        scale = y.dtype.type(1) / y.dtype.type(row_total(out))
        for i in range(columns):
            out[i] *= scale


@kernel
def _softmax_vjp(d, gx, g, y):
    """gx = y ⊙ (g − Σ g y)."""
    columns = d[5]
    zero = gx.dtype.type(0)
    for r in range(d[0]):
        out = gx[r * d[1] : r * d[1] + columns]
        up = g[r * d[2] : r * d[2] + columns]
        p = y[r * d[3] : r * d[3] + columns]
        inner = gx.dtype.type(product_total(up, p))
        if inner != inner and unread(up):
            nothing(out, d[4])
            continue
        for i in range(columns):
            out[i] = (out[i] if d[4] else zero) + p[i] * (up[i] - inner)


@inlined
@kernel
def exp_total(row, top):
    """Σ eˣ⁻ᵐ of a row, m its largest, in the row's dtype; long rows as in `row_total`."""
    total = 0.0
    for first in range(0, row.size, PART):
        some = row[first : first + PART]
        part = row.dtype.type(0)
        for i in range(some.size):
            part += exp(some[i] - top)
        total += part
    return row.dtype.type(total)


@inlined
@kernel
def exponentials(out, row, top):
    """out = eˣ⁻ᵐ of a row, and their sum."""
    total = 0.0
    for first in range(0, row.size, PART):
        some, into = row[first : first + PART], out[first : first + PART]
        part = row.dtype.type(0)
        for i in range(some.size):
            value = exp(some[i] - top)
            into[i] = value
            part += value
        total += part
    return row.dtype.type(total)


@kernel
def _log_softmax(d, y, x):
    """y = x − log Σ eˣ."""
    columns = d[4]
    for r in range(d[0]):
        row = x[r * d[2] : r * d[2] + columns]
        out = y[r * d[1] : r * d[1] + columns]
        top = row_max(row)
        rest = log(exp_total(row, top))
        for i in range(columns):
            out[i] = excess(row[i], top, rest)


@kernel
def _log_softmax_vjp(d, gx, g, y):
    """gx = g − eʸ Σ g."""
    columns = d[5]
    zero = gx.dtype.type(0)
    for r in range(d[0]):
        out = gx[r * d[1] : r * d[1] + columns]
        up = g[r * d[2] : r * d[2] + columns]
        row = y[r * d[3] : r * d[3] + columns]
        total = gx.dtype.type(row_total(up))
        if total == zero and unread(up):
            nothing(out, d[4])
            continue
        for i in range(columns):
            out[i] = (out[i] if d[4] else zero) + (up[i] - exp(row[i]) * total)


@kernel
def _cross_entropy(d, y, x, target):
    """y[r] = −log softmax(x[r])[target[r]], as (m − x_t) + log Σ eˣ⁻ᵐ; d = [rows, strides, accumulate, columns]."""
    columns = d[5]
    for r in range(d[0]):
        row = x[r * d[2] : r * d[2] + columns]
        top = row_max(row)
        y[r * d[1]] = excess(top, row[target[r * d[3]]], -log(exp_total(row, top)))


@kernel
def _cross_entropy_vjp(d, gx, g, x, target):
    """gx = g (softmax(x) − 1_target), equation 10.18."""
    columns = d[6]
    zero = gx.dtype.type(0)
    for r in range(d[0]):
        out = gx[r * d[1] : r * d[1] + columns]
        row = x[r * d[3] : r * d[3] + columns]
        up = g[r * d[2]]
        if up == zero:
            nothing(out, d[5])
            continue
        top = row_max(row)
        if d[5]:
            scale = up / exp_total(row, top)
            for i in range(columns):
                out[i] += exp(row[i] - top) * scale
        else:
            scale = up / exponentials(out, row, top)
            for i in range(columns):
                out[i] *= scale
        out[target[r * d[4]]] -= up


SOFTMAX = Kernel("softmax", _softmax, ("y", "x"))
SOFTMAX_VJP = Kernel("softmax_vjp", _softmax_vjp, ("gx", "g", "y"))
LOG_SOFTMAX = Kernel("log_softmax", _log_softmax, ("y", "x"))
LOG_SOFTMAX_VJP = Kernel("log_softmax_vjp", _log_softmax_vjp, ("gx", "g", "y"))
CROSS_ENTROPY = Kernel("cross_entropy", _cross_entropy, ("y", "x", "target"), ("target",))
CROSS_ENTROPY_VJP = Kernel("cross_entropy_vjp", _cross_entropy_vjp, ("gx", "g", "x", "target"), ("target",))


def _rows(name: str, shape: tuple[int, ...], dtype: int) -> None:
    if dtype == INT64:
        raise DtypeError(f"{name} needs floating-point logits, got integers")
    if not shape or shape[-1] == 0:
        raise ShapeError(f"{name} runs over the last axis and needs at least one class, got shape {shape}")


def _by_rows(attrs: tuple, tail: tuple[int, ...]) -> tuple[int, ...]:
    return (EACH if tail else ALL,)


def _normaliser(name: str, forward: Kernel, backward: Kernel, symbol: str, equation: str, **said: Any) -> None:
    def shape_rule(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
        _rows(name, shapes[0], dtypes[0])
        return shapes[0], dtypes[0]

    def run(site: Site) -> list[Call]:
        n = site.shape[-1]
        return [call(forward, size(site.shape[:-1]), {"y": n, "x0": n}, (n,))]

    def vjp(site: Site) -> list[Call]:
        n = site.shape[-1]
        return [call(backward, size(site.shape[:-1]), {"gx0": n, "g": n, "y": n}, (n,))]

    register(
        Op(
            name,
            1,
            symbol,
            equation,
            shape_rule,
            run,
            {0: vjp},
            {0: ("y",)},
            rows=_by_rows,
            jacobian=BY_ROWS,
            javascript=script(name),
            **said,
        )
    )


_normaliser(
    "softmax",
    SOFTMAX,
    SOFTMAX_VJP,
    "softmax",
    "ŷ = softmax o",
    drawn=(ACTIVATION,),
    words="softmax {a}",
    partials=("diag({y}) − {y} {y}ᵀ",),
)
_normaliser(
    "log_softmax",
    LOG_SOFTMAX,
    LOG_SOFTMAX_VJP,
    "log softmax",
    "y = o − log Σ eᵒ",
    words="{a} − log Σ exp {a}",
    partials=("I − 1 softmax({a})ᵀ",),
)


def _cross_entropy_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    logits, target = shapes
    _rows("cross_entropy", logits, dtypes[0])
    integers("cross_entropy", dtypes[1])
    if logits[:-1] != target:
        raise ShapeError(
            f"cross_entropy of logits {logits} needs integer targets of shape {logits[:-1]} "
            f"(one class number for each row), got {target}"
        )
    return target, dtypes[0]


def _cross_entropy_forward(site: Site) -> list[Call]:
    n = site.shapes[0][-1]
    return [call(CROSS_ENTROPY, size(site.shape), {"y": 1, "x0": n, "x1": 1}, (n,))]


def _cross_entropy_backward(site: Site) -> list[Call]:
    n = site.shapes[0][-1]
    return [call(CROSS_ENTROPY_VJP, size(site.shape), {"gx0": n, "g": 1, "x0": n, "x1": 1}, (n,))]


register(
    Op(
        "cross_entropy",
        2,
        "−log p",
        "L = −log softmax(o)_y; ∂L/∂o = ŷ − 1_y (10.18)",
        _cross_entropy_shape,
        _cross_entropy_forward,
        {0: _cross_entropy_backward},
        {0: ("x0", "x1")},
        rows=lambda attrs, tail: (WIDER, EACH),
        limit=lambda site: site.shapes[0][-1],
        indices="cross_entropy targets",
        words="−log softmax({a})[{b}]",
        partials=("softmax({a}) − onehot({b})", None),
        drawn=(LOSS,),
        jacobian=REDUCES,
        example=((), ((2, 3), (2,)), (0, INT64)),
        javascript=script("cross_entropy"),
    )
)
