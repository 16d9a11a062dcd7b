"""What the code of functions names, and which methods are called without being named."""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
import types
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
PARTS = ("__func__", "__self__", "func", "args", "keywords", "fget", "dispatcher")
"""What stands around a function, and where in it that is."""


class Names(NamedTuple):
    """What a function's code names.

    reads       globals
    attributes  each with the global it is read of, or ''
    imports     modules imported by it, each with what is taken from it, or ''
    """

    reads: frozenset[str]
    attributes: frozenset[tuple[str, str]]
    imports: frozenset[tuple[str, str]]


@functools.lru_cache(maxsize=4096)
def names_in(code: types.CodeType) -> Names:
    """What a function's code names, and those of the functions inside it."""
    reads, attributes, imports, before, module = set(), set(), set(), "", ""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            reads.add(step.argval)
            before = step.argval
            continue
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add((before, step.argval))
        elif step.opname == "IMPORT_NAME":
            module = step.argval
            imports.add((module, ""))
        elif step.opname == "IMPORT_FROM":
            imports.add((module, step.argval))
        before = ""
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            more = names_in(inner)
            reads |= more.reads
            attributes |= more.attributes
            imports |= more.imports
    return Names(frozenset(reads), frozenset(attributes), frozenset(imports))


def inherited(cls: type) -> frozenset[str]:
    """The names that tinyseq's own classes above a user's one define, or read of their instances."""
    return frozenset[str]().union(*[_names_of(base) for base in cls.__mro__ if is_ours(base)])


@functools.lru_cache(maxsize=1024)
def _names_of(cls: type) -> frozenset[str]:
    found = set(vars(cls).keys())
    for value in vars(cls).values():
        function = next((part for name in PARTS if (part := getattr(value, name, None)) is not None), value)
        if isinstance(function, types.FunctionType):
            found |= {name for _, name in names_in(function.__code__).attributes}
    return frozenset(found - UNCALLED)


def is_ours(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "tinyseq"


def is_users(cls: type) -> bool:
    """Whether the user wrote a class."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return cls is not object and (cls.__module__ == "__main__" or written_here(file))


def implicit(name: str, value: Any) -> bool:
    """Whether Python itself calls a method of this name, for an operator say."""
    method = isinstance(value, (types.FunctionType, *WRAPPED))
    return method and name.startswith("__") and name.endswith("__") and name not in UNCALLED


def written_here(file: str | None) -> bool:
    """Whether a source is the user's: none of Python's, of an installed library, or of tinyseq."""
    return bool(file) and not str(file).startswith((*LIBRARIES, "<frozen")) and "-packages" not in str(file)
