"""Vjps written down as ops: each stands beside the function that records its op, under ``@recorded("its name")``.

An elementwise op needs none: its vjp is recorded from the expression in its record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tinyseq.errors import OpError
from tinyseq.ops import OPS
from tinyseq.tape import Node
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.source_lines import internal

internal(__file__)


class Passing(NamedTuple):
    """A gradient on its way back through a node: the node, its inputs, its value, g = ∂L/∂y, the input to go to."""

    node: Node
    x: list[Tensor]
    y: Tensor
    g: Tensor
    k: int

    @property
    def attrs(self) -> dict[str, Any]:
        """The node's attributes."""
        return dict(self.node.attrs)


Rule = Callable[[Passing], Tensor]
RULES: dict[str, Rule] = {}


def recorded(*names: str) -> Callable[[Rule], Rule]:
    """Register what follows as the recorded vjp of ops: of a ``Passing`` it makes ∂L/∂(input k), in that input's shape.

    Raises OpError for an op that is not registered, gets no gradient, has a recorded vjp or is elementwise.
    """

    def register(rule: Rule) -> Rule:
        for name in names:
            op = OPS.get(name)
            if op is None:
                raise OpError(f"there is no op {name!r}: register its record first, then its recorded vjp")
            if not op.vjp:
                raise OpError(f"op {name!r} passes no gradient on (its vjp is empty), so none can be recorded")
            if op.slopes:
                raise OpError(f"op {name!r} is elementwise: its vjp is recorded from its slopes, {op.slopes}")
            if name in RULES:
                raise OpError(f"op {name!r} has a recorded vjp already, {RULES[name].__qualname__}")
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return register
