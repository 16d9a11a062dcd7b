"""Instructions: blocks that run level by level, with all storages that they touch."""

from __future__ import annotations

from dataclasses import dataclass

from tinyseq.engine.plan.layout import Block, Storage
from tinyseq.engine.plan.parts import Pointers
from tinyseq.engine.plan.steps import Written


@dataclass(frozen=True)
class Instructions:
    """Blocks in order; ``pointers`` say what lists of addresses pick."""

    written: Written
    blocks: tuple[Block, ...]
    storages: tuple[Storage, ...]
    pointers: tuple[Pointers, ...]

    def dump(self) -> str:
        """One line an instruction."""
        return dump_blocks(self.blocks)


def dump_blocks(blocks: tuple[Block, ...] | list[Block]) -> str:
    """One line a block, and one for each instruction."""
    lines = []
    for k, block in enumerate(blocks):
        loop = ", a recurrence" if block.recurrent else ""
        lines.append(f"block {k} {block.phase} {block.note!r}, {block.levels} levels{loop}")
        for i in block.instructions:
            where = ", ".join(
                f"s{a.storage.index} {a.storage.what!r} + {a.offset}"
                + (f" + {a.vary[0]}·{a.vary[1]}" if a.vary else "")
                for a in i.operands
            )
            lines.append(f"  {i.kernel.name}({where}) d = {[int(n) for n in i.d]} {i.vary or ''}".rstrip())
    return "\n".join(lines)
