"""The register tile: the innermost block of a matrix product, written as LLVM vector instructions.

A tile holds `rows` × `vectors` accumulators in vector registers and runs over k once: for each p it loads
`vectors` pieces of row p of B, broadcasts A[i, p] for each of its rows, and multiplies and adds. What limits
it is then the multipliers and not the loads. The sizes follow from the CPU's registers (`TILES`).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir
from numba.core import config
from numba.core.codegen import get_host_cpu_features

from tinyseq.engine.kernels.llvm import INT, counted_loop, define, element_type

__all__ = ["HOST", "TILES", "Tile", "tile_function"]

_LANE = ir.IntType(32)

# Multiply-adds that must be under way at once to hide their latency: 4 cycles, 2 of them started in each.
_CHAINS = 8
_MOST_STEPS = 4


class Tile(NamedTuple):
    """Sizes of the tiles: accumulators `rows` × `vectors` for whole panels, `narrow_rows` × fewer vectors for the last
    panel if it needs fewer, each of `vector_bytes`.

    `joins`: there are registers for one vector more, so that a last panel of one vector is taken with the one before.
    `masks`: the CPU has vector loads under a mask; without them partial vectors are gathered lane by lane.
    A tuple of numbers, so that the kernel cache can tell one from another.
    """

    vector_bytes: int
    rows: int
    vectors: int
    narrow_rows: int
    masks: bool
    joins: bool

    def lanes(self, itemsize: int) -> int:
        return self.vector_bytes // itemsize

    def panel_width(self, itemsize: int) -> int:
        return self.vectors * self.lanes(itemsize)

    def rows_of(self, vectors: int) -> int:
        return self.rows if vectors >= self.vectors else self.narrow_rows


# rows × vectors accumulators, `vectors` pieces of B and one of A fit into 32, 16, 32 and 16 registers. For each
# vectors + rows loads there are vectors × rows multiply-adds: where registers allow, a square tile loads least.
TILES = {
    "avx512": Tile(64, 4, 4, 8, True, True),
    "avx2": Tile(32, 6, 2, 6, True, False),
    "neon": Tile(16, 8, 2, 8, False, False),
    "sse2": Tile(16, 4, 2, 4, False, False),
}


def _host_tile() -> Tile:
    """The tile for this CPU, or the one that the environment variable TINYSEQ_TILE names."""
    chosen = os.environ.get("TINYSEQ_TILE", "")
    if chosen:
        if chosen not in TILES:
            raise ValueError(f"TINYSEQ_TILE={chosen!r} names no tile: unset it or use one of {sorted(TILES)}")
        return TILES[chosen]
    features = _host_features()
    if "avx512f" in features and "avx512vl" in features:
        return TILES["avx512"]
    if "avx2" in features and "fma" in features:
        return TILES["avx2"]
    if platform.machine().lower() in ("aarch64", "arm64"):
        return TILES["neon"]
    return TILES["sse2"]


def _host_features() -> set[str]:
    """What Numba generates code for: less than the CPU has, if NUMBA_CPU_FEATURES and the like say so."""
    chosen: str | None = vars(config)["CPU_FEATURES"]
    features = get_host_cpu_features() if chosen is None else chosen
    return {name[1:] for name in features.split(",") if name.startswith("+")}


HOST = _host_tile()


def tile_function(module: ir.Module, tile: Tile, itemsize: int, rows: int, vectors: int, partial: bool) -> ir.Function:
    """f(k, A, a_rs, a_cs, B, b_ks, b_js, C, c_rs, columns, accumulate, S, s_rs): C = S + A B, element by element.

    i < rows; j < columns if `partial` (the last of the `vectors` may not be whole), else the full `vectors`.
    S is read only if `accumulate` is not 0, else it is 0.
    """
    joined = vectors > tile.vectors
    name = f"tinyseq_tile_{itemsize}x{tile.lanes(itemsize)}_{rows}x{vectors}_{partial:d}_{tile.masks:d}_{joined:d}"
    pointer = element_type(itemsize).as_pointer()
    arguments = [INT, pointer, INT, INT, pointer, INT, INT, pointer, INT, INT, INT, pointer, INT]
    emitter = _TileEmitter(tile, itemsize, rows, vectors, partial)
    return define(module, name, arguments, emitter.emit)


class _TileEmitter:
    """Writes one tile function; the attributes are what all parts of it need to know."""

    def __init__(self, tile: Tile, itemsize: int, rows: int, vectors: int, partial: bool) -> None:
        self.tile = tile
        self.element = element_type(itemsize)
        self.lanes = tile.lanes(itemsize)
        self.vector = ir.VectorType(self.element, self.lanes)
        self.itemsize, self.masks = itemsize, tile.masks
        self.rows, self.vectors, self.partial = rows, vectors, partial
        # A tile of few accumulators takes several p at once, each into accumulators of its own.
        self.steps = min(max(1, _CHAINS // (rows * vectors)), _MOST_STEPS)

    def emit(self, builder: ir.IRBuilder, *arguments: ir.Value) -> None:
        k, a, a_rs, a_cs, b, b_ks, b_js, c, c_rs, columns, accumulate, s, s_rs = arguments
        self.builder = builder
        self.next_panel = b_js if self.vectors > self.tile.vectors else None
        if self.partial:
            self.inside = self._inside(columns, self.vectors - 1)  # a masked load is slower: only the last piece is
            self.lane_offsets = [] if self.masks else self._lane_offsets(columns)
        zero, one, steps = INT(0), INT(1), INT(self.steps)
        count = self.rows * self.vectors
        sums = [ir.Constant(self.vector, None)] * (count * self.steps)
        row_offsets = [self._opaque(builder.mul(a_rs, INT(i))) for i in range(self.rows)]

        def step(p: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
            b_row = builder.gep(b, [builder.mul(p, b_ks)])
            pieces = [self._load_b(b_row, v) for v in range(self.vectors)]
            column = builder.gep(a, [builder.mul(p, a_cs)])
            factors = [self._broadcast(builder.gep(column, [offset])) for offset in row_offsets]
            products = [(factor, piece) for factor in factors for piece in pieces]
            return [self._multiply_add(x, y, s) for (x, y), s in zip(products, sums, strict=True)]

        def several(p: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            groups = [sums[s * count : (s + 1) * count] for s in range(self.steps)]
            return [new for s, group in enumerate(groups) for new in step(builder.add(p, INT(s)), group)]

        p = zero
        if self.steps > 1:
            p, sums = counted_loop(builder, zero, builder.sub(k, INT(self.steps - 1)), steps, sums, several)
            groups = [sums[s * count : (s + 1) * count] for s in range(self.steps)]
            while len(groups) > 1:
                pairs = zip(groups[0::2], groups[1::2], strict=True)
                groups = [[builder.fadd(x, y) for x, y in zip(*pair, strict=True)] for pair in pairs]
            sums = groups[0]
        _, sums = counted_loop(builder, p, k, one, sums, step)
        self._store(c, c_rs, self._added(s, s_rs, accumulate, sums))

    def _opaque(self, number: ir.Value) -> ir.Value:
        """The same number, of which LLVM knows nothing: else it steps one pointer from row to row, an addition that
        waits for the one before for each load, and those take the multipliers' ports."""
        return self.builder.asm(ir.FunctionType(INT, [INT]), "", "=r,0", [number], False)

    def _added(self, s: ir.Value, s_rs: ir.Value, accumulate: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
        """S + sums, or the sums without a look at S. S comes last: a sum that grew over many blocks would swallow the
        products that are added to it one by one."""
        builder = self.builder
        before, added = builder.block, []
        with builder.if_then(builder.icmp_signed("!=", accumulate, INT(0))):
            for i in range(self.rows):
                row = builder.gep(s, [builder.mul(s_rs, INT(i))])
                for v in range(self.vectors):
                    added.append(builder.fadd(self._load_c(row, v), sums[i * self.vectors + v]))
            loaded = builder.block
        phis = [builder.phi(self.vector) for _ in added]
        for phi, value, alone in zip(phis, added, sums, strict=True):
            phi.add_incoming(value, loaded)
            phi.add_incoming(alone, before)
        return phis

    def _store(self, c: ir.Value, c_rs: ir.Value, sums: Sequence[ir.Value]) -> None:
        for i in range(self.rows):
            row = self.builder.gep(c, [self.builder.mul(c_rs, INT(i))])
            for v in range(self.vectors):
                value, target = sums[i * self.vectors + v], self._piece(row, v)
                if self.partial and v == self.vectors - 1:
                    self._masked("store", ir.VoidType(), [value, target, _LANE(self.itemsize), self.inside])
                else:
                    self.builder.store(value, target, align=self.itemsize)

    def _load_b(self, row: ir.Value, v: int) -> ir.Value:
        if v == self.vectors - 1 and self.next_panel is not None:  # the first piece of the panel after this one
            row = self.builder.gep(row, [self.builder.sub(self.next_panel, INT(v * self.lanes))])
        if not self.partial or v < self.vectors - 1 or self.masks:
            return self._load_c(row, v)
        value = ir.Constant(self.vector, ir.Undefined)
        for lane in range(self.lanes):
            scalar = self.builder.load(self.builder.gep(row, [self.lane_offsets[lane]]))
            value = self.builder.insert_element(value, scalar, _LANE(lane))
        return value

    def _load_c(self, row: ir.Value, v: int) -> ir.Value:
        source = self._piece(row, v)
        if not self.partial or v < self.vectors - 1:
            return self.builder.load(source, align=self.itemsize)
        arguments = [source, _LANE(self.itemsize), self.inside, ir.Constant(self.vector, None)]
        return self._masked("load", self.vector, arguments)

    def _piece(self, row: ir.Value, v: int) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(row, [INT(v * self.lanes)]), self.vector.as_pointer())

    def _inside(self, columns: ir.Value, v: int) -> ir.Value:
        """Mask of the lanes of piece `v` that lie before column `columns`."""
        lanes = ir.VectorType(_LANE, self.lanes)
        numbers = ir.Constant(lanes, [v * self.lanes + lane for lane in range(self.lanes)])
        limit = self._splat(self.builder.trunc(columns, _LANE), lanes)
        return self.builder.icmp_signed("<", numbers, limit)

    def _lane_offsets(self, columns: ir.Value) -> list[ir.Value]:
        """Where each lane reads if there are no masks: past the last column, column 0 again (not stored)."""
        first = (self.vectors - 1) * self.lanes
        numbers = [INT(first + lane) for lane in range(self.lanes)]
        inside = [self.builder.icmp_signed("<", number, columns) for number in numbers]
        return [self.builder.select(i, n, INT(0)) for i, n in zip(inside, numbers, strict=True)]

    def _broadcast(self, source: ir.Value) -> ir.Value:
        return self._splat(self.builder.load(source), self.vector)

    def _splat(self, scalar: ir.Value, vector: ir.VectorType) -> ir.Value:
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, _LANE(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_LANE, self.lanes), None))

    def _multiply_add(self, x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
        # Not llvm.fma: where the CPU has none it would become a library call for each lane.
        return self.builder.fadd(self.builder.fmul(x, y, flags=("contract",)), total, flags=("contract",))

    def _masked(self, verb: str, result: ir.Type, arguments: Sequence[ir.Value]) -> ir.Value:
        name = f"llvm.masked.{verb}.v{self.lanes}f{8 * self.itemsize}.p0"
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), signature), arguments)
