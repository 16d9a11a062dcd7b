"""``draw``: a tape, cell or tensor as a picture; and what can be done with a picture."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyseq.habits import advised
from tinyseq.nn.module import Cell
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.look import style
from tinyseq.viz.look.options import Look
from tinyseq.viz.output import paint
from tinyseq.viz.output.animate import animated
from tinyseq.viz.output.beside import head
from tinyseq.viz.output.dot import dot_text
from tinyseq.viz.output.json_text import graph, json_text
from tinyseq.viz.output.render import format_of, render, write
from tinyseq.viz.output.tikz import tikz_text
from tinyseq.viz.request import Request, drawn


class Picture:
    """A drawn graph.

    ``dot`` DOT text · ``svg`` SVG text · ``tex`` TikZ · ``png``, ``pdf`` bytes · ``save(path)`` by the file's ending ·
    ``animation()`` an SVG that moves · ``diagram`` its nodes and arrows with their positions. Notebooks show it.
    """

    def __init__(self, diagram: Diagram, format: str = "svg") -> None:
        self.diagram, self.format = diagram, format

    @cached_property
    def dot(self) -> str:
        """DOT text with positions: ``neato -n2`` draws it as it is, plain ``dot`` in rows of its own."""
        return dot_text(self.diagram)

    @cached_property
    def svg(self) -> str:
        """SVG text in the picture's theme."""
        return self._render("svg").decode()

    @property
    def json(self) -> str:
        """Nodes and arrows as JSON text."""
        return json_text(graph(self.diagram))

    @property
    def png(self) -> bytes:
        """PNG, as the SVG looks, at 192 dots per inch unless ``draw`` was told otherwise."""
        return self._render("png")

    @property
    def pdf(self) -> bytes:
        """PDF, as the SVG looks."""
        return self._render("pdf")

    @property
    def tex(self) -> str:
        """A LaTeX document with the picture in TikZ: ``pdflatex`` or ``lualatex`` makes a PDF of it."""
        return tikz_text(self.diagram)

    def animation(self, what: str = "unfolding", seconds: float = 6.0) -> str:
        """The picture as one SVG that moves, again and again: "unfolding" shows step after step as it is recorded,
        "backward" runs from the loss back through the arrows."""
        return animated(self.svg, self.diagram, what, seconds)

    def _render(self, format: str, system: bool = False) -> bytes:
        diagram = self.diagram
        if format == "tex":
            return self.tex.encode()
        if format in ("png", "pdf") and not system:
            return paint.paint(diagram, format)
        title = diagram.title or f"{diagram.view.capitalize()} graph"
        return render(self.dot, format, title, diagram.description, system, diagram.look)

    def save(self, path: str | os.PathLike[str], format: str | None = None, *, system: bool = False) -> Path:
        """Write svg, png, pdf, dot or tex, by the file's ending or ``format``.

        Raises TinyseqError for an unknown format, FileError where the file cannot be written. ``system=True`` lets the
        Graphviz program of the system draw instead of the one inside pygraphviz.
        """
        return write(path, self._render(format_of(path, format), system))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Inline SVG in HTML, so that text can be selected and wide pictures scroll; SVG alone; words."""
        box = f'<div style="overflow-x:auto">{self.svg}</div>'
        return {"text/html": box, "image/svg+xml": self.svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Picture({html.unescape(self.diagram.description)})"


@advised
def draw(
    thing: Tape | Cell | Tensor | Any,
    path: str | os.PathLike[str] | None = None,
    *,
    view: str = "unfolded",
    detail: str = "cell",
    steps: int | Sequence[int] | None = None,
    gradients: bool | None = None,
    opened: Sequence[str] | str = (),
    overlay: str | None = None,
    of: Any = None,
    format: str | None = None,
    inputs: Any = None,
    state: Any = None,
    delays: Sequence[int] = (1,),
    title: str = "",
    theme: str = "light",
    notes: bool = True,
    legend: bool = True,
    shapes: bool = True,
    font: str = "",
    size: float = style.LABEL_SIZE,
    dpi: int = style.DPI,
) -> Picture:
    """Draw a tape, the tape up to a tensor, or a cell; several of them, in a list or as {title: thing}, side by side.

    view       "unfolded": a column for each time step, of a tree children under their parents; "tree": the same, an
               error for what is no tree; "folded": one step, with a black square where a value is late, and
               "start" on the dashed arrow from what the first step alone reads
    detail     "box": each call of a cell as one box, but for the cells named in ``opened``; "cell": named nodes,
               parameters as labelled arrows; "units": with the gates and sums between them; "ops": every primitive
    steps      how many time steps to show (the first and last; by default 10, fewer in detail), or which: range(5, 9)
    gradients  colour nodes by ‖∂L/∂node‖: None unfolded graphs after a backward pass, True always, False never
    overlay    "value", "gradient", "share" (of ∂L/∂W by time step; ``of`` W or its name), "saturation", "bytes",
               "nonfinite", "cuts", "levels": colours, a number beside each node and a legend (viz/overlays.py)
    path       where to save it; ``format`` svg, png, pdf, dot or tex, by default what the path ends in
    inputs, state, delays  for a cell whose sizes cannot be guessed: arrays of one step (B, …), and its delays
    title      words over the picture
    theme      "light", "dark", "print" (black and grey on white), or "auto": an SVG that follows the reader's settings
    notes, legend, shapes  False leaves out all words beside the graph, the legend of colours, the shapes of values
    font, size, dpi        a font for the labels, their size in points (all else grows with it), dots per inch of a PNG

    Steps are counted from 0 as on the tape, so h(−1) is the initial state. Raises TinyseqError for unknown words,
    GradientError for gradients that are not there, FileError for a path that cannot be written.
    """
    look = Look(theme, notes, legend, shapes, font, size, dpi)
    wanted = format_of(path, format)
    cells = (opened,) if isinstance(opened, str) else tuple(opened)
    asked = Request(view, detail, steps, cells, inputs, state, tuple(delays), gradients, overlay, of, look)
    diagram = drawn(thing, asked)
    if title:
        head(diagram, title)
    picture = Picture(diagram, wanted)
    if path is not None:
        picture.save(path, wanted)
    return picture
