"""What a recording depends on beside its arguments, and whether it is still as it was.

A function reads attributes, variables of enclosing functions, globals and arrays while it is recorded, and a replay
reads none of them again. So what it can read is looked up once: its code says which names, its objects which values.
Before each replay the same places are compared, by identity first, which takes a microsecond or two.

Not seen: attributes reached by ``getattr`` with a computed name (unless they hold a parameter or module), the inside
of containers of more than ``MOST_ITEMS`` items, arrays beyond ``MOST_WATCHED`` bytes in all, and what lies behind
functions written in C. Such things are given as arguments.
"""

from __future__ import annotations

import dis
import functools
import random
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from operator import attrgetter, is_, itemgetter
from typing import Any

import numpy as np

from tinyseq.errors import PACKAGE
from tinyseq.replay.watched_values import ATOMS, alike, bytes_of, state_of
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

MOST_ITEMS = 256
MOST_WATCHED = 1 << 24  # bytes of all arrays
MOST_SEEN = 20_000  # things
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
LIBRARIES = (*{sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}, PACKAGE)
UNSEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "SystemRandom", "Random", "urandom", "token_bytes"}
UNSEEDED |= {"time", "time_ns", "perf_counter", "monotonic", "now", "uuid4", "randbits"}
_contents = attrgetter("cell_contents")
_parts = attrgetter("__code__", "__defaults__", "__kwdefaults__")


@functools.lru_cache(maxsize=4096)
def names_in(code: types.CodeType) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The globals that a function's code reads; and the attributes, each with the global it is read of, or ''."""
    reads, attributes, before = set(), set(), ""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            reads.add(step.argval)
            before = step.argval
            continue
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add((before, step.argval))
        before = ""
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            more = names_in(inner)
            reads |= more[0]
            attributes |= more[1]
    return frozenset(reads), frozenset(attributes)


def written_here(file: str | None) -> bool:
    """Whether a source is the user's: none of Python's, of an installed library, or of tinyseq."""
    return bool(file) and not str(file).startswith((*LIBRARIES, "<frozen")) and "-packages" not in str(file)


class Watch:
    """The places that functions and objects read: ``holds()`` says whether all is as it was when this was made."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self.mappings: list[list[Any]] = []  # [mapping, getter of some keys, values, keys, what it is of]
        self.lists: list[list[Any]] = []  # [list or dict, items]
        self.absent: list[tuple[dict[str, Any], frozenset[str]]] = []  # names that an instance leaves to its class
        self.cells: list[types.CellType] = []
        self.functions: list[types.FunctionType] = []
        self.arrays: list[tuple[np.ndarray, Any]] = []
        self.generators: list[tuple[Any, Any]] = []
        self.unseeded = False
        self.of_function = False  # of nothing but the function that was recorded
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        roots, names = list(roots), -1
        while names < len(self._names):  # more names show more attributes, and these more functions
            names = len(self._names)
            for made in (
                self.mappings,
                self.lists,
                self.absent,
                self.cells,
                self.functions,
                self.arrays,
                self.generators,
            ):
                made.clear()  # type: ignore[attr-defined]
            self._seen, self._bytes = {}, 0
            stack = list(reversed(roots))
            while stack and len(self._seen) < MOST_SEEN:
                thing = stack.pop()
                if id(thing) not in self._seen and not isinstance(thing, ATOMS):
                    self._seen[id(thing)] = thing
                    stack.extend(reversed(list(self._visit(thing))))
        del self._seen
        self._contents = list(map(_contents, self.cells))
        self._code = list(map(_parts, self.functions))
        self._changed = ""

    # -- looking
    def _visit(self, thing: Any) -> Iterator[Any]:
        """Watch what a thing is made of; yields what to look at next."""
        if isinstance(thing, (Parameter, Tensor)):
            return
        if isinstance(thing, np.ndarray):
            self._bytes += thing.nbytes
            if self._bytes <= MOST_WATCHED:
                self.arrays.append((thing, bytes_of(thing)))
        elif isinstance(thing, GENERATORS):
            self.generators.append((thing, state_of(thing)))
        elif isinstance(thing, types.FunctionType):
            yield from self._function(thing)
        elif isinstance(thing, types.MethodType):
            yield from (thing.__func__, thing.__self__)
        elif isinstance(thing, (functools.partial, functools.partialmethod)):
            yield from (thing.func, thing.args, thing.keywords)
        elif isinstance(thing, (staticmethod, classmethod)):
            yield thing.__func__
        elif isinstance(thing, property):
            yield thing.fget
        elif isinstance(thing, (tuple, list, dict, set, frozenset)):
            yield from self._container(thing)
        elif isinstance(thing, type):
            yield from self._class(thing)
        elif isinstance(thing, types.ModuleType):
            return
        elif hasattr(thing, "__dict__"):
            yield from self._instance(thing)
        elif written_here(getattr(sys.modules.get(type(thing).__module__), "__file__", "")):
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
        if not written_here(code.co_filename):
            return
        self.functions.append(function)
        yield from (function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # nothing in it yet
                continue
            self.cells.append(cell)
        reads, attributes = names_in(code)
        space = function.__globals__
        self.unseeded |= bool(UNSEEDED & (reads | {name for _, name in attributes}))
        for base, name in attributes:
            module = space.get(base)
            if not isinstance(module, types.ModuleType):
                self._names.add(name)
            elif name in vars(module) and written_here(getattr(module, "__file__", "")):
                yield from self._mapping(vars(module), [name], f"module {base}")
        modules = types.ModuleType
        known = [name for name in sorted(reads) if name in space and not isinstance(space[name], modules)]
        yield from self._mapping(space, known, "globals")

    def _container(self, thing: Any) -> Iterator[Any]:
        items = list(thing.values()) if isinstance(thing, dict) else list(thing)
        if not isinstance(thing, (tuple, frozenset)):
            self.lists.append([thing, items])
        if len(items) <= MOST_ITEMS:
            yield from items

    def _class(self, cls: type) -> Iterator[Any]:
        for base in cls.__mro__:
            file = getattr(sys.modules.get(base.__module__), "__file__", None)
            if base is not object and (base.__module__ == "__main__" or written_here(file)):
                keys = [key for key in vars(base) if key in self._names or key == "__call__"]
                yield from self._mapping(vars(base), keys, f"class {base.__name__}")

    def _instance(self, thing: Any) -> Iterator[Any]:
        own = vars(thing)
        ours = type(thing).__module__.split(".")[0] == "tinyseq"
        if ours and not hasattr(thing, "named_parameters"):
            return
        keys = []
        for key, value in own.items():
            if isinstance(value, GENERATORS):
                yield value
            named = isinstance(value, (*ATOMS, np.ndarray)) if ours else key in self._names
            if named or _is_module(value) or _holds_modules(value):
                keys.append(key)
        yield from self._mapping(own, keys, type(thing).__name__)
        if not ours:
            classes = set().union(*map(vars, type(thing).__mro__))
            self.absent.append((own, frozenset(self._names & classes - own.keys())))
            yield own.get("__wrapped__")
        yield type(thing)

    def _slotted(self, thing: Any) -> Iterator[Any]:
        slots = {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
        keys = sorted(name for name in slots & self._names if hasattr(thing, name))
        if keys:
            get = attrgetter(*keys, keys[0])
            self.mappings.append([thing, get, get(thing), keys, type(thing).__name__])
            yield from get(thing)
        yield type(thing)

    # -- comparing
    def holds(self) -> bool:
        """Whether everything is as it was."""
        return self._names_hold() and self._contents_hold()

    def _names_hold(self) -> bool:
        try:
            for mapping, get, values, _, _ in self.mappings:
                if not all(map(is_, get(mapping), values)):
                    return self._look()
            for container, items in self.lists:
                if len(container) != len(items) or not all(map(is_, _items(container), items)):
                    return self._look()
            if self.cells and not all(map(is_, map(_contents, self.cells), self._contents)):
                return self._look()
        except (KeyError, ValueError, AttributeError):
            return self._look()
        for own, absent in self.absent:
            if not absent.isdisjoint(own):
                self._changed = f"an attribute {sorted(absent & own.keys())[0]} that hides its class's"
                return False
        return True

    def _contents_hold(self) -> bool:
        for function, parts in zip(self.functions, self._code, strict=True):
            if not all(map(is_, _parts(function), parts)):
                self._changed = f"the function {function.__name__}"
                return False
        for array, known in self.arrays:
            if bytes_of(array) != known:
                self._changed = f"an array {array.shape} that it reads"
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
            now = list(_items(entry[0]))
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

    def serves(self) -> bool:
        """Whether a new watch of the function would see what this one does: of generators it would know other
        states."""
        return self.of_function and not self.generators and self.holds()

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


def unwatched(thing: Any) -> bool:
    """Whether there is nothing to watch of a thing: of arrays that are arguments, numbers and texts, and tinyseq's own
    things that hold no parameters, as a chain or a forest."""
    kind = type(thing)
    if kind is np.ndarray or isinstance(thing, ATOMS):
        return True
    ours = kind.__module__.split(".")[0] == "tinyseq" and not issubclass(kind, (tuple, list, dict, type))
    return ours and not hasattr(thing, "named_parameters")


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _is_module(value: Any) -> bool:
    return isinstance(value, Parameter) or hasattr(value, "named_parameters")


def _holds_modules(value: Any) -> bool:
    if not isinstance(value, (list, tuple, dict)) or len(value) > MOST_ITEMS:
        return False
    return any(map(_is_module, _items(value)))
