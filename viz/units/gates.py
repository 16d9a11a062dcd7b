"""Detail "units": named nodes, and between them the nonlinear functions and the products and sums of signals.

Finer than "cell", coarser than "ops": W h + U x + b is still an arrow, but a gate is seen at work: f ⊙ s(t−1) is a ×
that f and s(t−1) run into. Units without a name are called by their symbol, and told apart by what they read.
"""

from __future__ import annotations

from collections.abc import Collection

from tinyseq.ops import OPS
from tinyseq.ops.groups import ACTIVATIONS, GATES, SUMS
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import Label, Run
from tinyseq.viz.units.named import Roles
from tinyseq.viz.units.primitives import Reduced


def units(excerpt: Excerpt, through: Collection[str] = ()) -> Reduced:
    """Contract an excerpt to named nodes, nonlinear functions, products and sums of signals."""
    found = _Units(excerpt, through).reduced()
    names = {u.id: labels.text_of(u.label) for u in found.units.values()}
    for unit in found.units.values():
        if not excerpt.node(unit.node).name and unit.role in ("unit", "state"):
            read = [names[w.source] for w in found.wires if w.target == unit.id]
            unit.name = (Run(f"{names[unit.id]}({', '.join(sorted(read))})"),)
    return found


def symbol(op: str) -> str:
    """How an op is written in a circle."""
    return OPS[op].sign or OPS[op].symbol if op in OPS else op


class _Units(Roles):
    def _stands_out(self, i: int) -> bool:
        if super()._stands_out(i):
            return True
        node = self.excerpt.node(i)
        if self.excerpt.step[i] < 0 or node.op in self.passed or i in self.pure:
            return False
        return node.op in ACTIVATIONS or self._is_gate(i) or self._joins_gates(i)

    def _is_gate(self, i: int) -> bool:
        node = self.excerpt.node(i)
        signals = {j for j in node.inputs if j not in self.pure}
        return node.op in GATES and len(signals) > 1

    def _joins_gates(self, i: int) -> bool:
        node = self.excerpt.node(i)
        return node.op in SUMS and any(j in self.excerpt.found and self._is_gate(j) for j in node.inputs)

    def _label(self, i: int, key: tuple, taken: dict[str, tuple]) -> Label:
        node = self.excerpt.node(i)
        if not node.name and self._role(i) == "unit":
            return (Run(symbol(node.op)),)
        return super()._label(i, key, taken)
