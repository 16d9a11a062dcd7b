"""Arrows: within a step along the template's curves, between steps straight, in arcs, or through lanes kept clear."""

from __future__ import annotations

from tinyseq.viz.diagram import Link, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.placing import arrow_names, curves
from tinyseq.viz.placing.layout import Layout

LOOKED_AT = 8  # an arrow over more columns is kept clear of so many of them: columns are alike


def route(layout: Layout) -> None:
    """Give every link its path and its label a place."""
    _Routes(layout)


class _Routes:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lanes: dict[tuple, int] = {}
        self.said: set[tuple] = set()
        for link in layout.diagram.links:
            self._route(link)
        self._delays()
        spoken_for = self._spoken_for()
        named = [e for e in layout.diagram.links if e not in spoken_for and self._named_here(e)]
        arrow_names.place(named, layout.diagram.links, layout.diagram.vertices)

    def _route(self, link: Link) -> None:
        a, b = self.layout.vertices[link.source], self.layout.vertices[link.target]
        if link.delay:
            return
        curve = self.layout.template.curves.get((a.key, b.key))
        if curve and a.column == b.column and not link.recurrent:
            dx, dy = self._shift(a)
            link.path, link.tip = [(x + dx, y + dy) for x, y in curve[0]], (curve[1][0] + dx, curve[1][1] + dy)
            return
        if (
            b.column is None
            and a.column is not None
            and a.id in self.layout.in_time
            and b.id not in self.layout.in_time
        ):
            link.path, link.tip = curves.headed(self._along_bus(a, b))
            return
        if a.column is None and b.column is not None:
            link.path, link.tip = curves.headed(self._from_source(a, b))
            return
        if self.layout.ops and a.column is not None and b.column is not None and a.column != b.column:
            link.path, link.tip = curves.headed(self._channelled(a, b, 1 if a.column < b.column else -1))
            return
        link.path, link.tip = curves.headed(curves.arrow(a, b, self._between(a, b)))

    def _shift(self, v: Vertex) -> tuple[float, float]:
        if v.id not in self.layout.in_time:
            return 0.0, 0.0
        at = self.layout.template.at[v.key]
        return v.x - at[0], v.y - at[1]

    def _channelled(self, a: Vertex, b: Vertex, way: int) -> list[curves.Point]:
        """Between columns of primitives: through the clear lanes between rows and columns."""
        lane = self.lanes.setdefault((a.key, b.key), len(self.lanes))
        aside = (-1) ** lane * ((lane + 1) // 2) * 5.0
        members = self.layout.columns[b.column or 0]
        channel = aside + (
            min(v.x - v.width / 2 for v in members) - style.OP_COLUMN_GAP / 2
            if way > 0
            else max(v.x + v.width / 2 for v in members) + style.OP_COLUMN_GAP / 2
        )
        points = self._leave(a, way, aside, abs((a.column or 0) - (b.column or 0)) > 1)
        points.append((channel, points[-1][1]))
        points += [(channel, y) for _, y in self._enter(b, way, aside)[:1]]
        return curves.stepped(*points, *self._enter(b, way, aside))

    def _leave(self, v: Vertex, way: int, aside: float, far: bool = False) -> list[curves.Point]:
        """Out of the side where nothing is beside it, else up into the lane above."""
        beside = [u for u in self.layout.columns[v.column or 0] if (u.x - v.x) * way > 0 and abs(u.y - v.y) < v.height]
        if not beside and not far:
            return [(v.x + way * v.width / 2, v.y)]
        x = v.x + way * v.width * 0.38
        return [(x, v.y + v.height * self._rim(v)), (x, v.y + v.height / 2 + self.layout.row_gap / 2 + aside / 2)]

    def _enter(self, v: Vertex, way: int, aside: float) -> list[curves.Point]:
        beside = [u for u in self.layout.columns[v.column or 0] if (u.x - v.x) * way < 0 and abs(u.y - v.y) < v.height]
        if not beside:
            return [(v.x - way * v.width / 2, v.y)]
        x = v.x - way * v.width * 0.38
        return [(x, v.y - v.height / 2 - self.layout.row_gap / 2 + aside / 2), (x, v.y - v.height * self._rim(v))]

    @staticmethod
    def _rim(v: Vertex) -> float:
        """How high the border is above the middle, 0.38 widths to the side, in heights."""
        return 0.325 if v.round else 0.5

    def _around(
        self, a: Vertex, b: Vertex, x: float, aside: float
    ) -> tuple[list[curves.Point], list[curves.Point], curves.Point]:
        """From a to b around the right through a delay square at x, by the lanes between rows."""
        out, back = self._leave(a, 1, 0.0), self._enter(b, -1, 2 * aside)
        square = (x, (out[-1][1] + back[0][1]) / 2 + (a.height * 0.4 if a is b else 0.0))
        half = style.DELAY_SQUARE / 2 * (1 if out[-1][1] > square[1] else -1)
        to = curves.stepped(*out, (x, out[-1][1]), (x, square[1] + half))
        return to, curves.stepped((x, square[1] - half), (x, back[0][1]), *back), square

    def _along_bus(self, a: Vertex, b: Vertex) -> list[curves.Point]:
        level = self.layout.bus(a)
        start = curves.border(a, (a.x + 1, a.y + 1))
        onto = (a.x + a.width / 2 + 16, level)
        off = (b.x - b.width / 2 - 22, level)
        end = curves.border(b, (off[0], level + (b.y - level) * 0.3))
        rise = [start, (start[0] + 5, start[1] + 5), (onto[0] - 10, level), onto]
        fall = [off, (off[0] + 11, level), (end[0] - 11, end[1]), end]
        return [*rise, *curves.line(onto, off)[1:], *fall[1:]]

    def _from_source(self, a: Vertex, b: Vertex) -> list[curves.Point]:
        """From a source of many steps along the lane under the row of what reads it, then up into its lower left."""
        level = self.layout.under(b)
        end = curves.border(b, (b.x - 1, b.y - 1))
        turn = (b.x - b.width / 2 - 16, level)
        if abs(a.y - level) < 1:
            start, lane = (a.x + a.width / 2, level), []
        else:
            start = (a.x + a.width / 2, a.y)
            onto = (start[0] + 24, level)
            lane = [start, (start[0] + 12, a.y), (start[0] + 12, level)]
            start = onto
        return [*lane, *curves.line(start, turn), (turn[0] + 10, level), (end[0] - 5, end[1] - 5), end]

    def _between(self, a: Vertex, b: Vertex) -> list[Vertex]:
        if a.column is None or b.column is None:
            return self.layout.columns.get(a.column if a.column is not None else b.column or 0, [])
        low, high = sorted((a.column, b.column))
        parts = min(high - low, LOOKED_AT)
        places = [low + (high - low) * k // max(parts, 1) for k in range(parts + 1)]
        return [v for place in places for v in self.layout.columns.get(place, [])]

    def _delays(self) -> None:
        """Arrows with a delay square go around the right side, each further out than the one before."""
        late = [e for e in self.layout.diagram.links if e.delay]
        at = self.layout.vertices
        late.sort(key=lambda e: (
            e.source != e.target, abs(at[e.source].y - at[e.target].y), -at[e.target].x, e.delay
        ))  # fmt: skip
        right = max((v.x + v.width / 2 for v in self.layout.timed), default=0.0)
        loops: dict[str, int] = {}
        busy = {end for e in late if e.source != e.target for end in (e.source, e.target)}  # on their right
        for number, link in enumerate(late):
            a, b = self.layout.vertices[link.source], self.layout.vertices[link.target]
            extra = max([0.0, labels.width(labels.names(link.label))])
            reach = style.LOOP_REACH + loops.get(a.id, 0) * (style.LOOP_REACH + 14)
            row = [v for v in self.layout.timed if v is not a and abs(v.y - a.y) < a.height]
            free = [s for s in ((-1, 1) if a.id in busy else (1, -1)) if all((v.x - a.x) * s < 0 for v in row)]
            side = free[0] if a is b and free else 0
            if side:
                link.path_in, home, link.square = curves.loop(a, side, reach, loops.get(a.id, 0))
                loops[a.id] = loops.get(a.id, 0) + 1
                right = max(right, link.square[0] + extra + 8)
            else:
                right += style.LOOP_REACH
                spread = (number - (len(late) - 1) / 2) / max(len(late) - 1, 1)
                link.path_in, home, link.square = self._around(a, b, right, spread * self.layout.row_gap * 0.55)
                right += extra + 8
            link.path, link.tip = curves.headed(home)

    def _spoken_for(self) -> set[Link]:
        """Arcs over other columns whose name stands at the outermost of their bundle.

        A bundle leaves one node (else reaches one) on one side under one name. Beside the inner arcs of a bundle there
        is no place that would say which of them is meant.
        """
        bundles: dict[tuple, list[Link]] = {}
        sources: dict[tuple, int] = {}
        arcs = []
        for link in self.layout.diagram.links:
            a, b = self.layout.vertices[link.source], self.layout.vertices[link.target]
            if link.label and not (link.cut or link.badge or link.delay) and len(link.path) == 4 and self._far(a, b):
                side = link.path[1][1] + link.path[2][1] > a.y + b.y
                arcs.append((link, side))
                sources[link.source, link.label, side] = sources.get((link.source, link.label, side), 0) + 1
        for link, side in arcs:
            fan = sources[link.source, link.label, side] > 1
            bundles.setdefault((fan, link.source if fan else link.target, link.label, side), []).append(link)
        return {e for bundle in bundles.values() for e in sorted(bundle, key=self._reach)[:-1]}

    @staticmethod
    def _far(a: Vertex, b: Vertex) -> bool:
        return a.column is not None and b.column is not None and abs(a.column - b.column) > 1

    def _reach(self, link: Link) -> float:
        return abs(self.layout.vertices[link.source].x - self.layout.vertices[link.target].x)

    def _named_here(self, link: Link) -> bool:
        """Whether the arrow shows its name; beside a square or at the foot of a lane the name's place is known."""
        if not link.label and not link.cut:
            return False
        if self.layout.vertices[link.source].column is None and self.layout.vertices[link.target].column is not None:
            again = (link.source, link.label)
            if again in self.said:
                return False
            self.said.add(again)
            foot = link.path[0]
            link.label_at = (foot[0] + 12 + labels.width(labels.names(link.label)) / 2, foot[1] + 10)
        elif link.square:
            side = -1 if link.square[0] < self.layout.vertices[link.source].x else 1
            link.label_at = beside_square(link, side)
        return True


def beside_square(link: Link, side: int) -> curves.Point:
    """Where the name of a delayed arrow stands: on one side of its square."""
    assert link.square is not None
    width = labels.width(labels.names(link.label)) if link.label else 10.0
    return link.square[0] + side * (style.DELAY_SQUARE / 2 + 4 + width / 2), link.square[1]
