"""What a folded tape is made of: classes of nodes, groups of classes, and what a class reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from tinyseq.engine.plan.numbers import integer, length
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Shared, distinct
from tinyseq.errors import TapeError
from tinyseq.tape import Tape


class Refused(Exception):
    """This tape has no plan; the reference executor runs it. The message says why, and where on the tape.

    stage   the pass that refused it; ``op``, ``cell`` and ``line`` are those of the class it was at
    groups  those whose members might have a plan one by one; ``later`` says that they have not been tried
    """

    def __init__(self, why: str, cls: Class | None = None, groups: Sequence[int] = ()) -> None:
        super().__init__(why + ("" if cls is None else f" ({cls.where})"))
        self.why, self.stage = why, ""
        self.groups, self.later = tuple(groups) if cls is None else (cls.group.index,), False
        self.op, self.cell = ("", "") if cls is None else (cls.op, cls.cell)
        self.line = ("", 0) if cls is None else cls.line


Unplannable = Refused


def index_type(count: int) -> type[np.signedinteger]:
    """The smallest integers that number so many things; -1 may stand for none."""
    return np.int32 if count < 1 << 31 else np.int64


@dataclass(eq=False)
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
    refs: list[Read] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of members."""
        return length(self.rows)

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
        return () if self.scalar else (integer(self.rows[number]), *self.tail)

    @property
    def where(self) -> str:
        """Op, name, cell and the user's line, for messages."""
        name = f" {self.name!r}" if self.name else ""
        cell = f" of cell {self.cell!r}" if self.cell else ""
        return f"{self.op}{name}{cell}" + (f", {self.line[0]}:{self.line[1]}" if self.line[1] else "")

    @property
    def cols(self) -> int:
        """Elements in a row."""
        return prod(self.tail)


@dataclass(eq=False)
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
class Folded:
    """A tape as classes.

    joins   what each join outside cells puts together, a list of members
    places  (class, number) of the nodes that are asked for, the loss among them
    apart   groups that were taken apart, one set after the other, and why (apart.py)
    """

    classes: list[Class]
    groups: list[Group]
    joins: dict[int, Picked]
    places: dict[int, tuple[int, int]]
    _joined: dict[int, list[int]] = field(default_factory=dict)
    apart: tuple[tuple[frozenset[int], str], ...] = ()

    def joined(self, index: int) -> list[int]:
        """Classes that a join reads, in order; none where the class is no join."""
        if index not in self.joins:
            return []
        if index not in self._joined:
            self._joined[index] = self.joins[index].sources()
        return self._joined[index]

    def members_read(self, cls: Class, ref: Read) -> tuple[np.ndarray, np.ndarray]:
        """Class and number of what each member of a class reads by one of its inputs. Raises TapeError."""
        if isinstance(ref, Picked):
            return np.array(ref.classes, np.int64), np.array(ref.numbers, np.int64)
        numbers = np.full(cls.count, ref.number) if isinstance(ref, Shared) else np.arange(cls.count) + ref.shift
        classes, outside = np.full(cls.count, ref.source), (numbers < 0) | (numbers >= self.classes[ref.source].count)
        if outside.any():
            if ref.start is None:
                raise TapeError(f"fold: class {cls.index} ({cls.where}) reads beyond the members of class {ref.source}")
            classes[outside], numbers[outside] = ref.start
        return classes, numbers

    def expanded(self, cls: Class, ref: Read) -> np.ndarray:
        """The node that an input of each member is."""
        classes, numbers = self.members_read(cls, ref)
        found = np.empty(cls.count, np.int64)
        for c in distinct(classes).tolist():
            found[classes == c] = self.classes[c].nodes[numbers[classes == c]]
        return found

    def dump(self) -> str:
        """One line a class."""
        lines = []
        for cls in self.classes:
            reads = ", ".join(map(str, cls.refs)) or str(self.joins.get(cls.index, ""))
            lines.append(
                f"class {cls.index} × {cls.count} (group {cls.group.index}) {cls.where}: {cls.shape()} <- {reads}"
            )
        return "\n".join(lines)

    def finish(self) -> None:
        """The plan is made: forget where nodes are, but for the first of each class."""
        for cls in self.classes:
            cls.nodes = cls.nodes[:1].copy()


def verify_folded(folded: Folded, tape: Tape) -> None:
    """Each node in one class; every input expanded gives back the tape's, edge for edge; what a member of a loop reads
    of its own group comes earlier, or from a lower height. Raises TapeError."""
    pointers, edges = tape.input_pointers, tape.input_indices
    seen = np.zeros(len(tape), bool)
    for cls in folded.classes:
        where = f"fold: class {cls.index} ({cls.where})"
        if seen[cls.nodes].any() or len(np.unique(cls.nodes)) != cls.count:
            raise TapeError(f"{where} holds a node that another class holds too")
        seen[cls.nodes] = True
        if cls.index in folded.joins:
            continue
        for j, ref in enumerate(cls.refs):
            found, told = folded.expanded(cls, ref), edges[pointers[cls.nodes].astype(np.int64) + j]
            wrong = np.flatnonzero(found != told)
            if len(wrong):
                m = int(wrong[0])
                raise TapeError(f"{where}, input {j}: member {m} reads %{found[m]}, the tape says %{told[m]}")
            _verify_earlier(folded, cls, ref, where)
    _verify_heights(folded)


def _verify_earlier(folded: Folded, cls: Class, ref: Read, where: str) -> None:
    own = folded.classes[ref.source].group is cls.group
    if isinstance(ref, Delayed) and own and (ref.by > 0) != cls.group.backwards:
        raise TapeError(f"{where} reads members of its own group that come after it")


def _together(folded: Folded) -> dict[int, set[int]]:
    """For each group that runs by height, the groups that it reads and that read it, through others too."""
    reads: dict[int, set[int]] = {}
    for cls in folded.classes:
        sources = [*folded.joined(cls.index), *(s for ref in cls.refs for s in ref.sources())]
        reads.setdefault(cls.group.index, set()).update(folded.classes[s].group.index for s in sources)
    reached: dict[int, set[int]] = {}
    for group in folded.groups:
        if group.levels is not None:
            found, stack = {group.index}, [group.index]
            while stack:
                new = reads.get(stack.pop(), set()) - found
                found |= new
                stack += new
            reached[group.index] = found
    return {g: {other for other in found if g in reached.get(other, ())} for g, found in reached.items()}


def _verify_heights(folded: Folded) -> None:
    together = _together(folded)
    for cls in folded.classes:
        levels = cls.group.levels
        if levels is None:
            continue
        for ref in cls.refs:
            _verify_lower(folded, cls, ref, levels, together[cls.group.index])


def _verify_lower(folded: Folded, cls: Class, ref: Read, levels: np.ndarray, together: set[int]) -> None:
    """What members that run by height read of their own recurrence, but for the member itself, is lower."""
    height = np.searchsorted(levels, np.arange(cls.count), side="right")
    for c in ref.sources():
        group = folded.classes[c].group
        if group.levels is None or group.index not in together:
            continue
        members = np.arange(cls.count) if ref.classes is None else np.flatnonzero(ref.classes == c)
        numbers = members + ref.shift if ref.numbers is None else ref.numbers[members]
        if isinstance(ref, Shared):
            numbers = np.full(cls.count, ref.number)
        read = np.searchsorted(group.levels, numbers, side="right")
        own = numbers == members if group is cls.group else np.zeros(len(members), bool)
        late = np.flatnonzero((read >= height[members]) & ~own)
        if len(late):
            m = int(late[0])
            raise TapeError(
                f"fold: class {cls.index} ({cls.where}): member {members[m]}, of height {height[members[m]] - 1}, "
                f"reads member {numbers[m]} of class {c}, of height {read[m] - 1}: what is read must be lower"
            )
