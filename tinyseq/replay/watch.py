"""What a recording depends on beside its arguments, and whether it is still as it was.

A function reads attributes, variables of enclosing functions, globals and arrays while it is recorded, and a replay
reads none of them again. So what it can read is looked up once: its code says which names, its objects which values.
Before each replay the same places are compared, by identity first, which takes a microsecond or two.

Not seen: attributes reached by ``getattr`` with a computed name (unless they hold a parameter or module), the inside
of containers of more than ``MOST_ITEMS`` items, arrays beyond ``MOST_WATCHED`` bytes in all, and what lies behind
functions written in C. Such things are given as arguments.
"""

from __future__ import annotations

import array
import collections
import os
import random
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from tinyseq.replay.watched_names import (
    CALLED,
    CONSTRUCTORS,
    PARTS,
    WRAPPED,
    implicit,
    inherited,
    is_ours,
    is_users,
    names_in,
    written_here,
)
from tinyseq.replay.watched_places import MOST_ITEMS, Places, is_container, items_of
from tinyseq.replay.watched_values import ATOMS, bytes_of, state_of
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

MOST_WATCHED = 1 << 24  # bytes of all arrays
MOST_SEEN = 20_000  # things
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
UNSEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "SystemRandom", "Random", "urandom", "token_bytes"}
UNSEEDED |= {"time", "time_ns", "perf_counter", "monotonic", "now", "uuid4", "randbits"}
RAW = (array.array, bytearray, memoryview)


class Watch(Places):
    """The places that functions and objects read: ``holds()`` says whether all is as it was when this was made.

    ``in_doubt``: something may be other each time without being changed, as what an iterator gives. ``incomplete``:
    some of what is read was not there yet, as a module that a function imports. ``cut``: there is more than is watched.
    """

    def __init__(self, roots: Iterable[Any], of_function: bool = False) -> None:
        super().__init__()
        self.in_doubt = self.incomplete = self.cut = False
        self.of_function = of_function  # of nothing but the function that was recorded
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        roots, names = list(roots), -1
        made = (self.mappings, self.lists, self.absent, self.cells, self.functions, self.arrays, self.generators)
        while names < len(self._names):  # more names show more attributes, and these more functions
            names = len(self._names)
            for part in made:
                part.clear()  # type: ignore[attr-defined]
            self._seen, self._classes, self._bytes = {}, set[int](), 0
            waiting = collections.deque(roots)  # what is near comes first
            while waiting and len(self._seen) < MOST_SEEN:
                thing = waiting.popleft()
                if id(thing) not in self._seen and not isinstance(thing, ATOMS):
                    self._seen[id(thing)] = thing
                    waiting.extend(self._visit(thing))
            self.cut = bool(waiting)
        del self._seen, self._classes
        self.settle()

    def serves(self) -> bool:
        """Whether a new watch of the function would see what this one does: of generators it would know other
        states."""
        return self.of_function and not self.generators and self.holds()

    # -- looking
    def _visit(self, thing: Any) -> Iterator[Any]:
        """Watch what a thing is made of; yields what to look at next."""
        if isinstance(thing, (Parameter, Tensor)):
            return
        if isinstance(thing, (np.ndarray, *RAW)):
            self._bytes += memoryview(thing).nbytes if isinstance(thing, RAW) else thing.nbytes
            if self._bytes <= MOST_WATCHED:
                self.arrays.append((thing, bytes_of(thing)))
        elif isinstance(thing, GENERATORS):
            self.generators.append((thing, state_of(thing)))
        elif isinstance(thing, types.FunctionType):
            yield from self._function(thing)
        elif isinstance(thing, WRAPPED):
            yield from (getattr(thing, name, None) for name in PARTS)
        elif isinstance(thing, weakref.ref):
            yield thing()
        elif isinstance(thing, type):  # which the code may make things of
            yield from (vars(base).get(name) for base in thing.__mro__ if is_users(base) for name in CONSTRUCTORS)
            yield from self._class(thing)
        elif isinstance(thing, types.ModuleType):
            yield from self._module(thing)
        else:
            if is_container(thing):
                yield from self._container(thing)
            self.in_doubt |= hasattr(type(thing), "__next__")
            if hasattr(thing, "__dict__"):
                yield from self._instance(thing)
            elif is_users(type(thing)):
                yield from self._slotted(thing)

    def _mapping(self, mapping: Any, keys: list[str], what: str) -> list[Any]:
        """Watch some keys of a mapping; returns their values."""
        if not keys:
            return []
        get = itemgetter(*keys, keys[0])  # a tuple even of one
        values = get(mapping)
        self.mappings.append([mapping, get, values, keys, what])
        return list(values)

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        code = function.__code__
        if function is os.getenv:
            yield os.environ
        if not written_here(code.co_filename):  # but it may stand around the user's, as a decorator's does
            inside = [getattr(cell, "cell_contents", None) for cell in function.__closure__ or ()]
            yield from (thing for thing in inside if isinstance(thing, types.FunctionType | types.MethodType))
            yield from (thing for thing in inside if _is_module(thing))
            yield from (getattr(function, "__wrapped__", None), getattr(function, "registry", None))
            return
        self.functions.append(function)
        yield from (function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # nothing in it yet
                self.incomplete = True
                continue
            self.cells.append(cell)
        reads, attributes, imports = names_in(code)
        space = function.__globals__
        self.in_doubt |= bool(UNSEEDED & (reads | {name for _, name in attributes}))
        for base, name in attributes:
            module = space.get(base)
            if not isinstance(module, types.ModuleType):
                self._names.add(name)
            elif name in vars(module) and written_here(getattr(module, "__file__", "")):
                yield from self._mapping(vars(module), [name], f"module {base}")
            elif module is os and name in ("environ", "getenv"):
                yield os.environ
        yield from self._imported(space, imports)
        modules = types.ModuleType
        known = [name for name in sorted(reads) if name in space and not isinstance(space[name], modules)]
        yield from self._mapping(space, known, "globals")
        self.absent.append((space, reads - space.keys()))

    def _imported(self, space: dict[str, Any], imports: frozenset[tuple[str, str]]) -> Iterator[Any]:
        """Look at what a function imports when it runs."""
        package = space.get("__package__") or ""
        for name, part in imports:
            module = sys.modules.get(name) or sys.modules.get(f"{package}.{name}" if name else package)
            if module is None:
                self.incomplete = True
            elif not part:
                yield module
            elif written_here(getattr(module, "__file__", "")):
                yield from self._mapping(vars(module), [part] if part in vars(module) else [], f"module {name}")
                yield sys.modules.get(f"{module.__name__}.{part}")
            elif module is os:
                yield vars(os).get(part)

    def _module(self, module: types.ModuleType) -> Iterator[Any]:
        if written_here(getattr(module, "__file__", "")):
            yield from self._mapping(vars(module), sorted(self._names & vars(module).keys()), module.__name__)

    def _container(self, thing: Any) -> Iterator[Any]:
        items = list(items_of(thing))
        if not isinstance(thing, (tuple, frozenset)):
            self.lists.append([thing, items])
        if len(items) <= 2 * MOST_ITEMS:
            yield from items

    def _class(self, cls: type) -> Iterator[Any]:
        if id(cls) in self._classes:  # a metaclass may have no hash
            return
        self._classes.add(id(cls))
        called = self._names | CALLED | inherited(cls)
        for base in cls.__mro__:
            if is_users(base):
                keys = [key for key, value in vars(base).items() if key in called or implicit(key, value)]
                yield from self._mapping(vars(base), keys, f"class {base.__name__}")

    def _instance(self, thing: Any) -> Iterator[Any]:
        own = vars(thing)
        kind: type = type(thing)
        ours, users = is_ours(kind), is_users(kind)
        if ours and not hasattr(type(thing), "named_parameters"):
            return
        below = inherited(kind)
        keys = []
        for key, value in own.items():
            if isinstance(value, GENERATORS):
                yield value
            simple = isinstance(value, (*ATOMS, np.ndarray))
            named = simple if ours else key in self._names or (simple and key in below)
            array = isinstance(value, np.ndarray) and not users  # what a library's object computes with
            if named or array or _is_module(value) or _holds_modules(value) or (key in CALLED and callable(value)):
                keys.append(key)
        yield from self._mapping(own, keys, kind.__name__)
        if not ours:
            classes = set().union(*map(vars, kind.__mro__))
            self.absent.append((own, frozenset(self._names & classes - own.keys())))
            yield own.get("__wrapped__")
        yield from self._class(kind)

    def _slotted(self, thing: Any) -> Iterator[Any]:
        slots = {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
        keys = sorted(name for name in slots & self._names if hasattr(thing, name))
        if keys:
            get = attrgetter(*keys, keys[0])
            self.mappings.append([thing, get, get(thing), keys, type(thing).__name__])
            yield from get(thing)
        yield from self._class(type(thing))


def unwatched(thing: Any) -> bool:
    """Whether there is nothing to watch of a thing: of arrays that are arguments, numbers and texts, and tinyseq's own
    things that hold no parameters, as a chain or a forest."""
    kind = type(thing)
    if kind is np.ndarray or isinstance(thing, ATOMS):
        return True
    ours = kind.__module__.split(".")[0] == "tinyseq" and not issubclass(kind, (tuple, list, dict, type))
    return ours and not hasattr(type(thing), "named_parameters")


def _is_module(value: Any) -> bool:
    return isinstance(value, Parameter) or hasattr(type(value), "named_parameters")


def _holds_modules(value: Any) -> bool:
    if not isinstance(value, (list, tuple, dict)) or len(value) > MOST_ITEMS:
        return False
    return any(map(_is_module, items_of(value)))
