"""The links of stamped steps: level from port to port, along tracks and lanes, up into their targets."""

from __future__ import annotations

from collections import Counter
from math import sqrt

from tinyseq.viz.diagram import Link, Point, Vertex
from tinyseq.viz.look import style
from tinyseq.viz.placing import arrow_names, curves
from tinyseq.viz.placing.across import NAME_GAP, WIDE_FAN, straight
from tinyseq.viz.placing.nets import LOOPED, Net, Tap, is_looped, is_thin
from tinyseq.viz.placing.steps import Steps

RADIUS = 7.0
FAN = 13.0  # how far under a node arrows from the side turn towards it
WRAP = 13.0
ASIDE = 7.0  # the most that a line may leave a node beside its middle


def draw(steps: Steps) -> None:
    """Give every link of the steps its path, and its name a place."""
    _Wires(steps).run()


class _Wires:
    def __init__(self, steps: Steps) -> None:
        self.steps, self.nets, self.rows = steps, steps.nets, steps.rows
        self.at = steps.nets.at
        self.wraps: dict[Net, int] = {}
        self.loops: dict[str, tuple[int, float]] = {}
        self.many = Counter(tap.net for taps in self.nets.taps.values() for tap in taps)
        lines = steps.heights.line.values()
        low = min([*(v.y - v.height / 2 for v in self.at.values() if v.column is not None), *(y for y in lines)])
        self.bottom = min(low, *steps.heights.centre) - 6.0 if steps.heights.centre else low - 6.0
        self.names = {1: 0.0, -1: 0.0}  # space beside the step for names on arrows that enter it level
        for n, e in enumerate(steps.diagram.links):
            wide = arrow_names.width(e)
            if e.delay and wide and n in self.nets.tap_of and straight(self.rows, self.nets.tap_of[n]):
                side = -steps.way(e.delay)
                self.names[side] = max(self.names[side], wide + 12.0)

    def run(self) -> None:
        for number, link in enumerate(self.steps.diagram.links):
            a, b = self.at[link.source], self.at[link.target]
            net, tap = self.nets.net_of.get(number), self.nets.tap_of.get(number)
            if b.column is None or (a.column is None and net is None):
                continue
            if link.delay:
                self._delayed(link, a, b, net, tap)
                continue
            assert net is not None
            if net.kind == "inner":
                points = self._inner(a, b, tap)
            elif net.kind == "late":
                points = self._late(a, b, net, tap)
            elif net.kind == "far":
                points = self._far(number, a, b, net, tap)
            else:
                points = self._wide(a, b, net, tap)
            link.path, link.tip = curves.headed(rounded(points))
            self._name(link, b, tap)

    # -- names ------------------------------------------------------------------------
    def _name(self, link: Link, b: Vertex, tap: Tap | None) -> None:
        wide = arrow_names.width(link)
        if not wide or tap is None:
            return
        if straight(self.rows, tap):
            a = self.at[link.source]
            near, far = sorted((a, b), key=lambda v: v.x)
            left = max(near.x + near.width / 2, *self._rising(near, far))
            x = (left + far.x - far.width / 2) / 2
            if a.column != b.column and a.column is not None and b.column is not None:
                first, second = sorted((a.column, b.column))
                left = self.steps.reach[first][1] + self.steps.sides[1].width
                x = (left + self.steps.reach[second][0] - self.steps.sides[-1].width) / 2
            link.label_at = (x, b.y + 10.0)
            return
        if is_thin(self.steps.diagram, b.column):
            return
        group = [t for t in self.nets.taps[tap.target] if t.top == tap.top and not straight(self.rows, t)]
        left = len(group) > 1 and tap is min(group, key=lambda t: t.offset)
        x = b.x + tap.offset + (-1 if left else 1) * (wide / 2 + NAME_GAP)
        fan = FAN - 4.0 if any(abs(t.offset) > WIDE_FAN for t in group) else 0.0
        away = b.height / 2 + 15.0 + fan + (LOOPED if is_looped(self.nets, tap.target) else 0.0)
        link.label_at = (x, b.y + away if tap.top else b.y - away)

    def _rising(self, near: Vertex, far: Vertex) -> list[float]:
        """Where lines go up between two nodes of one row of a step."""
        middle, row = self.steps.middle[near.column or 0], self.rows.rows[self.rows.row[far.key]]
        xs = [middle + self.steps.across.x[item] for item in row if item[0] != "node"]
        return [near.x, *[x for x in xs if near.x < x < far.x]]

    # -- ends ------------------------------------------------------------------------
    def _arrive(self, b: Vertex, tap: Tap) -> list[Point]:
        """Up (or down) into a node; arrows far from its middle turn towards it at last."""
        x, sign = b.x + tap.offset, 1 if tap.top else -1
        if abs(tap.offset) <= b.width * (0.36 if b.round else 0.45):
            return [(x, b.y + sign * rim(b, tap.offset))]
        turn = (x, b.y + sign * (b.height / 2 + FAN))
        aim = (b.x + tap.offset * 0.2, b.y + sign * b.height * 0.12)
        return [turn, onto(b, turn, aim)]

    def _out(self, v: Vertex, sign: int, reason: str) -> list[Point]:
        """Out of a vertex to its lane beside the step."""
        side = self.steps.way(sign)
        start = (v.x + side * v.width / 2, v.y)
        assert v.column is not None
        if is_thin(self.steps.diagram, v.column):
            return [start]
        lane = self._lane(v.column, side, ("out", v.key, sign, reason))
        top = self.steps.tops.get((v.key, side))
        if top is None:
            return [start, (lane, v.y)]
        y = self.steps.heights.line[top]
        return [(v.x, v.y + v.height / 2), (v.x, y), (lane, y)]

    def _lane(self, column: int, side: int, name: object) -> float:
        edge = self.steps.reach[column][1 if side > 0 else 0]
        return edge + side * self.steps.sides[side].away(name)

    # -- within a step ------------------------------------------------------------------------
    def _inner(self, a: Vertex, b: Vertex, tap: Tap | None) -> list[Point]:
        if self.nets.hanging.get(a.key) == b.key:
            return [(a.x, a.y - a.height / 2), (b.x, b.y + b.height / 2)]
        assert tap is not None
        if straight(self.rows, tap):
            side = 1 if b.x > a.x else -1
            return [(a.x + side * a.width / 2, a.y), (b.x - side * b.width / 2, b.y)]
        start, row, line = self._start(a, b, tap), self.rows.leaves(a.key), self.steps.heights.line
        points, first, last = [start], line.get((row + 1, tap.net)), line.get((self.rows.row[b.key], tap.net))
        if tap.top:
            first = line[self.rows.row[a.key] + 1, tap.net]
            return [start, (a.x, first), (b.x + tap.offset, first), *self._arrive(b, tap)]
        if start[0] != a.x:
            first = None
        if self.rows.row[b.key] > row + 1:
            x = self.steps.middle[a.column or 0] + self.steps.across.x["lane", tap.net]
            points += [(a.x, first), (x, first)] if first is not None else []
            points += [(x, last)] if last is not None else []
        elif first is not None:
            points.append((a.x, first))
        if last is not None and points[-1][0] != b.x + tap.offset:
            points.append((b.x + tap.offset, last))
        return [*points, *self._arrive(b, tap)]

    def _start(self, a: Vertex, b: Vertex, tap: Tap) -> Point:
        """Where a line leaves a node upwards: over its middle, or, if it is the only one, a little beside it where that
        saves a small step aside."""
        high = self.rows.row[b.key] > self.rows.leaves(a.key) + 1
        x = self.steps.middle[a.column or 0] + self.steps.across.x["lane", tap.net] if high else b.x + tap.offset
        near = 0.0 < abs(x - a.x) <= min(ASIDE, a.width * 0.3)
        if not near or tap.top or self.many[tap.net] > 1:
            return a.x, a.y + a.height / 2
        return x, a.y + rim(a, x - a.x)

    # -- between steps ------------------------------------------------------------------------
    def _late(self, a: Vertex, b: Vertex, net: Net, tap: Tap | None) -> list[Point]:
        y = self.steps.heights.centre[self.rows.port[net.source, net.sign]]
        points = self._to_port(a, net, y)
        return [*points, *self._from_port(b, net, tap, y)]

    def _to_port(self, a: Vertex, net: Net, y: float) -> list[Point]:
        side = self.steps.way(net.sign)
        if is_thin(self.steps.diagram, a.column) or self.steps.on_rail(a.key, net.sign):
            start = (a.x + side * a.width / 2, a.y)
            assert a.column is not None
            return [start] if abs(a.y - y) < 0.5 else [start, (start[0] + side * 12, a.y), (start[0] + side * 12, y)]
        points = self._out(a, net.sign, "port")
        return [*points, (points[-1][0], y)]

    def _from_port(self, b: Vertex, net: Net, tap: Tap | None, y: float) -> list[Point]:
        side = self.steps.way(net.sign)
        thin = is_thin(self.steps.diagram, b.column)
        left = (b.x - side * b.width / 2, b.y)
        if abs(b.y - y) < 0.5 and (thin or tap is None or straight(self.rows, tap)):
            return [left]
        at_port = thin and b.key in {k for k, _ in self.rows.port}
        if tap is None or at_port:
            x = left[0] - side * 14.0
            return [(x, y), (x, b.y), left]
        x, line = b.x + tap.offset, self.steps.heights.line.get((self.rows.row[b.key], net))
        if line is None or self.steps.across.rises(self.rows, tap):
            return [(x, y), *self._arrive(b, tap)]
        assert b.column is not None
        lane = self._lane(b.column, -side, ("in", net))
        return [(lane, y), (lane, line), (x, line), *self._arrive(b, tap)]

    def _far(self, number: int, a: Vertex, b: Vertex, net: Net, tap: Tap | None) -> list[Point]:
        side = self.steps.way(net.sign)
        sky = self.steps.heights.line[self.steps.sky_channel[number], self.steps.sky[number]]
        points = self._out(a, net.sign, "far")
        assert a.column is not None
        x = points[-1][0] if len(points) > 1 else self.steps.reach[a.column][1 if side > 0 else 0] + side * 12
        points += [(x, points[-1][1]), (x, sky)]
        assert b.column is not None
        left = (b.x - side * b.width / 2, b.y)
        if ("in", net) not in self.steps.sides[-side].lanes:
            return [*points, (left[0] - side * 14, sky), (left[0] - side * 14, b.y), left]
        lane = self._lane(b.column, -side, ("in", net))
        if (
            tap is None
            or b.key not in self.rows.row
            or abs(b.y - self.steps.heights.centre[self.rows.row[b.key]]) > 0.5
        ):
            return [*points, (lane, sky), (lane, b.y), left]
        line = self.steps.heights.line[self.rows.row[b.key], net]
        return [*points, (lane, sky), (lane, line), (b.x + tap.offset, line), *self._arrive(b, tap)]

    def _wide(self, a: Vertex, b: Vertex, net: Net, tap: Tap | None) -> list[Point]:
        assert tap is not None
        y, x = self.steps.heights.line[self.rows.row[b.key], net], b.x + tap.offset
        if a.column is not None:
            points = self._out(a, 1, "wide")
            points.append((points[-1][0], y))
        elif a.x < self.steps.reach[0][0]:
            points = [(a.x + a.width / 2, a.y)]
            if abs(a.y - y) > 0.5:
                points += [(a.x + a.width / 2 + 12, a.y), (a.x + a.width / 2 + 12, y)]
        else:
            lane = a.x + a.width / 2 + 12
            points = [(a.x + a.width / 2, a.y), (lane, a.y), (lane, y)]
        return [*points, (x, y), *self._arrive(b, tap)]

    # -- with a square ------------------------------------------------------------------------
    def _delayed(self, link: Link, a: Vertex, b: Vertex, net: Net | None, tap: Tap | None) -> None:
        """Beside its node where a state is read only to be made anew; else around the step, under everything."""
        if net is None or tap is None or self._own_loop(a, net):
            level, reach = self.loops.get(a.id, (0, style.LOOP_REACH))
            self.loops[a.id] = level + 1, reach + style.LOOP_REACH + max(14.0, arrow_names.width(link))
            link.path_in, home, link.square = curves.loop(a, self.steps.way(link.delay), reach, level)
            link.path, link.tip = curves.headed(home)
            wide = arrow_names.width(link)
            if wide:
                side = self.steps.way(link.delay)
                link.label_at = (link.square[0] + side * (link.side / 2 + 4 + wide / 2), link.square[1])
            return
        side, place = self.steps.way(net.sign), self.wraps.setdefault(net, len(self.wraps))
        y = self.steps.heights.centre[self.rows.port[net.source, net.sign]]
        low = self.bottom - WRAP * (place + 1)
        edge = self.steps.reach[0]
        out = edge[1 if side > 0 else 0] + side * (self.steps.sides[side].width + self.names[side] + 12 + WRAP * place)
        inner = edge[0 if side > 0 else 1] - side * self.steps.sides[-side].width
        back = inner - side * (self.names[-side] + 12 + WRAP * place)
        link.square = (out, y - 26.0 if y - 40 > low else (y + low) / 2)
        half = style.DELAY_SQUARE / 2
        link.path_in = rounded([*self._to_port(a, net, y), (out, y), (out, link.square[1] + half)])
        home = [(out, link.square[1] - half), (out, low), (back, low), (back, y), *self._from_port(b, net, tap, y)]
        link.path, link.tip = curves.headed(rounded(home))
        self._name(link, b, tap)
        if straight(self.rows, tap) and link.label_at:
            link.label_at = (inner - side * (self.names[-side] / 2 + 3), b.y + 10.0)

    def _own_loop(self, a: Vertex, net: Net) -> bool:
        return all(target == a.key for source, target, _ in self.nets.late if source == a.key)


def rim(v: Vertex, offset: float) -> float:
    """How far the border is above or below the middle, some way to the side of it."""
    if not v.round:
        return v.height / 2
    share = min(abs(offset) / (v.width / 2), 1.0)
    return v.height / 2 * sqrt(1 - share * share)


def onto(v: Vertex, start: Point, aim: Point) -> Point:
    """Where the way from a point outside to one inside meets the border."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        x, y = start[0] + (aim[0] - start[0]) * middle - v.x, start[1] + (aim[1] - start[1]) * middle - v.y
        if v.round:
            inside = (x / (v.width / 2)) ** 2 + (y / (v.height / 2)) ** 2 < 1
        else:
            inside = abs(x) < v.width / 2 and abs(y) < v.height / 2
        low, high = (low, middle) if inside else (middle, high)
    return start[0] + (aim[0] - start[0]) * low, start[1] + (aim[1] - start[1]) * low


def rounded(points: list[Point]) -> list[Point]:
    """A path through points with rounded corners."""
    return curves.stepped(*points, radius=RADIUS)
