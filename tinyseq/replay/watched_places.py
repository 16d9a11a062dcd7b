"""Places that are watched, each with what was there, and whether it still is."""

from __future__ import annotations

import collections
import os
import types
from operator import attrgetter, is_
from typing import Any

from tinyseq.replay.watched_values import alike, bytes_of, state_of

MOST_ITEMS = 256
MAPPINGS = (dict, types.MappingProxyType)
CONTAINERS = (tuple, list, set, frozenset, collections.deque, *MAPPINGS)
OF_PYTHON = (collections.UserDict, collections.ChainMap, type(os.environ), collections.UserList)  # written in Python
_contents = attrgetter("cell_contents")
_parts = attrgetter("__code__", "__defaults__", "__kwdefaults__")


class Places:
    """The places: ``holds()`` compares them, by identity first."""

    def __init__(self) -> None:
        self.mappings: list[list[Any]] = []  # [mapping, getter of some keys, values, keys, what it is of]
        self.lists: list[list[Any]] = []  # [list or dict, items]
        self.absent: list[tuple[dict[str, Any], frozenset[str]]] = []  # names that a class or Python has in their place
        self.cells: list[types.CellType] = []
        self.functions: list[types.FunctionType] = []
        self.arrays: list[tuple[Any, Any]] = []
        self.generators: list[tuple[Any, Any]] = []
        self._changed = ""

    def settle(self) -> None:
        """All places are known: remember what is in them."""
        self._contents = list(map(_contents, self.cells))
        self._code = list(map(_parts, self.functions))

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
        for function, parts in zip(self.functions, self._code, strict=True):
            if not all(map(is_, _parts(function), parts)):
                self._changed = f"the function {function.__name__}"
                return False
        for numbers, known in self.arrays:
            if bytes_of(numbers) != known:
                self._changed = f"an array {getattr(numbers, 'shape', (len(numbers),))} that it reads"
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
    """Whether what is in a thing is watched. isinstance asks the class's hash of those that are written in Python."""
    return isinstance(thing, CONTAINERS) or any(base is kind for base in type(thing).__mro__ for kind in OF_PYTHON)


def items_of(container: Any) -> Any:
    """What is in a container; of a dict its keys too, unless there are many."""
    if not isinstance(container, MAPPINGS) and (isinstance(container, CONTAINERS) or not hasattr(container, "keys")):
        return container
    return [*container.keys(), *container.values()] if len(container) <= MOST_ITEMS else container.values()
