"""Rates over time: functions of the step from 0, and one that listens to the validation."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from typing import Any

from tinyseq.data.metrics import better
from tinyseq.errors import TinyseqError
from tinyseq.habits import advised

Schedule = Callable[[int], float]


@advised
def constant(rate: float) -> Schedule:
    """The same rate at each step."""
    return lambda step: rate


@advised
def cosine(rate: float, steps: int, last: float = 0.1) -> Schedule:
    """A rate that falls along half a cosine from ``rate`` to ``last · rate`` over the steps."""
    return lambda step: rate * (last + (1 - last) * 0.5 * (1 + cos(pi * min(step / max(steps - 1, 1), 1.0))))


@advised
def stepped(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """A rate that is multiplied by ``factor`` every so many steps."""
    _whole("every", every)
    return lambda step: rate * factor ** (step // every)


@advised
def warm_up(schedule: float | Schedule, steps: int) -> Schedule:
    """Rises in equal steps to where a rate, or another schedule, is after so many steps, and follows it from there."""
    _whole("steps", steps)
    then = schedule if callable(schedule) else constant(schedule)
    return lambda step: then(step) * min((step + 1) / steps, 1.0)


@advised
def one_cycle(rate: float, steps: int, rise: float = 0.3, first: float = 1 / 25, last: float = 1e-4) -> Schedule:
    """Rises along half a cosine from ``first · rate`` to ``rate`` in a part of the steps, then falls to
    ``first · last · rate`` (Smith and Topin 2018)."""
    top = rise * steps - 1
    end = steps - 1

    def at(step: int) -> float:
        step = min(step, end)
        if step <= top:
            return _between(first * rate, rate, step / top if top > 0 else 1.0)
        return _between(rate, first * last * rate, (step - top) / (end - top))

    return at


def _between(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * part))


class Plateau:
    """A rate that is multiplied by ``factor`` when ``patience`` validations in a row were no better than the best so
    far; it depends on the validations alone, so a training that goes on has the same."""

    def __init__(
        self, rate: float, factor: float = 0.1, patience: int = 5, monitor: str = "loss", least: float = 0.0
    ) -> None:
        _whole("patience", patience)
        self.rate, self.factor, self.patience, self.monitor, self.least = rate, factor, patience, monitor, least

    def __call__(self, step: int, validation: Any = ()) -> float:
        rate, best, bad = self.rate, None, 0
        for row in validation:
            value = row.get(self.monitor)
            if value is None:
                raise TinyseqError(f"the validation has no {self.monitor!r} to follow; it has {', '.join(row)}")
            if better(self.monitor, value, best):
                best, bad = value, 0
            else:
                bad += 1
                if bad > self.patience:
                    rate, bad = max(rate * self.factor, self.least), 0
        return rate


NAMES = ("constant", "cosine", "step", "one-cycle", "warm-up", "plateau")


def named(name: str, rate: float, steps: int, monitor: str = "loss") -> Any:
    """A schedule by its name, over so many steps."""
    made: dict[str, Callable[[], Any]] = {
        "constant": lambda: constant(rate),
        "cosine": lambda: cosine(rate, steps, 0.01),
        "step": lambda: stepped(rate, max(steps // 3, 1)),
        "one-cycle": lambda: one_cycle(rate, steps),
        "warm-up": lambda: warm_up(cosine(rate, steps, 0.01), max(steps // 10, 1)),
        "plateau": lambda: Plateau(rate, monitor=monitor),
    }
    if name not in made:
        raise TinyseqError(f"schedule is a function of the step or {', '.join(map(repr, NAMES))}; got {name!r}")
    return made[name]()


def _whole(what: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise TinyseqError(f"{what} must be a whole number of at least 1, got {number!r}")
