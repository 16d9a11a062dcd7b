"""What is to be joined in every step of a picture: the arrows of all columns, gathered as the nets of one step.

A step is laid out once and stamped over time, so arrows that do the same in each column are one thing here: a *net*
leaves one place and ends in *taps*. What runs inside of a step is an inner net; what is read one column later (or,
where time runs back, earlier) a late one; what jumps over columns a far one; what comes from outside a wide one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.look.labels import UPRIGHT
from tinyseq.viz.look.style import LOOP_REACH
from tinyseq.viz.placing import arrow_names

Key = Any
LOOPED = 9.0  # how much lower names stand under several loops


class Net(NamedTuple):
    """``kind`` is inner, late, far or wide; ``source`` a key, of a wide net an id, of a far one (target key, place).

    ``sign`` is above 0 where time goes on to the right; of a late net in a folded graph it is the delay.
    """

    kind: str
    source: Key
    sign: int = 0


@dataclass(eq=False)
class Tap:
    """Where a net ends at a node: how wide its name is, and how far from the node's middle it stands."""

    net: Net
    target: Key
    again: int = 0
    name: float = 0.0
    top: bool = False
    offset: float = 0.0


@dataclass
class Nets:
    """Everything that the layout of one step depends on.

    sizes    key → (width, height), in the order of the tape
    taps     key → where nets end at it
    tap_of   link → its tap, for links that have one (links within and into steps)
    late     (source key, target key, sign) of late arrows
    exits    (key, sign) that leave their column sideways, and why: "port", "far", "total"
    hanging  data that stands above the one node that reads it
    signs    ops that are written as a sign alone, as × and +
    loops    key of a folded graph → what loops beside it take on the left and on the right
    joined   (strip, strip): what the first makes is read by the second, by way of what stands outside of all steps
    """

    diagram: Diagram
    at: dict[str, Vertex]
    sizes: dict[Key, tuple[float, float]] = field(default_factory=dict)
    roles: dict[Key, str] = field(default_factory=dict)
    strips: dict[Key, str] = field(default_factory=dict)
    taps: dict[Key, list[Tap]] = field(default_factory=dict)
    tap_of: dict[int, Tap] = field(default_factory=dict)
    net_of: dict[int, Net] = field(default_factory=dict)
    inner: dict[tuple[Key, Key], None] = field(default_factory=dict)
    late: dict[tuple[Key, Key, int], float] = field(default_factory=dict)
    exits: dict[tuple[Key, int], set[str]] = field(default_factory=dict)
    far: dict[Net, list[Link]] = field(default_factory=dict)
    wide: dict[Net, list[Link]] = field(default_factory=dict)
    totals: dict[tuple[Key, str], list[Link]] = field(default_factory=dict)
    hanging: dict[Key, Key] = field(default_factory=dict)
    signs: set[Key] = field(default_factory=set)
    joined: set[tuple[str, str]] = field(default_factory=set)
    loops: dict[Key, tuple[float, float]] = field(default_factory=dict)


def is_thin(diagram: Diagram, column: int | None) -> bool:
    """Whether a column is no step: a gap, or the states before the first step."""
    return bool(diagram.columns) and column is not None and diagram.columns[column].step is None


def is_looped(nets: Nets, key: Key) -> bool:
    """Whether a node of a folded graph has several loops beside it, so large that names must keep below them."""
    return max(nets.loops.get(key, (0.0, 0.0))) > 1.5 * (LOOP_REACH + 14.0)


def collect(diagram: Diagram, totals: Iterable[str]) -> Nets:
    """The nets of a diagram; ``totals`` are ids of the vertices that stand right of all columns."""
    nets = Nets(diagram, {v.id: v for v in diagram.vertices})
    for v in diagram.vertices:
        if v.column is not None and not is_thin(diagram, v.column):
            width, height = nets.sizes.get(v.key, (0.0, 0.0))
            nets.sizes[v.key] = (max(width, v.width), max(height, v.height))
            nets.roles.setdefault(v.key, v.role)
            nets.strips.setdefault(v.key, v.strip)
            if v.role == "op" or (
                v.role == "unit" and len(v.text) <= 2 and all(run.style == UPRIGHT for run in v.label)
            ):
                nets.signs.add(v.key)
    _Collector(nets, set(totals)).run()
    return nets


class _Collector:
    def __init__(self, nets: Nets, totals: set[str]) -> None:
        self.nets, self.totals = nets, totals
        self.far_places: dict[tuple[Key, int | None], int] = {}
        self.again: dict[tuple, int] = {}
        self.taps: dict[tuple[Key, Net, int], Tap] = {}
        self.reach: dict[tuple[str, Key], set[int]] = {}
        self.alike: dict[tuple[Key, Key], set[str]] = {}

    def run(self) -> None:
        for link in self.nets.diagram.links:
            a, b = self.nets.at[link.source], self.nets.at[link.target]
            if a.column is not None and b.column is not None and not link.delay:
                self.reach.setdefault((a.id, b.key), set()).add(b.column)
                self.alike.setdefault((a.key, b.key), set()).add(a.id)
        self.loops = self._own_loops()
        for link in self.nets.diagram.links:
            if link.delay and link.source in self.loops:
                key = self.nets.at[link.source].key
                left, right = self.nets.loops.get(key, (0.0, 0.0))
                if link.delay > 0:
                    right += LOOP_REACH + 14.0 + arrow_names.width(link)
                else:
                    left += LOOP_REACH + 14.0 + arrow_names.width(link)
                self.nets.loops[key] = left, right
        for number, link in enumerate(self.nets.diagram.links):
            self._link(number, link)
        self._find_hanging()
        self._find_joined()

    def _own_loops(self) -> dict[str, int]:
        """Nodes of a folded graph that only they themselves read late, and the shortest of the delays."""
        late: dict[str, list[Link]] = {}
        for link in self.nets.diagram.links:
            if link.delay:
                late.setdefault(link.source, []).append(link)
        alone = {v: links for v, links in late.items() if all(e.target == v for e in links)}
        return {v: min((e.delay for e in links), key=abs) for v, links in alone.items()}

    def _find_joined(self) -> None:
        """Strips that are joined by way of other columns, or of what stands beside all of them."""
        graph: dict[str, set[str]] = {}
        outside = {v.id for v in self.nets.diagram.vertices if v.column is None}
        strip = {v.id: v.id if v.id in outside else v.strip for v in self.nets.diagram.vertices}
        for link in self.nets.diagram.links:
            if {link.source, link.target} & outside or self.nets.at[link.source].role != "initial":
                graph.setdefault(strip[link.source], set()).add(strip[link.target])
        for start in {s for s in strip.values() if s not in outside}:
            seen: set[str] = set()
            waiting = list(graph.get(start, ()))
            while waiting:
                other = waiting.pop()
                if other not in seen:
                    seen.add(other)
                    waiting += graph.get(other, ()) if other in outside else ()
            self.nets.joined |= {(start, s) for s in seen if s not in outside and s != start}

    def _link(self, number: int, link: Link) -> None:
        nets, (a, b) = self.nets, (self.nets.at[link.source], self.nets.at[link.target])
        if a.column is None and b.column is None:
            return
        if b.column is None:
            if b.id in self.totals:
                nets.totals.setdefault((a.key, b.id), []).append(link)
                nets.exits.setdefault((a.key, 1), set()).add("total")
            return
        if link.delay and a.id in self.loops and link.delay != self.loops[a.id]:
            return
        net = self._net(link, a, b)
        nets.net_of[number] = net
        if b.key not in nets.sizes or (is_thin(nets.diagram, b.column) and a.key == b.key):
            return
        if net.kind == "inner":
            nets.inner[a.key, b.key] = None
        same = (net, b.id)
        again = self.again[same] = self.again.get(same, -1) + 1
        tap = self.taps.get((b.key, net, again))
        if tap is None:
            tap = self.taps[b.key, net, again] = Tap(net, b.key, again)
            nets.taps.setdefault(b.key, []).append(tap)
        tap.name = max(tap.name, arrow_names.width(link))
        nets.tap_of[number] = tap

    def _net(self, link: Link, a: Vertex, b: Vertex) -> Net:
        nets = self.nets
        if a.column is None:
            net = Net("wide", a.id)
            nets.wide.setdefault(net, []).append(link)
            return net
        assert b.column is not None
        step = link.delay or b.column - a.column
        if step == 0 and not self._is_wide(a, b):
            return Net("inner", a.key)
        if not link.delay and self._is_wide(a, b):
            net = Net("wide", a.id)
            nets.wide.setdefault(net, []).append(link)
            return net
        sign = link.delay or (1 if step > 0 else -1)
        if abs(step) > 1 and not link.delay:
            place = self.far_places[b.key, b.column] = self.far_places.get((b.key, b.column), -1) + 1
            net = Net("far", (b.key, place), sign)
            nets.far.setdefault(net, []).append(link)
            nets.exits.setdefault((a.key, sign), set()).add("far")
            return net
        nets.exits.setdefault((a.key, sign), set()).add("port")
        if a.key != b.key or not is_thin(nets.diagram, b.column):  # into a gap a state runs on as in any other step
            nets.late[a.key, b.key, sign] = max(nets.late.get((a.key, b.key, sign), 0.0), arrow_names.width(link))
        return Net("late", a.key, sign)

    def _is_wide(self, a: Vertex, b: Vertex) -> bool:
        """Whether it alone of its kind is read there, and in several steps: a context, the keys of an attention."""
        alone = len(self.alike.get((a.key, b.key), ())) == 1 and len(self.reach.get((a.id, b.key), ())) > 1
        return alone and a.role not in ("initial", "ellipsis")

    def _find_hanging(self) -> None:
        """Data that only the topmost unit reads hangs above it, as y above L in the book."""
        nets = self.nets
        feeds = {a for a, _ in nets.inner}
        for key in [k for k in nets.sizes if nets.roles[k] == "data"]:
            targets = [b for a, b in nets.inner if a == key]
            alone = len(targets) == 1 and targets[0] not in feeds and targets[0] not in nets.hanging.values()
            alone = alone and nets.roles[targets[0]] == "loss"
            others = alone and any(t.net.source != key for t in nets.taps[targets[0]])
            if others and not any(k == key for k, _ in nets.exits) and len(self._taps(key)) == 1:
                nets.hanging[key] = targets[0]
                nets.taps[targets[0]] = [t for t in nets.taps[targets[0]] if t.net != Net("inner", key)]

    def _taps(self, key: Key) -> list[Tap]:
        return [t for taps in self.nets.taps.values() for t in taps if t.net == Net("inner", key)]
