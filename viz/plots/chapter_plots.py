"""Figures 10.15 and 10.17: plots of runs on tapes. The numbers come from ``tinyseq.diagnose.chapter``."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.diagnose.chapter import Cliff, Compositions, Descent, cliff, compositions
from tinyseq.viz.output.render import write
from tinyseq.viz.plots.plots import COLOURS, DASHES, _format, _settings


def figure_10_15(path: str | os.PathLike[str] | None = None, *, seed: int = 2) -> Compositions:
    """Repeated composition of a linear-tanh layer of 100 units: draw it (svg, png, pdf) and return the numbers."""
    found = compositions(np.random.default_rng(seed), gain=5.0, bias=3.0)
    if path is not None:
        save(path, lambda figure: draw_compositions(figure, found), (6.4, 4.0))
    return found


def figure_10_17(path: str | os.PathLike[str] | None = None, *, points: int = 121) -> Cliff:
    """J(w, b) of one sigmoid unit over 50 steps, descent without and with clipping: draw it and return the numbers."""
    found = cliff(place=(6.0, -2.6), rate=0.5, limit=0.1, updates=150, w=(2.5, 7.5), b=(-4.0, -1.0), points=points)
    if path is not None:
        save(path, lambda figure: draw_cliff(figure, found), (9.2, 4.4))
    return found


def save(path: str | os.PathLike[str], draw: Any, size: tuple[float, float]) -> Path:
    """Write what ``draw`` puts on a matplotlib figure of some size in inches, in the format of the path's ending."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = _format(path, None)
    with rc_context(_settings()):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        data = BytesIO()
        figure.savefig(data, format=kind, dpi=192, bbox_inches="tight", pad_inches=0.15)
    return write(path, data.getvalue())


def draw_compositions(figure: Any, found: Compositions) -> None:
    """Curves of the projection after 0, 1, … compositions."""
    axes = figure.add_subplot()
    for t, curve in enumerate(found.projection):
        axes.plot(found.coordinate, curve, color=COLOURS[t % len(COLOURS)], linestyle=DASHES[t % len(DASHES)],
                  linewidth=1.2, label=str(t))  # fmt: skip
    axes.set_xlabel("coordinate of the initial state along a random direction")
    axes.set_ylabel("projection of the state after $t$ steps")
    axes.legend(frameon=False, title="compositions", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_cliff(figure: Any, found: Cliff) -> None:
    """The surface twice, and on it the descent without and with clipping."""
    w, b = np.meshgrid(found.w, found.b)
    runs = {"without clipping": found.without, f"with clipping, ‖g‖ ≤ {found.limit:g}": found.clipped}
    for place, (title, run) in enumerate(runs.items()):
        axes = figure.add_subplot(1, 2, place + 1, projection="3d", computed_zorder=False)
        axes.plot_surface(w, b, found.surface, cmap="Greys", vmin=-0.3, vmax=0.9, rcount=160, ccount=160,
                          linewidth=0, antialiased=False, zorder=1)  # fmt: skip
        note = _draw_descent(axes, run, found)
        axes.set_xlabel("$w$")
        axes.set_ylabel("$b$")
        axes.set_zlabel("$J(w, b)$")
        axes.set_title(f"{title}\n{note}", fontsize=9)
        axes.view_init(elev=42, azim=-58)


def _draw_descent(axes: Any, run: Descent, found: Cliff) -> str:
    """The run as far as it stays over the grid; dotted where it is thrown out. Returns what came of it."""
    low, high = np.array([found.w[0], found.b[0]]), np.array([found.w[-1], found.b[-1]])
    inside = np.all((run.place >= low) & (run.place <= high), axis=1)
    end = int(np.flatnonzero(~inside)[0]) if not inside.all() else len(run.place)
    p, z = run.place[:end], run.loss[:end] + 0.01
    axes.plot(p[:, 0], p[:, 1], z, color=COLOURS[1], linewidth=0.8, zorder=5)
    axes.plot(*p[0], z[0], marker="s", color=COLOURS[0], markersize=5, zorder=6)
    note = f"{len(run.place) - 1} steps, the lowest J = {run.loss.min():.1e}"
    if end < len(run.place):
        away = run.place[end]
        towards = np.clip(away, low, high)
        axes.plot([p[-1, 0], towards[0]], [p[-1, 1], towards[1]], [z[-1], 0.5], color=COLOURS[1], linestyle=DASHES[2],
                  linewidth=1.4, zorder=5)  # fmt: skip
        where = f"({away[0]:.3g}, {away[1]:.3g})"
        note = f"step {end}: ‖g‖ = {run.norm[end - 1]:.3g}, thrown to {where}, J stays {run.loss[-1]:.2f}"
    return note
