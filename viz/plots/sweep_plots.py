"""A sweep as a picture: a point for each seed, the mean and its interval."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.habits import advised
from tinyseq.viz.output.render import write
from tinyseq.viz.plots.plots import COLOURS, _format, _plain, _settings


@advised
def sweep_points(
    values: Any, intervals: Any, path: str | os.PathLike[str], *, result: str, by: str, format: str | None = None
) -> Path:
    """The results of all seeds over the values of one name, with (mean, low, high) of each; returns the path."""
    from io import BytesIO

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = _format(path, format)
    names = list(values)
    with rc_context(_settings()):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            points = np.asarray(values[name], float)
            spread = np.linspace(-0.12, 0.12, len(points)) if len(points) > 1 else np.zeros(1)
            axes.plot(place + spread, points, "o", color=COLOURS[5], ms=4, alpha=0.8, label="each seed" * (place == 0))
            mean, low, high = intervals[name]
            axes.plot([place, place], [low, high], color=COLOURS[0], lw=2, label="95% of the mean" * (place == 0))
            axes.plot([place], [mean], "D", color=COLOURS[0], ms=5)
        axes.set_xticks(range(len(names)), [_plain(str(name)) for name in names])
        axes.set_xlabel(_plain(by))
        axes.set_ylabel(_plain(result))
        axes.legend(frameon=False)
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192)
    return write(path, data.getvalue())
