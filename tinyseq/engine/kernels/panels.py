"""The layout in which a matrix product reads its right operand, and the copy into it.

A *panel* is `panel_width` neighbouring columns of B. Element (p, j) of B lies at

    b_off + (j // width) * b_js + p * b_ks + j % width

so a packed B has b_ks = width, b_js = k * width, and a row-major one (leading dimension ld) is used as it is
with b_ks = ld, b_js = width. Offsets and strides count elements, of any sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from tinyseq.engine.kernels.llvm import (
    INT,
    checked_itemsize,
    counted_loop,
    define,
    element_address,
    element_type,
)
from tinyseq.engine.kernels.tile import HOST, Tile

__all__ = ["lane_count", "make_pack", "pack", "pack_narrow", "packed_size", "panel_width"]


def panel_width(dtype: Any) -> int:
    """Columns in a panel for `dtype`; in kernels the argument is an array or its dtype."""
    return HOST.panel_width(np.dtype(dtype).itemsize)


def lane_count(dtype: Any) -> int:
    """Columns in a panel of one vector for `dtype`; in kernels the argument is an array or its dtype."""
    return HOST.lanes(np.dtype(dtype).itemsize)


def _in_kernels(function: Callable[[Any], int], count: Callable[[int], int]) -> None:
    """Let kernels call a function of a dtype, which is `count` of its itemsize."""

    @overload(function)
    def define(dtype):  # type: ignore[no-untyped-def]
        number = count(dtype.dtype.bitwidth // 8)
        return lambda dtype: number


_in_kernels(panel_width, HOST.panel_width)
_in_kernels(lane_count, HOST.lanes)


@register_jitable
def packed_size(k: int, n: int, width: int) -> int:
    """Elements that a k × n matrix takes when packed into panels of `width` columns, the last one padded."""
    return (n + width - 1) // width * width * k


def make_pack(tile: Tile) -> Any:
    """`pack` (below) into panels for `make_gemm(tile)`."""

    @intrinsic
    def pack(typing_context, B, b_off, b_rs, b_cs, k, n, P, p_off):  # type: ignore[no-untyped-def]
        itemsize = checked_itemsize("pack", (B, P))
        i_ = types.intp
        signature = types.none(B, i_, i_, i_, i_, i_, P, i_)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            _, b_off, b_rs, b_cs, k, n, _, p_off = arguments
            b = element_address(context, builder, B, arguments[0], b_off)
            p = element_address(context, builder, P, arguments[6], p_off)
            function = _pack_function(builder.module, tile, itemsize)
            builder.call(function, [b, b_rs, b_cs, k, n, p])
            return context.get_dummy_value()

        return signature, generate

    return pack


pack = make_pack(HOST)
"""pack(B, b_off, b_rs, b_cs, k, n, P, p_off), in kernels: copy a k × n matrix into panels for `gemm`.

Element (p, j) of the matrix is at b_off + p b_rs + j b_cs of `B`: exchange the strides to pack the transpose.
Takes `packed_size(k, n, panel_width(P))` elements of `P` from p_off on; places for columns past n stay as they
are, nobody reads them. B and P are contiguous arrays of one dtype, float32 or float64; they may be one arena, if what
is written overlaps nothing that is read. Indices aren't checked. Align the target to 64 bytes: a vector that lies
across two cache lines takes twice as long to load.
"""

pack_narrow = make_pack(HOST._replace(vectors=1))
"""pack_narrow(B, b_off, b_rs, b_cs, k, n, P, p_off): `pack` into panels of `lane_count` columns.

Read as the left operand, a panel is that many rows of A with a_rs = 1, a_cs = `lane_count`.
"""


def _pack_function(module: ir.Module, tile: Tile, itemsize: int) -> ir.Function:
    """f(B, b_rs, b_cs, k, n, P): row by row if a row's elements are neighbours, so that memory is read in its order,
    else panel by panel, by squares that are transposed in registers if a column's elements are."""
    element, lanes, width = element_type(itemsize), tile.lanes(itemsize), tile.panel_width(itemsize)
    vector_pointer = ir.VectorType(element, lanes).as_pointer()
    zero, one = INT(0), INT(1)

    def emit(builder: ir.IRBuilder, *arguments: ir.Value) -> None:
        b, b_rs, b_cs, k, n, target = arguments
        whole = builder.mul(builder.sdiv(n, INT(width)), INT(width))
        panel_size = builder.mul(k, INT(width))

        def row(p: ir.Value, _: object) -> list[ir.Value]:
            source = builder.gep(b, [builder.mul(p, b_rs)])
            first = builder.gep(target, [builder.mul(p, INT(width))])

            def vectors(j: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                for v in range(tile.vectors):
                    piece = builder.gep(source, [builder.add(j, INT(v * lanes))])
                    value = builder.load(builder.bitcast(piece, vector_pointer), align=itemsize)
                    place = builder.gep(carried[0], [INT(v * lanes)])
                    builder.store(value, builder.bitcast(place, vector_pointer), align=itemsize)
                return [builder.gep(carried[0], [panel_size])]

            def single(j: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                builder.store(builder.load(builder.gep(source, [j])), carried[0])
                return [builder.gep(carried[0], [one])]

            j, (last,) = counted_loop(builder, zero, whole, INT(width), [first], vectors)
            counted_loop(builder, j, n, one, [last], single)
            return []

        def panel(j: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            left = builder.sub(n, j)
            count = builder.select(builder.icmp_signed("<", left, INT(width)), left, INT(width))

            def copy(first: ir.Value, last: ir.Value, below: ir.Value) -> ir.Value:
                """Columns first … last, from row `below` on, element by element."""

                def column(c: ir.Value, _: object) -> list[ir.Value]:
                    source = builder.gep(b, [builder.mul(builder.add(j, c), b_cs)])
                    place = builder.gep(carried[0], [c])

                    def element(p: ir.Value, _: object) -> list[ir.Value]:
                        value = builder.load(builder.gep(source, [builder.mul(p, b_rs)]))
                        builder.store(value, builder.gep(place, [builder.mul(p, INT(width))]))
                        return []

                    counted_loop(builder, below, k, one, [], element)
                    return []

                return counted_loop(builder, first, last, one, [], column)[0]

            def square(column: ir.Value, _: object) -> list[ir.Value]:
                """As many columns as a vector has lanes."""
                source = builder.gep(b, [builder.mul(builder.add(j, column), b_cs)])
                place = builder.gep(carried[0], [column])

                def rows(p: ir.Value, _: object) -> list[ir.Value]:
                    corner = builder.gep(source, [p])
                    values = []
                    for i in range(lanes):
                        piece = builder.bitcast(builder.gep(corner, [builder.mul(INT(i), b_cs)]), vector_pointer)
                        values.append(builder.load(piece, align=itemsize))
                    for i, value in enumerate(_transposed(builder, values)):
                        to = builder.gep(place, [builder.mul(builder.add(p, INT(i)), INT(width))])
                        builder.store(value, builder.bitcast(to, vector_pointer), align=itemsize)
                    return []

                p, _ = counted_loop(builder, zero, builder.sub(k, INT(lanes - 1)), INT(lanes), [], rows)
                copy(column, builder.add(column, INT(lanes)), p)
                return []

            neighbours = builder.icmp_signed("==", b_rs, one)
            squares = builder.select(neighbours, builder.sub(count, INT(lanes - 1)), zero)
            column, _ = counted_loop(builder, zero, squares, INT(lanes), [], square)
            copy(column, count, zero)
            return [builder.gep(carried[0], [panel_size])]

        with builder.if_else(builder.icmp_signed("==", b_cs, one)) as (then, otherwise):
            with then:
                counted_loop(builder, zero, k, one, [], row)
            with otherwise:
                counted_loop(builder, zero, n, INT(width), [target], panel)

    pointer = element.as_pointer()
    name = f"tinyseq_pack_{itemsize}_{lanes}x{tile.vectors}"
    return define(module, name, [pointer, INT, INT, INT, INT, pointer], emit)


def _transposed(builder: ir.IRBuilder, values: list[ir.Value]) -> list[ir.Value]:
    """The transpose of as many vectors as each has lanes: halves change places, then quarters, and so on."""
    size, values = len(values), list(values)
    step = size // 2
    while step:
        upper = [lane if not lane & step else size + lane - step for lane in range(size)]
        lower = [lane + step if not lane & step else size + lane for lane in range(size)]
        for i in (i for i in range(size) if not i & step):
            pair = values[i], values[i + step]
            for place, lanes in ((i, upper), (i + step, lower)):
                mask = ir.Constant(ir.VectorType(ir.IntType(32), size), lanes)
                values[place] = builder.shuffle_vector(*pair, mask)
        step //= 2
    return values
