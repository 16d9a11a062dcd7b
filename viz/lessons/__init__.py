"""The twelve questions of a learner, each answered by a short run on a real tape: ``lesson(6)("folder")``."""

from __future__ import annotations

from pathlib import Path

from tinyseq.errors import TinyseqError
from tinyseq.viz.lessons import cuts, flow, graphs, terms
from tinyseq.viz.lessons.lesson import Answer, Lesson
from tinyseq.viz.lessons.live import live_name, live_page
from tinyseq.viz.lessons.notebook import notebook
from tinyseq.viz.lessons.page import page
from tinyseq.viz.output.render import write

LESSONS: dict[int, Lesson] = {
    one.number: one
    for one in sorted((one for module in (terms, flow, cuts, graphs) for one in module.LESSONS), key=lambda x: x.number)
}


def lesson(number: int | str) -> Lesson:
    """A lesson by its number. Raises TinyseqError naming those there are."""
    text = str(number).strip()
    found = LESSONS.get(int(text)) if text.isdecimal() else None
    if found is None:
        raise TinyseqError(f"no lesson {text!r}; lessons are 1 to {len(LESSONS)}, or all of them: tinyseq lesson all")
    return found


def write_page(answers: list[Answer], folder: Path) -> Path:
    """One page that needs no network with all the answers, and beside it a page that computes for each of them."""
    for answer in answers:
        live_page(answer.number, folder / live_name(answer.number))
    return write(folder / "index.html", page([(LESSONS[a.number], a) for a in answers]).encode())


def tour() -> str:
    """The notebook of all lessons, as the text of examples/bptt_tour.ipynb."""
    return notebook(list(LESSONS.values()))


__all__ = ["LESSONS", "Answer", "Lesson", "lesson", "tour", "write_page"]
