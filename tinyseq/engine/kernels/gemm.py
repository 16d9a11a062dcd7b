"""Matrix products on parts of flat arrays: C (+)= A B, by register tiles, without a call into BLAS.

A recurrence multiplies by the same weights at every step. BLAS copies them into panels at every call; here
they are packed once (`pack`) and each product then runs near the multipliers' peak, from one row upwards.

A kernel calls it on arenas: flat arrays with an offset and strides for each operand, in elements.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinyseq.engine.kernels.llvm import (
    INT,
    checked_itemsize,
    counted_loop,
    define,
    element_address,
    element_type,
)
from tinyseq.engine.kernels.panels import pack, packed_size, panel_width
from tinyseq.engine.kernels.tile import HOST, Tile, tile_function

__all__ = ["gemm", "gemm_from", "make_gemm", "make_gemm_from", "pack", "packed_size", "panel_width"]

# A panel of 32 KiB stays in a first-level cache; 256 rows of A by as many columns in a second-level one.
_PANEL_BYTES = 32768
_M_BLOCK = 256
_K_BLOCK, _K_FEW = 128, 512  # products added one by one, and where all of them are read once


def make_gemm(tile: Tile) -> Any:
    """`gemm` (below) with register tiles of the sizes in `tile`: an intrinsic, callable from kernels only."""

    @intrinsic
    def gemm(  # type: ignore[no-untyped-def]
        typing_context, m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate
    ):
        itemsize = checked_itemsize("gemm", (A, B, C))
        i_ = types.intp
        signature = types.none(i_, i_, i_, A, i_, i_, i_, B, i_, i_, i_, C, i_, i_, i_)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            m, n, k, _, a_off, a_rs, a_cs, _, b_off, b_ks, b_js, _, c_off, c_rs, accumulate = arguments
            a = element_address(context, builder, A, arguments[3], a_off)
            b = element_address(context, builder, B, arguments[7], b_off)
            c = element_address(context, builder, C, arguments[11], c_off)
            function = _gemm_function(builder.module, tile, itemsize)
            builder.call(function, [m, n, k, a, a_rs, a_cs, b, b_ks, b_js, c, c_rs, accumulate, c, c_rs])
            return context.get_dummy_value()

        return signature, generate

    return gemm


def make_gemm_from(tile: Tile) -> Any:
    """`gemm_from` (below) with register tiles of the sizes in `tile`: an intrinsic, callable from kernels only."""

    @intrinsic
    def gemm_from(  # type: ignore[no-untyped-def]
        typing_context, m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate, S, s_off, s_rs
    ):
        itemsize = checked_itemsize("gemm_from", (A, B, C, S))
        i_ = types.intp
        signature = types.none(i_, i_, i_, A, i_, i_, i_, B, i_, i_, i_, C, i_, i_, i_, S, i_, i_)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            m, n, k, _, a_off, a_rs, a_cs, _, b_off, b_ks, b_js, _, c_off, c_rs, accumulate, _, s_off, s_rs = arguments
            a = element_address(context, builder, A, arguments[3], a_off)
            b = element_address(context, builder, B, arguments[7], b_off)
            c = element_address(context, builder, C, arguments[11], c_off)
            s = element_address(context, builder, S, arguments[15], s_off)
            function = _gemm_function(builder.module, tile, itemsize)
            builder.call(function, [m, n, k, a, a_rs, a_cs, b, b_ks, b_js, c, c_rs, accumulate, s, s_rs])
            return context.get_dummy_value()

        return signature, generate

    return gemm_from


gemm = make_gemm(HOST)
"""gemm(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate), in kernels.

C[i, j] (+)= Σ_p A[i, p] B[p, j] for i < m, j < n, p < k, with A[i, p] at a_off + i a_rs + p a_cs, B in panels
(`kernels/panels.py`), C[i, j] at c_off + i c_rs + j. A, B, C are contiguous float32 or float64 arrays of one dtype
(one arena may be all three, if what is written overlaps nothing that is read). With accumulate = 0 C is
overwritten and never read, with k = 0 it becomes 0; otherwise the product is added. Nothing outside the m × n
elements of C is written, nothing outside the m × k and k × n elements of A and B is read.
NaN and infinity propagate. Indices aren't checked: the caller vouches for them.
"""

gemm_from = make_gemm_from(HOST)
"""gemm_from(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate, S, s_off, s_rs).

In kernels: C[i, j] = S[i, j] + Σ_p A[i, p] B[p, j] with S[i, j] at s_off + i s_rs + j: s_rs = 0 adds one row to all.
S is C, or overlaps it nowhere; with accumulate = 0 it isn't read. The rest is as in `gemm`.
"""


def _gemm_function(module: ir.Module, tile: Tile, itemsize: int) -> ir.Function:
    """f(m, n, k, A, a_rs, a_cs, B, b_ks, b_js, C, c_rs, accumulate, S, s_rs): loops over blocks, panels, tiles."""
    pointer = element_type(itemsize).as_pointer()
    name = f"tinyseq_gemm_{itemsize}_{'_'.join(str(int(size)) for size in tile)}"
    zero, one, width = INT(0), INT(1), tile.panel_width(itemsize)
    most = INT(min(_PANEL_BYTES // (width * itemsize), _K_BLOCK))

    def emit(builder: ir.IRBuilder, *arguments: ir.Value) -> None:
        m, n, k, a, a_rs, a_cs, b, b_ks, b_js, c, c_rs, accumulate, s, s_rs = arguments

        def smaller(x: ir.Value, y: ir.Value) -> ir.Value:
            return builder.select(builder.icmp_signed("<", x, y), x, y)

        def larger(x: ir.Value, y: ir.Value) -> ir.Value:
            return builder.select(builder.icmp_signed(">", x, y), x, y)

        alone = n
        if tile.joins:  # a last panel of one vector goes with the one before
            rest = builder.srem(n, INT(width))
            joined = builder.and_(builder.icmp_signed(">", n, INT(width)), builder.icmp_signed(">", rest, zero))
            joined = builder.and_(joined, builder.icmp_signed("<=", rest, INT(tile.lanes(itemsize))))
            alone = builder.select(joined, builder.sub(n, builder.add(rest, INT(width))), n)

        # One block if rows are too few for a panel to be used twice, but for sums so long that they lose digits; one of
        # no rows if k = 0, to write C.
        few = builder.and_(builder.icmp_signed("<=", m, INT(tile.rows)), builder.icmp_signed("<=", k, INT(_K_FEW)))
        k_block = builder.select(few, larger(k, one), most)

        def block(p: ir.Value, _: object) -> list[ir.Value]:
            size = smaller(k_block, builder.sub(k, p))
            later = builder.icmp_signed(">", p, zero)
            adds = builder.or_(accumulate, builder.zext(later, INT))
            s_block, s_step = builder.select(later, c, s), builder.select(later, c_rs, s_rs)
            a_block = builder.gep(a, [builder.mul(p, a_cs)])
            b_block = builder.gep(b, [builder.mul(p, b_ks)])

            def rows(i: ir.Value, _: object) -> list[ir.Value]:
                count = smaller(INT(_M_BLOCK), builder.sub(m, i))
                a_rows = builder.gep(a_block, [builder.mul(i, a_rs)])
                c_rows = builder.gep(c, [builder.mul(i, c_rs)])
                s_rows = builder.gep(s_block, [builder.mul(i, s_step)])

                def panel(j: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                    b_panel, c_panel, s_panel = carried
                    columns = smaller(builder.sub(n, j), INT(width))
                    operands = [size, a_rows, a_rs, a_cs, b_panel, b_ks, b_js, c_panel, c_rs, columns, adds]
                    _emit_panel(builder, tile, itemsize, count, [*operands, s_panel, s_step])
                    across = [INT(width)]
                    return [builder.gep(b_panel, [b_js]), builder.gep(c_panel, across), builder.gep(s_panel, across)]

                j, last = counted_loop(builder, zero, alone, INT(width), [b_block, c_rows, s_rows], panel)
                if tile.joins:
                    with builder.if_then(builder.icmp_signed("<", j, n)):
                        operands = [size, a_rows, a_rs, a_cs, last[0], b_ks, b_js, last[1], c_rs, builder.sub(n, j)]
                        operands += [adds, last[2], s_step]
                        _emit_rows(builder, tile, itemsize, tile.vectors + 1, True, count, operands)
                return []

            counted_loop(builder, zero, m, INT(_M_BLOCK), [], rows)
            return []

        counted_loop(builder, zero, larger(k, one), k_block, [], block)

    sizes = [INT, INT, INT]
    return define(module, name, [*sizes, pointer, INT, INT, pointer, INT, INT, pointer, INT, INT, pointer, INT], emit)


def _emit_panel(builder: ir.IRBuilder, tile: Tile, itemsize: int, count: ir.Value, operands: list[ir.Value]) -> None:
    """`count` rows of C by one panel: whole, or partial and then of no more vectors than it needs."""
    columns, lanes = operands[9], tile.lanes(itemsize)
    after = builder.append_basic_block("after_panel")
    needed = builder.sdiv(builder.add(columns, INT(lanes - 1)), INT(lanes))
    whole, partial = builder.append_basic_block("whole"), builder.append_basic_block("partial")
    builder.cbranch(builder.icmp_signed("==", columns, INT(tile.panel_width(itemsize))), whole, partial)
    builder.position_at_end(whole)
    _emit_rows(builder, tile, itemsize, tile.vectors, False, count, operands)
    builder.branch(after)
    builder.position_at_end(partial)
    choice = builder.switch(needed, after)
    for vectors in range(1, tile.vectors + 1):
        block = builder.append_basic_block(f"vectors_{vectors}")
        choice.add_case(INT(vectors), block)
        builder.position_at_end(block)
        _emit_rows(builder, tile, itemsize, vectors, True, count, operands)
        builder.branch(after)
    builder.position_at_end(after)


def _emit_rows(
    builder: ir.IRBuilder,
    tile: Tile,
    itemsize: int,
    vectors: int,
    partial: bool,
    count: ir.Value,
    operands: list[ir.Value],
) -> None:
    """Cover `count` rows by tiles of the most rows, then by ones of 4, 2, 1."""
    size, a, a_rs, a_cs, b, b_ks, b_js, c, c_rs, columns, adds, s, s_rs = operands
    most = tile.rows_of(vectors)
    sizes = [most, *(rows for rows in (4, 2, 1) if rows < most)]
    i = INT(0)
    for rows in sizes:
        function = tile_function(builder.module, tile, itemsize, rows, vectors, partial)

        def body(i: ir.Value, _: object, rows: int = rows, function: ir.Function = function) -> list[ir.Value]:
            a_rows = builder.gep(a, [builder.mul(i, a_rs)])
            c_rows = builder.gep(c, [builder.mul(i, c_rs)])
            s_rows = builder.gep(s, [builder.mul(i, s_rs)])
            given = [size, a_rows, a_rs, a_cs, b, b_ks, b_js, c_rows, c_rs, columns, adds, s_rows, s_rs]
            builder.call(function, given)
            return []

        i, _ = counted_loop(builder, i, builder.sub(count, INT(rows - 1)), INT(rows), [], body)
