"""What an overlay says under a picture, and how it colours the nodes: by a scale of sizes or by shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, log10
from typing import Any

from tinyseq.viz.diagram import Diagram, Vertex
from tinyseq.viz.look import style
from tinyseq.viz.overlays import gradient_colours


@dataclass
class Legend:
    """What stands under the picture: a scale from low to high with its title, and lines of words."""

    title: str = ""
    low: str = ""
    high: str = ""
    lines: list[str] = field(default_factory=list)


def drawn(diagram: Diagram) -> list[Vertex]:
    """The vertices that overlays colour."""
    return [v for v in diagram.vertices if v.node >= 0 and v.role in gradient_colours.COLOURED]


def by_log(
    diagram: Diagram, found: dict[str, Any], title: str, write: Callable[[float], str], lines: list[str] | None = None
) -> Legend:
    """Colour vertices by the logarithm of what was found, whole powers of ten at the ends of the scale."""
    low, high = gradient_colours.decades(list(found.values()))
    for v in diagram.vertices:
        if v.id in found:
            v.measure = found[v.id]
            v.fill, v.badge = style.heat_colour(found[v.id], low, high), write(found[v.id])
    lines = list(lines or [])
    if any(x == 0 for x in found.values()):
        lines.append("grey: exactly 0")
    if any(not isfinite(x) for x in found.values()):
        lines.append("orange: not finite")
    first, last = (f"10{_superscript(round(log10(edge)))}" for edge in (low, high))
    positive = [x for x in found.values() if isfinite(x) and x > 0]
    if not positive:  # a scale on which nothing stands would only mislead
        return Legend(lines=[title.removesuffix(", log scale"), *lines])
    return Legend(title, "≤ " * (min(positive) < low) + first, last, lines)


def by_share(diagram: Diagram, found: dict[str, float], title: str, lines: list[str]) -> Legend:
    """Colour vertices by shares: the largest darkest."""
    most = max((x for x in found.values() if isfinite(x)), default=0.0) or 1.0
    for v in diagram.vertices:
        if v.id in found:
            share = found[v.id]
            v.measure, v.badge = share, percent(share)
            v.fill = style.share_colour(share / most)
    if any(x == 0 for x in found.values()):
        lines = [*lines, "grey: exactly 0"]
    if any(not isfinite(x) for x in found.values()):
        lines = [*lines, "orange: not finite"]
    return Legend(title, "0", percent(most), lines)


def percent(share: float) -> str:
    """A share in per cent."""
    if not isfinite(share):
        return f"{share:g}"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
