"""What the planner calls in place of int, len, max and makers of arrays, which would give plain numbers for symbols.

With plain numbers they are what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.engine.plan.symbols import Array, Num, apply, picked
from tinyseq.engine.plan.tracing import trace_in


def integer(number: Any) -> Any:
    """A number of NumPy's as one of Python's; a symbol as it is."""
    return number if isinstance(number, Num) else int(number)


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers; of symbols one for both, where ``max`` would decide for one of them."""
    return picked("max", a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two numbers, as ``larger``."""
    return picked("min", a, b)


def length(array: Any) -> Any:
    """How many elements there are; a symbol's is a symbol."""
    return array.size if isinstance(array, Array) else len(array)


def _made(function: Callable[..., Any], *args: Any) -> Any:
    trace = trace_in(args)
    return function(*args) if trace is None else apply(trace, function, args, {})


def full(count: Any, number: Any) -> np.ndarray:
    """One integer, ``count`` times."""
    trace = trace_in((count, number))
    if trace is None:
        return np.full(count, number, np.int64)
    return Array.repeated(trace, count, number)  # type: ignore[return-value]


def arange(*bounds: Any) -> np.ndarray:
    """The integers from the first bound to before the second, or from 0."""
    return _made(np.arange, *bounds)


def vector(numbers: Sequence[Any]) -> np.ndarray:
    """Integers as an array."""
    return _made(_integers, list(numbers))


def _integers(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int64)
