"""Groups of ops that the planner treats alike, by what the ops say of themselves."""

from __future__ import annotations

from tinyseq.ops import OPS
from tinyseq.ops.elementwise import COPY
from tinyseq.ops.op import REPEATED, Map, those

MAPS = those(lambda op: op.elementwise)
"""Ops that compute each element of their result from the same elements of their inputs."""

VIEWS = those(lambda op: op.view)
"""Ops whose result may lie where an input's values lie."""

MIRRORED = those(lambda op: op.view and op.view != REPEATED and op.vjp)
"""Views whose gradient lies where their input's lies, as their values do: a repeated row's is a sum instead."""


def kernels_of(op: str) -> Map:
    """The kernels of an elementwise op."""
    found = OPS[op].elementwise
    assert found is not None, f"{op} is not elementwise"
    return found


def passed_on(op: str) -> tuple[int, ...]:
    """Positions of the inputs whose gradient is an op's own, as it is."""
    return OPS[op].passes_gradient_on if op in OPS else ()


__all__ = ["COPY", "MAPS", "MIRRORED", "VIEWS", "kernels_of", "passed_on"]
