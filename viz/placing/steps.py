"""The steps of a picture: one is laid out (rows, across, channels), and that layout is stamped over time."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.look import style
from tinyseq.viz.placing import arrow_names
from tinyseq.viz.placing.across import place_across, straight
from tinyseq.viz.placing.channels import Channels
from tinyseq.viz.placing.nets import Key, collect, is_thin
from tinyseq.viz.placing.rows import make_rows

LANE = 8.0  # between two lines beside a step
EDGE = 11.0  # between a step and the first of them


@dataclass
class Side:
    """Upright lines beside each step: those that leave it there, and those that enter; name → number from within."""

    lanes: dict[object, int] = field(default_factory=dict)

    def take(self, name: object) -> None:
        """Give a line its place."""
        self.lanes.setdefault(name, len(self.lanes))

    @property
    def width(self) -> float:
        """What the lines take."""
        return EDGE + LANE * len(self.lanes) if self.lanes else 0.0

    def away(self, name: object) -> float:
        """How far a line is from the step."""
        return EDGE + LANE * self.lanes[name]


class Steps:
    """A diagram with a time axis, its vertices placed; ``wires.py`` draws its links.

    left, right  how far a step reaches from its middle; ``sides[1]`` lines beside it where time goes to, ``sides[-1]``
                 where it comes from
    """

    def __init__(self, diagram: Diagram, totals: list[Vertex], row_gap: float, node_gap: float) -> None:
        self.diagram, self.row_gap = diagram, row_gap
        self.nets = collect(diagram, [v.id for v in totals])
        self.rows = make_rows(self.nets)
        self.across = place_across(self.nets, self.rows, node_gap)
        self._span()
        self.channels = Channels(self.nets, self.rows, self.across, (self.left - 20, self.right + 20))
        self.sides = {1: Side(), -1: Side()}
        self.tops: dict[tuple[Key, int], tuple[int, object]] = {}
        self.sky: dict[int, object] = {}
        self.sky_channel: dict[int, int] = {}
        self._exits()
        self._entries()
        self._far()
        self._totals()
        port = max([v.height for v in diagram.vertices if is_thin(diagram, v.column)], default=18.0)
        self.heights = self.channels.heights(row_gap, port)
        self._place_columns()

    def _span(self) -> None:
        xs = [
            (self.across.node(k) - self.across.left[k], self.across.node(k) + self.across.right[k])
            for k in self.nets.sizes
        ]
        xs += [(x - 6, x + 6) for (kind, _), x in self.across.x.items() if kind == "lane"]
        middle = (min(a for a, _ in xs) + max(b for _, b in xs)) / 2 if xs else 0.0
        self.across.x = {item: x - middle for item, x in self.across.x.items()}
        self.left: float = min([a for a, _ in xs], default=middle) - middle
        self.right: float = max([b for _, b in xs], default=middle) - middle

    # -- what leaves and enters beside a step ------------------------------------------------------------------------
    def way(self, sign: int) -> int:
        """Side of a step where what goes on in time leaves: 1 right, -1 left."""
        return 1 if sign > 0 else -1

    def on_rail(self, key: Key, sign: int) -> bool:
        """Whether a key leaves its step level, at the end of its rail."""
        return (key, sign) in self.rows.rails

    def _exits(self) -> None:
        """Lines out of a step: level from a node at the end of its row, else through the channel above."""
        for (key, sign), reasons in self.nets.exits.items():
            side = self.way(sign)
            if key not in self.rows.row:
                continue
            inside = not self._ends_row(key, side) or self._entered(key, side)
            if inside and reasons == {"total"}:  # straight up to the line of its total
                continue
            for reason in sorted(reasons):
                if not (reason == "port" and self.on_rail(key, sign)):
                    self.sides[side].take(("out", key, sign, reason))
            if inside:
                self._through_top(key, side)
        for net in self.nets.wide:
            v = self.nets.at[net.source]
            if v.column is not None and v.key in self.rows.row:
                self.sides[1].take(("out", v.key, 1, "wide"))
                if not self._ends_row(v.key, 1):
                    self._through_top(v.key, 1)

    def _through_top(self, key: Key, side: int) -> None:
        channel, name = self.rows.row[key] + 1, ("top", key, side)
        line = self.channels.line(channel, name)
        line.reach(self.across.node(key), up=False)
        self.channels.side(line, -side)
        self.tops[key, side] = channel, name

    def _entered(self, key: Key, side: int) -> bool:
        """Whether a state comes in level from a side, so that nothing goes out there."""
        taps = self.nets.taps.get(key, ())
        return any(t.net.kind == "late" and self.way(t.net.sign) == -side and straight(self.rows, t) for t in taps)

    def _ends_row(self, key: Key, side: int) -> bool:
        row = [item for item in self.rows.rows[self.rows.row[key]] if item[0] == "node"]
        return row[-1 if side > 0 else 0][1] == key

    def _entries(self) -> None:
        for taps in self.nets.taps.values():
            for tap in taps:
                net = tap.net
                if net.kind == "far" or (
                    net.kind == "late" and not straight(self.rows, tap) and not self.across.rises(self.rows, tap)
                ):
                    self.sides[-self.way(net.sign)].take(("in", net))

    # -- lines over several columns ------------------------------------------------------------------------
    def _far(self) -> None:
        """Tracks in the channel above their source for arrows over whole columns: one for each source."""
        groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
        numbers: dict[tuple[str, int], list[int]] = {}
        far = {id(link) for links in self.nets.far.values() for link in links}
        for n, link in enumerate(self.diagram.links):
            if id(link) in far:
                a, b = self.nets.at[link.source], self.nets.at[link.target]
                assert a.column is not None and b.column is not None
                key = (a.id, self.nets.net_of[n].sign)
                groups.setdefault(key, []).append((min(a.column, b.column), max(a.column, b.column)))
                numbers.setdefault(key, []).append(n)
        used: dict[int, list[list[tuple[int, int]]]] = {}
        for (source, sign), spans in sorted(groups.items(), key=lambda one: min(one[1])):
            key = self.nets.at[source].key
            channel = (self.rows.row[key] if key in self.rows.row else self.rows.port.get((key, sign), 0)) + 1
            low, high = min(a for a, _ in spans), max(b for _, b in spans)
            tracks = used.setdefault(channel, [])
            free = next((t for t in tracks if all(b <= low or a >= high for a, b in t)), None)
            if free is None:
                tracks.append(free := [])
            free.append((low, high))
            name = ("sky", tracks.index(free))
            line = self.channels.line(channel, name, whole=True)
            line.low, line.high = self.left, self.right
            for n in numbers[source, sign]:
                self.sky[n], self.sky_channel[n] = name, channel

    def _totals(self) -> None:
        count: dict[int, int] = {}
        for key, total in self.nets.totals:
            if key in self.rows.row:
                channel = self.rows.row[key] + 1
                count[channel] = count.get(channel, 0) + 1
                line = self.channels.line(channel, ("total", key, total), whole=True)
                line.reach(self.across.node(key), up=False)
                line.low, line.high = self.left, self.right
                line.space = 46.0 if count[channel] > 1 else line.space
        left = [net for net in self.nets.wide if self.nets.at[net.source].column is None]
        for lines in self.channels.lines:
            for number, net in enumerate([n for n in left if n in lines]):
                lines[net].space = 46.0 if number else lines[net].space

    # -- columns ------------------------------------------------------------------------
    def _place_columns(self) -> None:
        columns: dict[int, list[Vertex]] = {}
        for v in self.diagram.vertices:
            if v.column is not None:
                columns.setdefault(v.column, []).append(v)
        self.columns = columns
        self.middle: dict[int, float] = {}
        edge, clear = 0.0, self._clear()
        for place in range(max(len(self.diagram.columns), 1)):
            thin = is_thin(self.diagram, place)
            members = columns.get(place, [])
            half = max([gap_width(self.diagram, place), *[v.width for v in members]]) / 2 if thin else 0.0
            left, right = (half, half) if thin else (-self.left, self.right)
            if place:
                edge += self.sides[1].width + clear + self.sides[-1].width
            self.middle[place] = edge + left
            edge = self.middle[place] + right
            if self.diagram.columns:
                self.diagram.columns[place].x = self.middle[place]
            for v in members:
                v.x = self.middle[place] + (0.0 if thin else self.across.node(v.key))
                v.y = self.height_of(v, thin)
        self.reach: dict[int, tuple[float, float]] = {}
        for place, x in self.middle.items():
            thin = is_thin(self.diagram, place)
            half = max([gap_width(self.diagram, place), *[v.width for v in columns.get(place, [])]]) / 2
            self.reach[place] = (x - half, x + half) if thin else (x + self.left, x + self.right)

    def height_of(self, v: Vertex, thin: bool) -> float:
        """Nodes stand in their row, what stands for a state between steps where it crosses."""
        ports = [row for (key, _), row in self.rows.port.items() if key == v.key]
        if thin and ports:
            return self.heights.centre[ports[0]]
        return self.heights.centre[self.rows.row[v.key]] if v.key in self.rows.row else self.heights.centre[0]

    def _clear(self) -> float:
        """Space between two steps, for names on arrows from one to the next."""
        names = [0.0]
        for n, link in enumerate(self.diagram.links):
            if not link.delay and self.is_level(n, link):
                names.append(arrow_names.width(link))
        busy = bool(self.sides[1].lanes or self.sides[-1].lanes)
        least = style.COLUMN_GAP if not busy else style.COLUMN_GAP * 0.5
        return max(least, max(names) + 26 if max(names) else 0.0)

    def is_level(self, number: int, link: Link) -> bool:
        """Whether a link runs level from a step into the next."""
        tap, net = self.nets.tap_of.get(number), self.nets.net_of.get(number)
        return net is not None and net.kind == "late" and (tap is not None and straight(self.rows, tap))


def is_total(name: object) -> bool:
    """Whether a line gathers what goes into a total: its name is ("total", key, id of the total)."""
    return type(name) is tuple and name[:1] == ("total",)


def gap_width(diagram: Diagram, place: int) -> float:
    """Width of the text in a gap, 0 in other columns."""
    return style.text_width(gap_text(diagram, place), style.NOTE_SIZE + 1)


def gap_text(diagram: Diagram, place: int) -> str:
    """How many steps a gap leaves out."""
    count = diagram.columns[place].elided if diagram.columns else 0
    return f"… {count:,} step{'s' if count > 1 else ''} …" if count else ""
