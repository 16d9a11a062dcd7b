"""What one input of a class is, member by member: a read of other members.

Same       the member of the same number of class ``source``
Run        members from ``first`` on of class ``source``, which is another group's
Delayed    the member ``shift`` further of class ``source``; member ``start`` (class, number) for those before the first
Shared     one member ``number`` of class ``source``, for all
Picked     any, by lists of classes and numbers
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyseq.engine.plan.numbers import length


def distinct(numbers: np.ndarray) -> np.ndarray:
    """The numbers that occur, in order; they are numbers of classes, so counting beats sorting."""
    if length(numbers) == 1 or numbers.strides == (0,):
        return numbers[:1]
    return np.flatnonzero(np.bincount(numbers))


class Read:
    """A read of any kind: what a kind does not have is None, or none, here."""

    source: int = -1
    start: tuple[int, int] | None = None
    classes: np.ndarray | None = None
    numbers: np.ndarray | None = None
    only: int = -1
    step: int | None = None

    @property
    def shift(self) -> int:
        """How much higher the numbers of what is read are than the readers', where it is the same for all."""
        return 0

    def sources(self) -> list[int]:
        """Every class this input reads."""
        return [self.source]


@dataclass
class Same(Read):
    """The member of the same number."""

    source: int = field()

    def __str__(self) -> str:
        return f"class {self.source}"


@dataclass
class Run(Read):
    """Members of another group in their order, from one on."""

    source: int = field()
    first: int

    @property
    def shift(self) -> int:
        """The first one's number."""
        return self.first

    def __str__(self) -> str:
        return f"class {self.source} from {self.first}"


@dataclass
class Delayed(Read):
    """The member so much further, which is before (after, if the chain runs back); ``start`` where there is none."""

    source: int = field()
    by: int
    start: tuple[int, int] = field()

    @property
    def shift(self) -> int:
        """By how much."""
        return self.by

    def sources(self) -> list[int]:
        """Its class and the start's."""
        return [self.source, self.start[0]]

    def __str__(self) -> str:
        return f"class {self.source} {self.by:+d} after class {self.start[0]}[{self.start[1]}]"


@dataclass
class Shared(Read):
    """One member, which all read."""

    source: int = field()
    number: int

    def __str__(self) -> str:
        return f"class {self.source}[{self.number}]"


@dataclass
class Picked(Read):
    """Any members: ``classes`` and ``numbers``, one for each reader.

    ``only`` is their class where there is one, ``named`` all classes once somebody has asked, and ``step`` how the
    numbers go (`reading`), as long as somebody keeps count.
    """

    classes: np.ndarray = field()
    numbers: np.ndarray = field()
    only: int = -1
    step: int | None = None
    named: tuple[int, ...] = ()

    def sources(self) -> list[int]:
        """Every class that is named."""
        if not self.named:
            self.named = (self.only,) if self.only >= 0 else tuple(distinct(self.classes).tolist())
        return list(self.named)

    def __str__(self) -> str:
        return f"a list of classes {', '.join(map(str, self.sources()))}"
