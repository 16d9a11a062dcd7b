"""Positions: column = time step, row = place in the cell. Linear in what is drawn.

One step is laid out and stamped over time (steps.py); what belongs to no step stands beside: sources
left, totals right.
Graphs without a time axis are layered as they are (template.py). Arrows and notes follow (routes.py, notes.py).
"""

from __future__ import annotations

from tinyseq.viz.diagram import Diagram, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.placing import forest, template
from tinyseq.viz.placing.nets import Net
from tinyseq.viz.placing.over_chains import OverChains
from tinyseq.viz.placing.steps import Steps, gap_text, gap_width, is_total

BESIDE, APART = 46.0, 10.0  # between two vertices over one another beside the steps; between two that are large


class Layout:
    """Places of the vertices, and what routes and notes need to know of them.

    timed     vertices on the time axis (all of them where there is none), and ``columns`` the same by column
    steps     the steps as they are stamped, None without a time axis; then ``template`` holds all places
    """

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.ops = diagram.detail == "ops"
        self.row_gap = style.OP_ROW_GAP if self.ops else style.ROW_GAP
        self.vertices = {v.id: v for v in diagram.vertices}
        size(diagram.vertices)
        timed = [v for v in diagram.vertices if v.column is not None]
        self.timed = timed or diagram.vertices
        self.columns: dict[int, list[Vertex]] = {}
        for v in self.timed:
            self.columns.setdefault(v.column or 0, []).append(v)
        self.steps: Steps | None = None
        self.over: OverChains | None = None
        self.template = template.Template()
        gap = style.OP_NODE_GAP if self.ops else style.COLUMN_GAP * 0.5
        if timed:
            self.over = OverChains(diagram) if diagram.tree else None
            part = self.over.chains if self.over else diagram
            outside = [v for v in part.vertices if v.column is None]
            made = self._made_of_steps(outside)
            totals = [v for v in outside if v.id in made]
            self.steps = Steps(part, totals, self.row_gap, gap)
            self._place_sources([v for v in outside if v.id not in made])
            self._place_totals(totals)
            if self.over:
                self.over.place(self.row_gap, gap, self.steps.heights.line.values())
        elif diagram.tree:
            forest.place(diagram, self.row_gap, gap)
        else:
            self.template = self._layered(diagram.vertices)
            for v in diagram.vertices:
                v.x, v.y = self.template.at[v.key]

    # -- without a time axis ------------------------------------------------------------------------
    def _layered(self, vertices: list[Vertex]) -> template.Template:
        sizes = {v.key: (v.width, v.height) for v in vertices}
        inside = {v.id for v in vertices}
        links = [e for e in self.diagram.links if e.source in inside and e.target in inside]
        pairs = [(self.vertices[e.source].key, self.vertices[e.target].key) for e in links]
        gap = style.OP_NODE_GAP if self.ops else style.COLUMN_GAP * 0.6
        return template.place(sizes, pairs, self._hanging(vertices, pairs), self.row_gap, gap, self.diagram.ordered)

    def _hanging(self, vertices: list[Vertex], pairs: list[tuple]) -> set[tuple]:
        """Data that only the topmost unit reads hangs above it, as y above L in the book."""
        feeds = {a for a, _ in pairs}
        data = {v.key for v in vertices if v.role == "data"} if not self.ops else set()
        found = set()
        for key in data:
            targets = {b for a, b in pairs if a == key}
            fed = {a for a, b in pairs if b in targets}
            if targets and not targets & feeds and fed - data:
                found.add(key)
        return found

    # -- beside the steps ------------------------------------------------------------------------
    def _made_of_steps(self, outside: list[Vertex]) -> set[str]:
        """Which of what stands beside the steps depends on them."""
        known = {v.id for v in self.timed}
        ids = {v.id for v in outside}
        readers: dict[str, list[str]] = {}
        for e in self.diagram.links:
            if e.target in ids:
                readers.setdefault(e.source, []).append(e.target)
        waiting, found = list(known), set()
        while waiting:
            for target in readers.get(waiting.pop(), ()):
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return found

    def _place_sources(self, sources: list[Vertex]) -> None:
        """Left of all steps, each level with the line to what reads it; what is read by such a one further left."""
        assert self.steps is not None
        left = min([x for x, _ in self.steps.reach.values()]) - self.steps.sides[-1].width - style.COLUMN_GAP
        reads = {v.id: [e.target for e in self.diagram.links if e.source == v.id] for v in sources}
        todo = list(sources)
        while todo:
            ids = {v.id for v in todo}
            ready = [v for v in todo if not ids & set(reads[v.id])] or todo
            y = None
            for level, v in sorted(((self._level_of(v), v) for v in ready), key=lambda one: one[0]):
                y = level if y is None else max(level, y + max(BESIDE, v.height + APART))
                v.x, v.y = left - v.width / 2, y
            left -= max(v.width for v in ready) + style.COLUMN_GAP
            todo = [v for v in todo if v not in ready]

    def _level_of(self, v: Vertex) -> float:
        assert self.steps is not None
        found = [y for (_, name), y in self.steps.heights.line.items() if name == Net("wide", v.id)]
        placed = [self.vertices[e.target] for e in self.diagram.links if e.source == v.id]
        found = found or [t.y for t in placed if t.column is None and t.x]
        return min(found, default=0.0)

    def _place_totals(self, totals: list[Vertex]) -> None:
        """Right of all steps, where the lines from the steps end; what reads totals further right."""
        assert self.steps is not None
        line, done = self.steps.heights.line, set()
        ids = {v.id for v in totals}
        busy = [
            y for (_, name), y in line.items() if isinstance(name, Net) and name.kind == "wide" and name.source in ids
        ]
        edge = max([x for _, x in self.steps.reach.values()]) + self.steps.sides[1].width + style.COLUMN_GAP
        left = totals
        while left:
            ready = [v for v in left if all(s in done or s not in ids for s in self._sources(v))]
            ready = ready or left[:1]
            y, widest = None, 0.0
            wanted = []
            for v in ready:
                own = [h for (_, name), h in line.items() if is_total(name) and name[2] == v.id]  # type: ignore[index]
                own += [self.vertices[s].y for s in self._sources(v) if s in done] if not own else []
                wanted.append((sum(own) / len(own) if own else 0.0, v))
            for level, v in sorted(wanted, key=lambda one: one[0]):
                next_up = level if y is None else max(level, y + max(BESIDE, v.height + APART))
                y = self._clear_of(next_up, v, busy)
                v.x, v.y = edge + v.width / 2, y
                widest = max(widest, v.width)
            edge += widest + style.COLUMN_GAP
            done |= {v.id for v in ready}
            left = [v for v in left if v.id not in done]

    @staticmethod
    def _clear_of(y: float, v: Vertex, lines: list[float]) -> float:
        """The lowest height from y upwards at which a vertex touches none of the lines that pass there."""
        reach = v.height / 2 + 8.0
        while any(abs(y - line) < reach for line in lines):
            y = min(line + reach + 0.1 for line in lines if abs(y - line) < reach)
        return y

    def _sources(self, v: Vertex) -> list[str]:
        return [e.source for e in self.diagram.links if e.target == v.id]

    # -- gaps ------------------------------------------------------------------------
    def gap_text_width(self, place: int) -> float:
        """Width of the text in a gap, 0 in other columns."""
        return gap_width(self.diagram, place)

    def gap_text(self, place: int) -> str:
        """How many steps a gap leaves out."""
        return gap_text(self.diagram, place)


def size(vertices: list[Vertex], small_signs: bool = True, least: float = style.CIRCLE) -> None:
    """Give vertices their sizes: circles of one size, ``least`` or more; boxes where the text is too wide for them;
    signs smaller."""
    wide = [labels.width(v.label) + 13 for v in vertices if v.round]
    circle = max([least, *[w for w in wide if w <= 1.7 * style.CIRCLE]])
    for v in vertices:
        width = labels.width(v.label)
        if small_signs and v.is_sign and v.round:
            small = labels.width(v.label, style.SIGN_SIZE)
            v.width = v.height = style.SIGN if small + 6 <= style.SIGN else v.height
            if small + 6 > style.SIGN:
                v.round, v.width, v.height = False, small + 12, style.SIGN
        elif v.round and width + 13 <= circle:
            v.width = v.height = circle
        elif v.round:
            v.round, v.width, v.height = False, width + 18, circle * 0.8
        else:
            v.width = max(width, style.text_width(v.note, style.NOTE_SIZE)) + 14
            v.height = 38.0 if v.note else 26.0
