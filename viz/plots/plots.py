"""Plots of measured numbers, in the style of the pictures. Matplotlib is imported when a plot is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.errors import DataError, TinyseqError
from tinyseq.habits import advised
from tinyseq.viz.look import style
from tinyseq.viz.output.render import write

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), "-.", (0, (6, 2, 1.5, 2, 1.5, 2)), (0, (3, 1.5)))
GRID = "#d9dce0"
FORMATS = ("svg", "png", "pdf")


@advised
def gradient_norms(norms: Any, path: str | os.PathLike[str], *, title: str = "", format: str | None = None) -> Path:
    """Plot ‖∂L/∂h(t)‖ over the time step t on a log axis; returns the path.

    norms  one array (T,), or {label: array (T,)} for several curves. Zeros, which a log axis cannot show, are marked
           at the foot; NaN and infinity leave gaps and are counted in the label.
    Raises DataError for arrays that are empty or not one-dimensional, FileError for a path that cannot be written.
    """
    from io import BytesIO

    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    kind = _format(path, format)
    series = {name: _series(name, values) for name, values in _named(norms).items()}
    with rc_context(_settings()):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for place, (name, values) in enumerate(series.items()):
            _curve(axes, name, values, place)
        positive = [v[np.isfinite(v) & (v > 0)] for v in series.values()]
        if any(len(v) for v in positive):
            axes.set_yscale("log")
        axes.set_xlabel("time step $t$")
        axes.set_ylabel(r"$\Vert\partial L/\partial h^{(t)}\Vert$")
        axes.set_xlim(-0.5, max(len(v) for v in series.values()) - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title:
            axes.set_title(_plain(title))
        if len(series) > 1 or any(series):
            axes.legend(frameon=False)
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192)
    return write(path, data.getvalue())


def _named(norms: Any) -> dict[str, Any]:
    named = dict(norms) if isinstance(norms, Mapping) else {"": norms}
    if not named:
        raise DataError("gradient_norms got no arrays: give one array (T,) or {label: array}")
    return named


def _series(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0:
        raise DataError(
            f"gradient_norms{' of ' + repr(name) if name else ''} needs one norm for each time step, (T,), "
            f"got shape {array.shape}"
        )
    return array


def _curve(axes: Any, name: str, values: np.ndarray, place: int) -> None:
    colour = COLOURS[place % len(COLOURS)]
    bad = int((~np.isfinite(values)).sum())
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    label = _plain(name) + (f" ({bad} not finite)" if bad else "")
    steps = np.arange(len(values))
    marker = "o" if len(values) <= 60 else ""
    axes.plot(steps, shown, color=colour, linestyle=DASHES[place % len(DASHES)], marker=marker, markersize=3,
              linewidth=1.4, label=label or None)  # fmt: skip
    zeros = steps[values == 0]
    if len(zeros):
        axes.plot(zeros, np.full(len(zeros), 0.02), "v", color=colour, markersize=4, clip_on=False,
                  transform=axes.get_xaxis_transform(), label=f"{_plain(name)} exactly 0".strip())  # fmt: skip


def _plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")


def _format(path: str | os.PathLike[str], given: str | None) -> str:
    kind = (given or Path(path).suffix).lower().lstrip(".")
    if kind not in FORMATS:
        raise TinyseqError(f"unknown plot format {kind!r}; known are {', '.join(FORMATS)}, e.g. gradients.svg")
    return kind


def _settings() -> Any:
    return {
        "font.family": "serif",
        "font.size": 10,
        "mathtext.fontset": "dejavuserif",
        "svg.fonttype": "none",
        "svg.hashsalt": "tinyseq",
        "axes.edgecolor": style.MUTED,
        "axes.labelcolor": style.INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": style.MUTED,
        "ytick.color": style.MUTED,
        "figure.facecolor": style.PAPER,
    }
