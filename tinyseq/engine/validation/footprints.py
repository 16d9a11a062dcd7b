"""Footprints: which elements a kernel's call reads and writes, one rule a family of kernels.

A rule takes the vector d of a call and says for each operand which elements it touches, counted from where the operand
begins, in the shape in which the kernel runs over them: (rows, columns) of an elementwise kernel, (m, k) and (k, n) of
a product. It needs no values but those of integers that say where to read or write; where they are not known, it names
every element that they may choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.op import Kernel

Elements = np.ndarray
ChooseIntegers = Callable[[int, Elements], Elements]


@dataclass(frozen=True)
class Footprint:
    """The elements of each operand, the first being written; None for an operand that is left alone.

    adds     whether what is written is added to what is there, as often as an element occurs
    lists    for rows that stand anywhere: (their operand, the operand that lists where they begin, elements of a row)
    """

    operands: tuple[Elements | None, ...]
    adds: bool = False
    lists: tuple[int, int, int] | None = None


@dataclass
class Known:
    """What a rule knows besides d.

    width      columns of a panel of a packed matrix
    room       operand → elements from where it begins to the end of its storage
    integers   (operand, elements) → the numbers there; None where they are not known
    """

    width: int
    room: Callable[[int], int]
    integers: ChooseIntegers | None = None


Rule = Callable[[Kernel, list[int], Known], Footprint]
RULES: dict[str, Rule] = {}


def footprint(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    """The footprint of one call."""
    return rule_of(kernel)(kernel, d, known)


@cache
def rule_of(kernel: Kernel) -> Rule:
    """The rule of a kernel's family; kernels without one are taken at their word: row r of an operand is the elements
    from r times its stride to the next."""
    name = kernel.name
    if name not in RULES and name.endswith("_integers"):
        return rule_of(Kernel.registry[name.removesuffix("_integers")])
    return RULES.get(name) or (_map if name in elementwise_kernels() else _by_contract)


def elementwise_kernels() -> frozenset[str]:
    """Names of kernels that compute each element from those at the same place."""
    maps = [op.elementwise for op in OPS.values() if op.elementwise]
    return frozenset({k.name for made in maps for k in (made.forward, *made.vjps) if k} | {"add_to"})


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule for the kernels of these names."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def grid(*axes: tuple[int, int], start: int = 0) -> Elements:
    """start + Σ index · step over axes of (count, step): an element for each index."""
    places = np.full((), start, np.int64)
    for count, step in axes:
        places = places[..., None] + np.arange(max(count, 0), dtype=np.int64) * step
    return places


# -- elementwise, and what is known only by its contract
def _map(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    count = len(kernel.operands)
    columns = d[2 + count]
    operands = [
        grid((2, 1)) if role == "attr" else grid((d[0], d[1 + j]), (columns, 1))
        for j, role in enumerate(kernel.operands)
    ]
    return Footprint(tuple(operands), bool(d[1 + count]))


def _by_contract(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    count = len(kernel.operands)
    operands = [
        grid((2, 1)) if role == "attr" else grid((d[0], d[1 + j]), (max(d[1 + j], 1), 1))
        for j, role in enumerate(kernel.operands)
    ]
    return Footprint(tuple(operands), bool(d[1 + count]))


@rule("fill")
def _fill(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[4], 1)), grid((1, 1))))


@rule("zero")
def _zero(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[3], 1)),))


@rule("copy_block")
def _copy_block(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    target, source = (grid((d[0], d[1 + j]), (d[4], 1), start=d[5 + j]) for j in range(2))
    return Footprint((target, source), bool(d[3]))


# -- products
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


# -- by integers
@rule("take")
def _take(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where, columns = grid((d[0], d[3])), d[5]
    table = _rows_of_table(where, columns, 1, 2, known)
    return Footprint((grid((d[0], d[1]), (columns, 1)), table, where))


@rule("take_vjp")
def _take_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where, columns = grid((d[0], d[3])), d[5]
    return Footprint((_rows_of_table(where, columns, 0, 2, known), grid((d[0], d[2]), (columns, 1)), where), True)


def _rows_of_table(where: Elements, columns: int, table: int, listed: int, known: Known) -> Elements:
    if known.integers is None:  # any row, if one is asked for
        rows = max(known.room(table) // max(columns, 1), 1) if where.size else 0
        return grid((rows, columns), (columns, 1))
    return known.integers(listed, where)[:, None] * columns + np.arange(columns)


@rule("take_columns")
def _take_columns(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where = grid((d[0], d[3]))
    return Footprint((grid((d[0], d[1]), (d[5], 1)), _columns_of_table(where, d, known), where))


@rule("take_columns_vjp")
def _take_columns_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where = grid((d[0], d[3]))
    return Footprint((_columns_of_table(where, d, known), grid((d[0], d[2]), (d[5], 1)), where), True)


def _columns_of_table(where: Elements, d: list[int], known: Known) -> Elements:
    if known.integers is None:
        return grid((d[5] if where.size else 0, d[6]), (d[6], 1))
    return known.integers(2, where)[:, None] + np.arange(d[5]) * d[6]


@rule("gather")
def _gather(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where = grid((d[0], d[3]))
    return Footprint((grid((d[0], d[1])), _element_of_row(where, d[0], d[2], known), where))


@rule("gather_vjp")
def _gather_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    where = grid((d[0], d[3]))
    return Footprint((_element_of_row(where, d[0], d[1], known), grid((d[0], d[2])), where), True)


def _element_of_row(where: Elements, rows: int, columns: int, known: Known) -> Elements:
    if known.integers is None:
        return grid((rows, columns), (max(columns, 1), 1))
    return grid((rows, columns)) + known.integers(2, where)


@rule("one_hot")
def _one_hot(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[4], 1)), grid((d[0], d[2]))))


@rule("cross_entropy")
def _cross_entropy(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1])), grid((d[0], d[2]), (d[5], 1)), grid((d[0], d[3]))))


@rule("cross_entropy_vjp")
def _cross_entropy_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    wide, narrow = (
        (grid((d[0], stride), (d[6], 1)) for stride in (d[1], d[3])),
        (grid((d[0], d[2])), grid((d[0], d[4]))),
    )
    gx, x = wide
    return Footprint((gx, narrow[0], x, narrow[1]), bool(d[5]))


@rule("softmax", "log_softmax")
def _softmax(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint(tuple(grid((d[0], stride), (d[4], 1)) for stride in d[1:3]))


@rule("softmax_vjp", "log_softmax_vjp")
def _softmax_vjp(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint(tuple(grid((d[0], stride), (d[5], 1)) for stride in d[1:4]), bool(d[4]))


# -- rows that a list names
@rule("gather_rows", "gather_integers")
def _gather_rows(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[1], 1)), None, grid((d[0], 1))), lists=(1, 2, d[1]))


@rule("scatter_rows")
def _scatter_rows(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((None, grid((d[0], d[2]), (d[2], 1)), grid((d[0], 1))), adds=True, lists=(0, 2, d[2]))
