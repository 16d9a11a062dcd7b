"""What a thing is to a watch, told by its class: an object itself may answer anything."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinyseq.replay.watched_names import is_called, is_ours, is_users
from tinyseq.replay.watched_places import MOST_ITEMS, items_of
from tinyseq.replay.watched_values import ATOMS
from tinyseq.tensor.parameter import Parameter


def kept_by(cached: Any) -> list[Any]:
    """What a function with a cache has given so far, which it gives again."""
    parts = gc.get_referents(cached)
    tables = [part for part in parts if type(part) is dict]
    return [part for part in [*parts, *[v for table in tables for v in table.values()]] if type(part) is not dict]


def in_context(variable: ContextVar) -> tuple[Any]:
    """What a variable of the context holds."""
    return (variable.get(None),)


def slots_getter(slots: Iterable[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A getter of slots, of which some may hold nothing."""
    return lambda thing: tuple([_held(slot, thing) for slot in slots])


def _held(slot: Any, thing: Any) -> Any:
    try:
        return slot.__get__(thing)
    except AttributeError:
        return None


def unwatched(thing: Any) -> bool:
    """Whether there is nothing to watch of a thing: of arrays that are arguments, numbers and texts, and tinyseq's own
    things that hold no parameters, as a chain or a forest."""
    kind = type(thing)
    if kind is np.ndarray or is_atom(thing):
        return True
    return is_ours(kind) and not issubclass(kind, (tuple, list, dict, type)) and not hasattr(kind, "named_parameters")


def gives_in_turn(kind: type) -> bool:
    """Whether things of a class are iterators: of Python's, but for files, or of the user's."""
    return hasattr(kind, "__next__") and (kind.__module__ in ("builtins", "itertools") or is_users(kind))


def is_atom(thing: Any) -> bool:
    """Whether there is nothing in a thing: a number or a text, of no class of the user's."""
    kind = type(thing)
    return issubclass(kind, ATOMS) and not (issubclass(kind, (int, float, complex, str, bytes)) and is_users(kind))


def own_of(thing: Any) -> dict[str, Any] | None:
    """The attributes of a thing itself, without asking it."""
    try:
        found = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def is_cell(value: Any) -> bool:
    """A parameter, or what holds some; or a cell of any class."""
    kind = type(value)
    held = issubclass(kind, Parameter) or hasattr(kind, "named_parameters")
    return held or (is_users(kind) and any(is_called(name, getattr(kind, name, None)) for name in ("step", "leaf")))


def holds_cells(value: Any) -> bool:
    """Whether a container holds one."""
    if type(value) not in (list, tuple, dict) or len(value) > MOST_ITEMS:
        return False
    return any(map(is_cell, items_of(value)))
