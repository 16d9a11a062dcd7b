"""Which node of a wrong plan is the first whose value, or gradient, is not the tape's."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.apart import taken_apart
from tinyseq.engine.plan.fold import fold
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.maps import VIEWS
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.validation.field import PRIME
from tinyseq.engine.validation.following import Followed, Told, differ


class Search(Followed):
    """Follows a program of one thread and looks after each block at the classes that it was the last to write."""

    def __init__(self, plan: Plan, told: Told) -> None:
        super().__init__(plan, told, 1)
        folded = fold(told.tape, plan.graph.outputs, plan.graph.loss)
        for groups, _ in plan.graph.state.apart:
            folded = taken_apart(folded, groups)
        self.nodes = {cls.index: cls.nodes for cls in folded.classes}
        self.found = ""
        self.last: dict[tuple[str, int], int] = {}
        for place, block in enumerate(plan.blocks):
            self.last |= {(block.phase, i.operands[0].storage.index): place for i in block.instructions}

    def after(self, place: int) -> None:
        """Compare what a block was the last to write."""
        phase = self.plan.blocks[place].phase
        done = {index for (when, index), last in self.last.items() if last == place and when == phase}
        layouts = self.plan.values if phase == "forward" else self.plan.gradients
        if self.found:
            return
        wrong = [
            differing
            for c, layout in sorted(dict.items(layouts))
            if layout.storage.index in done and not layout.level and c in self.nodes
            if (differing := self._differing(c, layout, phase)) is not None
        ]
        if wrong:  # the first to be computed
            node, c, member = min(wrong) if phase == "forward" else max(wrong)
            what = "value" if phase == "forward" else "gradient"
            cls = self.names.cls(self.plan.graph.classes[c])
            self.found = f"the first that differs is the {what} of {cls}, member {member} (%{node})"

    def _differing(self, c: int, layout: View, phase: str) -> tuple[int, int, int] | None:
        """(node, class, member) of the first member, in the order of the phase, that is not what the tape says."""
        cls, start = self.plan.graph.classes[c], int(self.space.base[layout.storage.index])
        if cls.op in VIEWS or (phase == "backward" and layout.storage.what != f"∂L/∂{cls.name or cls.op}"):
            return None  # it lies in another's
        told = self.told.values if phase == "forward" else self.told.gradients
        wrong = []
        for member, node in enumerate(self.nodes[c][: cls.count].tolist()):
            places = start + self.elements(cls, layout, member)
            expected = told.get(node, np.zeros(places.size, np.int64))
            if phase == "backward" and c in self.plan.graph.once:  # it has the gradients of all that it stands for
                every = [told[other] for other in self.nodes[c].tolist() if other in told]
                expected = np.sum(every, axis=0) % PRIME if every else expected
            if self.outside(places) or differ(self.memory[places].ravel(), expected):
                wrong.append((node, c, member))
        return (min(wrong) if phase == "forward" else max(wrong)) if wrong else None

    def outside(self, places: np.ndarray) -> bool:
        """Whether places lie outside the memory."""
        return bool(places.size and (places.min() < 0 or places.max() >= len(self.memory)))


def guilty(plan: Plan, told: Told) -> str:
    """The class, member and source line of the first node that is not what the tape says, in words; '' where the plan
    keeps none."""
    search = Search(plan, told)
    search.run()
    return search.found
