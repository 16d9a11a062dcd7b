"""What a plan does, in words: what runs for all steps at once, what stays in the loop, what waits until after it, what
is added in place, what is never copied, and the bytes it takes."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tinyseq.engine.environment import WITHOUT
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.layout import Block, Instruction
from tinyseq.engine.plan.maps import VIEWS
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.sentences import Words
from tinyseq.engine.plan.share import share
from tinyseq.engine.plan.sharing import wanted_threads
from tinyseq.engine.plan.steps import Work, Zero
from tinyseq.engine.plan.tasks import Back
from tinyseq.ops.groups import GIVEN

MOST = 12


def explain(plan: Parts) -> str:
    """The plan in words a learner can follow, one section for each thing the planner did."""
    told = Explanation(plan)
    sections = [
        told.summary(),
        told.switched_off(),
        told.apart(),
        told.loops(),
        told.made_once(),
        told.batched(),
        told.hoisted(),
        told.deferred(),
        told.in_place(),
        told.uncopied(),
        told.memory(),
        told.threads(),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def shortened(lines: list[str], most: int = MOST) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"  … and {len(lines) - most} more"]


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}{'es' if word.endswith(('s', 'x')) else 's'}"


def size(count: int, itemsize: int) -> str:
    """Elements as bytes that can be read: whole bytes below 10 KiB."""
    n = count * itemsize
    return (
        f"{n:,} bytes" if n < 10 * 1024 else (f"{n / 1024:,.0f} KiB" if n < 10 << 20 else f"{n / (1 << 20):,.1f} MiB")
    )


class Explanation(Words):
    """One method for each section, empty where there is nothing to say."""

    def summary(self) -> list[str]:
        """How many nodes became how many instructions."""
        needed = [self.graph.classes[i] for i in self.graph.needed if self.graph.classes[i].op != "pick"]
        nodes = sum(self.graph.once.get(cls.index, cls.count) for cls in needed)
        run = sum(block.levels * len(block.instructions) for block in self.plan.blocks)
        lines = [
            f"Plan of {plural(nodes, 'node')} of the tape in {self.plan.dtype}"
            f"{', with gradients' if self.graph.loss >= 0 else ', values only'}.",
            f"They stand in {plural(len(needed), 'place')} (one op at one line of a cell, repeated over steps) and are "
            f"computed by {plural(run, 'instruction')} a run, in {plural(len(self.plan.blocks), 'block')}.",
        ]
        cells = Counter(cls.cell for cls in needed if cls.cell)
        for cell, places in cells.items():
            count = max(cls.count for cls in needed if cls.cell == cell)
            lines.append(f"  cell {cell}: {plural(places, 'place')}, up to {plural(count, 'repetition')}")
        return lines

    def switched_off(self) -> list[str]:
        """What the planner was told not to do."""
        off = [name for name in OPTIONAL if name in self.graph.without]
        return [f"Switched off by {WITHOUT}:", *(f"  {name}: {OPTIONAL[name]}" for name in off)] if off else []

    def apart(self) -> list[str]:
        """What is planned node by node."""
        lines = [f"  {why}" for _, why in self.graph.state.apart]
        return ["Planned node by node, as there is no plan for all steps together:", *lines] if lines else []

    def loops(self) -> list[str]:
        """What recurs, step by step or height by height."""
        lines: list[str] = []
        for block in self.plan.blocks:
            if not block.recurrent:
                continue
            most = max(int(np.diff(bounds).max()) for bounds in block.bounds.values())
            what = "height" if block.by_members else "step"
            order = "from the last to the first" if block.backwards else "from the first to the last"
            each = f", up to {plural(most, 'node')} of a height in one instruction" if block.by_members else ""
            count = f"{plural(block.levels, what)} × {plural(len(block.instructions), 'instruction')} a {what}"
            lines.append(f"  {block.phase}: {count}, {order}{each}")
            lines += shortened([self.located(i, block) for i in block.instructions], 2 * MOST)
        return ["In the loop, because each step needs the one before:", *lines] if lines else ["Nothing recurs."]

    def located(self, instruction: Instruction, block: Block) -> str:
        """A sentence and the source line."""
        line = self.line(self.owner(instruction))
        text = f"      {self.sentence(instruction, block)}"
        return f"{text:<60}  {line}".rstrip() if line else text

    def made_once(self) -> list[str]:
        """What all steps have in common."""
        lines = []
        for i, members in sorted(self.graph.once.items()):
            cls = self.graph.classes[i]
            if i in self.graph.needed and cls.op not in VIEWS:
                where = f" ({self.line(cls)})" if self.line(cls) else ""
                lines.append(f"  {self.named(cls)}: once for {plural(members, 'member')}{where}")
        head = "Made once, because all steps read the same; their gradients add up before they go on:"
        return [head, *shortened(lines)] if lines else []

    def batched(self) -> list[str]:
        """What does not recur runs for all its members as one operation."""
        lines = []
        for block, instruction in self.instructions():
            members = self.members(instruction, block)
            owner = self.owner(instruction)
            unwanted = block.recurrent or block.levels > 1 or members < 2 or self.is_hoisted(instruction, block)
            if unwanted or self.waits(instruction):
                continue
            cell = f"cell {owner.cell}, " if owner is not None and owner.cell else ""
            where = f" ({cell}{self.line(owner)})" if self.line(owner) else ""
            lines.append(f"  {self.sentence(instruction, block)}: {plural(members, 'member')} as one{where}")
        return (
            ["Batched, all steps as one operation, because no step needs another:", *shortened(lines)] if lines else []
        )

    def is_hoisted(self, instruction: Instruction, block: Block) -> bool:
        """Whether an instruction before the loop writes a sum that the loop goes on with."""
        step = instruction.because
        of_sum = isinstance(step, Work) and step.back is None and step.term is not None
        return of_sum and not block.recurrent and step.cls.index in self.recurring

    def hoisted(self) -> list[str]:
        """Terms of sums inside the loop that no step has to wait for."""
        lines = []
        for block, instruction in self.instructions():
            if self.is_hoisted(instruction, block):
                rows = self.rows(instruction, block)
                lines.append(f"  {self.sentence(instruction, block)}: {plural(rows, 'row')} at once, before the loop")
        return (
            ["Hoisted out of the loop: terms of its sums that do not recur are where it starts from:", *lines]
            if lines
            else []
        )

    @staticmethod
    def waits(instruction: Instruction) -> bool:
        return instruction.operands[0].storage.space == "grads"

    def deferred(self) -> list[str]:
        """Gradients of parameters, summed over all steps in one go."""
        lines = []
        for block, instruction in self.instructions():
            if not self.waits(instruction) or block.recurrent:
                continue
            rows, members = self.rows(instruction, block), self.members(instruction, block)
            name = instruction.operands[0].storage.what
            each = f" = {plural(members, 'member')} × {rows // members}" if members > 1 and rows % members == 0 else ""
            match instruction.because:
                case Work(back=Back(kind="product weight")):
                    lines.append(f"  {name}: one product with inner dimension {rows:,} rows{each}")
                case Work(back=Back(kind="row sum")):
                    lines.append(f"  {name}: one sum over {rows:,} rows{each}")
                case Zero():
                    continue
                case _:
                    lines.append(f"  {name}: {self.sentence(instruction, block).partition(' ')[2]}")
        head = "Waits until after the loop: gradients of parameters, over all steps at once instead of step by step:"
        return [head, *shortened(list(dict.fromkeys(lines)), 2 * MOST)] if lines else []

    def in_place(self) -> list[str]:
        """Sums that are never made beside what they add to."""
        added = [self.sentence(i, b) for b, i in self.instructions() if self.adds(i)]
        if not added:
            return []
        return [
            f"Accumulated in place: {plural(len(added), 'instruction')} add to what is there, or start from it, "
            "instead of making a sum beside it:",
            *shortened([f"  {text}" for text in dict.fromkeys(added)]),
        ]

    def uncopied(self) -> list[str]:
        """Views, and arrays that lie where the user has them."""
        lines = []
        seen: Counter[str] = Counter()
        for i, layout in sorted(self.plan.values.items()):
            cls = self.graph.classes[i]
            if cls.op not in GIVEN and self.makers.get(layout.storage.index) is not cls:
                seen[f"{self.named(cls)} of {layout.storage.what}"] += cls.count
        lines += [f"  {what}: {plural(count, 'node')}" for what, count in seen.items()]
        leaves = [s.what for s in self.plan.storages if s.space == "leaf" and s.last >= 0]
        if leaves:
            lines.append(f"  {', '.join(shortened(leaves))}: read from your arrays, where they lie")
        return (
            ["Not copied: these are read where the numbers already are:", *shortened(lines, 2 * MOST)] if lines else []
        )

    def memory(self) -> list[str]:
        """Bytes with and without reuse."""
        itemsize = self.plan.dtype.itemsize
        arena, total = self.plan.arena, self.plan.without_reuse
        kept = [s for s in self.plan.storages if s.space == "arena" and s.last >= 0]
        saved = f"{1 - arena / total:.0%} less" if total else "nothing"
        grads = sum(s.size for s in self.plan.storages if s.space == "grads")
        lines = [
            f"Memory: the arena takes {size(arena, itemsize)} for {plural(len(kept), 'array')} that take "
            f"{size(total, itemsize)} without reuse ({saved}): an array's place is given away after its last reader."
        ]
        if grads:
            lines.append(f"  gradients of parameters: {size(grads, itemsize)}, one array end to end")
        return lines

    def threads(self) -> list[str]:
        """How many threads a run takes and how they share it."""
        threads = wanted_threads(self.plan)
        if threads == 1:
            return ["Threads: one; there is one processor, or less work than waking another thread is worth."]
        shared = Counter[str]()
        for part in share(self.plan, threads).parts:
            shared[part.way] += len(part.blocks)
        return [
            f"Threads: up to {threads}. {plural(shared['rows'], 'block')} shared by rows of the batch, "
            f"{shared['members']} by members, {shared['chunks']} by chunks of the rows that are summed, "
            f"{shared['dealt']} dealt out in turn, {shared['single']} run on one thread."
        ]
