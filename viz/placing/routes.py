"""Arrows: those of steps along the lines kept for them, to and from what stands beside, and of layered graphs."""

from __future__ import annotations

from tinyseq.viz.diagram import Link, Vertex
from tinyseq.viz.look import labels
from tinyseq.viz.placing import arrow_names, curves, wires
from tinyseq.viz.placing.layout import Layout
from tinyseq.viz.placing.steps import is_total

BEND = 14.0  # how far before a node a level line bends to its height


def route(layout: Layout) -> None:
    """Give every link its path and its label a place."""
    if layout.steps is not None:
        wires.draw(layout.steps)
        _to_totals(layout)
    if layout.over is not None:
        layout.over.join()
        layout.over.enter()
    for link in layout.diagram.links:
        if not link.path:
            _plain(layout, link)
    named = [e for e in layout.diagram.links if (e.label or e.cut or e.badge) and e.path]
    arrow_names.place(named, layout.diagram.links, layout.diagram.vertices)


def _plain(layout: Layout, link: Link) -> None:
    a, b = layout.vertices[link.source], layout.vertices[link.target]
    curve = layout.template.curves.get((a.key, b.key))
    if curve and layout.steps is None:
        link.path, link.tip = list(curve[0]), curve[1]
        return
    beside = [v for v in layout.diagram.vertices if v.column is None and v.position is None]
    others = [v for v in beside if v is not a and v is not b]
    level = _level(a, b, others) if layout.steps is not None else None
    if level is not None:
        link.path, link.tip = curves.headed(level)
        return
    path = curves.arrow(a, b, beside)
    if layout.steps is not None and a.x < b.x and any(curves.hits(path, v) for v in others):
        path = curves.over_all(a, b, others)
    link.path, link.tip = curves.headed(path)


def _level(a: Vertex, b: Vertex, others: list[Vertex]) -> list[curves.Point] | None:
    """Level and upright as the lines of the steps are, from what stands beside these to what stands further right; None
    where something is in the way."""
    left, right = a.x + a.width / 2, b.x - b.width / 2
    if right - left < 2 * BEND:
        return None
    for x in (right - BEND, left + BEND):
        path = wires.rounded([(left, a.y), (x, a.y), (x, b.y), (right, b.y)])
        if not any(curves.hits(path, v) for v in others):
            return path
    return None


def _to_totals(layout: Layout) -> None:
    """From each step to its line, along it to the right, into what stands there."""
    steps = layout.steps
    assert steps is not None
    entries: dict[str, list[float]] = {}
    lines = {name: y for (_, name), y in steps.heights.line.items() if is_total(name)}
    for (key, total), links in steps.nets.totals.items():
        b = layout.vertices[total]
        y = lines.get(("total", key, total), b.y)
        at = entries.setdefault(total, [])
        if y not in at:
            at.append(y)
        for link in links:
            a = layout.vertices[link.source]
            link.path, link.tip = curves.headed(wires.rounded([*_out(layout, a, y), *_into(b, y, at.index(y))]))


def _out(layout: Layout, a: Vertex, y: float) -> list[curves.Point]:
    steps = layout.steps
    assert steps is not None
    start = (a.x + a.width / 2, a.y)
    if a.column is None or wires.is_thin(layout.diagram, a.column):
        return [start, (start[0] + 8, a.y), (start[0] + 8, y)]
    lane = ("out", a.key, 1, "total")
    if lane not in steps.sides[1].lanes:
        return [(a.x, a.y + a.height / 2), (a.x, y)]
    x = steps.reach[a.column][1] + steps.sides[1].away(lane)
    top = steps.tops.get((a.key, 1))
    if top is None:
        return [start, (x, a.y), (x, y)]
    level = steps.heights.line[top]
    return [(a.x, a.y + a.height / 2), (a.x, level), (x, level), (x, y)]


def _into(b: Vertex, y: float, number: int) -> list[curves.Point]:
    left = (b.x - b.width / 2, b.y)
    if abs(y - b.y) < 0.5:
        return [left]
    x = left[0] - 12.0 - 6.0 * number
    return [(x, y), (x, b.y), left]


def beside_square(link: Link, side: int) -> curves.Point:
    """Where the name of a delayed arrow stands: on one side of its square."""
    assert link.square is not None
    width = labels.width(labels.names(link.label)) if link.label else 10.0
    return link.square[0] + side * (link.side / 2 + 4 + width / 2), link.square[1]
