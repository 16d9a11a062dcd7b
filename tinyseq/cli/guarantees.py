"""``tinyseq guarantees``: what is promised, how it is tested, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyseq.cli.console import check_output, files, say


def guarantees(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it as markdown.", metavar="FILE")] = None,
) -> None:
    """Say what is promised and how it is tested: bits, tolerances, NaN, determinism, threads, fork.

    With the counts of the last long search for wrong plans, and how many small wrong changes to the sources the tests
    notice. Examples: tinyseq guarantees · tinyseq guarantees -o guarantees.md
    """
    from tinyseq.checking.guarantees import markdown, mutated, promises, searched

    if out is not None:
        check_output(out)
        out.parent.mkdir(exist_ok=True)
        out.write_text("# What is promised\n\n" + markdown(), encoding="utf-8")
        files([(out, "what is promised, and how it is tested")])
        return
    for promise in promises():
        say(f"{promise.subject}: {promise.words}")
        say("  " + " ".join(f"tests/{test}" for test in promise.tests) + "\n")
    say(searched() + "\n")
    say(mutated())
