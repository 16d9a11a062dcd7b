"""What a step multiplies a gradient by, taken apart: slopes of the nonlinear units, and the recurrent weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.diagnose.pullback import Cut, reference, through
from tinyseq.ops import OPS
from tinyseq.ops.groups import ACTIVATIONS, GATES, NUMBERED, PARAMETERS
from tinyseq.ops.op import DIAGONAL, MULTIPLIES
from tinyseq.tape import Tape

MADE_OF = 20  # nodes; what is made of more is not a weight


@dataclass(frozen=True)
class Weight:
    """A matrix between one state and the next: largest singular value; spectral radius, NaN if it is not square."""

    name: str
    sigma_max: float
    radius: float


def between(tape: Tape, earlier: Cut, later: Cut) -> list[int]:
    """Nodes on the ways from one state to another, those of the later state included."""
    low, seen, stack = min(earlier), set(), list(later)
    while stack:
        i = stack.pop()
        if i > low and i not in seen and i not in earlier:
            seen.add(i)
            stack.extend(tape.inputs(i))
    on, found = set(earlier), []
    for i in sorted(seen):
        if any(j in on for j in tape.inputs(i)):
            on.add(i)
            found.append(i)
    return found


def slopes(tape: Tape, nodes: list[int]) -> dict[str, tuple[float, float]]:
    """φ′ of the nonlinear units among some nodes, by kind: (mean, largest)."""
    executor = reference(tape)
    found: dict[str, list[np.ndarray]] = {}
    for i in nodes:
        op = OPS[tape.node(i).op]
        if op.name in ACTIVATIONS and op.jacobian == DIAGONAL and op.slopes != ("g * y",):  # eˣ is its own slope
            name = f"{op.symbol}′"
            executor.forward(i)
            slope: dict[int, np.ndarray] = {}
            through(executor, i, np.ones_like(executor.values[i]), slope)
            found.setdefault(name, []).append(np.concatenate([s.ravel() for s in slope.values()]).astype(np.float64))
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: (float(all_.mean()), float(all_.max())) for name, all_ in joined.items() if all_.size}


def _multiplies(op: str) -> bool:
    """Whether an op's Jacobian is its other operand: a · b, a ⊙ b."""
    return OPS[op].jacobian == MULTIPLIES or OPS[op].slopes == ("g * x1", "g * x0")


def weights(tape: Tape, nodes: list[int], earlier: Cut) -> list[Weight]:
    """What multiplies the state on its way through some nodes: matrices, and vectors as diagonal ones."""
    executor, on = reference(tape), {*nodes, *earlier}
    found: dict[int, Weight] = {}
    for i in nodes:
        node = tape.node(i)
        if not _multiplies(node.op):
            continue
        for j in node.inputs:
            if j in on or j in found:
                continue
            leaves = _parameters(tape, j)
            if leaves:
                found[j] = _weight(executor, j, " ".join(leaves), diagonal=node.op in GATES)
    return list(found.values())


def _parameters(tape: Tape, index: int) -> list[str]:
    """Names of the parameters a node is made of; none where it also reads a step of a sequence."""
    names, stack = [], [index]
    seen: set[int] = set()
    while stack:
        node = tape.node(stack.pop())
        if (node.op in NUMBERED or OPS[node.op].limit) or len(seen) > MADE_OF:
            return []
        if node.op in PARAMETERS:
            names.append(node.name or name_of(tape, tape.parameters[node.arg]))
        seen.add(node.index)
        stack.extend(j for j in node.inputs if j not in seen)
    return names


def _weight(executor: Any, index: int, name: str, diagonal: bool) -> Weight:
    executor.forward(index)
    value = executor.values[index].astype(np.float64)
    if not np.isfinite(value).all():
        return Weight(name, np.nan, np.nan)
    if diagonal or value.ndim != 2:
        largest = float(np.abs(value).max(initial=0.0))
        return Weight(name, largest, largest)
    radius = float(np.abs(np.linalg.eigvals(value)).max()) if value.shape[0] == value.shape[1] else np.nan
    return Weight(name, float(np.linalg.norm(value, 2)), radius)
