"""Gradients as colour: ‖∂L/∂node‖ of each unit on a log scale, once a backward pass has been run."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Any

import numpy as np

from tinyseq.errors import GradientError
from tinyseq.tape import Tape
from tinyseq.viz import style
from tinyseq.viz.labels import SUPER, Label, Run
from tinyseq.viz.model import Diagram, Note

SWATCH = 15.0
COLOURED = ("data", "state", "initial", "unit", "loss", "op")


def colour(diagram: Diagram, tape: Tape, wanted: bool | None) -> None:
    """Fill vertices by the norms of their gradients. ``wanted`` None: if there are any; True: there must be."""
    if wanted is False:
        return
    found = False
    for v in diagram.vertices:
        if v.node >= 0 and v.role in COLOURED:
            gradient = _gradient(tape, v.node)
            if gradient is not None:
                v.gradient, found = float(np.linalg.norm(np.asarray(gradient, np.float64).ravel())), True
    if not found:
        if wanted:
            raise GradientError("gradients=True, but this tape has no gradients yet: run loss.backward() first")
        return
    low, high = _range([v.gradient for v in diagram.vertices if v.gradient is not None])
    for v in diagram.vertices:
        if v.gradient is not None:
            v.fill = style.heat_colour(v.gradient, low, high)
            v.tooltip += f" · gradient norm {v.gradient:.3g}"
        elif v.role in COLOURED and v.role != "data":
            v.fill = style.NO_GRADIENT
    _legend(diagram, low, high)


def _gradient(tape: Tape, index: int) -> Any:
    return None if tape.executor is None else tape.executor.grad(index)


def _range(norms: list[float]) -> tuple[float, float]:
    """Whole powers of ten around the norms, at least a decade apart and at most twelve."""
    positive = [n for n in norms if n > 0 and isfinite(n)]
    if not positive:
        return 0.1, 1.0
    high = floor(log10(max(positive)) - 1e-9) + 1
    low = floor(log10(min(positive)) + 1e-9)
    return 10.0 ** max(min(low, high - 1), high - 12), 10.0**high


def _legend(diagram: Diagram, low: float, high: float) -> None:
    """A colour bar under everything else."""
    lowest = min([n.y for n in diagram.notes] + [v.y - v.height / 2 for v in diagram.vertices])
    left = min(v.x - v.width / 2 for v in diagram.vertices)
    right = max(v.x + v.width / 2 for v in diagram.vertices)
    y, x = lowest - 26, (left + right) / 2 - len(style.HEAT) * SWATCH / 2
    for i, fill in enumerate(style.HEAT):
        diagram.notes.append(Note((), x + (i + 0.5) * SWATCH, y, box=(SWATCH, 9.0, fill)))
    end = x + len(style.HEAT) * SWATCH
    diagram.notes.append(Note(_power(low), x - 6, y, "right"))
    diagram.notes.append(Note(_power(high), end + 6, y, "left"))
    diagram.notes.append(Note((Run("gradient norm ‖∂L/∂node‖, log scale"),), (x + end) / 2, y - 15))
    if any(v.gradient == 0 for v in diagram.vertices):
        diagram.notes.append(Note((Run("white: exactly 0, or none"),), (x + end) / 2, y - 28))
    if any(v.gradient is not None and not isfinite(v.gradient) for v in diagram.vertices):
        diagram.notes.append(Note((Run("orange: not finite"),), (x + end) / 2, y - 41))


def _power(number: float) -> Label:
    return (Run("10"), Run(str(round(log10(number))).replace("-", "−"), SUPER))
