"""How threads share a plan's blocks: a value that assembly follows; its dump, and its verifier."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinyseq.engine.plan.chunks import share_of_chunks
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.sharing import Shares
from tinyseq.errors import TapeError


@dataclass(frozen=True)
class Sums:
    """Sums over the same rows, which are taken a chunk of so many rows at a time."""

    rows: int
    chunk: int
    of: tuple[tuple[Block, Instruction], ...]


@dataclass(frozen=True)
class Part:
    """Blocks that are shared in one way.

    way     "chunks" of the rows that are summed, each thread some; "dealt", each thread the next instruction; one block
            by its "rows", the same at all levels, by "members" of each level, or "single", all by the first thread
    counts  rows at each level of a block that is shared by rows
    sums    of chunks
    """

    way: str
    blocks: tuple[Block, ...]
    counts: np.ndarray | None = None
    sums: tuple[Sums, ...] = ()


@dataclass(frozen=True)
class Sharing:
    """A plan's blocks in parts, for so many threads; ``chunked`` are the gradients that chunks are summed in."""

    plan: Parts
    threads: int
    chunked: frozenset[int]
    parts: tuple[Part, ...]

    def shares(self) -> list[Shares]:
        """The share of each thread."""
        return [Shares(self.plan, thread, self.threads) for thread in range(self.threads)]

    def dump(self) -> str:
        """One line a part: whose rows, members, chunks or instructions are whose."""
        number = {id(block): k for k, block in enumerate(self.plan.blocks)}
        lines = [f"{self.threads} thread{'s' * (self.threads > 1)}"]
        for part in self.parts:
            places = [number[id(block)] for block in part.blocks]
            which = f"block {places[0]}" if len(places) == 1 else f"blocks {places[0]} to {places[-1]}"
            lines.append(f"{which} ({part.blocks[0].phase}: {part.blocks[0].note}): {part.way}{self._told(part)}")
        return "\n".join(lines)

    def _told(self, part: Part) -> str:
        shares = self.shares()
        if part.way == "rows":
            assert part.counts is not None
            taken = [s.share_of_rows(part.counts) for s in shares]
            spans = [f"{low} to {low + int(count.max(initial=0)) - 1}" for low, count in taken]
            return f", {', '.join(f'thread {k}: {span}' for k, span in enumerate(spans))}"
        if part.way == "members":
            (block,) = part.blocks
            every = [[int(s.column(block, ("members", g), "members").sum()) for g in block.bounds] for s in shares]
            return f", {', '.join(f'thread {k}: {sum(n)}' for k, n in enumerate(every))} in {block.levels} levels"
        if part.way == "chunks":
            told = []
            for sums in part.sums:
                counts = [len(share_of_chunks(sums.rows, sums.chunk, s.thread, s.threads)[0]) for s in shares]
                plural = "s" * (len(sums.of) > 1)
                told.append(f"{len(sums.of)} sum{plural} over {sums.rows} rows in {sum(counts)} chunks")
            return f", {'; '.join(told)}"
        count = sum(len(block.instructions) for block in part.blocks)
        return f", {count} instruction{'s' * (count > 1)}"


def verify_sharing(sharing: Sharing) -> None:
    """Each block in one part, in order; threads' rows, members and chunks are all that there are, each once; members
    write apart, and what is dealt out does not depend on each other. Raises TapeError."""
    order = [id(block) for part in sharing.parts for block in part.blocks]
    if order != [id(block) for block in sharing.plan.blocks]:
        raise TapeError("share: the parts are not the plan's blocks in their order")
    for number, part in enumerate(sharing.parts):
        where = f"share: part {number} ({part.blocks[0].phase}: {part.blocks[0].note})"
        if part.way == "rows":
            _rows_once(sharing, part, where)
        elif part.way == "members":
            _members_once(sharing, part, where)
        elif part.way == "chunks":
            _chunks_once(sharing, part, where)
        elif part.way == "dealt":
            _apart(part, where)
        elif part.way != "single":
            raise TapeError(f"{where} is shared by {part.way!r}")


def _rows_once(sharing: Sharing, part: Part, where: str) -> None:
    (block,) = part.blocks
    counts = sharing.shares()[0].row_counts(block)
    if counts is None or part.counts is None or (counts != part.counts).any():
        raise TapeError(f"{where} is shared by rows that its instructions do not all have")
    taken = [shares.share_of_rows(part.counts) for shares in sharing.shares()]
    ends = [(np.full(len(counts), low), low + count) for low, count in taken]
    for (_, before), (begin, after) in pairwise(ends):
        if ((begin < before) & (after > begin)).any():
            raise TapeError(f"{where}: two threads take the same rows")
    if (np.sum([count for _, count in taken], axis=0) != counts).any():
        raise TapeError(f"{where}: not all rows are taken")


def _members_once(sharing: Sharing, part: Part, where: str) -> None:
    (block,) = part.blocks
    if not sharing.shares()[0].writes_members(block):
        raise TapeError(f"{where}: members of one level write in the same places")
    for group, bounds in block.bounds.items():
        at = bounds[:-1]
        for shares in sharing.shares():
            first = shares.column(block, ("member", group), "members")
            if (first != at).any():
                raise TapeError(f"{where}: members of group {group} are left out or taken twice")
            at = first + shares.column(block, ("members", group), "members")
        if (at != bounds[1:]).any():
            raise TapeError(f"{where}: not all members of group {group} are taken")


def _chunks_once(sharing: Sharing, part: Part, where: str) -> None:
    found = {id(instruction) for sums in part.sums for _, instruction in sums.of}
    if found != {id(instruction) for block in part.blocks for instruction in block.instructions}:
        raise TapeError(f"{where}: its sums are not those of its blocks")
    for sums in part.sums:
        at, shares = 0, sharing.shares()[0]
        for block, instruction in sums.of:
            if (own := shares.rows_of(block, instruction)) != sums.rows:
                raise TapeError(f"{where}: {sums.rows} rows are summed of {own}")
        for thread in range(sharing.threads):
            for first, count in zip(*share_of_chunks(sums.rows, sums.chunk, thread, sharing.threads), strict=True):
                if first != at or not 0 <= count <= sums.chunk:
                    raise TapeError(f"{where}: a chunk takes rows {first} to {first + count - 1} after row {at - 1}")
                at = int(first + count)
        if at != sums.rows:
            raise TapeError(f"{where}: {at} of {sums.rows} rows are summed")


def _apart(part: Part, where: str) -> None:
    every = [instruction for block in part.blocks for instruction in block.instructions]
    written = [instruction.operands[0].storage.index for instruction in every]
    read = {address.storage.index for instruction in every for address in instruction.operands[1:]}
    if len(set(written)) < len(written) or read & set(written):
        raise TapeError(f"{where}: what one thread writes another touches")
