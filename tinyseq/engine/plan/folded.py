"""What a condensed tape is made of: classes of nodes, groups of classes, and what a class reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MANY = 1024  # numbers: fewer take less time to keep than to compare


class Unplannable(Exception):
    """This tape has no plan; the reference executor runs it. The message says why, and where on the tape."""

    def __init__(self, why: str, cls: Class | None = None) -> None:
        super().__init__(why + ("" if cls is None else f" ({cls.where})"))


def index_type(count: int) -> type[np.signedinteger]:
    """The smallest integers that number so many things; -1 may stand for none."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


def compact(numbers: np.ndarray) -> np.ndarray:
    """The same numbers; many that are all alike without room of their own, read-only."""
    if len(numbers) >= MANY and (numbers == numbers[0]).all():
        return np.broadcast_to(numbers[0], numbers.shape)
    return numbers


def distinct(numbers: np.ndarray) -> np.ndarray:
    """The numbers that occur, in order; they are numbers of classes, so counting beats sorting."""
    if len(numbers) == 1 or numbers.strides == (0,):
        return numbers[:1]
    return np.flatnonzero(np.bincount(numbers))


@dataclass
class Ref:
    """What one input of a class is, member by member.

    same/delay   members ``number + shift`` of class ``source``; ``start`` stands for those before the first
    shared       member ``shift`` of class ``source`` for all
    gather       any: ``classes`` and ``numbers``, one for each member
    """

    kind: str
    source: int = -1
    shift: int = 0
    start: tuple[int, int] | None = None
    classes: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def sources(self) -> list[int]:
        """Every class this input reads."""
        if self.kind == "gather":
            assert self.classes is not None
            return distinct(self.classes).tolist()
        return [self.source] + ([self.start[0]] if self.start else [])


@dataclass
class Class:
    """Nodes of one place: ``nodes[number]`` is the tape index of a member. Its arrays may be read-only.

    A finished plan keeps of its classes' nodes the first.
    """

    index: int
    op: str
    attrs: tuple
    tail: tuple[int, ...]
    dtype: np.dtype
    name: str
    cell: str
    line: tuple[str, int]
    nodes: np.ndarray
    rows: np.ndarray
    args: np.ndarray
    group: Group
    refs: list[Ref] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.rows)

    @property
    def scalar(self) -> bool:
        """Whether a member is a scalar."""
        return self.rows[0] < 0

    @property
    def ragged(self) -> bool:
        """Whether members have different first axes."""
        return self.group.ragged and bool((self.rows != self.rows[0]).any())

    def shape(self, number: int = 0) -> tuple[int, ...]:
        """Shape of a member."""
        return () if self.scalar else (int(self.rows[number]), *self.tail)

    @property
    def where(self) -> str:
        """Op, name, cell and the user's line, for messages."""
        name = f" {self.name!r}" if self.name else ""
        cell = f" of cell {self.cell!r}" if self.cell else ""
        return f"{self.op}{name}{cell}" + (f", {self.line[0]}:{self.line[1]}" if self.line[1] else "")

    @property
    def cols(self) -> int:
        """Elements in a row."""
        return int(np.prod(self.tail, dtype=np.int64)) if self.tail else 1


@dataclass
class Group:
    """Classes of one cell at one place in the program: they share members' numbers.

    ``levels``: for a tree, where each height begins among the members (len = heights + 1); None for a chain.
    """

    index: int
    count: int
    backwards: bool = False
    ragged: bool = False
    levels: np.ndarray | None = None


@dataclass
class Condensed:
    """A tape as classes, with the way back from nodes: class and number of each, until the plan is finished."""

    classes: list[Class]
    groups: list[Group]
    node_class: np.ndarray
    node_number: np.ndarray
    joins: dict[int, np.ndarray]
    _joined: dict[int, list[int]] = field(default_factory=dict)
    _places: dict[int, tuple[int, int]] = field(default_factory=dict)

    def joined(self, index: int) -> list[int]:
        """Classes that a join reads, in order; none where the class is no join."""
        if index not in self.joins:
            return []
        if index not in self._joined:
            self._joined[index] = distinct(self.node_class[self.joins[index]]).tolist()
        return self._joined[index]

    def place(self, node: int) -> tuple[int, int]:
        """Class and number of a node; once the plan is finished, of a wanted one."""
        return self._places.get(node) or (int(self.node_class[node]), int(self.node_number[node]))

    def finish(self, wanted: list[int]) -> None:
        """The plan is made: forget where nodes are, but for those whose values will be asked for."""
        self._places = {node: self.place(node) for node in wanted}
        self._joined = {index: self.joined(index) for index in self.joins}
        self.node_class = self.node_number = np.zeros(0, np.int64)
        for cls in self.classes:
            cls.nodes = cls.nodes[:1].copy()
