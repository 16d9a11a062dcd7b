"""What an experiment is: a paper's figures, and the function of a seed that gives ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.errors import DataError
from tinyseq.train.sweeps import bootstrap

GROUPS = {
    "starred": "The six that together convince",
    "others": "Others of chapter 10",
    "continued": "Chapter 10, continued",
}


@dataclass(frozen=True)
class Figure:
    """A number of a paper and what ours is to be.

    key       its name in what a run returns
    paper     as the paper has it; "" where a bound is known exactly or nobody published one
    at_most, at_least   what counts as reached; without either it is only shown
    over      how seeds are put together: "mean", "rms" (root of the mean square), "median" of the sizes, "worst"
    less      a number of the same run that is taken off first: the part that is chance and known exactly
    recalled  the paper's figure was recalled, not read in the source; it is printed so
    why       the reason where ours falls short
    """

    key: str
    what: str
    paper: str = ""
    at_most: float | None = None
    at_least: float | None = None
    over: str = "mean"
    shown: str = ".3g"
    less: str = ""
    recalled: bool = False
    why: str = ""

    def measured(self, results: Mapping[str, Any]) -> float | None:
        """The number of one run; None where it has none."""
        number, less = results.get(self.key), results.get(self.less) if self.less else 0
        return None if number is None or less is None else number - less

    def put_together(self, numbers: np.ndarray) -> tuple[float, float, float]:
        """(value, low, high) of the seeds' numbers: with a bootstrap interval of 95% for means."""
        if self.over == "rms":
            low, high = bootstrap(np.square(numbers))
            value = float(np.sqrt(np.square(numbers).mean()))
            return value, float(np.sqrt(low)), float(np.sqrt(high))
        if self.over == "mean":
            return (float(numbers.mean()), *bootstrap(numbers))
        value = float(np.median(np.abs(numbers)) if self.over == "median" else numbers.max())
        return value, value, value

    def reached(self, value: float) -> bool | None:
        """Whether a value is as good as it is to be; None where nothing is asked."""
        if self.at_most is None and self.at_least is None:
            return None
        low = self.at_least is None or value >= self.at_least
        return bool(low and (self.at_most is None or value <= self.at_most))

    def printed(self, value: float) -> str:
        """A value in the figure's format, thousands apart where it is whole."""
        return format(round(value) if self.shown.endswith("d") else value, self.shown)


@dataclass(frozen=True)
class Experiment:
    """A published result as a function of a seed.

    run       ``run(seed, **sizes)`` → numbers by name; lists under "curves" are drawn: name → [x, y]
    short     the sizes of its short form, which takes seconds
    seeds     how many the command runs by default (0: only with --full, or when named), and with --full
    seconds   what a seed takes on one core of the machine that the stored results name
    setup     budget, optimiser, and every departure from the paper
    chosen    how each hyperparameter was chosen
    """

    name: str
    group: str
    title: str
    paper: str
    figures: tuple[Figure, ...]
    run: Callable[..., dict[str, Any]]
    setup: str
    chosen: str
    seeds: int = 3
    full: int = 3
    seconds: float = 10.0
    short: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")
    log: str = ""  # axes of the plot on a log scale: "", "x", "y", "xy"

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise DataError(f"the group of {self.name} is one of {', '.join(GROUPS)}, got {self.group!r}")

    def short_form(self, seed: int = 0, **sizes: Any) -> dict[str, Any]:
        """One run in the short form's sizes."""
        return self.run(seed, **{**self.short, **sizes})
