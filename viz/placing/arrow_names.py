"""Where the names of arrows stand: beside the arrow, clear of nodes, other arrows and other names. Linear in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import floor, hypot

from tinyseq.viz.diagram import Link, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.placing import curves

CELL = 48.0  # width of a bucket, points
HEIGHT, CLEAR = 15.0, 4.0
STEP, FEWEST, MOST = 12.0, 14, 100  # points along an arrow: about how far apart, and how many on each cubic
ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85)  # places along an arrow, the best first

FREE = 0.5  # a cost below which nothing is in the way

Box = tuple[float, float, float, float]  # left, bottom, right, top


def place(named: Iterable[Link], links: Sequence[Link], vertices: Iterable[Vertex]) -> None:
    """Give each of ``named`` without a place for its name one; ``links`` are all the arrows to keep clear of."""
    waiting = [e for e in named if not e.label_at and e.path]
    taken = Taken(links, vertices) if waiting else None
    for link in waiting:
        assert taken is not None
        spot, cost = _best(link, taken)
        if cost >= FREE and link.dashed and not link.cut:
            link.label = ()  # into a gap, where there is no room for it; it stands at the steps that are shown
            continue
        link.label_at = spot
        taken.add(_box(link.label_at, width(link)), None)


def _best(link: Link, taken: Taken) -> tuple[Point, float]:
    wide = width(link)
    best, least = None, None
    for rank, at in enumerate(ALONG):
        for point in _beside(link.path, at, wide):
            cost = taken.cost(_box(point, wide), link) + 0.01 * rank
            if least is None or cost < least:
                best, least = point, cost
        if least is not None and least < FREE:
            break
    assert best is not None and least is not None
    return best, least


def _beside(path: Sequence[Point], at: float, wide: float) -> list[Point]:
    """The places on both sides of an arrow; first outside an arc, else above it, of an upright one on its right."""
    here, (dx, dy) = curves.along(path, at)
    across, up = (dy, -dx) if abs(dy) > abs(dx) else (-dy, dx)
    a, b = path[0], path[-1]
    bulge = (here[0] - (a[0] + b[0]) / 2) * across + (here[1] - (a[1] + b[1]) / 2) * up
    side = bulge if abs(bulge) > 3 else up if abs(up) > 0.15 else across
    if side < 0:
        across, up = -across, -up
    away = abs(across) * wide / 2 + abs(up) * 8 + 4.5
    return [(here[0] + s * across * away, here[1] + s * up * away) for s in (1, -1)]


def badge_at(v: Vertex) -> Point:
    """Where the number beside a node begins: over its right shoulder."""
    return v.x + v.width * 0.36, v.y + v.height * 0.5 + 1.5


def width(link: Link) -> float:
    """Width of what stands beside an arrow: names, scissors, a number."""
    return (
        (labels.width(labels.names(link.label)) if link.label else 0.0)
        + (12.0 if link.cut else 0.0)
        + 7.0 * len(link.badge)
    )


def _box(at: Point, wide: float) -> Box:
    return at[0] - wide / 2, at[1] - HEIGHT / 2, at[0] + wide / 2, at[1] + HEIGHT / 2


def _points(path: Sequence[Point]) -> list[Point]:
    found = []
    for start in range(0, len(path) - 3, 3):
        cubic = path[start : start + 4]
        length = sum(hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(cubic))
        samples = min(max(FEWEST, round(length / STEP)), MOST)
        found += [curves.bezier(cubic, k / samples) for k in range(samples + 1)]
    return found


class Taken:
    """Boxes in buckets. A name may touch its own arrow, no other; nodes and names weigh more than lines."""

    def __init__(self, links: Iterable[Link], vertices: Iterable[Vertex]) -> None:
        self.buckets: dict[tuple[int, int], list[tuple[Box, Link | None]]] = {}
        for v in vertices:
            self.add((v.x - v.width / 2, v.y - v.height / 2, v.x + v.width / 2, v.y + v.height / 2), None)
            if v.badge:
                x, y = badge_at(v)
                self.add((x, y - 5, x + style.text_width(v.badge, style.BADGE_SIZE), y + 5), None)
        for link in links:
            for x, y in (*_points(link.path_in), *_points(link.path)):
                self.add((x - 1, y - 1, x + 1, y + 1), link)
            if link.square:
                x, y = link.square
                half = link.side / 2 + 1.5
                self.add((x - half, y - half, x + half, y + half), link)
            if link.label_at:
                self.add(_box(link.label_at, width(link)), None)

    def clearest(self, boxes: Sequence[Box]) -> int:
        """Which of several places is the least taken; of equal ones the first. It is taken then."""
        costs = [self.cost(box, None) for box in boxes]
        best = costs.index(min(costs))
        self.add(boxes[best], None)
        return best

    def add(self, box: Box, owner: Link | None) -> None:
        for cell in self._cells(box):
            self.buckets.setdefault(cell, []).append((box, owner))

    def cost(self, box: Box, link: Link | None) -> float:
        total = 0.0
        left, bottom, right, top = box
        for cell in self._cells(box):
            for (a, b, c, d), owner in self.buckets.get(cell, ()):
                wide, high = min(right, c) - max(left, a), min(top, d) - max(bottom, b)
                if owner is link and link is not None and min(wide, high) < 0.5:
                    continue
                if wide > -1.5 and high > -0.5:
                    total += 1.0 if owner is not None else 3.0 + max(wide, 0) * max(high, 0) / 50
        return total

    @staticmethod
    def _cells(box: Box) -> list[tuple[int, int]]:
        left, bottom, right, top = (floor(edge / CELL) for edge in box)
        return [(i, j) for i in range(left, right + 1) for j in range(bottom, top + 1)]
