"""Names that there are elsewhere: ``ts.rand``, ``x.numpy()``, ``model.zero_grad()`` say what to type here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from inspect import getattr_static
from typing import Any

from tinyseq.errors import NameMissing
from tinyseq.habits.name_tables import ATTRIBUTES, NAMES


def module_names(
    module: str, lazy: tuple[str, ...] = (), functions: dict[str, str] | None = None
) -> Callable[[str], Any]:
    """``__getattr__`` of a module: imports one of its packages when first asked for, or a function of one of them from
    the module that has it, or says what to type instead."""

    def missing(name: str) -> Any:
        if name in lazy:
            return import_module(f"{module}.{name}")
        if functions and name in functions:
            return getattr(import_module(functions[name]), name)
        raise NameMissing(_advice(module, name), name=name, obj=sys.modules[module])

    return missing


def _advice(module: str, name: str) -> str:
    text = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_"):
        return text
    known = NAMES.get(f"{module}.{name}") or NAMES.get(name)
    if known:
        return f"{text}: {known}"
    close = get_close_matches(name, [n for n in dir(sys.modules[module]) if not n.startswith("_")], 1, 0.75)
    return f"{text}; there is {close[0]!r}" if close else text


class Habit:
    """An attribute that there is not: reading it says what to type. Instances may have one of that name."""

    def __init__(self, owner: str, name: str, advice: str) -> None:
        self.owner, self.name, self.advice = owner, name, advice

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        of = (type(instance) if instance is not None else owner or type(None)).__name__
        raise NameMissing(f"{of} has no attribute {self.name!r}: {self.advice}", name=self.name, obj=instance)


def give_habits(cls: type, *tables: str) -> None:
    """Put the advice of the tables onto a class, under names that it does not have; looking up the others costs
    nothing, as it would with ``__getattr__``."""
    cls.__dir__ = _without_habits  # type: ignore[assignment]
    for table in tables:
        for name, advice in ATTRIBUTES[table].items():
            if not any(name in vars(base) for base in cls.__mro__):
                setattr(cls, name, Habit(cls.__name__, name, advice))


def _without_habits(self: Any) -> list[str]:
    """What there is to complete."""
    return [name for name in object.__dir__(self) if not isinstance(getattr_static(self, name, None), Habit)]
