"""Places that are watched, each with what was there, and whether it still is."""

from __future__ import annotations

import collections
import os
import types
import weakref
from operator import attrgetter, is_
from typing import Any

from tinyseq.replay.watched_values import alike, bytes_of, state_of

MOST_ITEMS = 256
CONTAINERS = (tuple, list, set, frozenset, collections.deque, dict, types.MappingProxyType)
OF_PYTHON: tuple[type, ...] = (collections.UserDict, collections.UserList, collections.ChainMap, type(os.environ))
OF_PYTHON += (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
"""Containers written in Python; isinstance asks a thing's class for its hash to tell whether it is one."""
_contents = attrgetter("cell_contents")
_parts = attrgetter("__code__", "__defaults__", "__kwdefaults__")


class Places:
    """The places: ``holds()`` compares them, by identity first."""

    def __init__(self) -> None:
        self.mappings: list[list[Any]] = []  # [mapping, getter of some keys, values, keys, what it is of]
        self.lists: list[list[Any]] = []  # [list or dict, items]
        self.absent: list[tuple[Any, frozenset[str]]] = []  # names that are not there; something else is in their place
        self.objects: list[Any] = []  # whose class may be set
        self.cells: list[types.CellType] = []
        self.functions: list[types.FunctionType] = []
        self.arrays: list[tuple[Any, Any]] = []
        self.generators: list[tuple[Any, Any]] = []
        self._changed = ""

    def settle(self) -> None:
        """All places are known: remember what is in them."""
        self._contents = list(map(_contents, self.cells))
        self._code = list(map(_parts, self.functions))
        self._kinds = list(map(type, self.objects))

    def holds(self) -> bool:
        """Whether everything is as it was."""
        return self._names_hold() and self._contents_hold()

    def _names_hold(self) -> bool:
        if not self._same() and not self._look():
            return False
        for own, absent in self.absent:
            if not own.keys().isdisjoint(absent):  # which looks at the fewer
                self._changed = f"a name {sorted(absent & own.keys())[0]} that was not there"
                return False
        return True

    def _same(self) -> bool:
        """Whether every place holds the object that it held."""
        try:
            for mapping, get, values, _, _ in self.mappings:
                if not all(map(is_, get(mapping), values)):
                    return False
            for container, items in self.lists:
                now = items_of(container)
                if len(now) != len(items) or not all(map(is_, now, items)):
                    return False
            return not self.cells or all(map(is_, map(_contents, self.cells), self._contents))
        except (KeyError, ValueError, AttributeError):
            return False

    def _contents_hold(self) -> bool:
        if not all(map(is_, map(type, self.objects), self._kinds)):
            self._changed = "the class of an object"
            return False
        for function, parts in zip(self.functions, self._code, strict=True):
            if not all(map(is_, _parts(function), parts)):
                self._changed = f"the function {function.__name__}"
                return False
        for numbers, known in self.arrays:
            if bytes_of(numbers) != known:
                self._changed = f"an array {getattr(numbers, 'shape', '')} that it reads"
                return False
        return True

    def _look(self) -> bool:
        """The same by value; what is alike is known from now on."""
        for entry in self.mappings:
            mapping, get, values, keys, what = entry
            try:
                found = get(mapping)
            except (KeyError, AttributeError) as missing:
                self._changed = f"{missing} of {what}"
                return False
            for key, old, new in zip(keys, values, found, strict=False):
                if not alike(old, new):
                    self._changed = f"{key} of {what}"
                    return False
            entry[2] = found
        for entry in self.lists:
            now = list(items_of(entry[0]))
            if len(now) != len(entry[1]) or not all(map(alike, now, entry[1])):
                self._changed = f"the contents of a {type(entry[0]).__name__}"
                return False
            entry[1] = now
        variables = [getattr(cell, "cell_contents", ...) for cell in self.cells]
        if not all(map(alike, variables, self._contents)):
            self._changed = "a variable of the function that encloses it"
            return False
        self._contents = variables
        return True

    @property
    def changed(self) -> str:
        """What was other than before when last compared."""
        return self._changed

    def drew(self) -> str:
        """A generator of random numbers that has been drawn from since; '' if there is none."""
        for generator, state in self.generators:
            if state_of(generator) != state:
                return type(generator).__name__
        return ""


def is_container(thing: Any) -> bool:
    """Whether what is in a thing is watched."""
    kind = type(thing)
    return issubclass(kind, CONTAINERS) or any(base is other for base in kind.__mro__ for other in OF_PYTHON)


def items_of(container: Any) -> Any:
    """What is in a container; of a dict its keys too, unless there are many. A class of the user's, which may make what
    it shows, is not asked."""
    kind = type(container)
    for plain in (dict, list, tuple):
        if issubclass(kind, plain) and kind is not plain:
            container = plain(plain.items(container)) if plain is dict else list(plain.__iter__(container))
    if issubclass(kind, (collections.UserDict, collections.UserList)):
        container = container.data
    if not hasattr(type(container), "keys"):
        return container
    return [*container.keys(), *container.values()] if len(container) <= MOST_ITEMS else list(container.values())
