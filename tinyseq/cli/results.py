"""``tinyseq results``: the field's published results beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tinyseq.cli.console import check_output, files, say

WIDTH_WHEN_PIPED = 200


def results(
    names: Annotated[
        list[str] | None, typer.Argument(help="Experiments, or how their names begin (default: all).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All seeds of all experiments: about an hour of one core.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(help="So many seeds of each.", min=1)] = None,
    json: Annotated[Path | None, typer.Option(help="Write the table and all rows here.", metavar="FILE")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of results and plots; what it holds is not run again.")
    ] = Path("tinyseq-results"),
    workers: Annotated[int | None, typer.Option(help="Processes (default: one for each core).", min=1)] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Run nothing: write the table of --out's results into this file.", metavar="FILE"),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Run nothing: print the table of --out's results.")] = False,
) -> None:
    """Run experiments of the literature, seed by seed, and print what the paper found beside what was found here.

    Each seed is kept as it ends, so a run that was stopped goes on. Below the table stand budgets, departures from the
    papers and how settings were chosen. All of them take about a third of an hour of one core, half as long on two.
    """
    from tinyseq.results.report import into_readme, lines, markdown
    from tinyseq.results.running import chosen, jobs
    from tinyseq.results.store import kept, write, write_experiment

    check_output(out, folder=True)
    if json is not None:
        check_output(json)
    experiments = chosen(names or [])
    if readme is not None:
        into_readme(readme, markdown(lines(chosen([]), kept(out))))
        files([(readme, "the table of what is kept")])
        return
    if show:
        rows = kept(out)
    else:
        wanted = jobs(experiments, full=full, named=bool(names), seeds=seeds)
        rows = _run(wanted, out, workers)
    made = lines(experiments, rows)
    _table(made)
    _cost(rows, {experiment.name for experiment in experiments})
    done = {line.experiment.name: line.experiment for line in made}
    written = [(write_experiment(out, name, rows), "rows") for name in done] if not show else []
    written += [(_plot(experiment, rows, out), "plot") for experiment in done.values() if not show]
    if json is not None:
        table = [
            dict(zip(("experiment", "what", "paper", "ours", "seeds", "verdict"), line.cells(), strict=True))
            for line in made
        ]
        written.append((write(json, {"table": table, "rows": rows}), "table and rows"))
    if written:
        say()
        files(written)


def _run(wanted: Any, out: Path, workers: int | None) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    from tinyseq.results.running import run

    console = Console(stderr=True, highlight=False, markup=False)
    columns = (
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:3.0f}%"),
        TextColumn("{task.fields[left]} left"),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, expand=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, left="–")

        def told(share: float, left: float, text: str) -> None:
            bar.update(task, completed=share, description=text, left=_clock(left))

        def ended(row: dict[str, Any], count: int, of: int, left: float) -> None:
            if not console.is_terminal:  # a log: a line for each seed in place of the bar
                done = f"{row['experiment']} seed {row['seed']}: {row['seconds']:.0f} s"
                console.print(f"{done} ({count} of {of}, {_clock(left)} left)", soft_wrap=True)

        try:
            return run(wanted, out, workers=workers, told=told, ended=ended)
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"Stopped. What had ended is kept in {out}: the same command goes on with the rest.")
            raise


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def _table(made: Any) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from tinyseq.results.report import notes, reasons

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "paper", "ours", "seeds", "verdict"):
        grid.add_column(name, justify="right" if name == "seeds" else "left", no_wrap=name in ("seeds", "verdict"))
    last = None
    for line in made:
        if line.experiment is not last:
            grid.add_row(Text(line.experiment.name, style="bold"))
            last = line.experiment
        grid.add_row(Padding(line.figure.what, (0, 0, 0, 2)), line.paper, line.ours, str(line.seeds), line.outcome)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH_WHEN_PIPED
    console.print(grid)
    for title, parts in (("Short of the paper", reasons(made)), ("What was done", notes(made))):
        if parts:
            console.print(f"\n{title}", style="bold")
        for name, text in parts:
            console.print(Padding(f"{name}: {text}", (0, 0, 0, 2)))


def _cost(rows: Any, names: set[str]) -> None:
    """What the seeds of the table took in all, where and when they were run."""
    mine = [row["cpu_seconds"] for row in rows if row["experiment"] in names and "cpu_seconds" in row]
    if mine:
        say(f"\n{len(mine)} seeds, {sum(mine) / 60:.1f} minutes of a processor core in all.")


def _plot(experiment: Any, rows: Any, out: Path) -> Path:
    from tinyseq.viz.plots.results_plots import results_plot

    mine = [row for row in rows if row["experiment"] == experiment.name]
    numbers = {
        figure.what: [n for row in mine if (n := figure.measured(row["results"])) is not None]
        for figure in experiment.figures
    }
    curves = [row["curves"] for row in mine if row.get("curves")]
    return results_plot(
        out / f"{experiment.name}.svg", experiment.title, curves, numbers, experiment.axes, experiment.log
    )
