"""The benchmark as a bar chart: how many times as long as tinyseq each peer takes, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyseq.bench.results.report import figure
from tinyseq.bench.results.results import OURS, TIMES, Report, Row, write_whole
from tinyseq.errors import DataError

SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "tinyseq",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
BAR, GAP = 0.2, 0.16  # inches


def chart(report: Report, path: Path) -> Path:
    """Write the chart as SVG. A bar is the time of a peer's best form over ours, on a log axis from 1, where we are;
    a diamond is the floor. Raises DataError where no row has both, FileError for a path that cannot be written."""
    rows = [row for row in report.of_kind(*TIMES, "memory") if row.ratio is not None]
    if not rows:
        raise DataError("nothing to draw: no row was measured for both tinyseq and a peer")
    from matplotlib import rc_context

    with rc_context(SETTINGS):
        found = _figure(report, rows)
        write_whole(path, lambda part: found.savefig(part, format="svg", metadata={"Date": None}))
    return path


def _figure(report: Report, rows: list[Row]) -> Any:
    from matplotlib.figure import Figure

    from tinyseq.viz.look import style
    from tinyseq.viz.plots.plots import COLOURS

    peers = [peer for peer in report.settings.peers if any(peer in row.libraries for row in rows)]
    colours = dict(zip(peers, COLOURS, strict=False))
    heights = [len(row.libraries) * BAR + GAP for row in rows]
    chosen = Figure(figsize=(8.6, sum(heights) + 1.6), layout="constrained", facecolor=style.PAPER)
    axes = chosen.add_subplot()
    axes.set_xscale("log")
    axes.axvline(1, color=style.INK, linewidth=1.1, zorder=3)
    top, ticks = 0.0, []
    for row, height in zip(rows, heights, strict=True):
        ticks.append(top + height / 2)
        _bars(axes, report, row, top + GAP / 2, colours, style)
        top += height
    axes.set_ylim(top, 0)
    axes.set_yticks(ticks, [row.row for row in rows], color=style.INK)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", colors=style.MUTED)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x", color=style.FILLS["data"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"time (memory: bytes) of a peer's best form ÷ {OURS}'s; right of the line {OURS} is ahead")
    chosen.suptitle(_where(report), fontsize=8.5, color=style.INK, x=0.01, ha="left", linespacing=1.4)
    _legend(chosen, colours, style)
    return chosen


def _bars(axes: Any, report: Report, row: Row, top: float, colours: dict[str, str], style: Any) -> None:
    ours = row.ours
    assert ours
    for place, library in enumerate(peer for peer in colours if peer in row.libraries):
        best = row.best(library)
        assert best is not None
        times, middle = best[1] / ours, top + (place + 0.5) * BAR
        axes.barh(middle, times - 1, BAR * 0.86, left=1, color=colours[library])
        ahead = times >= 1
        axes.annotate(
            f"{figure(times)}× {best[0]}",
            (times, middle),
            (3 if ahead else -3, 0),
            textcoords="offset points",
            ha="left" if ahead else "right",
            va="center",
            fontsize=6.5,
            color=style.MUTED,
        )
    floor = row.floor(report.machine)
    if floor:
        axes.plot(floor / ours, top + len(row.libraries) * BAR / 2, "D", color=style.INK, markersize=3.5, zorder=4)


def _legend(chosen: Any, colours: dict[str, str], style: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [Patch(color=colour, label=library) for library, colour in colours.items()]
    marks.append(Line2D([], [], color=style.INK, linewidth=1.1, label=OURS))
    marks.append(Line2D([], [], color=style.INK, marker="D", markersize=3.5, linestyle="", label="floor"))
    chosen.legend(handles=marks, frameon=False, ncols=len(marks), loc="outside lower center", fontsize=8)


def _where(report: Report) -> str:
    m, shown = report.machine, (OURS, *report.settings.peers)
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items() if name in shown)
    busy = ", busy with other work: measure again" if m["busy"] else ""
    return f"{OURS} beside its peers: {m['processor']}, {m['cores']} cores{busy}\n{versions}"
