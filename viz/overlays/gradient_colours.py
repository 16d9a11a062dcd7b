"""Gradients as colour: ‖∂L/∂node‖ of each unit on a log scale, once a backward pass has been run."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Any

import numpy as np

from tinyseq.errors import GradientError
from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Note
from tinyseq.viz.look import style
from tinyseq.viz.look.labels import SUPER, Label, Run, clean

SWATCH = 15.0
COLOURED = ("data", "state", "initial", "unit", "loss", "op")


def measure(diagram: Diagram, tape: Tape, wanted: bool) -> bool:
    """Read the norms of the gradients; whether there are any. An error where they are ``wanted`` and not there."""
    found = False
    for v in diagram.vertices:
        if v.node >= 0 and v.role in COLOURED:
            gradient = _gradient(tape, v.node)
            if gradient is not None:
                v.gradient, found = float(np.linalg.norm(np.asarray(gradient, np.float64).ravel())), True
    if not found and wanted:
        raise GradientError("gradients are asked for, but this tape has none yet: run loss.backward() first")
    return found


def colour(diagram: Diagram, tape: Tape, wanted: bool | None) -> None:
    """Fill vertices by the norms of their gradients. ``wanted`` None: if there are any; True: there must be."""
    if wanted is False or not measure(diagram, tape, bool(wanted)):
        return
    low, high = decades([v.gradient for v in diagram.vertices if v.gradient is not None])
    for v in diagram.vertices:
        if v.gradient is not None:
            v.fill = style.heat_colour(v.gradient, low, high)
            v.tooltip += f" · gradient norm {v.gradient:.3g}"
        elif v.role in COLOURED and v.role != "data":
            v.fill = style.NO_GRADIENT
    lines = []
    if any(v.gradient == 0 for v in diagram.vertices):
        lines.append("grey: exactly 0")
    if any(v.gradient is None and v.fill == style.NO_GRADIENT for v in diagram.vertices):
        lines.append("white: no gradient")
    if any(v.gradient is not None and not isfinite(v.gradient) for v in diagram.vertices):
        lines.append("orange: not finite")
    positive = [v.gradient for v in diagram.vertices if v.gradient and isfinite(v.gradient)]
    clipped = Run("≤ ") if positive and min(positive) < low else Run("")
    title = "gradient norm ‖∂L/∂node‖, log scale" if positive else ""
    legend(diagram, (clipped, *_power(low)), _power(high), title, lines)


def _gradient(tape: Tape, index: int) -> Any:
    return None if tape.executor is None else tape.executor.grad(index)


def decades(norms: list[float]) -> tuple[float, float]:
    """Whole powers of ten around the norms, at least a decade apart and at most twelve."""
    positive = [n for n in norms if n > 0 and isfinite(n)]
    if not positive:
        return 0.1, 1.0
    high = floor(log10(max(positive)) - 1e-9) + 1
    low = floor(log10(min(positive)) + 1e-9)
    return 10.0 ** max(min(low, high - 1), high - 12), 10.0**high


def legend(diagram: Diagram, low: Label, high: Label, title: str, lines: list[str]) -> None:
    """A colour bar with its ends and title (if there is one) under everything else, and lines of words."""
    if not diagram.look.legend:
        return
    lowest = min([n.y for n in diagram.notes] + [v.y - v.height / 2 for v in diagram.vertices])
    left = min(v.x - v.width / 2 for v in diagram.vertices)
    right = max(v.x + v.width / 2 for v in diagram.vertices)
    middle, y = (left + right) / 2, lowest - 26
    if title:
        x = middle - len(style.HEAT) * SWATCH / 2
        for i, fill in enumerate(style.HEAT):
            diagram.notes.append(Note((), x + (i + 0.5) * SWATCH, y, box=(SWATCH, 9.0, fill)))
        diagram.notes.append(Note(low, x - 6, y, "right"))
        diagram.notes.append(Note(high, x + len(style.HEAT) * SWATCH + 6, y, "left"))
        diagram.notes.append(Note((Run(title),), middle, y - 15))
        y -= 28
    for line in lines:
        diagram.notes.append(Note((Run(clean(line)),), middle, y))
        y -= 13


def _power(number: float) -> Label:
    return (Run("10"), Run(str(round(log10(number))).replace("-", "−"), SUPER))
