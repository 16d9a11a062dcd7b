"""Sums over all rows of all steps, as a weight's gradient is, taken a chunk of rows at a time.

All sums over the same rows take a chunk in turn: whoever comes second finds it in the cache. Each thread has chunks of
its own and adds them up in a flat gradient of its own; at the end the threads' gradients are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinyseq.engine.kernels.batched import PACK, ROWS_AT_ONCE
from tinyseq.engine.plan.layout import Address, Block, Instruction, Storage
from tinyseq.engine.plan.numbers import arange, larger

CHUNK_BYTES = 1 << 18
MOST_CHUNKS = 32  # the sums of chunks are added one by one, which loses digits where they are many
START, ROWS, ADDS = ("chunk", "start"), ("chunk", "rows"), ("chunk", "adds")


def sums_of_rows(storages: Sequence[Storage], blocks: Sequence[Block]) -> set[int]:
    """The gradients of parameters that sums over rows write and nobody else touches."""
    found: set[int] = {s.index for s in storages if s.space == "grads"}
    for block in blocks:
        sums = _only_sums(block)
        for instruction in block.instructions:
            found.difference_update(address.storage.index for address in instruction.operands[1 if sums else 0 :])
    before = -1
    while len(found) != before:  # a block is taken in chunks as a whole, or not at all
        before = len(found)
        for block in blocks:
            if _only_sums(block):
                targets = {instruction.operands[0].storage.index for instruction in block.instructions}
                found -= targets if not targets <= found else set()
    return found


def _only_sums(block: Block) -> bool:
    return block.levels == 1 and not block.recurrent and all(i.sums for i in block.instructions)


def sums_together(storages: Sequence[Storage], blocks: Sequence[Block]) -> list[Block]:
    """The blocks with sums over rows moved behind what stands between them, so that neighbours share what they read;
    not beyond a recurrence, nor beyond what may write where they read."""
    chunked = sums_of_rows(storages, blocks)
    ordered: list[Block] = []
    waiting: list[Block] = []
    read: set[int] = set()
    for block in blocks:
        if _kind(block, chunked) == "chunks":
            waiting.append(block)
            read.update(address.storage.index for i in block.instructions for address in i.operands[1:])
            continue
        written = [i.operands[0].storage for i in block.instructions]
        if block.recurrent or any(s.space == "origin" or s.index in read for s in written):
            ordered += waiting
            waiting, read = [], set()
        ordered.append(block)
    return ordered + waiting


def grouped(blocks: Sequence[Block], chunked: set[int]) -> Iterator[tuple[str, list[Block]]]:
    """Neighbouring blocks by how they are run: ("chunks", sums), ("dealt", packed weights), ("alone", [one])."""
    kind, found = "", list[Block]()
    for block in blocks:
        this = _kind(block, chunked)
        if found and (this != kind or this == "alone"):
            yield kind, found
            found = []
        kind = this
        found.append(block)
    if found:
        yield kind, found


def _kind(block: Block, chunked: set[int]) -> str:
    if _only_sums(block) and all(i.operands[0].storage.index in chunked for i in block.instructions):
        return "chunks"
    if block.levels == 1 and not block.bounds and all(i.kernel is PACK for i in block.instructions):
        return "dealt"
    return "alone"


def chunk_rows(instructions: Sequence[Instruction], itemsize: int) -> int:
    """Rows of a chunk, so that what all sums read of it stays in a second-level cache."""
    widths = {a.storage.index: abs(stride) for i in instructions for a, stride in zip(i.operands, i.sums, strict=True)}
    each = larger(sum(widths.values()) * itemsize, 1)
    return larger(CHUNK_BYTES // each // ROWS_AT_ONCE, 1) * ROWS_AT_ONCE


def share_of_chunks(rows: int, chunk: int, thread: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(first row, number of rows) of each of a thread's chunks: all of one size, which is `chunk` at most; one of no
    rows if there are too few."""
    first, last = rows * thread // threads, rows * (thread + 1) // threads
    parts = larger(-(-(last - first) // chunk), 1)
    size = -(-(last - first) // parts)
    starts = first + size * arange(parts)
    return starts, np.minimum(last - starts, size)


def in_chunks(instruction: Instruction, places: Sequence[int], adds: bool) -> Instruction:
    """The instruction on one chunk: `places` are where its operands begin for the first row. It `adds` to the sums of
    others, or else the first chunk overwrites."""
    operands = [
        Address(address.storage, place, (stride, START) if stride else None)
        for address, place, stride in zip(instruction.operands, places, instruction.sums, strict=True)
    ]
    vary: dict[int, tuple[int, tuple[str, str]]] = {0: (1, ROWS)}
    d, flag = list(instruction.d), 1 + len(operands)
    d[flag] = 1
    if not adds:
        vary[flag] = (1, ADDS)
    return Instruction(instruction.kernel, operands, d, vary)
