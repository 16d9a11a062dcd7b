"""``tinyseq figure`` and ``tinyseq figures``: the figures of the chapter, drawn from live cells and tapes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyseq.cli.console import check_output, files, say
from tinyseq.train.checkpoints import writable_folder


def figure(
    number: Annotated[str, typer.Argument(help="A figure's number, as 10.3.", metavar="NUMBER")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File: .svg, .png, .pdf or .dot (default: fig_10_03.svg).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print its nodes and edges as JSON instead.")] = False,
) -> None:
    """Draw a figure of chapter 10 from the net itself."""
    from tinyseq.viz import chapter
    from tinyseq.viz.output.render import format_of

    found = chapter.figure(number)
    if json:
        say(found.picture().json.rstrip("\n"))
        if out is None:
            return
    path = check_output(out or Path(f"{chapter.file_name(found.number)}.svg"))
    format_of(path, None)
    picture = found.picture()
    writable_folder(path.parent)
    picture.save(path)
    if not json:
        files([(path, f"figure {found.number}: {found.title}")])


def figures(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures and the page.")] = Path("figures"),
) -> None:
    """Draw all figures of chapter 10, and a page that shows them with their equations and code."""
    from tinyseq.viz import chapter

    writable_folder(check_output(out, folder=True))
    files(chapter.write_all(out))
