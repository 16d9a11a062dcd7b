"""Symbols: numbers and arrays that stand for those of any tape folded alike, so that one run of the planner serves all.

The planner computes with counts of steps, rows and members. Handed symbols in their place it computes as it always
does, with the values of the tape at hand, while every operation on a symbol is written down as a line of a small
program. What the planner decides by a symbol, ``if count == 1`` say, becomes a guard: another tape for which it comes
out otherwise is planned anew. So does all that leaves the symbols, as an index or a key: that pins the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.engine.plan.arithmetic import COMPARES, NUMBERS, PLAIN, Arithmetic


class Line(NamedTuple):
    """``name = text``; a guard has no name: its text says when to give up. ``uses`` are the names it reads."""

    name: str
    text: str
    uses: tuple[str, ...]


class Trace:
    """The lines written down so far, and the objects that they name."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.objects: dict[str, Any] = {}
        self.pins: list[str] = []  # what was pinned, for whoever wonders why a tape is planned anew
        self._names: dict[str, str] = {}  # of what was computed before
        self._guards: set[str] = set()
        self._of_object: dict[int, str] = {}
        self.arrays: list[Array] = []  # whose values are those of the tape at hand

    def forget(self) -> None:
        """Forget what arrays were for the tape at hand: only their names count from now on."""
        for array in self.arrays:
            array.name  # noqa: B018 (it may not have one yet)
        for array in self.arrays:
            array.value = np.zeros(0, np.int64)
        self.arrays.clear()

    def let(self, text: str, uses: Sequence[str]) -> str:
        """The name of an expression; the same for the same."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = f"v{len(self._names)}"
            self.lines.append(Line(name, text, tuple(uses)))
        return name

    def guard(self, wrong: str, uses: Sequence[str]) -> None:
        """Give up where an expression is true."""
        if wrong not in self._guards:
            self._guards.add(wrong)
            self.lines.append(Line("", wrong, tuple(uses)))

    def named(self, thing: Any) -> str:
        """The name of an object that is the same for all tapes."""
        name = self._of_object.get(id(thing))
        if name is None:
            name = self._of_object[id(thing)] = f"k{len(self.objects)}"
            self.objects[name] = thing  # which keeps its id
        return name

    def text(self, thing: Any, uses: list[str]) -> str:
        """A value as it stands in a line; the names it reads are added to ``uses``."""
        if isinstance(thing, Num | Array):
            uses.append(thing.name)
            return thing.name
        if isinstance(thing, bool | str) or thing is None or thing is Ellipsis:
            return repr(thing)
        if isinstance(thing, int | np.integer):
            return repr(int(thing))
        if type(thing) is float:
            return repr(thing)
        if isinstance(thing, slice):
            return f"slice({', '.join(self.text(part, uses) for part in (thing.start, thing.stop, thing.step))})"
        if isinstance(thing, tuple):
            return f"({''.join(self.text(part, uses) + ', ' for part in thing)})"
        if isinstance(thing, list):
            return f"[{', '.join(self.text(part, uses) for part in thing)}]"
        if isinstance(thing, dict):
            return f"{{{', '.join(f'{self.text(key, uses)}: {self.text(v, uses)}' for key, v in thing.items())}}}"
        return self.named(thing)

    def result(self, text: str, uses: Sequence[str], value: Any) -> Any:
        """What an expression gives: a symbol, or, of a truth, the truth with a guard."""
        if isinstance(value, np.ndarray) and value.ndim:
            return Array(self, self.let(text, uses), value)
        if isinstance(value, tuple | list):
            whole = self.let(text, uses)
            return type(value)([self.result(f"{whole}[{i}]", (whole,), part) for i, part in enumerate(value)])
        if isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool):
            name = self.let(text, uses)
            self.guard(f"not {name}" if value else name, (name,))
            return bool(value)
        if isinstance(value, float | np.floating):
            return Num(self, self.let(f"float({text})", uses), float(value))
        return Num(self, self.let(f"int({text})", uses), int(value))

    def apply(self, function: Callable[..., Any], args: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """A function of NumPy's on symbols."""
        uses: list[str] = []
        parts = [self.text(a, uses) for a in args]
        parts += [f"{key}={self.text(a, uses)}" for key, a in keywords.items()]
        text = f"{self.named(function)}({', '.join(parts)})"
        given = [value_of(a) for a in args]
        return self.result(text, uses, function(*given, **{key: value_of(a) for key, a in keywords.items()}))


def value_of(thing: Any) -> Any:
    """What a symbol, or what holds some, is for the tape at hand."""
    if isinstance(thing, Num | Array):
        return thing.value
    if isinstance(thing, tuple | list):
        return type(thing)([value_of(part) for part in thing])
    if isinstance(thing, slice):
        return slice(value_of(thing.start), value_of(thing.stop), value_of(thing.step))
    return thing


def trace_in(things: Any) -> Trace | None:
    for thing in things:
        if isinstance(thing, Num | Array):
            return thing.trace
        if isinstance(thing, tuple | list) and (found := trace_in(thing)) is not None:
            return found
    return None


class Num(Arithmetic):
    """A number that may be another one for the next tape."""

    __slots__ = ("name", "trace", "value")

    def __init__(self, trace: Trace, name: str, value: Any) -> None:
        self.trace, self.name, self.value = trace, name, value

    def _binary(self, sign: str, other: Any, turned: bool = False) -> Any:
        if isinstance(other, Array):
            return other._binary(sign, self, not turned)
        if isinstance(other, np.ndarray) and other.ndim:
            return Array.constant(self.trace, other)._binary(sign, self, not turned)
        if isinstance(other, Num):
            if other.name == self.name and sign in COMPARES:
                return sign in ("<=", ">=", "==")
        elif not isinstance(other, NUMBERS):
            return sign == "!=" if sign in ("==", "!=") else NotImplemented
        elif (sign == "*" and other == 1) or (sign == "+" and other == 0):
            return self
        pair = (other, self) if turned else (self, other)
        value = PLAIN[sign](*(value_of(part) for part in pair))
        uses: list[str] = []
        text = f"{self.trace.text(pair[0], uses)} {sign} {self.trace.text(pair[1], uses)}"
        if sign in COMPARES:
            self.trace.guard(f"not {text}" if value else text, uses)
            return bool(value)
        return Num(self.trace, self.trace.let(text, uses), value)

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

    Where all its elements are one number, ``alike`` says so: ``(how many, which)``.
    """

    __slots__ = ("_name", "alike", "trace", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: Trace, name: str | None, value: np.ndarray, alike: tuple[Any, Any] | None = None) -> None:
        self.trace, self._name, self.value, self.alike = trace, name, value, alike
        trace.arrays.append(self)

    @classmethod
    def constant(cls, trace: Trace, value: np.ndarray) -> Array:
        """An array that is the same for all tapes."""
        return cls(trace, trace.named(value), value)

    @classmethod
    def repeated(cls, trace: Trace, count: Any, number: Any) -> Array:
        """One number, ``count`` times."""
        return cls(trace, None, np.full(value_of(count), value_of(number)), (count, number))

    @property
    def name(self) -> str:
        """The name in the trace."""
        if self._name is None:
            assert self.alike is not None
            uses: list[str] = []
            parts = [self.trace.text(part, uses) for part in self.alike]
            self._name = self.trace.let(f"{self.trace.named(np.full)}({', '.join(parts)})", uses)
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
        if self.alike is not None:
            return self.alike[0]
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
        uses: list[str] = [self.name]
        value = self.value[value_of(index)]
        return self.trace.result(f"{self.name}[{self.trace.text(index, uses)}]", uses, value)

    def __setitem__(self, index: Any, given: Any) -> None:
        uses: list[str] = [self.name]
        trace = self.trace
        text = f"{trace.named(put)}({self.name}, {trace.text(index, uses)}, {trace.text(given, uses)})"
        self.value = put(self.value, value_of(index), value_of(given))
        self._name, self.alike = trace.let(text, uses), None

    def _binary(self, sign: str, other: Any, turned: bool = False) -> Any:
        if self.alike is not None and isinstance(other, (Num, *NUMBERS)):
            count, number = self.alike
            found = PLAIN[sign](other, number) if turned else PLAIN[sign](number, other)
            return Array.repeated(self.trace, count, found)
        uses: list[str] = []
        pair = (other, self) if turned else (self, other)
        text = f"{self.trace.text(pair[0], uses)} {sign} {self.trace.text(pair[1], uses)}"
        return self.trace.result(text, uses, PLAIN[sign](*(value_of(part) for part in pair)))

    def _method(self, name: str, *args: Any, **keywords: Any) -> Any:
        uses: list[str] = [self.name]
        parts = [self.trace.text(a, uses) for a in args]
        parts += [f"{key}={self.trace.text(a, uses)}" for key, a in keywords.items()]
        given = [value_of(a) for a in args]
        value = getattr(self.value, name)(*given, **{key: value_of(a) for key, a in keywords.items()})
        return self.trace.result(f"{self.name}.{name}({', '.join(parts)})", uses, value)

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
        return self._method("max", **initial) if self.alike is None or initial else self.alike[1]

    def min(self, **initial: Any) -> Any:
        """The smallest."""
        return self._method("min", **initial) if self.alike is None or initial else self.alike[1]

    def astype(self, dtype: Any) -> Array:
        """The same numbers of another dtype."""
        return self if dtype == self.value.dtype else self._method("astype", dtype)

    def copy(self) -> Array:
        """The same numbers; what is written to them is written to the copy alone."""
        return Array(self.trace, self._name, self.value, self.alike)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return _ufunc(ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        if function is np.diff and self.alike is not None and len(args) == 1 and not keywords:
            count = self.alike[0]
            return Array.repeated(self.trace, count - 1 if count > 0 else count, 0)
        return self.trace.apply(function, args, keywords)


def _ufunc(ufunc: Any, method: str, inputs: tuple, keywords: dict[str, Any]) -> Any:
    if keywords.get("out") is not None:
        return NotImplemented
    trace = trace_in(inputs)
    assert trace is not None
    if ufunc is np.maximum and method == "__call__" and not keywords:
        first, second = inputs
        if isinstance(first, Num) and not isinstance(second, Array | np.ndarray):
            return max(first, second)
        if isinstance(first, Array) and first.alike is not None and isinstance(second, (Num, *NUMBERS)):
            return Array.repeated(trace, first.alike[0], max(first.alike[1], second))
    return trace.apply(getattr(ufunc, method), inputs, keywords)


def put(array: np.ndarray, index: Any, given: Any) -> np.ndarray:
    """A copy in which some elements are others."""
    copy = array.copy()
    copy[index] = given
    return copy
