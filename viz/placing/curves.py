"""Curves: straight arrows clipped at their ends, arcs around what stands in the way, loops with a delay square."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import cos, hypot, radians, sin

from tinyseq.viz.diagram import Point, Vertex
from tinyseq.viz.look import style

BOWS = (0.0, 0.1, -0.1, 0.18, -0.18, 0.3, -0.3, 0.45, -0.45, 0.62, -0.62)
CLEARANCE = 5.0
INTO = 2.0  # how far a line may run inside the border of what it joins


def border(v: Vertex, towards: Point) -> Point:
    """Where the line from the middle of a vertex towards a point leaves it."""
    dx, dy = towards[0] - v.x, towards[1] - v.y
    length = hypot(dx, dy) or 1.0
    if v.round:
        reach = 1 / (hypot(dx / (v.width / 2), dy / (v.height / 2)) or 1.0)
        return (v.x + dx * reach, v.y + dy * reach) if length else (v.x, v.y)
    scale = min(v.width / 2 / abs(dx) if dx else float("inf"), v.height / 2 / abs(dy) if dy else float("inf"))
    return v.x + dx * scale, v.y + dy * scale


def bezier(points: Sequence[Point], at: float) -> Point:
    """A point on one cubic."""
    a, b, c, d = points
    s = 1 - at
    k = (s * s * s, 3 * s * s * at, 3 * s * at * at, at * at * at)
    return (
        k[0] * a[0] + k[1] * b[0] + k[2] * c[0] + k[3] * d[0],
        k[0] * a[1] + k[1] * b[1] + k[2] * c[1] + k[3] * d[1],
    )


def along(path: Sequence[Point], share: float = 0.5) -> tuple[Point, Point]:
    """A point of a spline, some share of its cubics along, and its direction there."""
    cubics = (len(path) - 1) // 3
    piece, at = divmod(cubics * share, 1)
    start = min(int(piece), cubics - 1) * 3
    cubic = path[start : start + 4]
    at = at if piece < cubics else 1.0
    here, before, after = bezier(cubic, at), bezier(cubic, max(at - 0.1, 0)), bezier(cubic, min(at + 0.1, 1))
    length = hypot(after[0] - before[0], after[1] - before[1]) or 1.0
    return here, ((after[0] - before[0]) / length, (after[1] - before[1]) / length)


def halves(cubic: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """One cubic cut in the middle."""
    a, b, c, d = cubic

    def mid(p: Point, q: Point) -> Point:
        return (p[0] + q[0]) / 2, (p[1] + q[1]) / 2

    ab, bc, cd = mid(a, b), mid(b, c), mid(c, d)
    left, right = mid(ab, bc), mid(bc, cd)
    centre = mid(left, right)
    return [a, ab, left, centre], [centre, right, cd, d]


def headed(path: Sequence[Point]) -> tuple[list[Point], Point]:
    """A path cut back by the length of an arrow's head: (path, tip)."""
    points = list(path)
    tip, control = points[-1], next((p for p in reversed(points[:-1]) if p != points[-1]), points[0])
    length = hypot(tip[0] - control[0], tip[1] - control[1]) or 1.0
    foot = (
        tip[0] - (tip[0] - control[0]) / length * style.ARROW,
        tip[1] - (tip[1] - control[1]) / length * style.ARROW,
    )
    points[-1] = foot
    if len(points) >= 4 and hypot(points[-2][0] - tip[0], points[-2][1] - tip[1]) < style.ARROW:
        points[-2] = foot
    return points, tip


def line(a: Point, b: Point) -> list[Point]:
    """A straight piece as a cubic."""
    third = ((b[0] - a[0]) / 3, (b[1] - a[1]) / 3)
    return [a, (a[0] + third[0], a[1] + third[1]), (b[0] - third[0], b[1] - third[1]), b]


def chain(*points: Point) -> list[Point]:
    """Straight pieces through points."""
    path = [points[0]]
    for a, b in pairwise(points):
        path += line(a, b)[1:]
    return path


def arrow(source: Vertex, target: Vertex, obstacles: Iterable[Vertex]) -> list[Point]:
    """From border to border: straight if nothing is in the way, else the flattest arc that hits least.

    From one column down (or up) into another it runs steeply through the gap between them.
    """
    others = [v for v in obstacles if v is not source and v is not target]
    best, fewest = None, None
    blocked = any(v.y == source.y == target.y and (v.x - source.x) * (v.x - target.x) < 0 for v in others)
    tries = [arc(source, target, bow) for bow in BOWS if bow or not blocked]
    if source.y != target.y and source.x != target.x:
        corners = [c for c in ((target.x, source.y), (source.x, target.y)) if _free(source, c) and _free(target, c)]
        tries[1:1] = [
            *[_steep(source, target, share) for share in (0.34, 0.2, 0.08)],
            *[_bent(source, target, corner, share) for share in (0.55, 0.8) for corner in corners],
        ]
    for path in tries:
        touched = sum(hits(path, v) for v in others) + sum(_enters(path, v) for v in (source, target))
        if fewest is None or touched < fewest:
            best, fewest = path, touched
        if touched == 0:
            break
    assert best is not None
    return best


def arc(source: Vertex, target: Vertex, bow: float) -> list[Point]:
    """An arc that bows out by a share of its length; 0 is straight, above 0 to the left of its way."""
    dx, dy = target.x - source.x, target.y - source.y
    if bow == 0:
        return line(border(source, (target.x, target.y)), border(target, (source.x, source.y)))
    normal = (-dy * bow, dx * bow)
    one = (source.x + dx * 0.28 + normal[0] * 1.33, source.y + dy * 0.28 + normal[1] * 1.33)
    two = (source.x + dx * 0.72 + normal[0] * 1.33, source.y + dy * 0.72 + normal[1] * 1.33)
    return [border(source, one), one, two, border(target, two)]


def hop(source: Vertex, target: Vertex, side: int) -> list[Point]:
    """Over (1) or under (-1) the row that both stand in, higher the further apart they are."""
    a, b = (source.x, source.y + side * source.height / 2), (target.x, target.y + side * target.height / 2)
    rise, turn = side * abs(b[0] - a[0]) * 0.42, (b[0] - a[0]) * 0.16
    lean = source.width * 0.2 * (1 if b[0] > a[0] else -1)
    a, b = border(source, (a[0] + lean, a[1])), border(target, (b[0] - lean, b[1]))
    left, right = halves([a, (a[0] + turn, a[1] + rise), (b[0] - turn, b[1] + rise), b])
    quarters = [*halves(left), *halves(right)]  # points of control near the curve: the picture is no higher than it
    return [a, *(p for quarter in quarters for p in quarter[1:])]


def _steep(source: Vertex, target: Vertex, share: float) -> list[Point]:
    """Leaves and arrives aslant, and is steep half way."""
    x, dy = (source.x + target.x) / 2, target.y - source.y
    one, two = (x, source.y + dy * share), (x, target.y - dy * share)
    return [border(source, one), one, two, border(target, two)]


def _bent(source: Vertex, target: Vertex, corner: Point, share: float) -> list[Point]:
    """Leaves along one axis and arrives along the other."""
    a, b = border(source, corner), border(target, corner)
    one = (a[0] + (corner[0] - a[0]) * share, a[1] + (corner[1] - a[1]) * share)
    two = (b[0] + (corner[0] - b[0]) * share, b[1] + (corner[1] - b[1]) * share)
    return [a, one, two, b]


def over_all(source: Vertex, target: Vertex, others: Iterable[Vertex]) -> list[Point]:
    """Out to the right, over everything that stands between, and from the left into the target."""
    left, right = source.x + source.width / 2, target.x - target.width / 2
    between = [v for v in others if v.x + v.width / 2 > left and v.x - v.width / 2 < right]
    top = max(v.y + v.height / 2 for v in (*between, source, target)) + 14.0
    return stepped((left, source.y), (left + 12, source.y), (left + 12, top), (right - 12, top),
                   (right - 12, target.y), (right, target.y))  # fmt: skip


def hits(path: Sequence[Point], v: Vertex) -> int:
    """In how many of the places tried a path touches a vertex."""
    half_width, half_height = v.width / 2 + CLEARANCE, v.height / 2 + CLEARANCE
    count = 0
    for start in range(0, len(path) - 3, 3):
        for step in range(1, 24):
            x, y = bezier(path[start : start + 4], step / 24)
            count += abs(x - v.x) < half_width and abs(y - v.y) < half_height
    return count


def _free(v: Vertex, corner: Point) -> bool:
    """Whether there is room for an arrow's head between a vertex and a corner beside it."""
    return max(abs(corner[0] - v.x) - v.width / 2, abs(corner[1] - v.y) - v.height / 2) > 1.5 * style.ARROW


def _enters(path: Sequence[Point], v: Vertex) -> bool:
    """Whether a path that begins or ends at the border of a vertex cuts off a corner of it."""
    wide, high = v.width / 2 - INTO, v.height / 2 - INTO
    pieces = [path[n : n + 4] for n in range(0, len(path) - 3, 3)]
    found = [bezier(piece, k / 24) for piece in pieces for k in range(25)]
    if v.round:
        return any(((x - v.x) / wide) ** 2 + ((y - v.y) / high) ** 2 < 1 for x, y in found)
    return any(abs(x - v.x) < wide and abs(y - v.y) < high for x, y in found)


def stepped(*corners: Point, radius: float = 9.0) -> list[Point]:
    """Level and upright pieces through corners, rounded."""
    points = [corners[0]]
    for p in corners[1:]:
        if hypot(p[0] - points[-1][0], p[1] - points[-1][1]) > 0.5:
            points.append(p)
    path = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        path += line(path[-1], enter)[1:]
        path += [corner, corner, leave]
    return path + line(path[-1], points[-1])[1:]


def _towards(corner: Point, other: Point, radius: float) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = hypot(dx, dy)
    share = min(radius, length / 2) / length
    return corner[0] + dx * share, corner[1] + dy * share


def loop(v: Vertex, side: int, reach: float, level: int = 0) -> tuple[list[Point], list[Point], Point]:
    """A loop on the right (side 1) or left (-1) of a vertex: (to the square, from the square, middle of the square)."""
    r, angle = v.width / 2, radians(36 + 20 * min(level, 2))
    half = style.DELAY_SQUARE / 2
    x, rise = r + reach, v.height * 0.375 + min(reach, 34.0) * 0.42 + 5.0 * level
    near, out = r * cos(angle), r * cos(angle) + reach * 0.45
    start = (near, v.height / 2 * sin(angle)) if v.round else (r, v.height * (0.22 + 0.1 * min(level, 2)))
    to = [start, (out if v.round else r + reach * 0.45, rise), (x, rise), (x, half)]
    home = [(px, -py) for px, py in reversed(to)]

    def place(points: list[Point]) -> list[Point]:
        return [(v.x + side * px, v.y + py) for px, py in points]

    return place(to), place(home), (v.x + side * x, v.y)
