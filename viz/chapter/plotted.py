"""Figures 10.15 and 10.17: plots of real runs. Functions of tinyseq.viz.plots.chapter_plots run and plot them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyseq.errors import TinyseqError
from tinyseq.viz.chapter.figure import file_name
from tinyseq.viz.output.render import format_of, write
from tinyseq.viz.output.source import program
from tinyseq.viz.plots.plots import FORMATS

MODULE = "tinyseq.viz.plots.chapter_plots"


class Plot:
    """A plot with what a picture has: ``svg`` text, ``save(path)``, ``json`` (its title; a plot has no nodes)."""

    def __init__(self, figure: PlottedFigure) -> None:
        self.figure = figure

    @cached_property
    def svg(self) -> str:
        """SVG text."""
        return self._bytes("svg").decode()

    @cached_property
    def png(self) -> bytes:
        """PNG."""
        return self._bytes("png")

    @property
    def json(self) -> str:
        """What it is."""
        title = f"Figure {self.figure.number}: {self.figure.title}"
        return json.dumps({"title": title, "plot": True}, allow_nan=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write svg, png or pdf, by the file's ending."""
        kind = format_of(path, None)
        if kind not in FORMATS:
            raise TinyseqError(f"figure {self.figure.number} is a plot: {', '.join(FORMATS)}, not {kind}")
        return write(path, self.svg.encode() if kind == "svg" else self.png if kind == "png" else self._bytes(kind))

    def _bytes(self, kind: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"plot.{kind}"
            self.figure.run(path)
            return path.read_bytes()


@dataclass(frozen=True)
class PlottedFigure:
    """A figure that is a plot: ``run(path)`` makes the run and writes the plot in the format of the path's ending."""

    number: str
    title: str
    equation: str
    run: Callable[[Path], Any]

    def picture(self) -> Plot:
        """The plot, made when it is asked for."""
        return Plot(self)

    @property
    def code(self) -> str:
        """The program that the gallery shows: ``run`` with its imports, and a line that calls it."""
        return program(self.run, f'{self.run.__name__}("{file_name(self.number)}.svg")')


def _found(number: str, title: str, equation: str, name: str) -> list[PlottedFigure]:
    """The figure, where the module with the run is there."""
    if importlib.util.find_spec(MODULE) is None:
        return []
    run = getattr(importlib.import_module(MODULE), name, None)
    return [] if run is None else [PlottedFigure(number, title, equation, run)]


FIGURES = [
    *_found(
        "10.15",
        "What repeated composition makes of a line through the states of a linear-tanh net",
        "h(t) = tanh(b + W h(t−1))",
        "figure_10_15",
    ),
    *_found(
        "10.17",
        "Gradient descent on the cliff of a recurrent net's loss, without and with clipping",
        "if ‖g‖ > v:  g ← g v / ‖g‖",
        "figure_10_17",
    ),
]
