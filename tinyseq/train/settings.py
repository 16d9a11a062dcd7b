"""What a training is made with, beside its weights: kept with a run, and compared when it is gone on with.

A run that is gone on with ends in the bits of one that was not stopped, or is refused: whatever changes what its steps
compute stands here, and has to be what it was. How long it goes on (steps, epochs, patience) may be said anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.errors import DataError, TinyseqError
from tinyseq.nn.module import Module
from tinyseq.tasks.text import Corpus, fingerprint
from tinyseq.train.afterwards import things
from tinyseq.train.optimisers import Optimiser
from tinyseq.train.recipes import PLAIN
from tinyseq.train.schedules import Plateau

A_FUNCTION = "a function"
OVER_ALL = ("cosine", "step", "one-cycle", "warm-up")  # schedules that depend on how many steps there are in all
RATES_COMPARED = 1000  # steps whose rates are compared, of all that were done


def settings_of(source: Any, rule: Optimiser, given: dict[str, Any], validation: Any) -> dict[str, Any]:
    """What the steps of a training depend on, as JSON holds it: of the data, the optimiser (whose rate is that of the
    beginning), the arguments of ``fit`` by their names; ``validation`` is a part of the data, other data, or None."""
    of_rule = {name: float(v) for name, v in vars(rule).items() if isinstance(v, float) and name[0] != "_"}
    schedule = given["schedule"]
    parameters = dict(vars(schedule)) if isinstance(schedule, Plateau) else {}
    named = "constant" if schedule is None else schedule if isinstance(schedule, str) else A_FUNCTION
    return {
        **source.settings, "ranks": source.ranks.size, "optimiser": type(rule).__name__, **given, "schedule": named,
        **{f"schedule.{name}": value for name, value in parameters.items()}, **of_rule,
        "weight_decay": float(rule.weight_decay), "validation": _of_validation(validation),
    }  # fmt: skip


def _of_validation(validation: Any) -> Any:
    """A part of the data as a number, other data by their fingerprint."""
    if validation is None or isinstance(validation, float):
        return validation
    if isinstance(validation, Corpus):
        return fingerprint(validation.held_out)
    return getattr(validation, "digest", "data")


def check_settings(folder: Any, saved: dict[str, Any], now: dict[str, Any], only: Sequence[str] | None = None) -> None:
    """Refuse to go on with other settings than before; ``only`` some of them. Raises DataError for other data, else
    TinyseqError that names the setting, what it was and is, and what to write."""
    for name in sorted(saved.keys() & now.keys(), key=lambda name: (name != "data", name != "validation")):
        before, given = saved[name], now[name]
        if before == given or (only is not None and name not in only):
            continue
        if name == "data":
            raise DataError(f"{folder} was trained on other data: give it these again, or another folder")
        raise TinyseqError(f"{folder} was trained with {_told(name, before, given)}, or train anew in another folder")


def _told(name: str, before: Any, given: Any) -> str:
    """A setting that is another now, in words, and what to write."""
    if name == "ranks":
        with_mpi = f"mpiexec -n {before} … --mpi" if before > 1 else "it without mpiexec"
        return f"{before} rank{'s' * (before != 1)}, not {given}, which would add up otherwise: start {with_mpi}"
    if name == "seed":
        return (
            f"{name}={before}, drawn from rng, not {given}: give fit rng=np.random.default_rng(…) of the same seed, "
            "not used before"
        )
    if name == "validation" and (isinstance(before, str) or isinstance(given, str)):
        words = {True: "no validation", False: "validation data"}
        told = "other validation data" if isinstance(before, str) and isinstance(given, str) else words[before is None]
        return f"{told}: give it the same again"
    return f"{name}={_shown(before)}, not {_shown(given)}: write {name}={_shown(before)}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else repr(value)


def check_options(folder: Any, model: Any, saved: Any, started: bool) -> None:
    """Refuse to go on with a model of other options (dropout, smoothing, dtype …) than the saved one."""
    others = dict(things(saved))
    for path, module in things(model):
        if path not in others or not isinstance(module, Module):
            continue
        before = vars(others[path])
        for name, value in vars(module).items():
            if name.startswith("_") or value is None or name not in before or not isinstance(value, PLAIN):
                continue
            known = before[name]
            if isinstance(known, PLAIN) and known != value and (known is not None or started):
                where = f" at {path}" if path else ""
                raise TinyseqError(
                    f"{folder} was trained with a {type(module).__name__}({name}={known!r}){where}, not "
                    f"{name}={value!r}: make the model so again, or train anew in another folder"
                )


def check_rates(folder: Any, schedule: Any, rates: Sequence[float]) -> None:
    """Refuse a schedule that gives the steps that were done other rates than they had. Raises TinyseqError."""
    for k in np.unique(np.linspace(0, len(rates) - 1, RATES_COMPARED).astype(int)).tolist() if len(rates) else ():
        if (now := float(schedule(k))) != rates[k]:
            raise TinyseqError(
                f"{folder} was trained with another schedule: step {k + 1} had the rate {rates[k]:g}, this one gives "
                f"it {now:g}. Give fit that schedule again, or train anew in another folder"
            )
