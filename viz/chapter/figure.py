"""A figure of the chapter: its number, title and equation, the code that records it, and how that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinyseq.viz.chapter.panel import Panel
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.look.options import Look
from tinyseq.viz.output.beside import side_by_side
from tinyseq.viz.output.source import program
from tinyseq.viz.picture import Picture

LISTED = 40  # arrows read aloud


@dataclass(frozen=True)
class Figure:
    """A figure drawn from a live tape.

    record   builds the net and records it; what it returns (a tape, or several) goes to ``panels``
    panels   the graphs to draw from it, side by side
    between  the word on the arrow from the first graph to the second
    """

    number: str
    title: str
    equation: str
    record: Callable[[], Any]
    panels: Callable[[Any], Sequence[Panel]]
    between: str = ""

    def picture(self, recorded: Any = None) -> Picture:
        """Record and draw it; or draw what ``recorded`` by code of one's own that returns the like."""
        recorded = self.record() if recorded is None else recorded
        panels = self.panels(recorded)
        diagrams = [panel.diagram() for panel in panels]
        circles = {max(v.height for v in d.vertices if v.round) for d in diagrams}
        if len(circles) > 1:  # of one size in all of them
            diagrams = [panel.diagram(max(circles)) for panel in panels]
        diagram = side_by_side(diagrams, self.between)
        diagram.title = f"Figure {self.number}: {self.title}"
        diagram.description = _aloud(diagram)
        diagram.look = Look("auto")
        return Picture(diagram)

    @property
    def code(self) -> str:
        """The program that the gallery shows: ``record`` with its imports, and a line that draws what it recorded."""
        last = f'figure("{self.number}").picture({self.record.__name__}()).save("{file_name(self.number)}.svg")'
        return program(self.record, last, ["from tinyseq.viz.chapter import figure"])


def file_name(number: str) -> str:
    """fig_10_03 for "10.3"."""
    chapter, place = number.split(".")
    return f"fig_{chapter}_{int(place):02d}"


def _aloud(diagram: Diagram) -> str:
    """Every arrow in words."""
    names = {v.id: v.text for v in diagram.vertices}
    panels = list(dict.fromkeys(v.panel for v in diagram.vertices if v.panel))
    panel_of = {v.id: v.panel for v in diagram.vertices}
    parts = []
    for panel in panels:
        arrows = [e for e in diagram.links if panel_of[e.source] == panel]
        said = [
            f"{names[e.source]} to {names[e.target]}"
            + (f" by {', '.join(e.label)}" if e.label else "")
            + (f", {e.delay} step later" if e.delay else "")
            for e in arrows
        ]
        more = f"; and {len(said) - LISTED} more" if len(said) > LISTED else ""
        parts.append(f"{panel}: {'; '.join(said[:LISTED])}{more}.")
    return " ".join(parts)
