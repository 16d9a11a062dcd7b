"""The arena: who is alive from where to where, and where each storage lies; and the verifier of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyseq.engine.plan.chunks import grouped, sums_of_rows, sums_together
from tinyseq.engine.plan.first_fit import allocate
from tinyseq.engine.plan.instructions import Instructions, dump_blocks
from tinyseq.engine.plan.layout import FOREVER, Block, Storage
from tinyseq.errors import TapeError


@dataclass(frozen=True)
class Arena:
    """Blocks in their last order, the elements of the arena, and those that it would have without reuse.

    Storages know from here on their ``first`` and ``last`` block and their ``base``; instructions hold them.
    """

    instructions: Instructions
    blocks: tuple[Block, ...]
    size: int
    without_reuse: int

    def dump(self) -> str:
        """One line a storage, then the blocks."""
        lines = [
            f"s{s.index} {s.what!r}: {s.base - s.lead} to {s.base - s.lead + s.size - 1}, alive from block {s.first} "
            f"to {'the end' if s.last == FOREVER else s.last}"
            for s in sorted(_kept(self.instructions.storages), key=lambda s: s.base)
        ]
        return "\n".join([*lines, dump_blocks(self.blocks)])


def reuse(instructions: Instructions) -> Arena:
    """Sums over rows side by side, then lifetimes, then places (first fit, in order of birth)."""
    blocks = alive(instructions)
    return Arena(instructions, blocks, *allocate(list(instructions.storages)))


def alive(instructions: Instructions) -> tuple[Block, ...]:
    """The blocks in their last order; storages know from here on from where to where they are alive."""
    buffers = instructions.written.buffers
    without, storages = buffers.graph.without, list(instructions.storages)
    blocks = list(instructions.blocks)
    if "sums together" not in without:
        blocks = sums_together(storages, blocks)
    _lifetimes(storages, blocks)
    for sources, where, _, _ in instructions.pointers:  # they live as long as the instructions that use the lists
        for storage in sources:
            storage.first, storage.last = min(storage.first, where.first), max(storage.last, where.last)
    for node in buffers.graph.outputs:
        storage = buffers.values[buffers.graph.state.places[node][0]].storage
        storage.first, storage.last = (0 if storage.first == FOREVER else storage.first), FOREVER
    for storage in storages:
        if storage.last >= 0 and (storage.data is not None or "reuse" in without):
            storage.first, storage.last = 0, FOREVER
    return tuple(blocks)


def _lifetimes(storages: list[Storage], blocks: list[Block]) -> None:
    """From where to where each storage is alive: blocks that threads run at once count as one."""
    place = 0
    for _, together in grouped(blocks, sums_of_rows(storages, blocks)):
        for block in together:
            for storage in block.storages():
                storage.first = min(storage.first, place)
                storage.last = max(storage.last, place + len(together) - 1)
        place += len(together)


def _kept(storages: Iterable[Storage]) -> list[Storage]:
    return [s for s in storages if s.space == "arena" and s.last >= 0]


def verify_arena(arena: Arena) -> None:
    """Who is alive at the same time lies apart; every storage is alive at each block that touches it. Raises
    TapeError."""
    for place, block in enumerate(arena.blocks):
        for storage in block.storages():
            if storage.space == "arena" and not storage.first <= place <= storage.last:
                raise TapeError(
                    f"reuse: block {place} ({block.phase}: {block.note}) touches {storage.what!r}, which is alive from "
                    f"block {storage.first} to {storage.last}"
                )
    for sources, where, *_ in arena.instructions.pointers:
        used = [place for place, block in enumerate(arena.blocks) if any(s is where for s in block.storages())]
        for storage in sources:
            if used and storage.space == "arena" and not storage.first <= used[0] <= used[-1] <= storage.last:
                raise TapeError(
                    f"reuse: block {used[-1]} ({arena.blocks[used[-1]].note}) uses a list of addresses in "
                    f"{storage.what!r}, which is alive from block {storage.first} to {storage.last}"
                )
    verify_apart(arena.instructions.storages)


def verify_apart(storages: Iterable[Storage]) -> None:
    """Who is alive at the same time shares no element. Raises TapeError."""
    alive: list[Storage] = []
    for storage in sorted(_kept(storages), key=lambda s: s.base - s.lead):
        alive = [other for other in alive if other.base - other.lead + other.size > storage.base - storage.lead]
        for other in alive:
            if other.first <= storage.last and storage.first <= other.last:
                raise TapeError(f"reuse: {other.what!r} and {storage.what!r} share memory while both are alive")
        alive.append(storage)
