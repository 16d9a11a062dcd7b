"""A training as a plot: losses, validations and the rate over the steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.habits import advised
from tinyseq.viz.output.render import write
from tinyseq.viz.plots.plots import COLOURS, _format, _plain, _settings

MOST = 2000  # points of a curve


@advised
def training_curves(arrays: Any, path: str | os.PathLike[str], *, title: str = "", format: str | None = None) -> Path:
    """Loss of each step and their running mean, the validation's loss, and below them the rate; returns the path."""
    from io import BytesIO

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = _format(path, format)
    steps, losses, rates = (np.asarray(arrays[name], float) for name in ("step", "loss", "rate"))
    with rc_context(_settings()):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        thin = slice(None, None, -(-len(steps) // MOST))
        axes.plot(steps[thin], losses[thin], color=COLOURS[5], lw=0.7, alpha=0.6, label="training, each step")
        axes.plot(steps[thin], _smooth(losses)[thin], color=COLOURS[0], lw=1.5, label="training, running mean")
        if "validation_loss" in arrays:
            at, held = arrays["validation_step"], arrays["validation_loss"]
            axes.plot(at, held, color=COLOURS[1], lw=1.5, marker="o", ms=3, label="validation")
        values = losses[np.isfinite(losses)]
        if len(values) and values.min() > 0 and values.max() > 20 * values.min():
            axes.set_yscale("log")
        axes.set_ylabel("loss")
        axes.legend(frameon=False)
        if title:
            axes.set_title(_plain(title))
        below.plot(steps[thin], rates[thin], color=COLOURS[2], lw=1)
        below.set_ylabel("rate")
        below.set_xlabel("step")
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192)
    return write(path, data.getvalue())


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean of so many steps before each: a fiftieth of all."""
    width = max(len(values) // 50, 1)
    total = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (total[ends] - total[starts]) / (ends - starts)
