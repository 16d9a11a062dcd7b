"""A diagram on a grid of the drawer's own: a unit's name says how far from its time step and in which row it stands.

For pictures whose composition is known, as a figure of a book: columns are as far apart as rows are told to be, arrows
are straight wherever nothing is in the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyseq.errors import TinyseqError
from tinyseq.viz.diagram import Diagram, Link, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.placing import arrow_names, curves, routes
from tinyseq.viz.placing.layout import size

COLUMN, ROW = 92.0, 76.0
SIDES = {"right": 1, "left": -1}


@dataclass
class Arrows:
    """How arrows of a grid run where the rule is not to be followed.

    bows   (source name, target name) → how far an arrow between them bows out, in lengths; + to its left
    arcs   True: between nodes of one row arrows are arcs, the longer the higher, above and below in turn
    loops  name → "left" or "right", the side of its delayed loop
    around (source name, target name) → "left" or "right", the side on which a delayed arrow goes around
    """

    bows: Mapping[tuple[str, str], float] = field(default_factory=dict)
    arcs: bool = False
    loops: Mapping[str, str] = field(default_factory=dict)
    around: Mapping[tuple[str, str], str] = field(default_factory=dict)


def place(
    diagram: Diagram,
    places: Mapping[str, Point],
    arrows: Arrows | None = None,
    pitch: tuple[float, float] = (COLUMN, ROW),
    ovals: Mapping[str, float] | None = None,
    cells: Mapping[str, tuple[int, int]] | None = None,
    circle: float = style.CIRCLE,
) -> None:
    """Place a diagram's vertices and route its links.

    circle  the least diameter of its circles
    cells   name → (rows, columns) of the grid that a unit is drawn as
    ovals   name → how many circles wide a unit is
    places  name, or label with its time step, → (columns to the right of its time step, row)
    """
    size(diagram.vertices, small_signs=False, least=circle)
    for v in diagram.vertices:
        v.width *= (ovals or {}).get(v.name, 1.0)
        v.cells = (cells or {}).get(v.name)
        if v.cells:
            pitch_of_cells = style.GRID_CELL + style.GRID_GAP
            v.round, v.width = False, v.cells[1] * pitch_of_cells + 3 * style.GRID_GAP
            v.height = v.cells[0] * pitch_of_cells + style.LABEL_SIZE + 4 * style.GRID_GAP
    for v in diagram.vertices:
        at = places.get(v.text, places.get(v.name))
        if at is None:
            raise TinyseqError(f"no place on the grid for {v.text!r}; places are given for {', '.join(places)}")
        v.x, v.y = ((v.column or 0) + at[0]) * pitch[0], at[1] * pitch[1]
    _Grid(diagram, arrows or Arrows())


class _Grid:
    def __init__(self, diagram: Diagram, arrows: Arrows) -> None:
        self.diagram, self.arrows = diagram, arrows
        self.vertices = {v.id: v for v in diagram.vertices}
        self.right = max(v.x + v.width / 2 for v in diagram.vertices)
        self.left = min(v.x - v.width / 2 for v in diagram.vertices)
        for link in diagram.links:
            self._route(link)
        for link in sorted((e for e in diagram.links if e.delay), key=self._reach):
            self._delayed(link)
        named = [e for e in diagram.links if e.label or e.cut]
        arrow_names.place(named, diagram.links, diagram.vertices)

    def _route(self, link: Link) -> None:
        a, b = self.vertices[link.source], self.vertices[link.target]
        if link.delay:
            return
        bow = self.arrows.bows.get((a.name, b.name))
        if bow is not None:
            path = curves.arc(a, b, bow)
        elif self.arrows.arcs and a.y == b.y and abs((a.column or 0) - (b.column or 0)) > 1:
            path = curves.hop(a, b, 1 if (a.column or 0) % 2 else -1)
        else:
            path = curves.arrow(a, b, self.diagram.vertices)
        link.path, link.tip = curves.headed(path)

    def _reach(self, link: Link) -> tuple[bool, float]:
        a, b = self.vertices[link.source], self.vertices[link.target]
        return a is not b, abs(a.y - b.y) + abs(a.x - b.x)

    def _delayed(self, link: Link) -> None:
        a, b = self.vertices[link.source], self.vertices[link.target]
        bow = self.arrows.bows.get((a.name, b.name))
        side = 1
        if bow is not None and a is not b:
            link.path_in, home = curves.halves(curves.arc(a, b, bow))
            link.square = home[0]
        elif a is b:
            side = SIDES[self.arrows.loops.get(a.name, "right")]
            link.path_in, home, link.square = curves.loop(a, side, style.LOOP_REACH)
        else:
            side = SIDES[self.arrows.around.get((a.name, b.name), "right")]
            link.path_in, home, link.square = self._around(a, b, side)
        link.path, link.tip = curves.headed(home)
        if link.label:
            link.label_at = routes.beside_square(link, side)
        width = labels.width(labels.names(link.label)) + 8 if link.label else 0.0
        if side > 0:
            self.right = max(self.right, link.square[0] + width)
        else:
            self.left = min(self.left, link.square[0] - width)

    def _around(self, a: Vertex, b: Vertex, side: int) -> tuple[list[Point], list[Point], Point]:
        """Out of one side and level back into the same side of the other, a square half way."""
        x = self.right + style.LOOP_REACH * 0.8 if side > 0 else self.left - style.LOOP_REACH * 0.8
        square = (x, (a.y + b.y) / 2)
        half = style.DELAY_SQUARE / 2 * (1 if a.y > b.y else -1)
        out, back = (a.x + side * a.width / 2, a.y), (b.x + side * b.width / 2, b.y)
        to = curves.stepped(out, (x, a.y), (x, square[1] + half), radius=14.0)
        return to, curves.stepped((x, square[1] - half), (x, b.y), back, radius=14.0), square
