"""What the commands share: errors without tracebacks, tables, text that is safe to show, reports of files."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from tinyseq.errors import FileError, TinyseqError
from tinyseq.train.checkpoints import writable_folder

INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended

Command = TypeVar("Command", bound=Callable[..., Any])


def friendly(command: Command) -> Command:
    """Errors that are the user's to mend become one message on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except TinyseqError as error:
            typer.echo(f"error: {error}", err=True)
        except MemoryError as error:
            typer.echo(f"error: not enough memory: {error or 'this is too large'}; give smaller sizes", err=True)
        except BrokenPipeError:  # the reader has what it wanted (`| head`): silence what Python would flush at exit
            sys.stdout = None  # type: ignore[assignment]
        raise typer.Exit(1)

    return run  # type: ignore[return-value]


def say(text: str = "") -> None:
    """A line on stdout."""
    typer.echo(text)


def heading(text: str) -> None:
    """A line that starts a part of the output, bold on a terminal."""
    Console(highlight=False).print(f"\n{text}", style="bold", markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A small table, its first column to the left."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        grid.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, markup=False).print(grid)


def shown(text: str) -> str:
    """Text without characters that would steer a terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text)


def quoted(text: str) -> str:
    """Sampled text set apart from the program's own words."""
    return "\n".join(f"  │ {line}" for line in shown(text).strip("\n").split("\n"))


def check_output(path: Path, folder: bool = False) -> Path:
    """Check, before any work is done, that a file can be written, or a folder: below here, or one more elsewhere.

    Makes nothing. Raises FileError: folders elsewhere that are not there are more likely a slip than a wish.
    """
    if not folder and path.is_dir():
        raise FileError(f"{path} is a folder; give the name of a file in it, e.g. {path / 'picture.svg'}")
    place = path if folder else path.parent
    if place.exists():
        writable_folder(place)
        return path
    if place.parent.exists() and not place.parent.is_dir():
        raise FileError(f"cannot write into the folder {place}: {place.parent} is a file, not a folder")
    if not place.parent.is_dir() and (place.is_absolute() or ".." in place.parts):
        raise FileError(
            f"cannot write into the folder {place}: there is no folder {place.parent}; make it first: mkdir -p {place}"
        )
    if place.parent.exists() and not os.access(place.parent, os.W_OK | os.X_OK):
        raise FileError(f"cannot write into the folder {place}: {place.parent} may not be written to")
    return path


def files(written: Sequence[tuple[Path, str]]) -> None:
    """Name the files that were written."""
    width = max(len(str(path)) for path, _ in written)
    for path, what in written:
        say(f"  {path!s:<{width}}  {what}")
