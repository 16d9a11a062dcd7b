"""``tinyseq bench``: tinyseq and its peers on the same problems in the same process, and a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyseq.cli.console import INTERRUPTED, check_output, files
from tinyseq.errors import DataError
from tinyseq.train.checkpoints import writable_folder

REPEATS, QUICK_REPEATS = 7, 3
SAMPLE_SECONDS, QUICK_SAMPLE_SECONDS = 5e-3, 1e-3
WIDTH_WHEN_PIPED = 200


def bench(
    row: Annotated[
        list[str] | None,
        typer.Option(help="Only rows of this name, or with this word in it; may be given again.", metavar="NAME"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all raw figures here.", metavar="FILE")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a bar chart here.", metavar="FILE")] = None,
    repeats: Annotated[
        int | None, typer.Option(help=f"Samples of each figure, which is their median (default {REPEATS}).", min=1)
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(help="Compare with these only, as torch,jax (default: all that are installed).", metavar="LIST"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"{QUICK_REPEATS} short samples: a rough look.")] = False,
    torch_compile: Annotated[
        bool, typer.Option("--torch-compile", help="Also torch.compile of a loop, up to a minute a row.")
    ] = False,
) -> None:
    """Measure tinyseq beside PyTorch, JAX, autograd, MyGrad, ReservoirPy and NumPy by hand.

    Forward and backward of recurrent and recursive nets, training, echo state networks, start-up time, memory.
    Gradients are compared with PyTorch's before anything is timed. Ctrl-C shows what was measured until then.
    """
    from rich.console import Console

    from tinyseq.bench.results.report import render
    from tinyseq.bench.results.results import Settings
    from tinyseq.bench.rows import select
    from tinyseq.bench.runner import measure

    for path in (json, svg):
        if path is not None:
            check_output(path)
    if svg is not None and svg.suffix.lower() != ".svg":
        raise DataError(f"the chart is an SVG file: write a name that ends in .svg; got {svg}")
    chosen, missing = _peers(peers)
    rounds = repeats or (QUICK_REPEATS if quick else REPEATS)
    seconds = QUICK_SAMPLE_SECONDS if quick else SAMPLE_SECONDS
    settings = Settings(select(row or []), chosen, rounds, seconds, torch_compile)
    with _Bar(len(settings.rows)) as bar:
        report = measure(settings, missing, bar.listen)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_WHEN_PIPED)
    for part in render(report):
        console.print(part)
    written = []
    if json is not None:
        writable_folder(json.parent)
        report.write_json(json)
        written.append((json, "all raw figures"))
    if svg is not None:
        from tinyseq.cli.bench_chart import chart

        writable_folder(svg.parent)
        chart(report, svg)
        written.append((svg, "the chart"))
    if written:
        files(written)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)


def _peers(given: str | None) -> tuple[tuple[str, ...], list[str]]:
    """The peers to compare with, and those wanted that are not installed."""
    from tinyseq.bench.contestants.peers import PEERS, installed

    wanted = list(PEERS) if given is None else [name.strip().lower() for name in given.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise DataError(f"no peer {', '.join(unknown)}; choose from {','.join(PEERS)}")
    here = installed()
    return tuple(name for name in PEERS if name in wanted and name in here), [n for n in wanted if n not in here]


class _Bar:
    """What is being measured: a bar on a terminal, a line for each row where stderr is piped."""

    def __init__(self, rows: int) -> None:
        self.rows, self.row = rows, ""
        self.progress: Any = None

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self.progress = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
            self.progress.start()
            self.task = self.progress.add_task("the machine's limits", total=self.rows)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.progress is not None:
            self.progress.stop()

    def listen(self, event: dict[str, Any]) -> None:
        """An event of the measuring process."""
        if event["event"] == "row":
            self.row = event["name"]
            if self.progress is None:
                print(f"{event['number'] + 1}/{self.rows} {self.row}", file=sys.stderr, flush=True)
        if self.progress is not None and event["event"] in ("row", "at", "measured"):
            what = f"{self.row} · {event['what']}" if event["event"] == "at" else self.row
            self.progress.update(self.task, description=what, advance=event["event"] == "measured")
