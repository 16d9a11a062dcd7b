"""What each kernel computes, over numbers of a finite field: one meaning a family of kernels.

A meaning takes the elements that a call reads, in the shapes of its footprint, and gives what it writes. Sums, products
and copies are those of real numbers; any other function is a hash of what it depends on, times the gradient g where
there is one, as a vjp is linear in it. So both executors can be followed without a rounding error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from tinyseq.engine.validation.field import (
    PRIME,
    Numbers,
    hashed,
    hashed_along,
    inverse,
    matrix_product,
    product,
)
from tinyseq.engine.validation.footprints import elementwise_kernels
from tinyseq.ops import OPS
from tinyseq.ops.op import Kernel

Meaning = Callable[[Kernel, list[int], Sequence[Numbers]], Numbers]
MEANINGS: dict[str, Meaning] = {}


def meaning(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    """What a call adds to its first operand, or puts there. ``operands`` are all but the first."""
    return _meaning_of(kernel)(kernel, d, operands)


@cache
def _meaning_of(kernel: Kernel) -> Meaning:
    name = kernel.name
    if name not in MEANINGS and name.endswith("_integers"):
        return _meaning_of(Kernel.registry[name.removesuffix("_integers")])
    return MEANINGS.get(name) or (_map if name in elementwise_kernels() else _row_by_row)


def means(*names: str) -> Callable[[Meaning], Meaning]:
    """Enter a meaning for the kernels of these names."""

    def enter(function: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(names, function))
        return function

    return enter


# -- elementwise
LINEAR: dict[str, Callable[..., Numbers]] = {
    "add": lambda x0, x1: x0 + x1,
    "sub": lambda x0, x1: x0 - x1,
    "mul": product,
    "neg": lambda x0: -x0,
    "detach": lambda x0: x0,
    "add_to": lambda x0: x0,
    "affine": lambda x0, attr: attr[..., 0] * x0 + attr[..., 1],
    "affine_vjp0": lambda g, attr: attr[..., 0] * g,
}
SLOPES: dict[str, Callable[..., Numbers]] = {
    "g": lambda g: g,
    "-g": lambda g: -g,
    "g * x1": product,
    "g * x0": product,
}


@cache
def _slope_of(kernel: Kernel) -> str | None:
    """The expression of an elementwise vjp; "" where none is known, None for a kernel that is no vjp."""
    for op in OPS.values():
        if op.elementwise and kernel in op.elementwise.vjps:
            return (op.slopes[op.elementwise.vjps.index(kernel)] or "") if op.slopes else ""
    return None


def _map(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    slope = _slope_of(kernel)
    function = LINEAR.get(kernel.name.removesuffix("_integers")) or SLOPES.get(slope or "")
    if function is not None:
        return function(*operands) % PRIME
    if kernel.operands[-1] == "attr":  # constants that stand for every element
        operands = [*operands[:-1], *(operands[-1][..., i] for i in range(operands[-1].shape[-1]))]
    if slope is not None:
        return product(operands[0], hashed(kernel.name, *operands[1:]))
    return hashed(kernel.name, *operands)


@means("fill")
def _fill(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return np.broadcast_to(operands[0][0], (d[0], d[4]))


@means("zero")
def _zero(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return np.zeros((d[0], d[3]), np.int64)


@means(
    "copy_block", "pack", "strided_read", "strided_add", "take", "take_columns", "gather", "gather_rows",
    "gather_integers", "scatter_rows", "take_vjp", "take_columns_vjp", "gather_vjp",
)  # fmt: skip
def _moved(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return operands[0]


@means("one_hot")
def _one_hot(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return (np.arange(d[4]) == operands[0][:, None]).astype(np.int64)


# -- products
@means("gemm_packed")
def _gemm_packed(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    x, w, start = operands
    made = matrix_product(x, w) if d[0] else np.zeros((0, d[6]), np.int64)
    return (made + start) % PRIME if d[5] else made


@means("weight_gradient")
def _weight_gradient(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return matrix_product(operands[0].T, operands[1])


@means("matmul", "matmul_tiled")
def _matmul(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return matrix_product(operands[0], operands[1])


@means("sparse_product", "sparse_vjp_x", "sparse_vjp_values")
def _sparse(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    *given, columns, starts = operands
    total, n = int(starts[-1]), d[7]
    rows, columns = np.repeat(np.arange(n), np.diff(starts)), columns[:total]
    chosen = dict(zip(kernel.operands[1:], given, strict=False))
    if kernel.name == "sparse_product":
        dense = np.zeros((n, chosen["x"].shape[1]), np.int64)
        np.add.at(dense, (rows, columns), chosen["values"][:total])
        return matrix_product(chosen["x"], (dense % PRIME).T)
    if kernel.name == "sparse_vjp_x":
        dense = np.zeros((n, d[1]), np.int64)
        np.add.at(dense, (rows, columns), chosen["values"][:total])
        return matrix_product(chosen["g"], dense % PRIME)
    whole = matrix_product(chosen["g"].T, chosen["x"])
    made = np.zeros(len(given[0]) if kernel.operands[1] == "values" else len(operands[-2]), np.int64)
    made[:total] = whole[rows, columns]
    return made


# -- sums, and what they pass back
@means("column_sum")
def _column_sum(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return operands[0].sum(0) % PRIME


@means("sum")
def _sum(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return product(operands[0].sum(1) % PRIME, np.asarray(inverse(d[6])))


@means("spread")
def _spread(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    g = product(operands[0], np.asarray(inverse(d[6])))[:, None]
    return np.broadcast_to(g, (d[0], d[4], d[5]))


@means("max", "norm")
def _reduced(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return hashed_along(kernel.name, operands[0], 1)


@means("max_vjp", "norm_vjp")
def _reduced_vjp(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    g, x, y = operands
    about = hashed(kernel.name, hashed_along("column", x, 1), y)[:, None]
    return product(g[:, None], hashed("element", about, np.arange(x.shape[1])[:, None]))


# -- rows
@means("softmax", "log_softmax")
def _normalised(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return hashed(kernel.name, hashed_along("row", operands[0], 1)[:, None], np.arange(d[4]))


@means("softmax_vjp", "log_softmax_vjp")
def _normalised_vjp(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return _linear_in_rows(kernel.name, operands[0], hashed_along("row", operands[1], 1), d[5])


@means("cross_entropy")
def _cross_entropy(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    return hashed(kernel.name, hashed_along("row", operands[0], 1), operands[1])


@means("cross_entropy_vjp")
def _cross_entropy_vjp(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    g, x, target = operands
    about = hashed(kernel.name, hashed_along("row", x, 1), target)[:, None]
    return product(g[:, None], hashed("element", about, np.arange(d[6])))


def _row_by_row(kernel: Kernel, d: list[int], operands: Sequence[Numbers]) -> Numbers:
    """Some function of a call's rows, and linear in g where g is one of its operands."""
    roles = kernel.operands[1:]
    sizes, about = d[2 + len(kernel.operands) :], np.zeros(d[0], np.int64)
    for role, given in zip(roles, operands, strict=True):
        if role != "g":
            about = hashed(kernel.name, about, hashed_along(role, np.atleast_2d(given), 1))
    for number in sizes:
        about = hashed("size", about, number)
    columns = max(d[1], 1)
    if "g" in roles:
        return _linear_in_rows(kernel.name, operands[roles.index("g")], about, columns)
    return hashed(kernel.name, about[:, None], np.arange(columns))


def _linear_in_rows(name: str, g: Numbers, about: Numbers, columns: int) -> Numbers:
    """Rows that are linear in rows of g, as ``about`` says."""
    weights = hashed(f"{name} of g", about[:, None], np.arange(g.shape[1]))
    inner = product(g, weights).sum(1) % PRIME
    return product(inner[:, None], hashed(f"{name} of its row", about[:, None], np.arange(columns)))
