"""Threads' parts in an order that no machine would choose: the last thread first, up to each barrier.

Whoever reads what another thread writes before the barrier between them then reads something else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyseq.engine.machine.program import Program, address_of
from tinyseq.engine.machine.vm import BLOCK_HEADER
from tinyseq.engine.machine.workers import WORKERS

Piece = tuple[int, int, int]  # a block's place, its end, and the level to run (-1: all)


def poison(program: Program) -> None:
    """NaN wherever the program may write, so that reading what it did not write shows."""
    program.arena[:] = np.nan
    program.grads[:] = np.nan
    for storage in program.plan.storages:
        if storage.space == "arena" and storage.data is not None and storage.last >= 0:
            program.arena[storage.base : storage.base + len(storage.data)] = storage.data


def between_barriers(code: np.ndarray) -> Iterator[list[Piece]]:
    """A thread's program in pieces, a list for what lies between two barriers."""
    pieces: list[Piece] = []
    at = 0
    while at < code.size:
        levels, backwards, length, _, _, sync = code[at : at + BLOCK_HEADER].tolist()
        end = at + BLOCK_HEADER + length
        if sync > 1:
            for step in range(levels):
                yield [*pieces, (at, end, levels - 1 - step if backwards else step)]
                pieces = []
        else:
            pieces.append((at, end, -1))
        if sync:
            yield pieces
            pieces = []
        at = end
    yield pieces


def run_last_thread_first(program: Program) -> None:
    """Run a program's parts one after the other, from barrier to barrier."""
    codes = [code for code, _, _ in program._parts]
    for parts in zip(*map(between_barriers, codes), strict=True):
        for thread in reversed(range(len(codes))):
            for piece in parts[thread]:
                _run(program, thread, *piece)


def _run(program: Program, thread: int, at: int, end: int, level: int) -> None:
    code, tables, _ = program._parts[thread]
    header = code[at : at + BLOCK_HEADER].copy()
    if level >= 0:
        code[at], code[at + 1], code[at + 3] = 1, 0, header[3] + level
    row = [address_of(code) + 8 * at, end - at, address_of(tables), *program._addresses, thread, 1]
    part = np.array([*row, address_of(program.flags)], np.int64)
    WORKERS.run(np.array([address_of(part)], np.int64))
    code[at : at + BLOCK_HEADER] = header
