"""Positions: column = time step, row = place in the cell. Linear in what is drawn.

The step is placed once (template.py); every column is that template moved along. Arrows and notes
follow from it (routes.py, notes.py).
"""

from __future__ import annotations

from tinyseq.viz.diagram import Diagram, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.placing import arrow_names, template


class Layout:
    """Places of the vertices, and what routes and notes need to know of them.

    timed     vertices on the time axis (all of them where there is none), and ``columns`` the same by column
    template  the placed step
    """

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.ops = diagram.detail == "ops"
        self.row_gap = style.OP_ROW_GAP if self.ops else style.ROW_GAP
        self.vertices = {v.id: v for v in diagram.vertices}
        size(diagram.vertices)
        timed = [v for v in diagram.vertices if v.column is not None]
        self.timed = timed or diagram.vertices
        self.in_time = {v.id for v in self.timed}
        self.template = self._template(self.timed)
        self.columns: dict[int, list[Vertex]] = {}
        for v in self.timed:
            self.columns.setdefault(v.column or 0, []).append(v)
        self._place_columns()
        if timed:
            self._place_outside([v for v in diagram.vertices if v.column is None])

    # -- vertices ---------------------------------------------------------------------------------------------------
    def _template(self, vertices: list[Vertex]) -> template.Template:
        sizes: dict[tuple, tuple[float, float]] = {}
        for v in vertices:
            known = sizes.get(v.key, (0.0, 0.0))
            sizes[v.key] = (max(known[0], v.width), max(known[1], v.height))
        pairs: list[tuple] = []
        fed: dict[tuple, set[tuple]] = {}
        for e in self.diagram.links:
            a, b = self.vertices[e.source], self.vertices[e.target]
            inside = a.key in sizes and b.key in sizes and a.column == b.column
            if inside and not e.recurrent and not e.delay and a.key != b.key and "ellipsis" not in (a.role, b.role):
                pairs.append((a.key, b.key))
                fed.setdefault(b.key, set()).add(a.key)
            elif inside and self.diagram.columns == [] and not e.delay:
                pairs.append((a.key, b.key))
        hanging = self._hanging(pairs, fed) if not self.ops else set()
        gap = style.OP_NODE_GAP if self.ops else style.COLUMN_GAP * 0.6
        return template.place(sizes, pairs, hanging, self.row_gap, gap, self.diagram.ordered)

    def _hanging(self, pairs: list[tuple], fed: dict[tuple, set[tuple]]) -> set[tuple]:
        """Data that only the topmost unit reads hangs above it, as y above L in the book."""
        feeds = {a for a, _ in pairs}
        data = {v.key for v in self.timed if v.role == "data"}
        found = set()
        for key in data:
            targets = {b for a, b in pairs if a == key}
            if targets and all(b not in feeds and fed[b] - data for b in targets):
                found.add(key)
        return found

    def _place_columns(self) -> None:
        at, gap, edge = self.template.at, self._column_gap(), 0.0
        for place in range(max(len(self.diagram.columns), 1)):
            members = self.columns.get(place, [])
            centred = self._is_thin(place, members)
            xs = {v.id: 0.0 if centred else at[v.key][0] for v in members}
            half = self.gap_text_width(place) / 2
            left = max([half, *[v.width / 2 - xs[v.id] for v in members]])
            right = max([half, *[v.width / 2 + xs[v.id] for v in members]])
            x = edge + (gap if place else 0.0) + left
            for v in members:
                v.x, v.y = x + xs[v.id], at[v.key][1]
            if self.diagram.columns:
                self.diagram.columns[place].x = x
            edge = x + right

    def _is_thin(self, place: int, members: list[Vertex]) -> bool:
        """A gap or a column of initial states: its few nodes stand in line if no two share a row."""
        if not self.diagram.columns or self.diagram.columns[place].step is not None:
            return False
        rows = [round(self.template.at[v.key][1]) for v in members]
        return len(set(rows)) == len(rows)

    def _column_gap(self) -> float:
        if self.ops:
            return style.OP_COLUMN_GAP
        names = [arrow_names.width(e) for e in self.diagram.links if e.recurrent and (e.label or e.cut)]
        return max([style.COLUMN_GAP, *[w + 26 for w in names]])

    def gap_text_width(self, place: int) -> float:
        """Width of the text in a gap, 0 in other columns."""
        return style.text_width(self.gap_text(place), style.NOTE_SIZE + 1)

    def gap_text(self, place: int) -> str:
        """How many steps a gap leaves out."""
        count = self.diagram.columns[place].elided if self.diagram.columns else 0
        return f"… {count:,} step{'s' if count > 1 else ''} …" if count else ""

    def _place_outside(self, outside: list[Vertex]) -> None:
        """What belongs to no step: sources on the left, totals on the right, level with the lanes of their arrows."""
        if not outside:
            return
        read = {e.target for e in self.diagram.links}
        sources = [v for v in outside if v.id not in read]
        totals = [v for v in outside if v.id in read]
        left = min(v.x - v.width / 2 for v in self.timed)
        for v in sources:
            readers = [self.vertices[e.target] for e in self.diagram.links if e.source == v.id]
            level = max([self.under(r) for r in readers if r.column is not None], default=0.0)
            v.x, v.y = left - style.COLUMN_GAP - v.width / 2, level
            left = v.x - v.width / 2
        left = max(v.x + v.width / 2 for v in self.timed)
        for block in self._connected(totals):
            left = self._place_totals(block, left + style.COLUMN_GAP)

    def _connected(self, totals: list[Vertex]) -> list[list[Vertex]]:
        """Totals in groups that feed one another, those fed from lower rows first."""
        group = {v.id: {v.id} for v in totals}
        for e in self.diagram.links:
            if e.source in group and e.target in group:
                merged = group[e.source] | group[e.target]
                for member in merged:
                    group[member] = merged
        unique = {id(members): members for members in group.values()}
        blocks = [[v for v in totals if v.id in members] for members in unique.values()]
        return sorted(blocks, key=self._level)

    def _level(self, block: list[Vertex]) -> float:
        ids = {v.id for v in block}
        feeders = [self.vertices[e.source] for e in self.diagram.links if e.target in ids and e.source not in ids]
        return max((self.bus(v) for v in feeders if v.column is not None), default=0.0)

    def _place_totals(self, block: list[Vertex], left: float) -> float:
        """Place a block of totals; returns its right edge."""
        placed = self._template(block)
        level = self._level(block) - min(placed.at[v.key][1] for v in block)
        x = left + max(v.width / 2 - placed.at[v.key][0] for v in block)
        for v in block:
            v.x, v.y = x + placed.at[v.key][0], level + placed.at[v.key][1]
        for pair, (points, tip) in placed.curves.items():
            self.template.curves[pair] = [(px + x, py + level) for px, py in points], (tip[0] + x, tip[1] + level)
        return max(v.x + v.width / 2 for v in block)

    def bus(self, v: Vertex) -> float:
        """Height of the lane above a vertex's row."""
        return v.y + v.height / 2 + self.row_gap / 2

    def under(self, v: Vertex) -> float:
        """Height of the lane below a vertex's row."""
        return v.y - v.height / 2 - self.row_gap * 0.76


def size(vertices: list[Vertex]) -> None:
    """Give vertices their sizes: circles of one size, boxes where the text is too wide for them."""
    wide = [labels.width(v.label) + 13 for v in vertices if v.round]
    circle = max([style.CIRCLE, *[w for w in wide if w <= 1.7 * style.CIRCLE]])
    for v in vertices:
        width = labels.width(v.label)
        if v.round and width + 13 <= circle:
            v.width = v.height = circle
        elif v.round:
            v.round, v.width, v.height = False, width + 18, circle * 0.8
        else:
            v.width = max(width, style.text_width(v.note, style.NOTE_SIZE)) + 14
            v.height = 38.0 if v.note else 26.0
