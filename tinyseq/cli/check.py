"""``tinyseq check``: random programs on this machine, everything held against everything else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyseq.cli.console import INTERRUPTED, check_output, files, say, table

SCRIPT = Path("tinyseq_failure.py")
KINDS = {
    "same": "the same everywhere",
    "no plan": "no plan: run by the reference",
    "not recorded": "refused with an error that says why",
    "tied": "left out: numbers equal but for rounding are compared",
}


def check(
    minutes: Annotated[float, typer.Option(help="How long to go on.", min=0.01)] = 1.0,
    seed: Annotated[int, typer.Option(help="Number of the first program; the same number, the same program.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="Most threads of the compiled executor (default: the processors).", min=1)
    ] = None,
    programs: Annotated[int | None, typer.Option(help="Stop after so many programs.", min=1)] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where the script of a failure goes.", metavar="FILE")
    ] = SCRIPT,
) -> None:
    """Check on this machine that every executor computes the same: random programs for a minute.

    Each program (cells, loops, chains, trees, delays, attention, masks, NaN …) runs on the reference executor and
    compiled in 1 to n threads; gradients are compared with central differences, and with PyTorch where it is installed.
    The first failure ends the check with exit code 1 and a small script that shows it.

    Examples: tinyseq check · tinyseq check --minutes 10 --seed 1000 · tinyseq check --threads 4 -o failure.py
    """
    from tinyseq.bench.measuring.machine import cores
    from tinyseq.checking.check import check as run
    from tinyseq.checking.smaller import WITHOUT, has_hypothesis
    from tinyseq.checking.twin import has_torch

    check_output(out)
    counts = tuple(range(1, (threads or min(cores(), 8)) + 1))
    machine()
    say(f"threads 1 to {counts[-1]}, " + ("PyTorch is an oracle too" if has_torch() else "without PyTorch"))
    interrupted = False
    with _Bar(minutes) as bar:
        report: Any = None
        try:
            report = run(minutes, seed, counts, programs or 10**9, bar.listen)
        except KeyboardInterrupt:
            interrupted, report = True, bar.report
    if report is not None:
        show(report, seed)
    if report is not None and report.failure is not None:
        out.write_text(report.script, encoding="utf-8")
        say(f"\nFAILED: program {report.failure.seed}, {report.failure.kind}: {report.failure.what}\n")
        say(report.script)
        files([(out, "shows the failure: python " + str(out))])
        if not has_hypothesis():
            say(WITHOUT)
        raise typer.Exit(1)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def machine() -> None:
    """The processor and the register tile that products use on it."""
    from tinyseq.bench.measuring.machine import cores, name
    from tinyseq.engine.kernels.tile import HOST, TILES

    tile = next((known for known, sizes in TILES.items() if sizes == HOST), "of its own")
    sizes = f"{HOST.rows} × {HOST.vectors} vectors of {HOST.vector_bytes} bytes"
    say(f"{name()}, {cores()} processors, tile {tile}: {sizes}")


def show(report: Any, seed: int) -> None:
    """Counts and worst differences."""
    say(f"{report.programs} programs from number {seed} in {report.seconds:.0f} s, {len(report.features)} features")
    for kind, count in report.kinds.most_common():
        say(f"  {count:6d}  {KINDS.get(kind, 'FAILED: ' + kind)}")
    say("by threads: " + ", ".join(f"{n}: {count}" for n, count in sorted(report.threads.items())))
    rows = [(name, str(report.compared[name]), f"{worst:.1e}") for name, worst in sorted(report.worst.items())]
    table(["compared with", "programs", "worst difference"], rows)


class _Bar:
    """Programs and minutes, on a terminal."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.bar, self.report = minutes, None, None  # type: ignore[var-annotated]

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}% {bar} {remaining} left{postfix}"
            self.bar = tqdm(total=round(60 * self.minutes, 1), desc="checking", file=sys.stderr, bar_format=form)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def listen(self, report: Any) -> None:
        """A program more."""
        self.report = report
        if self.bar is not None:
            self.bar.set_postfix_str(f"{report.programs} programs", refresh=False)
            self.bar.update(min(report.seconds, self.bar.total) - self.bar.n)
