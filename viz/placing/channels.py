"""Channels: the space between two rows, in which lines run level, each on a track of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tinyseq.viz.placing.across import WIDE_FAN, Across, straight
from tinyseq.viz.placing.nets import LOOPED, Key, Nets, Tap, is_looped
from tinyseq.viz.placing.rows import Rows

TRACK = 10.0
FOOT, HEAD, NAMED_HEAD = 9.0, 15.0, 26.0  # under the tracks, and over them without and with names
CLOSE = 5.0
WIDEST = 1e9


@dataclass(eq=False)
class Line:
    """A level piece in a channel.

    low, high  how far it reaches; ``up`` and ``down`` are the places where it is left upwards, or comes from below
    whole      it runs through all columns, so nothing else runs at its height; ``space`` is what it takes
    """

    name: object
    low: float
    high: float
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    whole: bool = False
    space: float = TRACK
    level: int = 0

    def reach(self, x: float, *, up: bool) -> None:
        """Extend to a place where the line is left upwards or comes from below."""
        self.low, self.high = min(self.low, x), max(self.high, x)
        (self.up if up else self.down).append(x)


@dataclass
class Heights:
    """``centre`` of each row, ``half`` its half height, and the height of each line by (channel, name)."""

    centre: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)
    line: dict[tuple[int, object], float] = field(default_factory=dict)


class Channels:
    """Collects what runs in the channel under each row (and over the last), then gives it heights."""

    def __init__(self, nets: Nets, rows: Rows, across: Across, sides: tuple[float, float]) -> None:
        self.nets, self.rows, self.across, self.sides = nets, rows, across, sides
        self.lines: list[dict[object, Line]] = [{} for _ in range(len(rows.rows) + 1)]
        for key, taps in nets.taps.items():
            for tap in taps:
                if not straight(rows, tap):
                    self._tap(key, tap)
        for net, (first, last) in rows.lanes.items():
            x = across.x["lane", net]
            self.line(first, net).reach(x, up=True)
            self.line(first, net).reach(across.node(net.source), up=False)
            for channel, lines in enumerate(self.lines):
                if first < channel <= last + 1 and net in lines:
                    lines[net].reach(x, up=False)
                    if channel <= last:
                        lines[net].reach(x, up=True)

    def line(self, channel: int, name: object, **options: bool | float) -> Line:
        """The line of a name in a channel."""
        found = self.lines[channel].get(name)
        if found is None:
            found = self.lines[channel][name] = Line(name, WIDEST, -WIDEST, **options)  # type: ignore[arg-type]
        return found

    def side(self, line: Line, sign: int) -> None:
        """Let a line reach to the left (sign 1: from where time comes) or right of the step."""
        x = self.sides[0] if sign > 0 else self.sides[1]
        line.low, line.high = min(line.low, x), max(line.high, x)

    def _tap(self, key: Key, tap: Tap) -> None:
        rows, net, x = self.rows, tap.net, self.across.node(key) + tap.offset
        row = rows.row[key]
        if net.kind == "inner":
            channel = rows.row[net.source] + 1 if tap.top else row
            line = self.line(channel, net)
            line.reach(x, up=not tap.top)
            if tap.top or row == rows.leaves(net.source) + 1:
                line.reach(self.across.node(net.source), up=False)
        elif net.kind == "wide":
            line = self.line(row, net)
            line.whole = True
            line.reach(x, up=True)
        elif not self.across.rises(rows, tap):
            line = self.line(row, net)
            line.reach(x, up=True)
            self.side(line, net.sign)

    # -- heights ------------------------------------------------------------------------
    def heights(self, row_gap: float, port: float) -> Heights:
        """Rows from below, each channel as high as its lines need."""
        found = Heights()
        y = 0.0
        for r, row in enumerate(self.rows.rows):
            sizes = [self.nets.sizes[key][1] for kind, key in row if kind == "node"]
            half = max(sizes, default=port) / 2
            if r:
                y += self._channel(r, y, row_gap, found) + half
            else:
                below = sum(line.space for line in self._drawn(0))
                self._levels(0, -half - self._head(0) - below, found)
                y = 0.0
            found.centre.append(y)
            found.half.append(half)
            y += half
        self._channel(len(self.rows.rows), y, row_gap, found)
        return found

    def _head(self, channel: int) -> float:
        taps = [t for key, taps in self.nets.taps.items() if self.rows.row[key] == channel for t in taps]
        taps = [t for t in taps if not straight(self.rows, t)]
        wide = any(abs(t.offset) > WIDE_FAN for t in taps)
        named = NAMED_HEAD + (LOOPED if any(is_looped(self.nets, t.target) for t in taps) else 0.0)
        return named + 9.0 * wide if wide or any(t.name for t in taps) else HEAD

    def _channel(self, channel: int, y: float, row_gap: float, found: Heights) -> float:
        """Lay out the channel that begins at y; returns its height."""
        tops = any(t.top for taps in self.nets.taps.values() for t in taps if self.rows.row[t.target] == channel - 1)
        foot = FOOT + (HEAD if tops else 0.0)
        least = row_gap if channel < len(self.rows.rows) else 0.0
        if 0 < channel < len(self.rows.rows) and (self.rows.is_port(channel) or self.rows.is_port(channel - 1)):
            least = min(least, 18.0)
        used = self._levels(channel, y + foot, found)
        return max(least, foot + used + (self._head(channel) if channel < len(self.rows.rows) else 0.0))

    def _drawn(self, channel: int) -> list[Line]:
        """The lines of a channel that are more than a place passed on the way up."""
        return [line for line in self.lines[channel].values() if line.high - line.low > 0.5 or line.whole]

    def _levels(self, channel: int, y: float, found: Heights) -> float:
        """Give the lines of a channel their heights from y upwards; returns what they take."""
        lines = self._drawn(channel)
        done: list[Line] = []
        for line in _in_order(lines):
            line.level = max([0, *[other.level + 1 for other in done if _apart(other, line)]])
            done.append(line)
        count = max([line.level for line in done], default=-1) + 1
        spaces = [max(line.space for line in done if line.level == k) for k in range(count)]
        for line in done:
            found.line[channel, line.name] = y + sum(spaces[: line.level]) + spaces[line.level] / 2
        return sum(spaces)


def _apart(a: Line, b: Line) -> bool:
    """Whether two lines must not run at one height, or the second must run above the first."""
    if a.whole or b.whole or (a.low < b.high + 8 and b.low < a.high + 8):
        return True
    return _before(a, b)


def _before(a: Line, b: Line) -> bool:
    """Whether a must run under b: a comes from below where b goes up."""
    return any(abs(x - z) < CLOSE for x in a.down for z in b.up)


def _in_order(lines: Sequence[Line]) -> list[Line]:
    """An order in which no line comes up where an earlier one has gone up; whole ones first, short ones last."""
    left = sorted(lines, key=lambda line: (not line.whole, line.low - line.high))
    order: list[Line] = []
    while left:
        free = next((b for b in left if not any(_before(a, b) for a in left if a is not b)), left[0])
        left.remove(free)
        order.append(free)
    return order
