"""What a node is: its kind, which steps share, and the node as it is shown to readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

FLOAT32, FLOAT64, INT64 = 0, 1, 2
INPUT, PARAMETER = "input", "parameter"  # the ops of leaves whose values the tape itself binds
DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64))


class Kind(NamedTuple):
    """All that nodes of one place in one cell have in common."""

    op: str
    attrs: tuple
    tail: tuple[int, ...]
    dtype: int
    name: str
    cell: str
    line: tuple[str, int]


class Node(NamedTuple):
    """One node, gathered from the columns for reading."""

    index: int  # type: ignore[assignment]
    op: str
    inputs: tuple[int, ...]
    attrs: tuple
    arg: int
    shape: tuple[int, ...]
    dtype: np.dtype
    name: str
    cell: str
    step: int
    line: tuple[str, int]


def shape_of(rows: int, tail: Sequence[int]) -> tuple[int, ...]:
    """Shape from the two columns that hold it."""
    return () if rows < 0 else (rows, *tail)


class Parameter(Protocol):
    """What a tape asks of the parameters whose leaves it holds."""

    name: str
    trainable: bool
    grad: Any
    _grad: np.ndarray | None

    @property
    def value(self) -> Any:
        """The array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> Any:
        """Its dtype."""


class Interned:
    """Kinds, each with a number. Kinds that are equal but for the sign of a zero among their attributes differ."""

    __slots__ = ("_numbers", "kinds")

    def __init__(self, kinds: Sequence[Kind] = ()) -> None:
        self.kinds = list(kinds)
        self._numbers: dict[tuple[Kind, str], int] | None = {} if not kinds else None

    def number(self, kind: Kind) -> int:
        """The number of a kind, given when it is first met."""
        if self._numbers is None:
            self._numbers = {(known, _exact(known)): i for i, known in enumerate(self.kinds)}
        key = (kind, _exact(kind))
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.kinds)
            self.kinds.append(kind)
        return found


def _exact(kind: Kind) -> str:
    return repr(kind.attrs) if kind.attrs else ""
