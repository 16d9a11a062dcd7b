"""What a rule of footprints is given and says, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyseq.ops.op import Kernel

Elements = np.ndarray
ChooseIntegers = Callable[[int, Elements], Elements]


@dataclass(frozen=True)
class Footprint:
    """The elements of each operand, the first being written; None for an operand that is left alone.

    adds     whether what is written is added to what is there, as often as an element occurs
    lists    for rows that stand anywhere: (their operand, the operand that lists where they begin, elements of a row)
    """

    operands: tuple[Elements | None, ...]
    adds: bool = False
    lists: tuple[int, int, int] | None = None


@dataclass
class Known:
    """What a rule knows besides d.

    width      columns of a panel of a packed matrix
    room       operand → elements from where it begins to the end of its storage
    integers   (operand, elements) → the numbers there; None where they are not known
    """

    width: int
    room: Callable[[int], int]
    integers: ChooseIntegers | None = None


Rule = Callable[[Kernel, list[int], Known], Footprint]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule for the kernels of these names."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def grid(*axes: tuple[int, int], start: int = 0) -> Elements:
    """start + Σ index · step over axes of (count, step): an element for each index."""
    places = np.full((), start, np.int64)
    for count, step in axes:
        places = places[..., None] + np.arange(max(count, 0), dtype=np.int64) * step
    return places
