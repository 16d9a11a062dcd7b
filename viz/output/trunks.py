"""Lines that begin with a piece in common: it is drawn once, for drawn twice it would look bolder than the others.

Where a dashed line (a cut, say) and a full one have it in common it is drawn full: the dashed one begins where it turns
off. So what is full is drawn first.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinyseq.viz.diagram import Point

SAME = 0.06  # points


class Trunks:
    """What has been drawn already: level and upright pieces as intervals, rounded corners as they are."""

    def __init__(self) -> None:
        self.straight: dict[tuple, list[tuple[float, float]]] = {}
        self.curved: set[tuple] = set()

    def rest(self, path: Sequence[Point], look: object = "") -> list[Point]:
        """The part of a path, cubic after cubic, that lines of the same look have not drawn yet; [] if they have."""
        points = list(path)
        while len(points) > 3:
            line = _line(points[:4])
            if line is None:
                if self._curve(points[:4], look) not in self.curved:
                    break
            else:
                reached = self._reached((look, *line[:2]), line[2], line[3])
                if abs(reached - line[2]) <= SAME < abs(line[3] - line[2]):
                    break
                if abs(reached - line[3]) > SAME:
                    (x, y), (u, w) = (reached, line[1]) if line[0] == "level" else (line[1], reached), points[3]
                    points[0:3] = [(x, y), (x + (u - x) / 3, y + (w - y) / 3), (u - (u - x) / 3, w - (w - y) / 3)]
                    break
            points = points[3:]
        self._add(points, look)
        return points if len(points) > 3 else []

    def _add(self, points: Sequence[Point], look: object) -> None:
        for start in range(0, len(points) - 3, 3):
            line = _line(points[start : start + 4])
            if line is None:
                self.curved.add(self._curve(points[start : start + 4], look))
            else:
                low, high = sorted(line[2:])
                self.straight.setdefault((look, *line[:2]), []).append((low, high))

    @staticmethod
    def _curve(points: Sequence[Point], look: object) -> tuple:
        return (look, *((round(x, 1), round(y, 1)) for x, y in points))

    def _reached(self, key: tuple, start: float, end: float) -> float:
        """How far from the start towards the end there is a line already."""
        at, moved = start, True
        forward = end > start
        while moved:
            moved = False
            for low, high in self.straight.get(key, ()):
                far = high if forward else low
                if low - SAME <= at <= high + SAME and (far > at + SAME if forward else far < at - SAME):
                    at, moved = far, True
        return min(at, end) if forward else max(at, end)


def _line(cubic: Sequence[Point]) -> tuple[str, float, float, float] | None:
    """("level" or "upright", its place, from, to) of a straight piece along an axis."""
    (x, y), (x1, y1), (x2, y2), (x3, y3) = cubic
    if abs(y - y3) < SAME and abs(y - y1) < SAME and abs(y - y2) < SAME:
        return "level", round(y, 1), x, x3
    if abs(x - x3) < SAME and abs(x - x1) < SAME and abs(x - x2) < SAME:
        return "upright", round(x, 1), y, y3
    return None
