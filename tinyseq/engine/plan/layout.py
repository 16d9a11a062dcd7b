"""Where values lie: storages in one arena, layouts that view them, instructions that address them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.ops.op import Kernel

FOREVER = 1 << 60
ALIGN = 16


@dataclass
class Storage:
    """A run of elements. ``lead`` elements before member 0 hold what stands for the members before the first."""

    index: int
    size: int
    lead: int = 0
    space: str = "arena"  # arena, leaf (an array of the user's), integers, grads (the flat gradient)
    node: int = -1
    what: str = ""
    first: int = FOREVER
    last: int = -1
    base: int = 0
    data: Any = None


@dataclass(frozen=True)
class View:
    """A class's members in a storage: member m, row r, column c at offset + m · member + r · row + c.

    ``ragged`` names the class whose first rows say where members begin, then ``row`` apart; ``level`` says that the
    storage holds the members of one level only.
    """

    storage: Storage
    offset: int
    member: int
    row: int
    rows: int
    cols: int
    ragged: int = -1
    level: bool = False

    @property
    def packed(self) -> bool:
        """Whether rows follow each other without gaps, members too."""
        return (self.row == self.cols or self.rows == 1) and (self.ragged >= 0 or self.member == self.rows * self.cols)

    @property
    def dense(self) -> bool:
        """Whether the rows of one member follow each other without gaps."""
        return self.row == self.cols or self.rows == 1

    @property
    def flat(self) -> bool:
        """Whether rows of all members are evenly spaced, so that many members are just more rows."""
        return self.ragged >= 0 or self.member == self.rows * self.row


@dataclass
class Address:
    """An operand of an instruction: base of a storage + constant + Σ coefficient · table."""

    storage: Storage
    offset: int
    vary: tuple[int, Any] | None = None  # (coefficient, table key)


@dataclass(frozen=True)
class Split:
    """How threads may share an instruction: the slot of d that counts, the numbers in it that make one row, and how far
    each operand moves with a row."""

    slot: int
    unit: int
    strides: tuple[int, ...]


@dataclass
class Instruction:
    """One kernel call: addresses of its operands and its vector d, some of whose slots vary with the level."""

    kernel: Kernel
    operands: list[Address]
    d: list[int]
    vary: dict[int, tuple[int, Any]] = field(default_factory=dict)
    split: Split | None = None
    sums: tuple[int, ...] = ()  # a sum over rows, which may be taken in parts: how far each operand moves with a row
    because: Any = None  # the step that it is part of


@dataclass
class Block:
    """Instructions run level by level. ``bounds`` gives for each group where levels begin among its members."""

    bounds: dict[int, np.ndarray]
    levels: int
    instructions: list[Instruction]
    backwards: bool = False
    recurrent: bool = False
    phase: str = "forward"
    note: str = ""
    by_members: bool = False  # a tree: levels have several members

    def storages(self) -> Iterable[Storage]:
        """Every storage its instructions touch."""
        for instruction in self.instructions:
            for address in instruction.operands:
                yield address.storage
