"""What ``fit`` was asked for: its arguments checked, and made into what a training uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.errors import DataError, TinyseqError
from tinyseq.nn.running import as_data
from tinyseq.tasks.text import Corpus, Windows
from tinyseq.train.optimisers import OPTIMISERS, Optimiser, number_from_0
from tinyseq.train.schedules import named

RATES = {"sgd": 0.5, "rmsprop": 2e-3, "adam": 3e-3, "adamw": 3e-3}  # where nobody says any


def parts_asked(model: Any, data: Any, validation: Any, batch: int, window: int, seed: int) -> tuple[Any, Any]:
    """(what is trained on, what is validated on)."""
    part = isinstance(validation, float)
    if isinstance(data, Corpus):
        if part:
            raise DataError("a corpus holds its validation out itself: Corpus.of(text, name, held_out=0.1)")
        return Windows(data.train, window, batch), data if validation is None else validation or None
    if part and not isinstance(data, Windows):
        data = as_data(data, getattr(model, "dtype", np.float32))
    if part:
        if not isinstance(data, (Sequences, Trees)):
            raise DataError("to validate on windows give validation=corpus, a ts.data.Corpus with what is held out")
        return data.split(validation, rng=np.random.default_rng([seed, 1]))
    if validation is not None and not isinstance(validation, Corpus):
        validation = as_data(validation, getattr(model, "dtype", np.float32))
    return data, validation


def rule_asked(model: Any, optimiser: Any, rate: float | None, weight_decay: float) -> Optimiser:
    """The optimiser given, or one of that name for the model."""
    if isinstance(optimiser, Optimiser):
        if rate is not None:
            raise TinyseqError("the optimiser has its rate: give fit no rate=, or the optimiser's name")
        rule = optimiser
    elif isinstance(optimiser, str) and optimiser in OPTIMISERS:
        rule = OPTIMISERS[optimiser](model.parameters(), RATES[optimiser] if rate is None else rate)
    else:
        raise TinyseqError(
            "the optimiser is one, train.Adam(model.parameters(), rate=1e-3), or "
            f"{', '.join(map(repr, OPTIMISERS))}; got {optimiser!r}"
        )
    if weight_decay:
        rule.weight_decay = number_from_0("weight_decay", weight_decay)
    return rule


def check_parameters(model: Any, rule: Optimiser) -> None:
    """Refuse an optimiser that learns nothing of the model, which may be any object."""
    own = {id(p) for p in model.parameters()} if hasattr(model, "parameters") else None
    if own is not None and not own.intersection(map(id, rule.parameters)):
        raise TinyseqError("the optimiser has no parameter of this model: make it with model.parameters()")


def every_asked(name: str, every: Any) -> int | None:
    """After how many steps something is done, None where nobody says."""
    if every is not None and (isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1):
        raise TinyseqError(f"{name} is a whole number of steps of at least 1, got {every!r}")
    return None if every is None else int(every)


def steps_asked(steps: Any, epochs: Any, per_epoch: int) -> int:
    """How many steps it trains in all."""
    if epochs is not None:
        if steps is not None:
            raise TinyseqError("steps and epochs say the same: give one of the two")
        if isinstance(epochs, bool) or not isinstance(epochs, (int, float)) or not 0 < epochs < float("inf"):
            raise TinyseqError(f"epochs must be a number above 0, got {epochs!r}")
        if not per_epoch:
            raise TinyseqError("windows given as an iterable have no epochs: write steps=")
        return max(1, round(epochs * per_epoch))
    if steps is None and per_epoch:
        return 10 * per_epoch
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise TinyseqError(f"steps must be a whole number of at least 1, got {steps!r}")
    return int(steps)


def schedule_asked(schedule: Any, rule: Optimiser, total: int, monitor: str) -> Any:
    """The rate of each step as a function, None where it stays."""
    if isinstance(schedule, str):
        return named(schedule, rule.rate, total, monitor)
    if schedule is not None and not callable(schedule):
        raise TinyseqError(f"schedule is a function of the step, or a name; got {schedule!r}")
    return schedule


def check_validated(patience: Any, keep: Any, monitor: str, schedule: Any) -> None:
    """Refuse what is decided by validations where there are none."""
    wants = {
        f"patience={patience!r}": patience is not None, "keep='best'": keep == "best",
        f"monitor={monitor!r}": monitor != "loss", "schedule='plateau'": schedule == "plateau",
    }  # fmt: skip
    for what, asked in wants.items():
        if asked:
            raise TinyseqError(f"{what} goes by validations: give fit validation=0.1, or data held out")


def kept_asked(keep: str | None, patience: int | None) -> str:
    """Which weights the model has in the end."""
    if keep not in (None, "last", "best"):
        raise TinyseqError(f"keep is 'last' or 'best', got {keep!r}")
    if patience is not None and (isinstance(patience, bool) or not isinstance(patience, int) or patience < 1):
        raise TinyseqError(f"patience is a whole number of validations of at least 1, got {patience!r}")
    return keep or ("last" if patience is None else "best")
