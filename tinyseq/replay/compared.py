"""A run by plan compared with the reference executor's, node by node as the tape says."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.engine.reference import Reference
from tinyseq.errors import TapeError
from tinyseq.tape import Tape

TOLERANCE = {"float32": 2e-3, "float64": 1e-8}  # of the largest number of an array


def compare(tape: Tape, nodes: list[int], program: Any, leaves: dict[int, np.ndarray], backward: bool) -> None:
    """Raise TapeError where a result, or the gradient of a parameter, is not that of the reference."""
    executor = Reference(tape)
    executor.values.update({i: v.copy() for i, v in leaves.items()})
    for node in nodes:
        _close(program.value(node), executor.value(node), f"the value of %{node}")
    if not backward:
        return
    executor.differentiate(nodes[0])
    for node, found in program.gradients().items():
        expected = executor.grad(node)
        if expected is not None:
            what = f"∂L/∂{tape.parameters[tape.node(node).arg].name or '%' + str(node)}"
            _close(found.reshape(expected.shape), expected, what)


def _close(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    if found.dtype.kind == "i":
        alike = bool((found == expected).all())
        difference = 0.0 if alike else float("inf")
    else:
        odd = ~np.isfinite(expected)
        alike = bool(np.array_equal(found[odd], expected[odd], equal_nan=True))
        difference = float(np.abs(found[~odd] - expected[~odd]).max(initial=0)) if alike else float("inf")
    scale = 1 + float(np.abs(np.where(np.isfinite(expected), expected, 0)).max(initial=0))
    if difference > TOLERANCE.get(str(found.dtype), 0.0) * scale:
        raise TapeError(f"{what} by plan is not the reference's: they differ by {difference:.3g} of {scale:.3g}")
