"""The commands, and what is run when ``tinyseq`` is typed."""

from __future__ import annotations

import contextlib
import inspect
import sys

import typer

from tinyseq.cli.bench import bench
from tinyseq.cli.check import check
from tinyseq.cli.console import friendly
from tinyseq.cli.demo import demo
from tinyseq.cli.export import export
from tinyseq.cli.figures import figure, figures
from tinyseq.cli.guarantees import guarantees
from tinyseq.cli.lesson import lesson
from tinyseq.cli.look import draw, gradcheck
from tinyseq.cli.plan import plan
from tinyseq.cli.results import results
from tinyseq.cli.runs import compare, evaluate, info, predict, sample
from tinyseq.cli.site import site
from tinyseq.cli.stepper import step
from tinyseq.cli.sweep import sweep
from tinyseq.cli.train import train

app = typer.Typer(
    name="tinyseq",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Recurrent nets as explicit graphs: train them, draw them unfolded in time, check their gradients.\n\n"
    "Start with [bold]tinyseq demo[/bold].",
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        from tinyseq import __version__

        typer.echo(f"tinyseq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    pass


def _paragraphs(docstring: str | None) -> str:
    """A docstring with each paragraph on one line, so that the help text is wrapped to the terminal's width."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(docstring or "").split("\n\n"))


COMMANDS = (
    demo, train, evaluate, predict, sample, info, compare, export, sweep, draw, step, lesson, figure, figures,
    gradcheck, plan, check, guarantees, bench, results, site,
)  # fmt: skip
for command in COMMANDS:
    app.command(help=_paragraphs(command.__doc__))(friendly(command))


def main() -> None:
    """Entry point of the ``tinyseq`` script."""
    for stream in (sys.stdout, sys.stderr):  # a character the output cannot encode is replaced, not fatal
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app(prog_name="tinyseq")
