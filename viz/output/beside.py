"""Several placed diagrams in one row."""

from __future__ import annotations

from collections.abc import Sequence

from tinyseq.viz.diagram import Diagram, Link, Note, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import Run
from tinyseq.viz.output.extent import extent

GAP = 44.0  # between two graphs, and half as much around the word between them


def side_by_side(diagrams: Sequence[Diagram], between: str = "") -> Diagram:
    """Several graphs in a row, their rows level; ``between`` is written on an arrow from the first to the second."""
    whole = Diagram(diagrams[0].view if len(diagrams) == 1 else "figure", diagrams[0].detail)
    edge = 0.0
    for number, one in enumerate(diagrams):
        left, _, right, _ = extent(one)
        if number and between:
            low, high = min(v.y for v in whole.vertices), max(v.y for v in whole.vertices)
            edge = _arrow(whole, edge, between, (low + high) / 2)
        elif number:
            edge += 1.4 * GAP
        _add(whole, one, edge - left, 0.0, number)
        edge += right - left
    _titles(whole, diagrams)
    return whole


def head(diagram: Diagram, title: str) -> None:
    """Write a title over everything."""
    left, _, right, top = extent(diagram)
    diagram.notes.append(Note((Run(labels.clean(title)),), (left + right) / 2, top + 20, size=15.0))
    diagram.title = title


def _titles(whole: Diagram, diagrams: Sequence[Diagram]) -> None:
    top = max(extent(one)[3] for one in diagrams)
    for one in diagrams:
        if one.title:
            left, _, right, _ = extent(one)
            whole.notes.append(Note((Run(one.title),), (left + right) / 2, top + 22, size=13.0))


def _arrow(whole: Diagram, edge: float, word: str, y: float) -> float:
    width = max(labels.width((Run(word),), 13.0), 40.0) + 10
    start = Vertex("from", ("from",), None, "anchor", (), x=edge + GAP / 2, y=y)
    end = Vertex("to", ("to",), None, "anchor", (), x=start.x + width, y=y)
    points = [(start.x + width * share, y) for share in (0.0, 1 / 3, 2 / 3)]
    tip = (end.x, y)
    link = Link("from", "to", path=[*points, (end.x - style.ARROW, y)], tip=tip)
    whole.vertices += [start, end]
    whole.links.append(link)
    whole.notes.append(Note((Run(word),), (start.x + end.x) / 2, y + 10.0, size=13.0))
    return end.x + GAP / 2


def _add(whole: Diagram, one: Diagram, dx: float, dy: float, number: int) -> None:
    def move(p: Point) -> Point:
        return p[0] + dx, p[1] + dy

    prefix = f"p{number}_"
    for v in one.vertices:
        v.id, v.x, v.y = prefix + v.id, v.x + dx, v.y + dy
    for e in one.links:
        e.source, e.target = prefix + e.source, prefix + e.target
        e.path, e.path_in = [move(p) for p in e.path], [move(p) for p in e.path_in]
        e.tip, e.label_at, e.square = (p and move(p) for p in (e.tip, e.label_at, e.square))
    for thing in (*one.notes, *one.frames):
        thing.x, thing.y = thing.x + dx, thing.y + dy
    whole.vertices += one.vertices
    whole.links += one.links
    whole.notes += one.notes
    whole.frames += one.frames
