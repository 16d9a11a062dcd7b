"""What a recording depends on beside its arguments, and whether it is still as it was.

A function reads attributes, variables of enclosing functions, globals and arrays while it is recorded, and a replay
reads none of them again. So what it can read is looked up once: its code says which names, its objects which values.
Before each replay the same places are compared, by identity first, which takes a microsecond or two.

Not seen: attributes reached by ``getattr`` with a computed name (unless they hold a parameter or module), the inside
of containers of more than ``MOST_ITEMS`` items, arrays beyond ``MOST_WATCHED`` bytes in all (which is told), what lies
behind functions written in C and behind clocks, tinyseq's own functions if somebody puts others in their place, and a
count that the function itself keeps: replays do not call it. Such things are given as arguments.
"""

from __future__ import annotations

import array
import collections
import functools
import os
import random
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from operator import attrgetter, itemgetter, methodcaller
from typing import Any

import numpy as np

from tinyseq.replay.watched_names import (
    CALLED,
    CONSTRUCTORS,
    PARTS,
    WRAPPED,
    implicit,
    imported,
    inherited,
    is_called,
    is_ours,
    is_users,
    methods_of,
    names_in,
    written_here,
)
from tinyseq.replay.watched_places import MOST_ITEMS, Places, is_container, items_of
from tinyseq.replay.watched_things import (
    gives_in_turn,
    holds_cells,
    in_context,
    is_atom,
    is_cell,
    kept_by,
    own_of,
    slots_getter,
)
from tinyseq.replay.watched_values import bytes_of, state_of
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

MOST_WATCHED = 1 << 24  # bytes of all arrays
MOST_SEEN = 20_000  # things
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
UNSEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "SystemRandom", "Random", "urandom", "token_bytes"}
UNSEEDED |= {"time", "time_ns", "perf_counter", "monotonic", "now", "uuid4", "randbits"}
LRU_CACHE = type(functools.lru_cache(len))
READ_VALUES = {"value", "state_dict"}
RAW = (array.array, bytearray, memoryview)


class Watch(Places):
    """The places that functions and objects read: ``holds()`` says whether all is as it was when this was made.

    draws_on    an iterator, which may give something else each time
    in_doubt    something else that may, as a clock or a generator without a seed
    incomplete  some of what is read was not there yet, as a module that a function imports
    cut         there is more than is watched
    """

    def __init__(self, roots: Iterable[Any], of_function: bool = False) -> None:
        super().__init__()
        self.in_doubt = self.incomplete = self.cut = False
        self.of_function = of_function  # of nothing but the function that was recorded
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        self._whole = self.draws_on = False
        roots, names = list(roots), -1
        made: Any = (self.mappings, self.lists, self.absent, self.objects, self.cells, self.functions, self.arrays)
        made += (self.generators,)
        while names < len(self._names):  # more names show more attributes, and these more functions
            names = len(self._names)
            for part in made:
                part.clear()
            self._seen, self._classes, self._bytes = {}, set[int](), 0
            waiting = collections.deque(roots)  # what is near comes first
            while waiting and len(self._seen) < MOST_SEEN:
                thing = waiting.popleft()
                if id(thing) not in self._seen and not is_atom(thing):
                    self._seen[id(thing)] = thing
                    waiting.extend(self._visit(thing))
            self.cut |= bool(waiting)
        del self._seen, self._classes
        self.settle()

    def serves(self) -> bool:
        """Whether a new watch of the function would see what this one does: of generators it would know other
        states."""
        return self.of_function and not self.generators and self.holds()

    # -- looking
    def _visit(self, thing: Any) -> Iterator[Any]:
        """Watch what a thing is made of; yields what to look at next."""
        kind = type(thing)  # isinstance asks an object for its class, which some make up
        if issubclass(kind, Tensor) or kind in (weakref.ProxyType, weakref.CallableProxyType):
            return
        if issubclass(kind, Parameter):
            yield from self._parameter(thing)
        elif issubclass(kind, (np.ndarray, *RAW)):
            yield from self._array(thing)
        elif issubclass(kind, GENERATORS):
            self.generators.append((thing, state_of(thing)))
        elif issubclass(kind, types.FunctionType):
            yield from self._function(thing)
        elif issubclass(kind, WRAPPED):
            yield from (getattr(thing, name, None) for name in PARTS)
        elif issubclass(kind, weakref.ref):
            yield thing()
        elif kind in (attrgetter, methodcaller):
            self._names |= {name for text in thing.__reduce__()[1] if isinstance(text, str) for name in text.split(".")}
        elif kind is LRU_CACHE:
            self.incomplete |= not thing.cache_info().currsize
            yield from (thing.__wrapped__, *kept_by(thing))
        elif issubclass(kind, ContextVar):
            self.mappings.append([thing, in_context, in_context(thing), ["value"], thing.name])
            yield thing.get(None)
        elif issubclass(kind, type):  # which the code may make things of
            yield from (vars(base).get(name) for base in thing.__mro__ if is_users(base) for name in CONSTRUCTORS)
            yield from self._class(thing)
            yield from self._class(kind)
        elif issubclass(kind, types.ModuleType):
            yield from self._module(thing)
        else:
            if is_container(thing):
                yield from self._container(thing)
            self.draws_on |= gives_in_turn(kind)
            if (own := own_of(thing)) is not None:
                yield from self._instance(thing, own)
            if is_users(kind):
                yield from self._slotted(thing)

    def _parameter(self, parameter: Parameter) -> Iterator[Any]:
        """Its numbers are no constants of a recording, unless somebody reads them as such."""
        keys = sorted(self._names & {"value", "trainable", "grad"})
        if self._names & READ_VALUES and "value" not in keys:
            keys.append("value")
        if keys:
            get = attrgetter(*keys, keys[0])
            self.mappings.append([parameter, get, get(parameter), keys, "a parameter"])
        if "value" in keys:
            yield parameter.value
        own = own_of(parameter) or {}
        yield from self._mapping(own, sorted(self._names & own.keys()), "a parameter")
        yield from self._class(type(parameter))

    def _array(self, thing: Any) -> Iterator[Any]:
        self._bytes += memoryview(thing).nbytes if issubclass(type(thing), RAW) else thing.nbytes
        self.cut |= self._bytes > MOST_WATCHED
        if isinstance(thing, np.ndarray) and thing.dtype.hasobject and not thing.dtype.fields:
            yield from self._container(thing.reshape(-1))
        elif self._bytes <= MOST_WATCHED:
            self.arrays.append((thing, bytes_of(thing)))
        if is_users(type(thing)) and (own := own_of(thing)) is not None:
            yield from self._instance(thing, own)

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
            yield from (thing for thing in inside if is_cell(thing))
            yield from (getattr(function, "__wrapped__", None), getattr(function, "registry", None))
            return
        self.functions.append(function)
        own = vars(function)
        yield from self._mapping(own, sorted(self._names & own.keys()), function.__name__)
        yield from (function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # nothing in it yet
                self.incomplete = True
                continue
            self.cells.append(cell)
        names, space = names_in(code), function.__globals__
        reads, attributes, imports, words = names
        self._names |= words
        self._whole |= names.everything
        self.in_doubt |= bool(UNSEEDED & (reads | {name for _, name in attributes}))
        for base, name in attributes:
            module = space.get(base)
            if not isinstance(module, types.ModuleType):
                self._names.add(name)
            elif name in vars(module) and written_here(getattr(module, "__file__", "")):
                yield from self._mapping(vars(module), [name], f"module {base}")
            elif module is os and name in ("environ", "getenv"):
                yield os.environ
        for name, level, part in imports:
            yield from self._imported(imported(name, level, space), part)
        yield from self._mapping(space, [name for name in sorted(reads) if name in space], "globals")
        self.absent.append((space, reads - space.keys()))

    def _imported(self, module: types.ModuleType | None, part: str) -> Iterator[Any]:
        """Look at what a function imports when it runs."""
        if module is None:
            self.incomplete = True
        elif not part:
            yield module
        elif written_here(getattr(module, "__file__", "")):
            yield from self._mapping(vars(module), [part] if part in vars(module) else [], f"module {module.__name__}")
            yield sys.modules.get(f"{module.__name__}.{part}")
        elif module is os:
            yield vars(os).get(part)

    def _module(self, module: types.ModuleType) -> Iterator[Any]:
        if written_here(getattr(module, "__file__", "")):
            yield from self._mapping(
                vars(module), sorted((self._names | {"__getattr__"}) & vars(module).keys()), module.__name__
            )

    def _container(self, thing: Any) -> Iterator[Any]:
        items = list(items_of(thing))
        if not issubclass(type(thing), (tuple, frozenset)):
            self.lists.append([thing, items])
        if len(items) <= 2 * MOST_ITEMS:
            yield from items
        yield getattr(thing, "default_factory", None) if issubclass(type(thing), collections.defaultdict) else None

    def _class(self, cls: type) -> Iterator[Any]:
        if id(cls) in self._classes:  # a metaclass may have no hash
            return
        self._classes.add(id(cls))
        named = self._names | inherited(cls)
        for base in cls.__mro__:
            if is_users(base):
                keys = [k for k, v in vars(base).items() if k in named or is_called(k, v) or implicit(k, v)]
                yield from self._mapping(vars(base), keys, f"class {base.__name__}")
                self.absent.append((vars(base), frozenset((named | CALLED) - vars(base).keys())))
                self._names |= {name for name in vars(base).get("__match_args__", ()) if isinstance(name, str)}

    def _instance(self, thing: Any, own: dict[str, Any]) -> Iterator[Any]:
        kind: type = type(thing)
        ours, users = is_ours(kind), is_users(kind)
        if ours and not hasattr(kind, "named_parameters"):
            keys = [key for key, value in own.items() if key in self._names and is_atom(value)]
            yield from self._mapping(own, keys, kind.__name__)
            return
        below = inherited(kind)
        keys = []
        for key, value in own.items():
            if issubclass(type(value), GENERATORS):
                yield value
            simple = is_atom(value) or issubclass(type(value), np.ndarray)
            made_of = issubclass(type(value), (types.FunctionType, *WRAPPED)) or (simple and not is_atom(value))
            named = (simple or made_of) if ours else key in self._names or (simple and (key in below or self._whole))
            called = is_called(key, value, 0)
            if named or called or (made_of and not users) or is_cell(value) or holds_cells(value):
                keys.append(key)
        yield from self._mapping(own, keys, kind.__name__)
        self.absent.append((own, frozenset((methods_of(kind) if ours else self._names | CALLED) - own.keys())))
        if users:
            self.objects.append(thing)
            if hasattr(kind, "__get__"):  # a descriptor keeps under which name it reads
                texts = {value for value in own.values() if isinstance(value, str)}
                self._names |= texts | {f"_{text}" for text in texts}
        if not ours:
            yield own.get("__wrapped__")
        yield from self._class(kind)

    def _slotted(self, thing: Any) -> Iterator[Any]:
        slots = {
            name: slot
            for cls in type(thing).__mro__
            for name, slot in vars(cls).items()
            if isinstance(slot, types.MemberDescriptorType) and (name in self._names or self._whole)
        }
        if slots:
            get = slots_getter(slots.values())
            self.mappings.append([thing, get, get(thing), list(slots), type(thing).__name__])
            yield from get(thing)
        yield from self._class(type(thing))
