"""Operators that symbols share: each becomes one call of ``_binary`` with its sign."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

PLAIN = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "/": operator.truediv, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne, "&": operator.and_, "|": operator.or_,
}  # fmt: skip
COMPARES = ("<", "<=", ">", ">=", "==", "!=")
NUMBERS = (int, float, np.integer, np.floating)


class Arithmetic:
    """A symbol: its name in a trace, and what it is for the tape at hand."""

    __slots__ = ()

    name: Any
    trace: Any
    value: Any

    def _binary(self, sign: str, other: Any, turned: bool = False) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._binary("+", other)

    def __radd__(self, other: Any) -> Any:
        return self._binary("+", other, True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("-", other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("-", other, True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("*", other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("*", other, True)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary("//", other, True)

    def __mod__(self, other: Any) -> Any:
        return self._binary("%", other)

    def __rmod__(self, other: Any) -> Any:
        return self._binary("%", other, True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("/", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("/", other, True)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __lt__(self, other: Any) -> Any:
        return self._binary("<", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary(">=", other)

    def __eq__(self, other: Any) -> Any:
        return self._binary("==", other)

    def __ne__(self, other: Any) -> Any:
        return self._binary("!=", other)

    def __and__(self, other: Any) -> Any:
        return self._binary("&", other)

    def __or__(self, other: Any) -> Any:
        return self._binary("|", other)

    def __neg__(self) -> Any:
        return self._binary("*", -1)
