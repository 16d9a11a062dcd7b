"""A program that fails, made as small as it goes: by hypothesis where it is installed, else by plain deletion.

Hypothesis shrinks the list of choices that the program was written from; after that lines and terms of its text go.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from tinyseq.checking.programs import Program
from tinyseq.checking.shrinking import Choices, shrink, simplify
from tinyseq.checking.writer_nets import whole

TRIES = 1500
WITHOUT = "hypothesis makes failing programs smaller than they could be made here: pip install 'tinyseq[check]'"


def has_hypothesis() -> bool:
    """Whether hypothesis can be imported."""
    return importlib.util.find_spec("hypothesis") is not None


def smallest(choices: Sequence[int], fails: Callable[[Program], bool], seconds: float = 20) -> Program:
    """The smallest program found for which ``fails`` still holds; ``choices`` are those of one that does."""

    def safe(program: Program) -> bool:
        try:
            return fails(program)
        except RecursionError:
            return False

    best = by_hypothesis(choices, safe) if has_hypothesis() else None
    if best is None:
        best = whole(Choices(shrink(choices, lambda numbers: safe(whole(Choices(numbers))), seconds)))
    return simplify(best, safe, seconds)


def by_hypothesis(choices: Sequence[int], fails: Callable[[Program], bool]) -> Program | None:
    """The program that hypothesis ends with, started from these choices; None if it cannot start from them."""
    from hypothesis import HealthCheck, Phase, find, settings, strategies
    from hypothesis.errors import NoSuchExample

    try:
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
    except ImportError:  # before 6.123
        return None

    @strategies.composite
    def programs(draw: Any) -> Program:
        return whole(lambda n: draw(strategies.integers(0, n - 1)))

    database = InMemoryExampleDatabase()  # what lies under its first key is taken for small already
    database.save(b"found.secondary", choices_to_bytes(tuple(choices)))
    how = settings(
        database=database, phases=[Phase.reuse, Phase.shrink], max_examples=TRIES, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        return find(programs(), fails, settings=how, database_key=b"found")
    except NoSuchExample:
        return None
