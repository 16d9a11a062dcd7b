"""Footprints of kernels that integers tell where to read or write."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.validation.footprint_rules import Elements, Footprint, Known, grid, rule
from tinyseq.ops.op import Kernel


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
