"""What a lesson is: a question, a short run on a real tape, and an answer of pictures, a table and three sentences."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.diagnose.table import as_text
from tinyseq.viz.chapter.gallery import inline
from tinyseq.viz.output.source import program


@dataclass(frozen=True)
class Answer:
    """Of one run: ``table`` for the terminal, ``sentences`` that say what is seen, ``pictures`` with a word on each.

    ``figures`` holds the numbers that the sentences are made of, by name.
    """

    number: int
    question: str
    table: str
    sentences: tuple[str, str, str]
    pictures: dict[Path, str]
    figures: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return "\n".join([self.table, "", *self.sentences])

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(s)}</p>" for s in self.sentences)
        shown = "".join(
            f"<figure>{inline(path.read_text('utf-8'))}<figcaption>{html.escape(what)}</figcaption></figure>"
            for path, what in self.pictures.items()
        )
        return f"<pre>{html.escape(self.table)}</pre>\n{said}\n{shown}"


@dataclass(frozen=True)
class Lesson:
    """Question ``number``; ``lesson(folder)`` answers it by a run of its own and writes its pictures there.

    ``theme``, as ``viz.draw`` takes it, is that of the graphs.
    """

    number: int
    question: str
    short: str
    run: Callable[[Run], None]

    def __call__(self, folder: str | Path = ".", seed: int = 0, theme: str = "light") -> Answer:
        run = Run(self.number, Path(folder), np.random.default_rng(seed), theme)
        run.folder.mkdir(parents=True, exist_ok=True)
        self.run(run)
        first, second, third = run.sentences
        return Answer(self.number, self.question, run.table, (first, second, third), run.pictures, run.figures)

    def by(self, run: Callable[[Run], None]) -> Lesson:
        """The same question, answered by another run: one that was copied and changed."""
        return replace(self, run=run)

    def code(self, show: str = "{}") -> str:
        """The run as a program to be pasted; its last line answers the question by it, put into ``show``."""
        last = show.format(f'lesson({self.number}).by({self.run.__name__})("tinyseq-lessons")')
        return program(self.run, last, ["from tinyseq.viz.lessons import lesson"])


class Run:
    """What a lesson is handed: a generator, a folder, the theme of its pictures; and what it hands back."""

    def __init__(self, number: int, folder: Path, rng: np.random.Generator, theme: str = "light") -> None:
        self.number, self.folder, self.rng, self.theme = number, folder, rng, theme
        self.table = ""
        self.sentences: list[str] = []
        self.pictures: dict[Path, str] = {}
        self.figures: dict[str, Any] = {}

    def file(self, what: str, word: str = "") -> Path:
        """The path of the next picture, of which ``what`` says what it shows."""
        path = self.folder / f"lesson_{self.number:02d}{'_' if word else ''}{word}.svg"
        self.pictures[path] = what
        return path

    def plot(self, what: str, size: tuple[float, float], draw: Callable[[Any], None], word: str = "") -> None:
        """A plot in the style of all others: ``draw`` is given a matplotlib figure."""
        from tinyseq.viz.plots.chapter_plots import save

        save(self.file(what, word), draw, size)

    def rows(self, head: Sequence[str], rows: Sequence[Sequence[str]], foot: str = "") -> None:
        """The table."""
        self.table = as_text(tuple(head), [tuple(row) for row in rows], foot).rstrip("\n")

    def say(self, *sentences: str) -> None:
        """The three sentences."""
        self.sentences += sentences


def percent(share: float) -> str:
    """A share in words: 31 %, 0.2 %, 4e-05 %."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
