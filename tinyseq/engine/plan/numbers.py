"""What the planner calls in place of int, len, max and makers of arrays, which would give plain numbers for symbols.

With plain numbers they are what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

import numpy as np

from tinyseq.engine.plan.meeting import two_meet
from tinyseq.engine.plan.symbols import Array, Num, apply, picked
from tinyseq.engine.plan.tracing import trace_in

FEW = 4  # integers that symbols know one by one


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
    """Integers as an array. Where few of many are symbols the rest is made once."""
    numbers = list(numbers)
    trace = trace_in((numbers,))
    if trace is None:
        return _integers(numbers)
    if len(numbers) <= FEW:
        return Array.listed(trace, numbers)  # type: ignore[return-value]
    at = [i for i, number in enumerate(numbers) if isinstance(number, Num)]
    if 2 * len(at) > len(numbers):
        return apply(trace, _integers, (numbers,), {})
    symbols = [numbers[i] for i in at]
    base = _integers([0 if isinstance(number, Num) else number for number in numbers])
    return apply(trace, _with, (base, _integers(at), symbols), {})


def _integers(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int64)


def _with(base: np.ndarray, at: np.ndarray, numbers: list[int]) -> np.ndarray:
    """A copy of integers with other numbers at some places."""
    found = base.copy()
    found[at] = np.frombuffer(pack(f"{len(numbers)}q", *numbers), np.int64)  # half the time of NumPy's own way
    return found


def meet(writes: Sequence[np.ndarray], size: int) -> Any:
    """Whether two members write one element at one level, each ``size`` elements from its place on; given the member,
    its group, the place and the level of each write."""
    return _made(two_meet, *writes, size)
