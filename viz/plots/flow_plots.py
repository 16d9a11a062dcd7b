"""The plot of ``gradient_flow``: norms over time on a log axis, below them what each step multiplies by."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.viz.look import style
from tinyseq.viz.output.render import write
from tinyseq.viz.plots.plots import COLOURS, DASHES, _curve, _format, _plain, _settings

if TYPE_CHECKING:
    from tinyseq.diagnose import GradientFlow


def gradient_flow_plot(
    flow: GradientFlow, path: str | os.PathLike[str], *, title: str = "", format: str | None = None
) -> Path:
    """Norms above, factors below: slopes of the units and σ_max of the weights apart; returns the path."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    kind = _format(path, format)
    with rc_context(_settings()):
        figure = Figure(figsize=(7.6, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _norms(upper, flow)
        _factors(lower, flow)
        lower.set_xlabel("time step $t$" if flow.states.what == "t" else "nodes above the leaf")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title:
            upper.set_title(_plain(title))
        figure.text(0.01, -0.01, _plain(flow.verdict), fontsize=8, color=style.MUTED, va="top")
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192, bbox_inches="tight")
    return write(path, data.getvalue())


def _norms(axes: Any, flow: GradientFlow) -> None:
    name = flow.states.name()
    last = flow.step[flow.last]
    curves = {f"‖∂L/∂{name}(t)‖": flow.gradient, f"its part from t = {last}": flow.carried[: flow.last + 1]}
    if flow.norms is not None:
        curves[f"‖∂{name}({last})/∂{name}(t)‖"] = flow.norms[: flow.last + 1]
    for place, (label, values) in enumerate(curves.items()):
        _curve(axes, label, values, place)
    if any(np.any(np.isfinite(v) & (v > 0)) for v in curves.values()):
        axes.set_yscale("log")
    axes.set_ylabel("norm")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _factors(axes: Any, flow: GradientFlow) -> None:
    """Of the step from t to t + 1, drawn at t + ½."""
    middle = np.arange(len(flow) - 1) + 0.5
    carried = flow.carried[: flow.last + 1]
    with np.errstate(all="ignore"):
        factor = carried[:-1] / carried[1:]
    axes.plot(middle[: flow.last], factor, color=COLOURS[1], linewidth=1.4, label="the gradient, × a step")
    for place, (kind, pair) in enumerate(flow.slopes.items()):
        colour = COLOURS[(place + 2) % len(COLOURS)]
        axes.plot(middle, pair[:, 0], color=colour, linestyle=DASHES[1], linewidth=1.2, label=f"mean {kind}")
    heights = [w.sigma_max for w in flow.weights if np.isfinite(w.sigma_max)]
    for place, weight in enumerate(w for w in flow.weights if np.isfinite(w.sigma_max)):
        colour = COLOURS[(place + 4) % len(COLOURS)]
        label = f"σ_max({_plain(weight.name)}) = {weight.sigma_max:.3g}"
        axes.axhline(weight.sigma_max, color=colour, linestyle=DASHES[2], linewidth=1.2, label=label)
    axes.axhline(1.0, color=style.MUTED, linewidth=0.8)
    axes.set_ylim(0, 1.1 * max([1.0, *heights, *factor[np.isfinite(factor)].tolist()]))
    axes.set_ylabel("factor")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02))
