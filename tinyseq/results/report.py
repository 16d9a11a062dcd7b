"""The table: the paper's figure, ours with its interval and seeds, and whether it was reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.errors import FileError
from tinyseq.results.experiment import GROUPS, Experiment, Figure
from tinyseq.tasks.text_files import read_text
from tinyseq.train.checkpoints import write_safely

BEGIN, END = "<!-- results: written by `tinyseq results --readme` -->", "<!-- end of results -->"
HEADER = ("experiment", "what", "paper", "ours", "seeds", "verdict")


@dataclass(frozen=True)
class Line:
    """One figure of an experiment, with ours beside it."""

    experiment: Experiment
    figure: Figure
    value: float
    low: float
    high: float
    seeds: int

    @property
    def ours(self) -> str:
        """The value, and its interval where there is one."""
        value, low, high = (self.figure.printed(n) for n in (self.value, self.low, self.high))
        return value if low == high else f"{value} ({low} – {high})"

    @property
    def paper(self) -> str:
        """The paper's figure, marked where it was recalled."""
        paper = self.figure.paper
        return f"{paper} (recalled)" if self.figure.recalled and paper else paper or "–"

    @property
    def outcome(self) -> str:
        """Reached or short; shown where nothing is asked."""
        reached = self.figure.reached(self.value)
        return "shown" if reached is None else "reached" if reached else "short"

    @property
    def why(self) -> str:
        """The reason where ours is short, else nothing."""
        return (self.figure.why or "not known why") if self.outcome == "short" else ""

    @property
    def verdict(self) -> str:
        """The outcome, and why where it is short."""
        return f"{self.outcome}: {self.why}" if self.why else self.outcome

    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        return (self.experiment.name, self.figure.what, self.paper, self.ours, str(self.seeds), self.verdict)


def lines(experiments: Iterable[Experiment], rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A line for each figure of which there are results."""
    made = []
    for experiment in experiments:
        mine = [row["results"] for row in rows if row["experiment"] == experiment.name]
        for figure in experiment.figures:
            found = map(figure.measured, mine)
            numbers = np.array([number for number in found if number is not None], float)
            if len(numbers):
                made.append(Line(experiment, figure, *figure.put_together(numbers), len(numbers)))
    return made


def markdown(made: Sequence[Line]) -> str:
    """Tables by group, and below each what was done and how it was chosen."""
    parts = []
    for group, title in GROUPS.items():
        mine = [line for line in made if line.experiment.group == group]
        if not mine:
            continue
        rows = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
        rows += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line.cells()) + " |" for line in mine]
        parts.append(f"**{title}**\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def reasons(made: Sequence[Line]) -> list[tuple[str, str]]:
    """(experiment and figures, why) of all that is short; figures of one reason together."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in made:
        if line.why:
            found.setdefault((line.experiment.name, line.why), []).append(line.figure.what)
    return [(f"{name}, {'; '.join(figures)}", why) for (name, why), figures in found.items()]


def notes(made: Sequence[Line]) -> list[tuple[str, str]]:
    """(experiment, note) of each in the table: source, budget, optimiser, departures, how its settings were chosen."""
    seen = {line.experiment.name: line.experiment for line in made}
    return [(e.name, f"{e.title}. {e.paper}. {e.setup} Chosen: {e.chosen}") for e in seen.values()]


def into_readme(path: Path, table: str) -> Path:
    """Put a table between the markers of a file. Raises FileError where they are not there."""
    text = read_text(path)
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise FileError(f"{path} has no place for the table: write the lines {BEGIN} and {END} into it")
    return write_safely(path, pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n{END}", text).encode())


def from_readme(path: Path) -> str:
    """The table that stands between the markers."""
    _, _, rest = path.read_text("utf-8").partition(BEGIN)
    return rest.partition(END)[0].strip() + "\n"
