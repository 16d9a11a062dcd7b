"""The plan verifier: every operand of every instruction at every level lies inside its storage, and the programs made
of the plan, for one thread and for several, touch no element that they should not."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.kernels.batched import GEMM_PACKED, WEIGHT_GRADIENT
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.plan.reuse import verify_apart
from tinyseq.engine.plan.share import share
from tinyseq.engine.plan.shared import verify_sharing
from tinyseq.engine.validation.disassemble import verify_assembled
from tinyseq.engine.validation.elements import verify_elements
from tinyseq.errors import TapeError

THREADS = (1, 2, 3)


def verify_plan(plan: Plan) -> None:
    """Raise TapeError naming the first instruction that would leave its storages, read what nobody wrote, or meet
    another thread's, in the plan or in the programs made of it for each number of threads in THREADS."""
    _verify_blocks(plan)
    for threads in THREADS:
        verify_sharing(share(plan, threads))
        programs = verify_assembled(plan, threads)
        verify_elements(plan, threads, [step for program in programs for step in program.steps])


def _verify_blocks(plan: Plan) -> None:
    """What the blocks of a plan say, before they are shared among threads."""
    assembler = Assembler(plan)
    written: set[int] = {s.index for s in plan.storages if s.space == "leaf" or s.data is not None}
    summed: set[int] = set()
    for place, block in enumerate(plan.blocks):
        if block.recurrent:
            written.update(i.operands[0].storage.index for i in block.instructions)
        for instruction in block.instructions:
            where = f"block {place} ({block.phase}: {block.note}), {instruction.kernel.name}"
            _bounds(assembler, block, instruction, where)
            target = instruction.operands[0].storage
            adds = len(instruction.d) > len(instruction.operands) + 1 and instruction.d[1 + len(instruction.operands)]
            sources = instruction.operands[0 if adds else 1 :]
            if (
                instruction.kernel is GEMM_PACKED
            ):  # what it starts from is its last operand, read only if the flag is set
                sources = instruction.operands[1 : 4 if adds else 3]
            for address in sources:
                storage = address.storage
                if storage.index not in written and storage.space != "origin" and not block.recurrent:
                    raise TapeError(f"{where}: reads {storage.what!r}, which nothing has written")
            written.add(target.index)
            if target.index in assembler.chunked and target.index in summed and not adds:
                raise TapeError(f"{where}: overwrites {target.what!r}, to which another sum was written before")
            summed.add(target.index)
        if block.recurrent:
            _first_is_first(block, f"block {place} ({block.phase}: {block.note})")
    verify_apart(plan.storages)


def _first_is_first(block: Block, where: str) -> None:
    """Where members run by height, who overwrites and who adds to one storage must run at the same level: members of
    one group do, those of others may have run before."""
    if not block.by_members:
        return
    overwrites: dict[int, set[int]] = {}
    adds: dict[int, set[int]] = {}
    for instruction in block.instructions:
        target = instruction.operands[0]
        groups = {key[1] for _, key in [*instruction.vary.values(), *filter(None, [target.vary])] if key[0] != "rows"}
        flag = len(instruction.operands) + 1
        kind = adds if len(instruction.d) > flag and instruction.d[flag] else overwrites
        kind.setdefault(target.storage.index, set()).update(groups)
    for index in overwrites.keys() & adds.keys():
        if len(overwrites[index] | adds[index]) > 1:
            what = next(s.what for s in block.storages() if s.index == index)
            raise TapeError(f"{where}: {what!r} is overwritten at one level, added to at another")


def _bounds(assembler: Assembler, block: Block, instruction: Instruction, where: str) -> None:
    rows = np.array([instruction.d[0]])
    if 0 in instruction.vary:
        coefficient, key = instruction.vary[0]
        rows = coefficient * assembler.column(block, key)
    runs = np.ones(block.levels, bool)  # levels with no member touch nothing
    for coefficient, key in instruction.vary.values():
        runs &= coefficient * assembler.column(block, key) > 0
    for place, address in enumerate(instruction.operands):
        storage = address.storage
        if storage.space == "origin":
            continue
        start = np.array([address.offset])
        if address.vary:
            coefficient, key = address.vary
            start = address.offset + coefficient * assembler.column(block, key)
        stride = instruction.d[1 + place]
        count = np.array([instruction.d[5]]) if instruction.kernel is WEIGHT_GRADIENT and place == 0 else rows
        end = start + np.maximum(count - 1, 0) * stride
        low, high = (np.broadcast_to(f(start, end), runs.shape)[runs] for f in (np.minimum, np.maximum))
        if len(low) and (low.min() < -storage.lead or high.max() >= max(storage.size - storage.lead, 1)):
            raise TapeError(
                f"{where}: operand {place} reaches {low.min()} to {high.max()} of {storage.what!r}, which has "
                f"{-storage.lead} to {storage.size - storage.lead - 1}"
            )
