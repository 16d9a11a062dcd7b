"""The planner: from the folded graph to a program.

Units run in the order of their dependence. What does not recur runs for all steps as one operation; what recurs runs
level by level, and whatever of it can wait (weight gradients, what flows to inputs) runs for all steps afterwards.
Rules are about ops and about who reads what; no cell is known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.engine.plan.backward import Backward
from tinyseq.engine.plan.explain import explain
from tinyseq.engine.plan.fold import Ref, Unplannable, condense
from tinyseq.engine.plan.forward import Forward
from tinyseq.engine.plan.graph import Unit, build, refs_of
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.planner import Planner
from tinyseq.tape import Tape


@dataclass
class Plan(Parts):
    """A plan, and what can be asked of it."""

    def explain(self) -> str:
        """What was batched, hoisted, accumulated in place and reused, in words, and the bytes it takes."""
        return explain(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return display.bundle("plan", self)


def _emit(planner: Planner) -> Plan:
    """Emit forward, then backward, then place everything."""
    forward = Forward(planner)
    for unit in planner.graph.units:
        forward.unit(unit)
    if planner.graph.loss >= 0:
        planner.phase = "backward"
        Backward(planner, forward).run()
    return Plan(**vars(planner.finish()))


def plan_tape(tape: Tape, outputs: list[int], loss: int = -1) -> Plan:
    """Plan a tape for the values of ``outputs`` and, with ``loss``, the gradients of its parameters."""
    state = condense(tape, outputs, loss)
    graph = build(state, outputs, loss)
    dtypes = {c.dtype for c in state.classes if c.dtype.kind == "f" and c.index in graph.needed}
    if len(dtypes) > 1:
        raise Unplannable("float32 and float64 on one tape")
    dtype = dtypes.pop() if dtypes else np.dtype(np.float32)
    plan = _emit(Planner(graph, dtype))
    state.finish(outputs)
    return plan


__all__ = ["Plan", "Planner", "Ref", "Unit", "plan_tape", "refs_of"]
