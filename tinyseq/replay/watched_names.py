"""What the code of functions names, and which methods are called without being named."""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
import types
from importlib.util import resolve_name
from inspect import CO_VARARGS
from pathlib import Path
from typing import Any, NamedTuple

from tinyseq.errors import PACKAGE

LIBRARIES = (*{sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}, PACKAGE)
CALLED = {"step", "leaf", "merge", "initial_state", "hidden", "terms", "parameters", "scope_cell"}
"""What tinyseq calls on cells of any class."""
CONSTRUCTORS = ("__init__", "__new__")
UNCALLED = {*CONSTRUCTORS, "__post_init__", "__init_subclass__", "__set_name__", "__del__", "__repr__", "__str__"}
UNCALLED |= {"__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__copy__", "__deepcopy__", "__dir__"}
UNCALLED |= {"__doc__", "__module__", "__dict__", "__weakref__", "__annotations__", "__sizeof__", "__class__"}
"""What Python calls to make, copy or show an object, and what is no method at all."""
WRAPPED: tuple[type, ...] = (types.MethodType, types.BuiltinMethodType, functools.partial, functools.partialmethod)
WRAPPED += (staticmethod, classmethod, property, functools.cached_property, functools.singledispatchmethod)
WHOLE = {"vars", "__dict__", "asdict", "astuple"}
"""By these a function reads all attributes of a thing."""
INSTALLED = {"site-packages", "dist-packages"}
PARTS = ("__func__", "__self__", "func", "args", "keywords", "fget", "dispatcher")
"""What stands around a function, and where in it that is."""


class Names(NamedTuple):
    """What a function's code names.

    reads       globals
    attributes  each with the global it is read of, or ''
    imports     modules imported by it, how many packages up, and what is taken from each, or ''
    words       texts that may be names, as in getattr(settings, "scale") and in patterns
    """

    reads: frozenset[str]
    attributes: frozenset[tuple[str, str]]
    imports: frozenset[tuple[str, int, str]]
    words: frozenset[str]

    @property
    def everything(self) -> bool:
        """Whether it may read all attributes of what it has in hand."""
        return bool(WHOLE & (self.reads | {name for _, name in self.attributes}))


@functools.lru_cache(maxsize=4096)
def names_in(code: types.CodeType) -> Names:
    """What a function's code names, and those of the functions inside it."""
    reads, attributes, imports, words = set(), set(), set(), set()
    before, module, given = "", ("", 0), [0, 0]
    for step in dis.get_instructions(code):
        if step.opname == "EXTENDED_ARG":  # a part of the next
            continue
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            reads.add(step.argval)
            before = step.argval
            continue
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add((before, step.argval))
        elif step.opname == "IMPORT_NAME":
            module = step.argval, given[-2] if isinstance(given[-2], int) else 0
            imports.add((*module, ""))
        elif step.opname == "IMPORT_FROM":
            imports.add((*module, step.argval))
        elif step.opname == "LOAD_CONST":
            given.append(step.argval)  # of an import the level, and then what is taken
        before = ""
    for inner in code.co_consts:
        words |= {word for word in (inner if isinstance(inner, tuple) else (inner,)) if isinstance(word, str)}
        if isinstance(inner, types.CodeType):
            more = names_in(inner)
            reads |= more.reads
            attributes |= more.attributes
            imports |= more.imports
            words |= more.words
    words = {word for word in words if word.isidentifier()}
    return Names(frozenset(reads), frozenset(attributes), frozenset(imports), frozenset(words))


def imported(name: str, level: int, space: dict[str, Any]) -> types.ModuleType | None:
    """The module of an import in a function, if it is there."""
    try:
        whole = resolve_name("." * level + name, space.get("__package__") or "") if level else name
    except ImportError:
        return None
    return sys.modules.get(whole)


def inherited(cls: type) -> frozenset[str]:
    """The names that tinyseq's own classes above a user's one read of their instances."""
    return frozenset[str]().union(*[_names_of(base) for base in cls.__mro__ if is_ours(base)])


@functools.lru_cache(maxsize=1024)
def _names_of(cls: type) -> frozenset[str]:
    found: set[str] = set()
    for value in vars(cls).values():
        function = next((part for name in PARTS if (part := getattr(value, name, None)) is not None), value)
        if isinstance(function, types.FunctionType):
            found |= {name for _, name in names_in(function.__code__).attributes}
    return frozenset(found - UNCALLED)


def is_ours(cls: type) -> bool:
    """Whether a class is tinyseq's."""
    return cls.__module__.split(".")[0] == "tinyseq"


@functools.lru_cache(maxsize=256)
def methods_of(cls: type) -> frozenset[str]:
    """The names of the functions of one of tinyseq's classes: an instance that is given one of its own hides it."""
    return frozenset({k for base in cls.__mro__ for k, v in vars(base).items() if isinstance(v, types.FunctionType)})


def is_users(cls: type) -> bool:
    """Whether the user wrote a class. Of one whose module nobody knows, as of a file that was run, its functions
    tell."""
    if cls is object or cls.__module__ == "__main__":
        return cls is not object
    module = sys.modules.get(cls.__module__)
    if module is None:
        files = [f.__code__.co_filename for f in vars(cls).values() if isinstance(f, types.FunctionType)]
        return all(map(written_here, files))
    return written_here(getattr(module, "__file__", None))


def is_called(name: str, value: Any, bound: int = 1) -> bool:
    """Whether tinyseq calls a function of this name: a cell's, whose step takes an input and a state, ``bound``
    arguments before them. No recording does what trains, as an optimiser's step or a net's own: it reads gradients."""
    if name not in CALLED:
        return False
    function = getattr(value, "__func__", value)
    if not isinstance(function, types.FunctionType):
        return callable(value) or isinstance(value, WRAPPED)
    code = function.__code__
    trains = any(attribute in ("grad", "backward") for _, attribute in names_in(code).attributes)
    few = name == "step" and code.co_argcount < bound + 2 and not code.co_flags & CO_VARARGS
    return not trains and not few


def implicit(name: str, value: Any) -> bool:
    """Whether Python itself calls a method of this name, for an operator say."""
    method = isinstance(value, (types.FunctionType, *WRAPPED))
    return method and name.startswith("__") and name.endswith("__") and name not in UNCALLED


@functools.lru_cache(maxsize=4096)
def written_here(file: str | None) -> bool:
    """Whether a source is the user's: none of Python's, of an installed library, or of tinyseq."""
    return bool(file) and not str(file).startswith((*LIBRARIES, "<frozen")) and not INSTALLED & {*Path(str(file)).parts}
