"""A hash of everything a kernel's machine code depends on, the same in every process.

Numba freezes globals and closure variables into the code and inlines callees, so all of them are part of a
kernel's content. What can't be described by its value makes a kernel uncacheable rather than possibly stale.
"""

from __future__ import annotations

import enum
import hashlib
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.dispatcher import Dispatcher
from numba.extending import _Intrinsic

_PACKAGE = Path(__file__).parent.parent

# Files whose text is hashed as a whole (`jit.cache.source_stamp`): everything they define is vouched for.
# Of the engine those that make machine code; what plans makes arrays, so an edit there recompiles nothing.
STAMPED = (
    _PACKAGE / "ops",
    _PACKAGE / "engine" / "kernels",
    *(_PACKAGE / "engine" / "machine" / f"{name}.py" for name in ("vm", "atomics", "workers")),
    _PACKAGE / "jit",
)

# Packages known by their version, which is part of the same hash.
_VERSIONED = frozenset({"builtins", "math", "cmath", "operator", "numpy", "numba", "llvmlite"})
_CALLABLE = (FunctionType, BuiltinFunctionType, type, np.ufunc, _Intrinsic, Dispatcher)
_SCALAR = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), np.generic, np.dtype, enum.Enum)


class UnknownContentError(Exception):
    """A kernel uses something whose content can't be hashed; the message says what to do instead."""


def fingerprint(function: FunctionType, options: dict[str, Any]) -> str:
    """Hash `function`, its compiler `options` and all it reaches. Raises UnknownContentError."""
    walk = _Walk(function.__qualname__)
    walk.options(options)
    walk.function(function)
    return walk.digest.hexdigest()


@cache
def is_stamped(function: FunctionType) -> bool:
    path = Path(function.__code__.co_filename)
    return any(path == entry or entry in path.parents for entry in STAMPED)


@cache
def _describe(code: CodeType) -> str:
    """All of a code object but its file name and line numbers, which change nothing in the result."""
    constants = [_describe(c) if isinstance(c, CodeType) else _ordered(c) for c in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
    return repr((code.co_code, constants, names, counts, code.co_exceptiontable))


def _ordered(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, (set, frozenset)) else repr(value)


@cache
def _global_names(code: CodeType) -> tuple[str, ...]:
    nested = [name for c in code.co_consts if isinstance(c, CodeType) for name in _global_names(c)]
    return tuple(dict.fromkeys([*code.co_names, *nested]))


class _Walk:
    """Visits a function and what it reaches, feeding a hash; each function once."""

    def __init__(self, kernel_name: str) -> None:
        self.digest = hashlib.sha256()
        self._kernel_name = kernel_name
        self._seen: dict[int, int] = {}

    def options(self, options: dict[str, Any]) -> None:
        self._add(repr(sorted((name, _ordered(value)) for name, value in options.items())))

    def function(self, function: FunctionType) -> None:
        known = id(function) in self._seen
        number = self._seen.setdefault(id(function), len(self._seen))
        self._add(f"function {number} {function.__module__}")
        if known:
            return
        code = function.__code__
        self._add(_describe(code))
        self._value(function.__defaults__, "a default")
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._value(cell.cell_contents, name)
        stamped = is_stamped(function)
        for name in _global_names(code):
            if name in function.__globals__:
                self._global(name, function.__globals__[name], code, stamped)

    def _global(self, name: str, value: Any, code: CodeType, stamped: bool) -> None:
        self._add(f"global {name}")
        if isinstance(value, ModuleType):
            self._module(value, code, stamped)
            return
        try:
            self._value(value, name)
        except UnknownContentError:
            if not stamped:  # what stamped text builds, it builds the same way again
                raise

    def _module(self, module: ModuleType, code: CodeType, stamped: bool) -> None:
        self._add(module.__name__)
        if not _is_versioned(module.__name__):
            for name in _global_names(code):
                if name in vars(module):
                    self._global(name, vars(module)[name], code, stamped)

    def _value(self, value: Any, name: str) -> None:
        if isinstance(value, _SCALAR):
            self._add(f"{type(value).__name__} {value!r}")
        elif isinstance(value, (tuple, list)):
            self._add(f"{type(value).__qualname__} of {len(value)}")
            for item in value:
                self._value(item, name)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            self._add(f"array {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")
        elif isinstance(value, (types.Type, ir.Type)):
            self._add(f"type {value} {getattr(value, 'sig', '')}")
        elif isinstance(value, _CALLABLE):
            self._callable(value, name)
        else:
            raise self._unknown(value, name)

    def _callable(self, value: Any, name: str) -> None:
        module = getattr(value, "__module__", None) or type(value).__module__
        self._add(f"callable {module}.{getattr(value, '__qualname__', name)}")
        if _is_versioned(module):
            return
        if isinstance(value, Dispatcher):
            self.options(value.targetoptions)
            self.function(value.py_func)
            return
        # An overload or an intrinsic may call any Python code while it generates: only stamped text will do.
        body = value._defn if isinstance(value, _Intrinsic) else value
        if not isinstance(body, FunctionType) or not is_stamped(body):
            raise self._unknown(value, name)
        self.function(body)

    def _unknown(self, value: Any, name: str) -> UnknownContentError:
        return UnknownContentError(
            f"kernel {self._kernel_name} isn't cached on disk: it uses {name!r}, a {type(value).__name__}, "
            f"whose content can't be hashed. Use numbers, strings, tuples, arrays, or functions made by @kernel."
        )

    def _add(self, text: str) -> None:
        self.digest.update(f"{len(text)}:{text};".encode())


def _is_versioned(module: str) -> bool:
    return module.partition(".")[0] in _VERSIONED
