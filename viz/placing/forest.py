"""Trees: the layout of one position is stamped at each position of its kind; parents stand in the middle over children.

What children give comes up from below, as what a step is given comes from the left: small ports at the foot of a block
for what it reads of its children, at its top for what its parent reads. Where a cell is one node, arrows run straight
from child to parent, and the picture is as symmetric as the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import hypot

from tinyseq.viz.diagram import Diagram, Link, Point, Vertex
from tinyseq.viz.look import labels
from tinyseq.viz.placing import arrow_names, curves, wires
from tinyseq.viz.placing.steps import Steps

PORT = 2.0
LEVEL_GAP, SIDE_GAP = 34.0, 20.0
WORD = 16.0
CLEAR = 3.0  # beside a line that comes up from a child


@dataclass
class Block:
    """A kind of position, laid out: places by key, paths by (source key, target key, again), and how far it reaches."""

    at: dict[tuple, Point] = field(default_factory=dict)
    paths: dict[tuple, tuple[list[Point], Point | None, Point | None]] = field(default_factory=dict)
    left: float = 0.0
    right: float = 0.0
    low: float = 0.0
    high: float = 0.0


def place(diagram: Diagram, row_gap: float, node_gap: float) -> None:
    """Place all vertices of a tree and route its links."""
    _Forest(diagram, row_gap, node_gap).run()


class _Forest:
    def __init__(self, diagram: Diagram, row_gap: float, node_gap: float) -> None:
        self.diagram, self.row_gap, self.node_gap = diagram, row_gap, node_gap
        self.vertices = {v.id: v for v in diagram.vertices}
        self.members: dict[int, list[Vertex]] = {}
        for v in diagram.vertices:
            assert v.position is not None
            self.members.setdefault(v.position, []).append(v)
        self.inside: dict[int, list[Link]] = {p: [] for p in self.members}
        self.up: dict[int, list[Link]] = {p: [] for p in self.members}  # from children into this position
        self.out: dict[int, list[tuple]] = {p: [] for p in self.members}  # keys that the parent reads
        self.children: dict[int, list[int]] = {p: [] for p in self.members}
        for link in diagram.links:
            a, b = self.vertices[link.source], self.vertices[link.target]
            assert a.position is not None and b.position is not None
            if a.position == b.position:
                self.inside[a.position].append(link)
                continue
            self.up[b.position].append(link)
            if self._key(a) not in self.out[a.position]:
                self.out[a.position].append(self._key(a))
            if a.position not in self.children[b.position]:
                self.children[b.position].append(a.position)
        for p, found in self.children.items():
            order = diagram.tree.get(p, [])
            found.sort(key=lambda c: order.index(c) if c in order else c)
        self.simple = all(self._is_simple(link) for links in self.up.values() for link in links)

    @staticmethod
    def _key(v: Vertex) -> tuple:
        return v.kind

    def _is_simple(self, link: Link) -> bool:
        """Whether nothing of its block stands over the source, and nothing under the target."""
        a, b = self.vertices[link.source], self.vertices[link.target]
        assert a.position is not None and b.position is not None
        fed = {e.source for e in self.inside[a.position]}
        into = [e for e in self.inside[b.position] if e.target == b.id]
        alone = len({e.target for e in self.up[b.position]}) == 1 and len(self.out[a.position]) == 1
        single = not any(e.target != a.id and self.vertices[e.source].id == a.id for e in self.inside[a.position])
        return a.id not in fed and not into and alone and single

    def run(self) -> None:
        blocks: dict[tuple, Block] = {}
        self.block: dict[int, Block] = {}
        for p in self.members:
            sign = self._signature(p)
            if sign not in blocks:
                blocks[sign] = self._lay_out(p)
            self.block[p] = blocks[sign]
        self._stamp()
        for link in self.diagram.links:
            self._route(link)
        if self.simple:
            self._name()

    def _name(self) -> None:
        """Names beside straight arrows, on their outer side: as far up each as they stand free."""
        taken = arrow_names.Taken(self.diagram.links, self.diagram.vertices)
        for link in self.diagram.links:
            wide = arrow_names.width(link)
            if not wide or link.label_at:
                continue
            a, b = self.vertices[link.source], self.vertices[link.target]
            dx, dy = b.x - a.x, b.y - a.y
            length = hypot(dx, dy) or 1.0
            across, up = (-dy / length, dx / length) if dx > 1 else (dy / length, -dx / length)
            away = abs(across) * wide / 2 + abs(up) * 8.0 + 4.0
            spots = []
            for share in (0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2):
                (x, y), _ = curves.along(link.path, share)
                spots += [(x + s * across * away, y + s * up * away) for s in (1, -1)]
            boxes = [(x - wide / 2, y - 7.5, x + wide / 2, y + 7.5) for x, y in spots]
            link.label_at = spots[taken.clearest(boxes)]

    # -- one block ------------------------------------------------------------------------
    def _signature(self, p: int) -> tuple:
        nodes = tuple((self._key(v), v.width, v.height, v.round) for v in self.members[p])
        inner = tuple(
            (self._key(self.vertices[e.source]), self._key(self.vertices[e.target]), e.label) for e in self.inside[p]
        )
        up = tuple((self._slot(p, e), self._key(self.vertices[e.target]), e.label) for e in self.up[p])
        return nodes, inner, up, tuple(self.out[p]), self._word(p)

    def _word(self, p: int) -> float:
        """Space for the words under the nodes of a position."""
        return WORD if any(v.id in self.diagram.words for v in self.members[p]) else 0.0

    def _slot(self, p: int, link: Link) -> tuple:
        a = self.vertices[link.source]
        assert a.position is not None
        return ("child", self.children[p].index(a.position), self._key(a))

    def _lay_out(self, p: int) -> Block:
        one = Diagram("unfolded", self.diagram.detail)
        one.vertices = [replace(v, id=str(self._key(v)), key=self._key(v), column=0, strip="") for v in self.members[p]]
        for link in self.inside[p]:
            a, b = self._key(self.vertices[link.source]), self._key(self.vertices[link.target])
            one.links.append(replace(link, source=str(a), target=str(b), path=[], label_at=None))
        if not self.simple:
            self._ports(p, one)
        steps = Steps(one, [], self.row_gap, self.node_gap)
        wires.draw(steps)
        block = Block({v.key: (v.x, v.y) for v in one.vertices})
        again: dict[tuple, int] = {}
        for e in one.links:
            a, b = (
                next(v.key for v in one.vertices if v.id == e.source),
                next(v.key for v in one.vertices if v.id == e.target),
            )
            number = again[a, b] = again.get((a, b), -1) + 1
            block.paths[a, b, number] = (e.path, e.tip, e.label_at)
        block.left, block.right = steps.reach[0]
        block.low = min(v.y - v.height / 2 for v in one.vertices) - self._word(p)
        block.high = max(v.y + v.height / 2 for v in one.vertices)
        return block

    def _ports(self, p: int, one: Diagram) -> None:
        for link in self.up[p]:
            slot, target = self._slot(p, link), self._key(self.vertices[link.target])
            if not any(v.key == slot for v in one.vertices):
                one.vertices.append(_port(slot, "below"))
            one.links.append(replace(link, source=str(slot), target=str(target), path=[], label_at=None))
        for key in self.out[p]:
            one.vertices.append(_port(("up", key), "above"))
            one.links.append(Link(str(key), str(("up", key))))

    # -- all of them ------------------------------------------------------------------------
    def _stamp(self) -> None:
        roots = [p for p in self.members if not self.out[p]]
        depth = dict.fromkeys(self.members, 0)
        order = self._from_below(roots)
        for p in reversed(order):
            depth.update((c, depth[p] + 1) for c in self.children[p])
        deepest = max(depth.values())
        level = self.level = {p: deepest - d for p, d in depth.items()}
        high = [0.0] * (deepest + 1)
        for p in order:
            high[level[p]] = max(high[level[p]], self.block[p].high - self.block[p].low)
        floor = [sum(high[:k]) + LEVEL_GAP * 1.3 * k for k in range(deepest + 1)]
        slack = {p: high[level[p]] - (self.block[p].high - self.block[p].low) for p in order}
        x = self._across(order, slack)
        for p in order:
            block = self.block[p]
            base = floor[level[p]] + high[level[p]] - block.high
            self.origin[p] = (x[p], base)
            for v in self.members[p]:
                at = block.at[self._key(v)]
                v.x, v.y = x[p] + at[0], base + at[1]

    def _from_below(self, roots: Sequence[int]) -> list[int]:
        order: list[int] = []
        waiting = [(p, False) for p in reversed(roots)]
        while waiting:
            p, done = waiting.pop()
            if done:
                order.append(p)
            else:
                waiting.append((p, True))
                waiting += [(c, False) for c in reversed(self.children[p])]
        self.origin: dict[int, Point] = {}
        return order

    def _across(self, order: Sequence[int], slack: dict[int, float]) -> dict[int, float]:
        """Subtrees beside one another, as close as their outlines let them; a parent in the middle of its children.

        ``slack`` is how far a block ends above the foot of its level: lines from children spread in that space.
        """
        outline: dict[int, list[tuple[float, float]]] = {}
        place: dict[int, dict[int, float]] = {}
        for p in order:
            block, at = self.block[p], {}
            merged: list[tuple[float, float]] = []
            for c in self.children[p]:
                shape, gap = outline.pop(c), 0.0
                for (_, right), (left, _) in zip(merged, shape, strict=False):
                    gap = max(gap, right - left + SIDE_GAP) if merged else 0.0
                at[c] = gap
                moved = [(a + gap, b + gap) for a, b in shape]
                joined = [(min(m[0], s[0]), max(m[1], s[1])) for m, s in zip(merged, moved, strict=False)]
                merged = joined + (merged[len(joined) :] or moved[len(joined) :])
            middle = (at[self.children[p][0]] + at[self.children[p][-1]]) / 2 if at else 0.0
            place[p] = {c: x - middle for c, x in at.items()}
            own = self._spread(p, place[p], slack[p])
            outline[p] = [own, *[(a - middle, b - middle) for a, b in merged]]
            if p in self.diagram.grounded:  # lines come up to it from under all
                outline[p] += [(block.left, block.right)] * (self.level[p] + 1 - len(outline[p]))
        x: dict[int, float] = {}
        for p in reversed(order):
            x.setdefault(p, 0.0)
            x.update((c, x[p] + away) for c, away in place[p].items())
        roots = [p for p in order if not self.out[p]]
        if len(roots) > 1:
            self._apart(roots, x, place)
        return x

    def _spread(self, p: int, children: dict[int, float], slack: float) -> tuple[float, float]:
        """How far a position reaches at its level, with the lines that come up to it from its children."""
        block, share = self.block[p], slack / (slack + LEVEL_GAP * 1.3)
        left, right = block.left, block.right
        for c, away in children.items() if slack > 1.0 else ():
            low, high = (0.0, 0.0) if self.simple else (self.block[c].left, self.block[c].right)
            left = min(left, share * (away + low) + (1 - share) * (0.0 if self.simple else block.left) - CLEAR)
            right = max(right, share * (away + high) + (1 - share) * (0.0 if self.simple else block.right) + CLEAR)
        return left, right

    def _apart(self, roots: Sequence[int], x: dict[int, float], place: dict[int, dict[int, float]]) -> None:
        """Several trees stand beside one another."""
        edge = 0.0
        for root in roots:
            members, waiting = [], [root]
            while waiting:
                p = waiting.pop()
                members.append(p)
                waiting += place[p]
            left = min(x[p] + self.block[p].left for p in members)
            right = max(x[p] + self.block[p].right for p in members)
            for p in members:
                x[p] += edge - left
            edge += right - left + 2 * SIDE_GAP

    # -- links ------------------------------------------------------------------------
    def _route(self, link: Link) -> None:
        a, b = self.vertices[link.source], self.vertices[link.target]
        assert a.position is not None and b.position is not None
        if a.position == b.position:
            same = [e for e in self.inside[a.position] if (e.source, e.target) == (link.source, link.target)]
            path, tip, label = self._stamped(a.position, (self._key(a), self._key(b), same.index(link)))
            link.path, link.tip, link.label_at = path, tip, label
            return
        if self.simple:
            link.path, link.tip = curves.headed(curves.arc(a, b, 0.0))
            return
        slot, up = self._slot(b.position, link), ("up", self._key(a))
        same = [e for e in self.up[b.position] if (e.source, e.target) == (link.source, link.target)]
        first, start, _ = self._stamped(a.position, (self._key(a), up, 0))
        second, tip, label = self._stamped(b.position, (slot, self._key(b), same.index(link)))
        assert start is not None
        first = curves.line(first[0], start) if len(first) == 4 else [*first[:-1], start]
        link.path = [*first, *curves.line(first[-1], second[0])[1:], *second[1:]]
        link.tip, link.label_at = tip, label

    def _stamped(self, p: int, name: tuple) -> tuple[list[Point], Point | None, Point | None]:
        path, tip, label = self.block[p].paths[name]
        dx, dy = self.origin[p]

        def move(point: Point) -> Point:
            return point[0] + dx, point[1] + dy

        return [move(q) for q in path], tip and move(tip), label and move(label)


def _port(key: tuple, role: str) -> Vertex:
    return Vertex(str(key), key, 0, role, (labels.Run(""),), width=PORT, height=PORT)
