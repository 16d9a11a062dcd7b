"""How far a placed diagram reaches."""

from __future__ import annotations

from tinyseq.viz.diagram import Diagram
from tinyseq.viz.look import labels


def extent(found: Diagram) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of everything drawn."""
    xs, ys = [], []
    for v in found.vertices:
        xs += [v.x - v.width / 2, v.x + v.width / 2]
        ys += [v.y - v.height / 2, v.y + v.height / 2]
    for e in found.links:
        points = [*e.path, *e.path_in, *((e.tip,) if e.tip else ())]
        xs += [x for x, _ in points]
        ys += [y for _, y in points]
        if e.label_at and e.label:
            half = labels.width(labels.names(e.label)) / 2
            xs += [e.label_at[0] - half, e.label_at[0] + half]
            ys += [e.label_at[1] - 8, e.label_at[1] + 8]
    for f in found.frames:
        xs += [f.x - f.width / 2, f.x + f.width / 2]
        ys += [f.y - f.height / 2, f.y + f.height / 2]
    for n in found.notes:
        half = labels.width(n.text, n.size) / 2
        middle = n.x + (half if n.align == "left" else -half if n.align == "right" else 0)
        xs += [middle - half, middle + half]
        ys += [n.y - 7, n.y + 7]
    return min(xs), min(ys), max(xs), max(ys)
