"""The last pass: which rows, members, chunks or instructions of a plan's blocks are which thread's."""

from __future__ import annotations

from tinyseq.engine.plan import chunks
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.numbers import larger
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.shared import Part, Sharing, Sums
from tinyseq.engine.plan.sharing import Shares


def share(plan: Parts, threads: int) -> Sharing:
    """Sums over rows in chunks, packed weights dealt out, all else block by block: by rows where all instructions have
    them, by members where they write apart, else by one thread."""
    shares = Shares(plan, 0, threads)
    chunked = frozenset(chunks.sums_of_rows(plan.storages, plan.blocks))
    parts = []
    for kind, blocks in chunks.grouped(plan.blocks, set(chunked)):
        if kind == "chunks":
            parts.append(Part(kind, tuple(blocks), sums=_sums(plan, shares, blocks)))
        elif kind == "dealt":
            parts.append(Part(kind, tuple(blocks)))
        else:
            way, counts = shares.way(blocks[0])
            parts.append(Part(way, tuple(blocks), counts))
    return Sharing(plan, threads, chunked, tuple(parts))


def _sums(plan: Parts, shares: Shares, blocks: list[Block]) -> tuple[Sums, ...]:
    """Sums by the rows that they go over, with the rows of a chunk, so that there are not too many."""
    of_rows: list[tuple[int, list[tuple[Block, Instruction]]]] = []
    for block in blocks:
        for instruction in block.instructions:
            rows = shares.rows_of(block, instruction)
            sums = next((found for other, found in of_rows if other == rows), None)
            if sums is None:
                of_rows.append((rows, sums := []))
            sums.append((block, instruction))
    made = []
    for rows, sums in of_rows:
        chunk = chunks.chunk_rows([i for _, i in sums], plan.dtype.itemsize)
        made.append(Sums(rows, larger(chunk, -(-rows // (shares.threads * chunks.MOST_CHUNKS))), tuple(sums)))
    return tuple(made)
