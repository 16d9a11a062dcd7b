"""What ``draw`` is asked for, and how a tape, cell or tensor becomes a placed diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.module import Module
from tinyseq.nn.recursive import TreeCell
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.excerpt.choose import ancestors
from tinyseq.viz.excerpt.positions import Reads
from tinyseq.viz.excerpt.runs import apart
from tinyseq.viz.look import labels
from tinyseq.viz.look.options import Look
from tinyseq.viz.output.beside import side_by_side
from tinyseq.viz.overlays import gradient_colours, overlays
from tinyseq.viz.overlays.fixed import mark
from tinyseq.viz.placing.layout import Layout
from tinyseq.viz.placing.notes import annotate
from tinyseq.viz.placing.routes import route
from tinyseq.viz.views.folded import folded
from tinyseq.viz.views.scratch import any_batch, relative_time, tape_of, tape_of_tree
from tinyseq.viz.views.unfolded import unfolded

VIEWS, DETAILS = ("unfolded", "folded", "tree"), ("box", "cell", "units", "ops")


@dataclass(frozen=True)
class Request:
    """The options of ``draw`` that say what to draw; the defaults are those of ``draw``."""

    view: str
    detail: str
    steps: Any
    opened: tuple[str, ...]
    inputs: Any
    state: Any
    delays: tuple[int, ...]
    gradients: bool | None
    overlay: str | None
    of: Any
    look: Look

    def __post_init__(self) -> None:
        _one_of("view", self.view, VIEWS)
        _one_of("detail", self.detail, DETAILS)
        if self.overlay is not None:
            _one_of("overlay", self.overlay, tuple(overlays.MEASURES))


def drawn(thing: Any, asked: Request) -> Diagram:
    """One thing, or several of a list or {title: thing} side by side, as a placed diagram."""
    if not isinstance(thing, (list, tuple, dict)) or hasattr(thing, "step"):
        return placed(thing, asked, "")
    named = thing.items() if isinstance(thing, dict) else (("", one) for one in thing)
    diagrams = [placed(one, asked, str(name)) for name, one in named]
    if not diagrams:
        raise TinyseqError("nothing to draw: the list is empty; put tapes, cells or tensors in it")
    diagram = side_by_side(diagrams)
    diagram.look = asked.look
    diagram.description = " ".join(d.description for d in diagrams)
    return diagram


def placed(thing: Any, asked: Request, title: str) -> Diagram:
    """One thing as a placed diagram with its colours and notes."""
    diagram, tape = _diagram(thing, asked)
    diagram.look, diagram.title = asked.look, title
    if not diagram.vertices:
        raise TinyseqError("nothing to draw: the tape is empty; record something in it first")
    found = None if asked.overlay is None else overlays.measure(diagram, tape, asked.overlay, asked.of)
    mark(diagram, tape)
    if not asked.look.shapes:
        for v in diagram.vertices:
            v.note = "" if v.note == labels.shape(v.shape or ()) else v.note
    layout = Layout(diagram)
    route(layout)
    if asked.look.notes:
        annotate(layout)
    if found is not None:
        overlays.finish(diagram, found)
    else:
        wanted = asked.gradients if asked.view != "folded" or asked.gradients else False
        gradient_colours.colour(diagram, tape, wanted)
    return diagram


def _diagram(thing: Any, asked: Request) -> tuple[Diagram, Tape]:
    if isinstance(thing, Tape):
        return _of_tape(thing, asked, None), thing
    if isinstance(thing, Tensor):
        thing._settled()
        return _of_tape(thing.tape, asked, ancestors(thing.tape, thing.index)), thing.tape
    if isinstance(thing, TreeCell):
        tape = tape_of_tree(thing, asked.inputs)
        return _of_tape(tape, asked, None), tape
    if not (hasattr(thing, "step") and hasattr(thing, "parameters")):
        record = ""
        if isinstance(thing, Module):
            record = "; record it, as in\n  with ts.Tape() as tape:\n      net.loss(x, y)\n  draw(tape)"
        raise TinyseqError(f"draw takes a tape, a cell or a tensor, got {type(thing).__name__}{record}")
    tape, centre = tape_of(thing, asked.delays, asked.inputs, asked.state)
    _one_of("the view of a cell", asked.view, VIEWS[:2])
    if asked.view == "folded":
        diagram = folded(tape, asked.detail, opened=asked.opened)
    else:
        shown = range(centre - 1, centre + 2) if asked.steps is None else asked.steps
        time = relative_time(centre)
        diagram = unfolded(tape, shown, asked.detail, None, time, count_gaps=False, opened=asked.opened)
    diagram.repeats, diagram.counts = 0, None
    if asked.inputs is None and asked.state is None:
        any_batch(diagram)
    return diagram, tape


def _of_tape(tape: Tape, asked: Request, keep: np.ndarray | None) -> Diagram:
    if len(tape) == 0:
        raise TinyseqError("nothing to draw: the tape is empty; record something in it first")
    known = {kind.cell for kind in tape.kinds if kind.cell}
    for cell in asked.opened:
        if cell not in known:
            raise TinyseqError(f"opened names a cell {cell!r} that is not on this tape; its cells are {sorted(known)}")
    tape, opened = apart(tape, keep, asked.opened)
    if asked.view == "folded":
        return folded(tape, asked.detail, keep, opened=opened)
    if asked.view == "tree" and not Reads(tape, keep).trees():
        raise TinyseqError(
            "view='tree' draws what is unfolded over a tree, and on this tape no position reads two others: it is a "
            "chain; draw it with view='unfolded'"
        )
    return unfolded(tape, asked.steps, asked.detail, keep, opened=opened)


def _one_of(what: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise TinyseqError(f"{what} is {' or '.join(map(repr, known))}, got {given!r}")
