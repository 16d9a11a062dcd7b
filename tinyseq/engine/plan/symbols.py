"""Symbols: numbers and arrays that stand for those of any tape folded alike, so that one run of the planner serves all.

The planner computes with counts of steps, rows and members. Handed symbols in their place it computes as it always
does, with the values of the tape at hand, while every operation on a symbol is written down as a line of a small
program. What the planner decides by a symbol, ``if count == 1`` say, becomes a guard: another tape for which it comes
out otherwise is planned anew. So does all that leaves the symbols, as an index or a key: that pins the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinyseq.engine.plan.arithmetic import COMPARES, NUMBERS, PLAIN, Arithmetic
from tinyseq.engine.plan.quick import put, quick
from tinyseq.engine.plan.tracing import Trace, trace_in, value_of


def result(trace: Trace, text: str, uses: Sequence[str], value: Any) -> Any:
    """What an expression gives: a symbol, or, of a truth, the truth with a guard."""
    if isinstance(value, np.ndarray) and value.ndim:
        return Array(trace, trace.let(text, uses), value)
    if isinstance(value, tuple | list):
        whole = trace.let(text, uses)
        return type(value)([result(trace, f"{whole}[{i}]", (whole,), part) for i, part in enumerate(value)])
    if isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool):
        name = trace.let(text, uses)
        trace.guard(f"not {name}" if value else name, (name,))
        return bool(value)
    if isinstance(value, float | np.floating):
        return Num(trace, trace.let(f"float({text})", uses), float(value))
    return Num(trace, trace.let(f"int({text})", uses), int(value))


def apply(trace: Trace, function: Callable[..., Any], args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """A function of NumPy's on symbols."""
    uses: list[str] = []
    parts = [trace.text(a, uses) for a in args]
    parts += [f"{key}={trace.text(a, uses)}" for key, a in keywords.items()]
    given = [value_of(a) for a in args]
    written = function if keywords else quick(function, given)
    text = f"{trace.named(written)}({', '.join(parts)})"
    return result(trace, text, uses, function(*given, **{key: value_of(a) for key, a in keywords.items()}))


def picked(which: str, a: Any, b: Any) -> Any:
    """The larger ("max") or the smaller ("min") of two numbers; of symbols one for both, where ``max`` would decide for
    one of them."""
    trace, picks = trace_in((a, b)), max if which == "max" else min
    if trace is None:
        return picks(a, b)
    uses: list[str] = []
    text = f"{which}({trace.text(a, uses)}, {trace.text(b, uses)})"
    return Num(trace, trace.let(text, uses), picks(value_of(a), value_of(b)))


class Num(Arithmetic):
    """A number that may be another one for the next tape."""

    __slots__ = ("name", "trace", "value")

    def __init__(self, trace: Trace, name: str, value: Any) -> None:
        self.trace, self.name, self.value = trace, name, value

    def _binary(self, sign: str, other: Any, turned: bool = False) -> Any:
        if isinstance(other, Array):
            return other._binary(sign, self, not turned)
        if isinstance(other, np.ndarray) and other.ndim:
            whole = other.ndim == 1 and other.size and other.dtype.kind == "i" and (other == other[0]).all()
            made = Array.repeated(self.trace, len(other), int(other[0])) if whole else Array.constant(self.trace, other)
            return made._binary(sign, self, not turned)
        if (simple := self._simple(sign, other, turned)) is not None:
            return simple
        if not isinstance(other, (Num, *NUMBERS)):
            return sign == "!=" if sign in ("==", "!=") else NotImplemented
        pair = (other, self) if turned else (self, other)
        value = PLAIN[sign](*(value_of(part) for part in pair))
        uses: list[str] = []
        text = f"{self.trace.text(pair[0], uses)} {sign} {self.trace.text(pair[1], uses)}"
        if sign in COMPARES:
            self.trace.guard(f"not {text}" if value else text, uses)
            return bool(value)
        return Num(self.trace, self.trace.let(text, uses), value)

    def _simple(self, sign: str, other: Any, turned: bool) -> Any:
        """What an operation gives whatever the number is, such as x · 0; None where that is not so."""
        whole = isinstance(self.value, int) and isinstance(value_of(other), int | np.integer)
        if isinstance(other, Num):
            if other.name != self.name:
                return None
            if sign in COMPARES:
                return sign in ("<=", ">=", "==")
            if whole and sign == "-":
                return 0
            return int(sign == "//") if whole and sign in ("//", "%") and self != 0 else None
        if not isinstance(other, NUMBERS):
            return None
        kept = whole or isinstance(self.value, float)  # not where a whole number becomes another
        if kept and other == 1 and (sign == "*" or (sign == "//" and whole and not turned)):
            return self
        if kept and other == 0 and (sign == "+" or (sign == "-" and not turned)):
            return self
        if other == 0 and whole and (sign == "*" or (turned and sign in ("//", "%") and self != 0)):
            return 0
        return None

    def pinned(self, why: str) -> Any:
        """The number itself: tapes that have another one are planned anew."""
        self.trace.pins.append(why)
        self.trace.guard(f"{self.name} != {self.value!r}", (self.name,))
        return self.value

    def __index__(self) -> int:
        return int(self.pinned("index"))

    def __int__(self) -> int:
        return int(self.pinned("int"))

    def __float__(self) -> float:
        return float(self.pinned("float"))

    def __hash__(self) -> int:
        return hash(self.pinned("hash"))

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    def __str__(self) -> str:
        return str(self.pinned("text"))

    def __format__(self, how: str) -> str:
        return format(self.pinned("text"), how)

    def __repr__(self) -> str:
        return f"<{self.name} = {self.value}>"

    def __copy__(self) -> Num:
        return self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return _ufunc(ufunc, method, inputs, keywords)


class Array(Arithmetic):
    """An array of integers or truths that may be another one, and of another length, for the next tape.

    Where all its elements are one number, ``alike`` says so: ``(how many, which)``. Where it is a few that are known
    one by one, as the first and last member of a block are, ``parts`` are they: a line on a number takes a tenth of
    the time of one on an array.
    """

    __slots__ = ("_name", "alike", "parts", "trace", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        trace: Trace,
        name: str | None,
        value: np.ndarray,
        alike: tuple[Any, Any] | None = None,
        parts: tuple[Any, ...] = (),
    ) -> None:
        self.trace, self._name, self.value, self.alike, self.parts = trace, name, value, alike, parts
        trace.arrays.append(self)

    @classmethod
    def constant(cls, trace: Trace, value: np.ndarray) -> Array:
        """An array that is the same for all tapes."""
        return cls(trace, trace.named(value), value)

    @classmethod
    def repeated(cls, trace: Trace, count: Any, number: Any) -> Array:
        """One number, ``count`` times."""
        return cls(trace, None, np.full(value_of(count), value_of(number)), (count, number))

    @classmethod
    def listed(cls, trace: Trace, parts: Sequence[Any]) -> Array:
        """A few integers, given one by one."""
        if len(parts) == 1:
            return cls.repeated(trace, 1, parts[0])
        return cls(trace, None, np.array(value_of(list(parts)), np.int64), parts=tuple(parts))

    @property
    def name(self) -> str:
        """The name in the trace."""
        if self._name is None:
            uses: list[str] = []
            function: Any = np.full if self.alike is not None else _listing
            parts = [self.trace.text(part, uses) for part in self.alike or self.parts]
            self._name = self.trace.let(f"{self.trace.named(function)}({', '.join(parts)})", uses)
        return self._name

    @property
    def dtype(self) -> np.dtype:
        """The dtype."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def size(self) -> Any:
        """Number of elements, of one axis."""
        assert self.value.ndim == 1
        if self.alike is not None or self.parts:
            return self.alike[0] if self.alike is not None else len(self.parts)
        return Num(self.trace, self.trace.let(f"len({self.name})", (self.name,)), len(self.value))

    @property
    def strides(self) -> tuple[int, ...]:
        """(0,) where all elements are said to be one number."""
        return (0,) if self.alike is not None else self.value.strides

    def pinned(self, why: str) -> np.ndarray:
        """The array itself: tapes that have another one are planned anew."""
        self.trace.pins.append(why)
        same = self.trace.named(np.array_equal)
        known = self.trace.named(self.value.copy())
        self.trace.guard(f"not {same}({self.name}, {known})", (self.name,))
        return self.value

    def __len__(self) -> int:
        return int(Num.pinned(self.size, "len")) if isinstance(self.size, Num) else int(self.size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pinned("iteration"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.pinned("array").astype(dtype or self.value.dtype)

    def tolist(self) -> list:
        """As a list of plain numbers."""
        return self.pinned("tolist").tolist()

    def tobytes(self) -> bytes:
        """As bytes."""
        return self.pinned("bytes").tobytes()

    def __getitem__(self, index: Any) -> Any:
        if self.alike is not None and isinstance(index, int | Num):
            return self.alike[1]
        if self.parts and isinstance(index, int):
            return self.parts[index]
        if self.parts and isinstance(index, slice) and _plain(index) and self.parts[index]:
            return Array.listed(self.trace, self.parts[index])
        uses: list[str] = [self.name]
        value = self.value[value_of(index)]
        return result(self.trace, f"{self.name}[{self.trace.text(index, uses)}]", uses, value)

    def __setitem__(self, index: Any, given: Any) -> None:
        uses: list[str] = [self.name]
        trace = self.trace
        text = f"{trace.named(put)}({self.name}, {trace.text(index, uses)}, {trace.text(given, uses)})"
        self.value = put(self.value, value_of(index), value_of(given))
        self._name, self.alike, self.parts = trace.let(text, uses), None, ()

    def _binary(self, sign: str, other: Any, turned: bool = False) -> Any:
        if self.alike is not None and isinstance(other, (Num, *NUMBERS)):
            count, number = self.alike
            found = PLAIN[sign](other, number) if turned else PLAIN[sign](number, other)
            return Array.repeated(self.trace, count, found)
        if self.alike is not None and isinstance(other, Array) and other.alike is not None:
            (count, mine), (others, its) = self.alike, other.alike
            if type(count) is type(others) and (
                count.name == others.name if isinstance(count, Num) else count == others
            ):
                found = PLAIN[sign](its, mine) if turned else PLAIN[sign](mine, its)
                return Array.repeated(self.trace, count, found)
        if sign == "+" and type(other) is int and other == 0 and self.dtype == np.int64:
            return self
        if sign in ("+", "-", "*") and (others := self._beside(other)):
            pairs = [(b, a) if turned else (a, b) for a, b in zip(self.parts, others, strict=True)]
            return Array.listed(self.trace, [PLAIN[sign](a, b) for a, b in pairs])
        uses: list[str] = []
        pair = (other, self) if turned else (self, other)
        text = f"{self.trace.text(pair[0], uses)} {sign} {self.trace.text(pair[1], uses)}"
        return result(self.trace, text, uses, PLAIN[sign](*(value_of(part) for part in pair)))

    def _beside(self, other: Any) -> tuple[Any, ...]:
        """For each of the parts the one of another array, or the number, that an operation takes it with; none where
        they are not known one by one."""
        if isinstance(other, Array):
            count, number = other.alike or (None, None)
            if isinstance(count, int) and count == len(self.parts):
                return (number,) * count
            return other.parts if len(other.parts) == len(self.parts) else ()
        whole = isinstance(value_of(other), int | np.integer) and not isinstance(other, bool)
        return (other,) * len(self.parts) if whole else ()

    def _method(self, name: str, *args: Any, **keywords: Any) -> Any:
        uses: list[str] = [self.name]
        parts = [self.trace.text(a, uses) for a in args]
        parts += [f"{key}={self.trace.text(a, uses)}" for key, a in keywords.items()]
        given = [value_of(a) for a in args]
        value = getattr(self.value, name)(*given, **{key: value_of(a) for key, a in keywords.items()})
        return result(self.trace, f"{self.name}.{name}({', '.join(parts)})", uses, value)

    def any(self, **axis: Any) -> Any:
        """Whether one element is true."""
        if self.alike is not None and not axis and self.alike[0] > 0:
            return bool(self.alike[1])
        return self._method("any", **axis)

    def all(self, **axis: Any) -> Any:
        """Whether all elements are true."""
        if self.alike is not None and not axis:
            return not self.alike[0] > 0 or bool(self.alike[1])
        return self._method("all", **axis)

    def sum(self) -> Any:
        """The sum."""
        return self._method("sum") if self.alike is None else self.alike[0] * self.alike[1]

    def max(self, **initial: Any) -> Any:
        """The largest."""
        if self.alike is not None and initial and isinstance(self.alike[0], int) and self.alike[0] > 0:
            return picked("max", self.alike[1], initial["initial"])
        return self._method("max", **initial) if self.alike is None or initial else self.alike[1]

    def min(self, **initial: Any) -> Any:
        """The smallest."""
        return self._method("min", **initial) if self.alike is None or initial else self.alike[1]

    def astype(self, dtype: Any) -> Array:
        """The same numbers of another dtype."""
        return self if dtype == self.value.dtype else self._method("astype", dtype)

    def copy(self) -> Array:
        """The same numbers; what is written to them is written to the copy alone."""
        return Array(self.trace, self._name, self.value, self.alike, self.parts)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return _ufunc(ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        if function is np.diff and self.alike is not None and len(args) == 1 and not keywords:
            count = self.alike[0]
            return Array.repeated(self.trace, count - 1 if count > 0 else count, 0)
        if function is np.diff and self.parts and len(args) == 1 and not keywords:
            return self[1:] - self[:-1]
        return apply(self.trace, function, args, keywords)


def _plain(index: slice) -> bool:
    """Whether a slice is the same for all tapes."""
    return not any(isinstance(bound, Num) for bound in (index.start, index.stop, index.step))


def _listing(*parts: int) -> np.ndarray:
    return np.array(parts, np.int64)


def _ufunc(ufunc: Any, method: str, inputs: tuple, keywords: dict[str, Any]) -> Any:
    if keywords.get("out") is not None:
        return NotImplemented
    trace = trace_in(inputs)
    assert trace is not None
    if ufunc in (np.maximum, np.minimum) and method == "__call__" and not keywords:
        first, second = inputs
        if ufunc is np.maximum and isinstance(first, Num) and not isinstance(second, Array | np.ndarray):
            return max(first, second)
        if isinstance(second, Array):
            first, second = second, first
        if isinstance(first, Array) and first.alike is not None and isinstance(second, (Num, *NUMBERS)):
            which = "max" if ufunc is np.maximum else "min"
            return Array.repeated(trace, first.alike[0], picked(which, first.alike[1], second))
    return apply(trace, getattr(ufunc, method), inputs, keywords)
