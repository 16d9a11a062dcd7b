"""``tinyseq lesson``: the twelve questions of a learner, each answered by a short run on a real tape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyseq.cli.console import check_output, files, heading, say
from tinyseq.train.checkpoints import writable_folder


def lesson(
    number: Annotated[str | None, typer.Argument(help="1 to 12, or all.", metavar="[NUMBER]")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")] = Path("tinyseq-lessons"),
    seed: Annotated[int, typer.Option(help="Seed of the run's random numbers.", min=0)] = 0,
) -> None:
    """Twelve questions about backpropagation through time, each answered by a short run.

    Without a number the questions are listed; "all" answers them all and writes one offline page.
    """
    from tinyseq.viz import lessons

    if number is None:
        for known in lessons.LESSONS.values():
            say(f"{known.number:>3}  {known.question:<36} {known.short}")
        say("\ntinyseq lesson 1 answers the first; tinyseq lesson all answers all, on one page.")
        return
    every = number.strip().lower() == "all"
    chosen = list(lessons.LESSONS.values()) if every else [lessons.lesson(number)]
    writable_folder(check_output(out, folder=True))
    answers, written = [], []
    for one in chosen:
        heading(f"{one.number}. {one.question}")
        answer = one(out, seed, "auto" if every else "light")
        say(f"{answer}\n")
        answers.append(answer)
        written += list(answer.pictures.items())
    if every:
        written = [(lessons.write_page(answers, out), "all twelve: open it in a browser")]
    files(written)
