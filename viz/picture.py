"""``draw``: a tape, cell or tensor as a picture; and what can be done with a picture."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.module import Cell
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.excerpt.excerpt import ancestors
from tinyseq.viz.output.dot import dot_text
from tinyseq.viz.output.json_text import graph, json_text
from tinyseq.viz.output.render import format_of, render, write
from tinyseq.viz.overlays import overlays
from tinyseq.viz.overlays.fixed import mark
from tinyseq.viz.overlays.overlays import gradient_colours
from tinyseq.viz.placing.layout import Layout
from tinyseq.viz.placing.notes import annotate
from tinyseq.viz.placing.routes import route
from tinyseq.viz.views.folded import any_batch, folded, relative_time, tape_of
from tinyseq.viz.views.unfolded import unfolded


class Picture:
    """A drawn graph.

    ``dot`` DOT text · ``svg`` SVG text · ``png``, ``pdf`` bytes · ``save(path)`` by the file's ending · ``diagram`` its
    nodes and arrows with their positions. Notebooks show it as it is.
    """

    def __init__(self, diagram: Diagram, format: str = "svg") -> None:
        self.diagram, self.format = diagram, format

    @cached_property
    def dot(self) -> str:
        """DOT text with positions: ``neato -n2`` draws it."""
        return dot_text(self.diagram)

    @cached_property
    def svg(self) -> str:
        """SVG text, for light and dark pages."""
        return self._render("svg").decode()

    @property
    def json(self) -> str:
        """Nodes and arrows as JSON text."""
        return json_text(graph(self.diagram))

    @property
    def png(self) -> bytes:
        """PNG at 192 dots per inch."""
        return self._render("png")

    @property
    def pdf(self) -> bytes:
        """PDF."""
        return self._render("pdf")

    def _render(self, format: str, system: bool = False) -> bytes:
        title = self.diagram.title or f"{self.diagram.view.capitalize()} graph"
        return render(self.dot, format, title, self.diagram.description, system)

    def save(self, path: str | os.PathLike[str], format: str | None = None, *, system: bool = False) -> Path:
        """Write svg, png, pdf or dot, by the file's ending or ``format``.

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
) -> Picture:
    """Draw a tape, the tape up to a tensor, or a cell.

    view       "unfolded": a column for each time step; "folded": one step, with a black square where a value is late
    detail     "box": each call of a cell as one box, but for the cells named in ``opened``; "cell": named nodes,
               parameters as labelled arrows; "units": with the gates and sums between them; "ops": every primitive
    steps      how many time steps to show (the first and last; by default 10, fewer in detail), or which: range(5, 9)
    gradients  colour nodes by ‖∂L/∂node‖: None unfolded graphs after a backward pass, True always, False never
    overlay    "value", "gradient", "share" (of ∂L/∂W by time step; ``of`` W or its name), "saturation", "bytes",
               "nonfinite", "cuts", "levels": colours, a number beside each node and a legend (viz/overlays.py)
    path       where to save it; ``format`` svg, png, pdf or dot, by default what the path ends in
    inputs, state, delays  for a cell whose sizes cannot be guessed: arrays of one step (B, …), and its delays

    Steps are counted from 0 as on the tape, so h(−1) is the initial state. Raises TinyseqError for unknown words,
    GradientError for gradients that are not there, FileError for a path that cannot be written.
    """
    _one_of("view", view, ("unfolded", "folded"))
    _one_of("detail", detail, ("box", "cell", "units", "ops"))
    if overlay is not None:
        _one_of("overlay", overlay, tuple(overlays.MEASURES))
    cells = (opened,) if isinstance(opened, str) else tuple(opened)
    wanted = format_of(path, format)
    if isinstance(thing, Tape):
        diagram, tape = _of_tape(thing, view, detail, steps, None, cells), thing
    elif isinstance(thing, Tensor):
        thing._settled()
        tape = thing.tape
        diagram = _of_tape(tape, view, detail, steps, ancestors(tape, thing.index), cells)
    elif hasattr(thing, "step") and hasattr(thing, "parameters"):
        tape, centre = tape_of(thing, delays, inputs, state)
        if view == "folded":
            diagram = folded(tape, detail, opened=cells)
        else:
            shown = range(centre - 1, centre + 2) if steps is None else steps
            diagram = unfolded(tape, shown, detail, None, relative_time(centre), count_gaps=False, opened=cells)
        diagram.repeats, diagram.counts = 0, None
        if inputs is None and state is None:
            any_batch(diagram)
    else:
        raise TinyseqError(f"draw takes a tape, a cell or a tensor, got {type(thing).__name__}")
    if not diagram.vertices:
        raise TinyseqError("nothing to draw: the tape is empty; record something in it first")
    legend = None if overlay is None else overlays.measure(diagram, tape, overlay, of)
    mark(diagram, tape)
    layout = Layout(diagram)
    route(layout)
    annotate(layout)
    if legend is not None:
        overlays.finish(diagram, legend)
    else:
        gradient_colours.colour(diagram, tape, gradients if view == "unfolded" or gradients else False)
    picture = Picture(diagram, wanted)
    if path is not None:
        picture.save(path, wanted)
    return picture


def _of_tape(
    tape: Tape, view: str, detail: str, steps: Any, keep: np.ndarray | None, opened: tuple[str, ...]
) -> Diagram:
    if len(tape) == 0:
        raise TinyseqError("nothing to draw: the tape is empty; record something in it first")
    known = {kind.cell for kind in tape.kinds if kind.cell}
    for cell in opened:
        if cell not in known:
            raise TinyseqError(f"opened names a cell {cell!r} that is not on this tape; its cells are {sorted(known)}")
    if view == "folded":
        return folded(tape, detail, keep, opened=opened)
    return unfolded(tape, steps, detail, keep, opened=opened)


def _one_of(what: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise TinyseqError(f"{what} is {' or '.join(map(repr, known))}, got {given!r}")
