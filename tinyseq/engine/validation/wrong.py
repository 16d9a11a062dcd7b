"""Words for what is wrong with a plan: the instruction, its node, op, cell and source line, the level and thread."""

from __future__ import annotations

from tinyseq.engine.plan.fold import Class
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.validation.decode import Step


class Names:
    """Names for the parts of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.owners: dict[int, Class] = {}
        for layouts in (plan.values, plan.gradients):
            for i, layout in sorted(dict.items(layouts)):
                self.owners.setdefault(layout.storage.index, plan.graph.classes[i])
        self.places = {id(block): place for place, block in enumerate(plan.blocks)}

    def step(self, step: Step, run: int) -> str:
        """One run of an instruction."""
        where = "between blocks"
        if step.block is not None:
            where = f"block {self.places[id(step.block)]} ({step.block.phase}: {step.block.note})"
        elif step.chunk:
            where = "sums in chunks"
        level = f", level {int(step.level[run])}" if len(step.level) > 1 else ""
        return f"{where}, {step.instruction.kernel.name}{self.node(step)}{level}"

    def node(self, step: Step) -> str:
        """The node whose value or gradient an instruction writes: class, op, cell, line."""
        owner = self.owners.get(step.storages[0]) if step.storages[0] >= 0 else None
        return f" of {self.cls(owner)}" if owner else ""

    @staticmethod
    def cls(cls: Class) -> str:
        """A class of nodes: its number, name or op, cell and source line."""
        cell = f", cell {cls.cell}" if cls.cell else ""
        line = f", {cls.line[0].rsplit('/', 1)[-1]}:{cls.line[1]}" if cls.line[1] else ""
        return f"class {cls.index} ({cls.name or cls.op}{cell}{line})"
