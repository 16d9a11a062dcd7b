"""A picture that moves, for slides: its steps appear as they are unfolded, or the gradient runs back from the loss.

SMIL in the SVG itself: browsers and slide programs play it, again and again, without any script.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tinyseq.errors import TinyseqError
from tinyseq.viz.diagram import Diagram, Vertex
from tinyseq.viz.output.svg import SVG

WHAT = ("unfolding", "backward")
HOLD = 0.25  # share of the time that the whole picture stands still
GLOW = "#d55e00"


def animated(svg: str, diagram: Diagram, what: str, seconds: float) -> str:
    """The SVG text with its movement. Raises TinyseqError for another movement or a time that is none."""
    if what not in WHAT:
        raise TinyseqError(f"an animation is {' or '.join(map(repr, WHAT))}, got {what!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0.1 <= seconds <= 600:
        raise TinyseqError(f"seconds is a number from 0.1 to 600, got {seconds!r}")
    ET.register_namespace("", SVG)
    root = ET.fromstring(svg)
    turn = _turns(diagram, backward=what == "backward")
    last = max(turn.values(), default=0) + 1
    squares = {f"delay{n}": link.target for n, link in enumerate(diagram.links) if link.square}
    for group in root.iter(f"{{{SVG}}}g"):
        node, source, target = group.get("data-node"), group.get("data-source"), group.get("data-target")
        ends = [squares.get(end, end) for end in (node, source, target) if end]
        if ends and all(end in turn for end in ends):
            when = max(turn[end] for end in ends) / last * (1 - HOLD)
            if what == "unfolding":
                _appear(group, when, seconds)
            else:
                _glow(group, when, (1 - HOLD) / last, seconds)
    return ET.tostring(root, encoding="unicode") + "\n"


def _turns(diagram: Diagram, backward: bool) -> dict[str, int]:
    """When each vertex has its turn: column after column (or height after height), backwards from the loss."""
    if backward:
        return _from_the_end(diagram)

    def place(v: Vertex) -> float:
        if v.column is not None:
            return float(v.column)
        return 1e9 if any(e.target == v.id for e in diagram.links) else -1.0

    timed = any(v.column is not None for v in diagram.vertices) and diagram.columns
    spots = {v.id: place(v) if timed else round(v.y, 1) for v in diagram.vertices}
    order = {spot: n for n, spot in enumerate(sorted(set(spots.values())))}
    return {i: order[spot] for i, spot in spots.items()}


def _from_the_end(diagram: Diagram) -> dict[str, int]:
    """The longest way from a vertex to the end of the graph: when its gradient is complete."""
    readers: dict[str, set[str]] = {v.id: set() for v in diagram.vertices}
    for link in diagram.links:
        if not link.delay and link.source != link.target:
            readers[link.source].add(link.target)
    turn: dict[str, int] = {}
    left = {v: set(r) for v, r in readers.items()}
    level = [v for v, r in left.items() if not r]
    number = 0
    while level:
        turn.update((v, number) for v in level)
        done = set(level)
        for reads in left.values():
            reads -= done
        level = [v for v, r in left.items() if not r and v not in turn]
        number += 1
    return dict.fromkeys(readers, number) | turn


def _animate(group: ET.Element, name: str, values: list[str], times: list[float], seconds: float) -> None:
    ET.SubElement(group, f"{{{SVG}}}animate", {
        "attributeName": name, "values": ";".join(values), "keyTimes": ";".join(f"{t:.4g}" for t in times),
        "dur": f"{seconds:g}s", "repeatCount": "indefinite",
    })  # fmt: skip


def _appear(group: ET.Element, when: float, seconds: float) -> None:
    soon = min(when + 0.03, 0.999)
    if when <= 0:
        return
    _animate(group, "opacity", ["0.06", "0.06", "1", "1"], [0.0, when, soon, 1.0], seconds)


def _glow(group: ET.Element, when: float, long: float, seconds: float) -> None:
    """Faint until its turn, glowing in it, plain from then on."""
    end = min(when + max(long, 0.04), 0.998)
    start = max(when, 0.0005)
    _animate(group, "opacity", ["0.25", "0.25", "1", "1"], [0.0, start, min(start + 0.01, end), 1.0], seconds)
    for shape in group:
        tag = shape.tag.removeprefix(f"{{{SVG}}}")
        if tag in ("ellipse", "path", "polygon") and shape.get("stroke") not in (None, "none", "transparent"):
            line = shape.get("stroke", "#000000")
            _animate(
                shape, "stroke", [line, GLOW, GLOW, line, line], [0.0, start, end, min(end + 0.02, 0.999), 1.0], seconds
            )
