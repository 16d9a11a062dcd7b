"""Text beside the graph: shapes of rows, steps left out, names and shapes of the parameters."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tinyseq.viz.diagram import Note
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import Label, Run
from tinyseq.viz.placing import arrow_names
from tinyseq.viz.placing.layout import Layout


def annotate(layout: Layout) -> None:
    """Add the notes of a placed diagram."""
    _Notes(layout)


LISTED = 12  # parameters named under a graph; a few more if these are all
TITLES = 16.0  # the least between the names of two strips
LINES, NAMED, SHAPE_LINE = 3, 4, 12.0  # shapes told apart in a row, names with one shape, and how far apart lines are


class _Notes:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        notes = self.layout.diagram.notes
        bottom = min(v.y - v.height / 2 for v in self.layout.diagram.vertices)
        lines = [(link.path_in, link.path) for link in self.layout.diagram.links]
        bottom = min([bottom, *[y + 6 for both in lines for path in both for _, y in path]])
        texts = [
            (c.x, self.layout.gap_text_width(i) / 2) for i, c in enumerate(self.layout.diagram.columns) if c.elided
        ]
        left = min([v.x - v.width / 2 for v in self.layout.diagram.vertices] + [x - half for x, half in texts])
        left = min([left, *[x for both in lines for path in both for x, _ in path]])
        for link in self.layout.diagram.links:
            if link.label and link.label_at:
                left = min(left, link.label_at[0] - labels.width(labels.names(link.label)) / 2)
        right = max([v.x + v.width / 2 for v in self.layout.diagram.vertices] + [x + half for x, half in texts])
        lowest = min(v.y for v in self.layout.timed)
        for place in range(len(self.layout.diagram.columns)):
            text = self.layout.gap_text(place)
            if text:
                taken = any(abs(v.y - lowest) < v.height for v in self.layout.columns.get(place, []))
                y = self._clear(place, lowest - (style.CIRCLE if taken else 0))
                notes.append(Note((Run(text),), self.layout.diagram.columns[place].x, y, size=style.NOTE_SIZE + 1))
                bottom = min(bottom, y - style.NOTE_SIZE)
        for id, word in self.layout.diagram.words.items():
            v = self.layout.vertices[id]
            notes.append(Note((Run(word),), v.x, v.y - v.height / 2 - 10, size=style.NOTE_SIZE + 2.5))
            bottom = min(bottom, v.y - v.height / 2 - 16)
        if not self.layout.ops and self.layout.diagram.look.shapes:
            left = self._row_shapes(left - 12)
        self._strips(left - 14)
        if self.layout.diagram.look.shapes:
            self._parameters(left, right, bottom - 22)
        self._banner(left, right)

    def _clear(self, place: int, y: float) -> float:
        """Where the text of a gap stands clear of the lines that run through: at y, else under them."""
        x, half = self.layout.diagram.columns[place].x, self.layout.gap_text_width(place) / 2
        high = style.NOTE_SIZE / 2 + 3.0
        left, right, low, top = self._spans
        for n in np.flatnonzero((left < x + half) & (right > x - half)).tolist():
            if low[n] - high < y < top[n] + high:
                y = float(low[n]) - high
        return y

    @cached_property
    def _spans(self) -> np.ndarray:
        """Left, right, bottom and top of each piece of an arrow, the highest first."""
        links = self.layout.diagram.links
        pieces = [p[n : n + 4] for e in links for p in (e.path_in, e.path) for n in range(0, len(p) - 3, 3)]
        points = np.array(pieces, float).reshape(-1, 4, 2)
        low, top = points.min(1), points.max(1)
        return np.stack([low[:, 0], top[:, 0], low[:, 1], top[:, 1]])[:, np.argsort(-top[:, 1])]

    def _banner(self, left: float, right: float) -> None:
        """Over the graph: how many steps a folded one stands for, and how much of a tape is left out."""
        diagram = self.layout.diagram
        words = [f"×{diagram.repeats:,} {diagram.repeated}s"] if diagram.repeats > 1 else []
        if diagram.counts and diagram.counts[0] < diagram.counts[1] and not diagram.repeats:
            shown, there = diagram.counts
            are = "is" if there - shown == 1 else "are"
            words.append(
                f"{shown:,} of the tape's {there:,} nodes are in this picture, {there - shown:,} {are} left out"
            )
        if not words:
            return
        tops = [v.y + v.height / 2 for v in diagram.vertices]
        tops += [y for e in diagram.links for _, y in e.path] + [n.y for n in diagram.notes]
        tops += [e.label_at[1] + arrow_names.HEIGHT / 2 for e in diagram.links if e.label_at]
        y = max(tops) + 22
        diagram.notes += [
            Note((Run(line),), (left + right) / 2, y + 14 * i, size=10.5) for i, line in enumerate(words[::-1])
        ]

    def _strips(self, x: float) -> None:
        """The name of each cell beside its strip, where there are several."""
        placed = [v for v in self.layout.diagram.vertices if v.column is not None or v.position is not None]
        titles = []
        for name, title in self.layout.diagram.strips.items():
            ys = [v.y for v in placed if v.strip == name]
            if ys and self.layout.steps is not None:
                titles.append(((min(ys) + max(ys)) / 2, title))
        last = float("inf")
        for y, title in sorted(titles, reverse=True):
            last = min(y, last - TITLES)
            self.layout.diagram.notes.append(Note((Run(title),), x, last, "right", style.NOTE_SIZE + 2))

    def _row_shapes(self, x: float) -> float:
        """Shapes left of their rows; returns how far to the left they reach."""
        rows: dict[int, dict[Label, list[tuple[int, ...]]]] = {}
        for v in self.layout.timed:
            if v.shape is not None and v.role not in ("ellipsis", "initial"):
                name = tuple(r for r in v.label if r.style != labels.SUPER)
                rows.setdefault(round(v.y), {}).setdefault(name, []).append(v.shape)
        if not self.layout.diagram.columns and self.layout.diagram.view == "unfolded":
            return x
        left = x
        for y, units in rows.items():
            lines = _rows_of_shapes(units)
            for place, line in enumerate(lines):
                left = min(left, x - labels.width(line, style.NOTE_SIZE))
                at = y + SHAPE_LINE * ((len(lines) - 1) / 2 - place)
                self.layout.diagram.notes.append(Note(line, x, at, "right"))
        return left

    def _parameters(self, left: float, right: float, y: float) -> None:
        """Names and shapes of the parameters, in lines under the graph."""
        every = list(dict.fromkeys(self.layout.diagram.parameters))  # of two layers alike each is named once
        shown = every if len(every) <= LISTED + 4 else every[:LISTED]
        more = len(every) - len(shown)
        fixed = self.layout.diagram.fixed
        texts = [(name, " " + labels.shape(shape) + " fixed" * (name in fixed)) for name, shape in shown]
        pieces = [(*labels.name(name), Run(text)) for name, text in texts]
        if more:
            pieces.append((Run(f"and {more} more parameters"),))
        line: list[Run] = []
        for piece in pieces:
            last = more and piece is pieces[-1]  # not in a line of its own
            if line and not last and labels.width((*line, *piece), 10.5) > max(right - left + 40, 170):
                self._caption(line, (left + right) / 2, y)
                line, y = [], y - 15
            line += [Run("    ")] * bool(line) + list(piece)
        if line:
            self._caption(line, (left + right) / 2, y)

    def _caption(self, line: list[Run], x: float, y: float) -> None:
        self.layout.diagram.notes.append(Note(tuple(line), x, y, size=10.5))


def _rows_of_shapes(units: dict[Label, list[tuple[int, ...]]]) -> list[Label]:
    """The shapes of a row: one where all are alike, else a line for each, with the names of those that have it."""
    alike: dict[str, list[Label]] = {}
    for name, shapes in units.items():
        alike.setdefault(_span(shapes), []).append(name)
    if len(alike) == 1:
        return [(Run(shape),) for shape in alike]
    lines = []
    for shape, names in alike.items():
        line: list[Run] = []
        for place, name in enumerate(names[:NAMED]):
            line += [*([Run(", ")] if place else []), *name]
        lines.append((*line, Run(f"{', …' if len(names) > NAMED else ''} {shape}")))
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], (Run("…"),)]


def _span(shapes: list[tuple[int, ...]]) -> str:
    """One shape, or the range of the first axis where sequences end one after the other."""
    if len(set(shapes)) == 1 or any(not s or s[1:] != shapes[0][1:] for s in shapes):
        return labels.shape(shapes[0])
    rows = [s[0] for s in shapes]
    return "×".join([f"{min(rows)}–{max(rows)}", *map(str, shapes[0][1:])])
