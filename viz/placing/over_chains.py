"""Trees over chains: the steps below, the trees over them, and lines from what steps have made up to what reads it.

Where chains start from what trees have made, and no tree reads a chain, the trees hang under the first state instead.
"""

from __future__ import annotations

from collections.abc import Iterable

from tinyseq.viz.diagram import Diagram, Link, Point, Vertex
from tinyseq.viz.placing import curves, forest, wires

PORT = 2.0
BAND, TRACK, FOOT = 30.0, 10.0, 16.0  # between chains and trees; between two lines in it; under the trees


class OverChains:
    """The two parts of a diagram, as diagrams of their own that share its vertices and links.

    What is read across has an invisible port over the steps where its source stands in one, and one under the position
    that reads it.
    """

    def __init__(self, diagram: Diagram) -> None:
        self.whole = diagram
        self.at = {v.id: v for v in diagram.vertices}
        self.across = [e for e in diagram.links if self._over(e.target) and not self._over(e.source)]
        self.chains = self._part(v for v in diagram.vertices if v.position is None)
        self.trees = self._part(v for v in diagram.vertices if v.position is not None)
        self.trees.tree, self.trees.ordered = {p: list(c) for p, c in diagram.tree.items()}, True
        self.up: dict[str, Link] = {}  # source of a step -> its link to the port over its column
        self.into: dict[tuple[int, str], list[Link]] = {}  # (position, source) -> links from the port under it
        self.inner: dict[int, Link] = {}  # number of a link across -> the piece of it within the trees
        ends = [(self.at[e.source].position, self.at[e.target].position) for e in self.trees.links]
        self.parents = {b for a, b in ends if a != b}
        self.feet: list[int] = []  # the positions of the ports under the trees
        for number, link in enumerate(self.across):
            self._ports(number, link)
        self.trees.grounded = frozenset(self.feet)
        self.down = [e for e in diagram.links if self._over(e.source) and not self._over(e.target)]
        self.entries: dict[str, Vertex] = {}  # of the trees, what chains read -> the port where it enters among these
        self.begun = [self._enter(e) for e in self.down]

    def _over(self, id: str) -> bool:
        return self.at[id].position is not None

    def _part(self, vertices: Iterable[Vertex]) -> Diagram:
        part = Diagram(self.whole.view, self.whole.detail, list(vertices), columns=self.whole.columns)
        ids = {v.id for v in part.vertices}
        part.links = [e for e in self.whole.links if {e.source, e.target} <= ids]
        part.look = self.whole.look
        return part

    def _ports(self, number: int, link: Link) -> None:
        a, b = self.at[link.source], self.at[link.target]
        if a.column is not None and a.id not in self.up:
            port = Vertex(f"up {a.id}", ("up", a.key), a.column, "above", (), strip=a.strip, width=PORT, height=PORT)
            self.chains.vertices.append(port)
            self.up[a.id] = Link(a.id, port.id)
            self.chains.links.append(self.up[a.id])
        assert b.position is not None
        id = f"in {b.position} {a.id}"
        if (b.position, a.id) not in self.into:
            self._foot(id, b.position)
        inner = Link(id, b.id, link.label, dashed=link.dashed, cut=link.cut)
        self.into.setdefault((b.position, a.id), []).append(inner)
        self.inner[number] = inner
        self.trees.links.append(inner)

    def _foot(self, id: str, position: int) -> None:
        """A port under a leaf; beside the children of other positions, as one of them."""
        kind = ("in", sum(p == position for p, _ in self.into))
        place = position
        if position in self.parents:
            place = -2 - len(self.feet)
            self.trees.tree.setdefault(position, []).append(place)
        self.feet.append(place)
        port = Vertex(id, (id,), None, "below", (), position=place, kind=kind, width=PORT, height=PORT)
        self.trees.vertices.append(port)

    def _enter(self, link: Link) -> Link:
        """The piece of a link into a chain that is drawn with the chain, from an invisible port before its steps."""
        key, b = self.whole.entries.get(link.source), self.at[link.target]
        if link.source not in self.entries:
            column = None if key is None else 0
            port = Vertex(f"from {link.source}", key or (link.source,), column, "initial" if key else "data", (),
                          strip=b.strip, width=PORT, height=PORT)  # fmt: skip
            self.entries[link.source] = port
            self.chains.vertices.append(port)
        inner = Link(self.entries[link.source].id, b.id, link.label, recurrent=key is not None, cut=link.cut)
        self.chains.links.append(inner)
        return inner

    # -- places ------------------------------------------------------------------------
    def place(self, row_gap: float, node_gap: float, lines: Iterable[float]) -> None:
        """Place the trees over the middle of the chains, which are placed already, and over the lines of these; those
        that only start chains under the first state of these."""
        forest.place(self.trees, row_gap, node_gap)
        lines = list(lines)
        if self.down and not self.across:
            self._hang(lines)
            return
        outside = dict.fromkeys(e.source for e in self.across if self.at[e.source].column is None)
        self.tracks = {id: BAND * 0.6 + TRACK * n for n, id in enumerate(outside)}
        chains, trees = self.chains.vertices, self.trees.vertices
        self.top = max([*(v.y + v.height / 2 for v in chains), *lines])
        height = BAND + TRACK * len(outside) + FOOT
        dy = self.top + height - min(v.y - v.height / 2 for v in trees)
        dx = (
            min(v.x for v in chains) + max(v.x for v in chains) - min(v.x for v in trees) - max(v.x for v in trees)
        ) / 2
        self.floor = self.top + height - FOOT
        self._move(dx, dy)

    def _move(self, dx: float, dy: float) -> None:
        for v in self.trees.vertices:
            v.x, v.y = v.x + dx, v.y + dy
        for e in self.trees.links:
            e.path = [(x + dx, y + dy) for x, y in e.path]
            e.tip, e.label_at = (p and (p[0] + dx, p[1] + dy) for p in (e.tip, e.label_at))

    def _hang(self, lines: list[float]) -> None:
        """Under the chains, what is read last of the trees straight under where it enters."""
        first = min(self.entries, key=lambda i: self.entries[i].y)
        bottom = min([*(v.y - v.height / 2 for v in self.chains.vertices), *lines])
        room = BAND + TRACK * len(self.entries)
        top = max(v.y + v.height / 2 for v in self.trees.vertices)
        self._move(self.entries[first].x - self.at[first].x, bottom - room - top)
        self.ceiling = bottom - room

    def join(self) -> None:
        """Paths of the links across, when those of both parts are there."""
        ports = {v.id: v for v in self.trees.vertices}
        for number, link in enumerate(self.across):
            inner = self.inner[number]
            port = ports[inner.source]
            end = (port.x, port.y)
            if link.source in self.up:
                up, foot = self.up[link.source], (port.x, self.floor)
                assert up.tip is not None
                start = [*up.path[:-1], up.tip]
                start += [*curves.line(start[-1], foot)[1:], *curves.line(foot, end)[1:]]
            else:
                beside = self._beside(self.at[link.source])
                start = wires.rounded([*beside, (port.x, beside[-1][1]), end])
            link.path = [*start, *curves.line(start[-1], inner.path[0])[1:], *inner.path[1:]]
            link.tip, link.label_at = inner.tip, inner.label_at

    def enter(self) -> None:
        """Paths of the links from trees into chains."""
        order = sorted(self.entries, key=lambda i: self.entries[i].y)
        for link, inner in zip(self.down, self.begun, strict=True):
            port, number = self.entries[link.source], order.index(link.source)
            way = self._way(self.at[link.source], port, number)
            link.path = [*wires.rounded(way), *curves.line(way[-1], inner.path[0])[1:], *inner.path[1:]]
            link.tip, link.label_at, link.recurrent = inner.tip, inner.label_at, inner.recurrent

    def _way(self, v: Vertex, port: Vertex, number: int) -> list[Point]:
        """Out of a tree, past all that stands there, to a port."""
        end, away = (port.x, port.y), TRACK * (number + 1.5)
        if self.across:
            x = self._left([*self.trees.vertices, *self.chains.vertices]) - away
            return [(v.x - v.width / 2, v.y), (x, v.y), (x, port.y), end]
        y = self.ceiling + TRACK * (number + 1)
        ways = []
        for x in (port.x - TRACK * number, self._left(self.chains.vertices) - away):
            ways.append([(v.x, v.y + v.height / 2), (v.x, y), (x, y), (x, port.y), end])
            for side in (-1, 1):
                out = v.x + side * (v.width / 2 + TRACK)
                ways.append([(v.x + side * v.width / 2, v.y), (out, v.y), (out, y), (x, y), (x, port.y), end])
        others = [w for w in self.whole.vertices if w is not v]
        return next((way for way in ways if not any(curves.hits(wires.rounded(way), w) for w in others)), ways[0])

    @staticmethod
    def _left(vertices: Iterable[Vertex]) -> float:
        return min(w.x - w.width / 2 for w in vertices)

    def _beside(self, v: Vertex) -> list[Point]:
        """Out of what stands right of the steps, up to its track, over which it turns to its readers."""
        x, y = v.x + v.width / 2 + 12.0, self.top + self.tracks[v.id]
        return [(v.x + v.width / 2, v.y), (x, v.y), (x, y)]
