"""An experiment's results as a picture: its curves, a line for each seed, or its figures, a point for each seed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.habits import advised
from tinyseq.viz.output.render import write
from tinyseq.viz.plots.plots import COLOURS, DASHES, _format, _plain, _settings


@advised
def results_plot(
    path: str | os.PathLike[str],
    title: str,
    curves: Sequence[Mapping[str, Sequence[Sequence[float]]]],
    figures: Mapping[str, Sequence[float]],
    axes: tuple[str, str] = ("", ""),
    log: str = "",
    *,
    format: str | None = None,
) -> Path:
    """Draw ``curves``, for each seed a dict of name → [x, y]; without any a strip of points for each of ``figures``."""
    from io import BytesIO

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = _format(path, format)
    with rc_context(_settings()):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        if curves:
            _curves(figure.add_subplot(), curves, axes, log)
        else:
            _points(figure, figures)
        figure.suptitle(_plain(title), fontsize=10)
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192)
    return write(path, data.getvalue())


def _curves(axes: Any, curves: Any, names: tuple[str, str], log: str) -> None:
    places: dict[str, int] = {}
    for each in curves:
        for name, points in each.items():
            first = name not in places
            place = places.setdefault(name, len(places))
            x, y = np.asarray(points, float).reshape(-1, 2).T
            style = {"color": COLOURS[place % len(COLOURS)], "ls": DASHES[place % len(DASHES)]}
            axes.plot(x, y, lw=1.2, alpha=0.8, label=_plain(name) if first else None, **style)
    axes.set_xlabel(_plain(names[0]))
    axes.set_ylabel(_plain(names[1]))
    for side, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if side in log:
            axes.set(**{f"{side}scale": "log"})
            _plain_numbers(axis)
    if list(places) != [names[1]]:  # a single curve is named by its axis
        axes.legend(frameon=False)


def _plain_numbers(axis: Any) -> None:
    """30 in place of 3 × 10¹ on a log scale, where numbers are neither small nor large."""
    from matplotlib.ticker import LogFormatter

    low, high = axis.get_view_interval()
    if low >= 0.01 and high < 1e4:
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))


def _points(figure: Any, figures: Mapping[str, Sequence[float]]) -> None:
    known = {name: numbers for name, numbers in figures.items() if len(numbers)}
    for place, axes in enumerate(np.atleast_1d(figure.subplots(1, max(1, len(known))))):
        if place < len(known):
            name, numbers = list(known.items())[place]
            axes.plot(np.linspace(-0.1, 0.1, len(numbers)), numbers, "o", ms=4, color=COLOURS[place % len(COLOURS)])
            axes.set_xlim(-0.5, 0.5)
            axes.set_xticks([])
            axes.set_title(_plain(name), fontsize=8, wrap=True)
