"""The graph of classes that a plan is made from: picks, sums of products, who needs what, the components it runs in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded
from tinyseq.engine.plan.reads import Read, Same, Shared, distinct
from tinyseq.errors import TapeError
from tinyseq.ops import OPS
from tinyseq.ops.groups import PARAMETERS


@dataclass
class Term:
    """One term of a sum: kind "matmul" (a · op(w)), "row" (a row repeated), or "value"."""

    kind: str
    cls: Class


@dataclass
class Component:
    """Classes that run together: one, or a recurrence."""

    classes: list[Class]
    recurrent: bool


@dataclass
class Graph:
    """Classes with the rewrites applied; nothing changes it after ``rewrite``.

    sums        the terms of each class that is a sum of products; ``inside`` says into which sum a class is swallowed
    components  in the order of their dependence, each a class or a recurrence
    needed      classes that the outputs depend on; ``wants`` those whose gradient is needed
    consumers   (reader, position) of all who read a class
    starts      classes that stand before a delayed class's members
    recurrence  the number of the recurrence that a class belongs to
    once        classes that are made once for all their members, and how many these were
    """

    state: Folded
    outputs: list[int]
    loss: int
    sums: dict[int, list[Term]] = field(default_factory=dict)
    inside: dict[int, int] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    needed: set[int] = field(default_factory=set)
    consumers: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    wants: set[int] = field(default_factory=set)
    starts: dict[int, list[int]] = field(default_factory=dict)
    recurrence: dict[int, int] = field(default_factory=dict)
    without: frozenset[str] = frozenset()  # optional decisions that are switched off
    once: dict[int, int] = field(default_factory=dict)

    @property
    def classes(self) -> list[Class]:
        """All classes by index."""
        return self.state.classes

    def reads(self, cls: Class) -> list[int]:
        """Classes that a node reads once sums have swallowed their terms."""
        found: list[int] = []
        for term in self.sums.get(cls.index, []):
            if term.kind == "value":
                found.append(term.cls.index)
            else:
                found += [s for ref in term.cls.refs for s in ref.sources()]
        if cls.index not in self.sums:
            found += [s for ref in cls.refs for s in ref.sources()]
            found += self.state.joined(cls.index)
        return found

    def dump(self) -> str:
        """The classes, then the sums and the components."""
        return dump_graph(self)

    def is_output(self, cls: Class) -> bool:
        """Whether a member's value is asked for."""
        return any(self.state.places[node][0] == cls.index for node in self.outputs)

    @property
    def loss_class(self) -> Class:
        """The class of the loss."""
        return self.classes[self.state.places[self.loss][0]]

    def root(self, index: int) -> int:
        """The sum that a class is swallowed into, or itself."""
        return self.inside.get(index, index)


def differentiable(cls: Class, position: int) -> bool:
    """Whether a gradient passes from a class to its input."""
    if cls.op == "pick":
        return True
    op = OPS[cls.op]
    return (0 if op.joins else position) in op.vjp


def tiled(graph: Graph, cls: Class) -> bool:
    """Whether a matmul multiplies rows by one matrix that all members share, and that is there before the first."""
    if "pack" in graph.without or cls.op != "matmul" or len(cls.tail) != 1 or dict(cls.attrs).get("transpose_a"):
        return False
    a, w = cls.refs
    own = graph.recurrence.get(cls.index)
    if own is not None and any(graph.recurrence.get(source) == own for source in w.sources()):
        return False
    return cls.count == 1 or (isinstance(w, Shared) and not isinstance(a, Shared))


def repeated_row(graph: Graph, cls: Class) -> bool:
    """Whether an expand repeats one row (F) or (1, F) over the first axis."""
    if cls.op != "expand" or len(cls.tail) != 1 or not isinstance(cls.refs[0], Same | Shared):
        return False
    shape = graph.classes[cls.refs[0].source].shape(0)
    return shape in (cls.tail, (1, *cls.tail))


def refs_of(graph: Graph, cls: Class) -> list[Read]:
    """Every input of a node, those of its swallowed terms included."""
    if cls.index in graph.sums:
        return [ref for term in graph.sums[cls.index] for ref in term.cls.refs]
    return cls.refs


def verify_graph(graph: Graph, folded: Folded) -> None:
    """Every member reads what it reads on the ``folded`` tape; ``consumers`` inverts what is read; what a sum swallowed
    has one reader; what wants a gradient lies below a parameter and above the loss. Raises TapeError."""
    for i in sorted(graph.needed):
        if i < len(folded.classes):
            _verify_reads(graph, folded, folded.classes[i])
    for node, (c, number) in folded.places.items():
        if graph.state.places[node] != (c, 0 if c in graph.once else number):
            raise TapeError(f"rewrite: %{node}, which is asked for, is not member {number} of class {c}")
    reads: dict[int, list[tuple[int, int]]] = {}
    for i in graph.needed:
        for j, ref in enumerate(graph.classes[i].refs):
            for source in ref.sources():
                reads.setdefault(source, []).append((i, j))
        for source in graph.state.joined(i):
            reads.setdefault(source, []).append((i, 0))
    for i in reads.keys() | graph.consumers.keys():
        if sorted(reads.get(i, [])) != sorted(graph.consumers.get(i, [])):
            raise TapeError(f"rewrite: the readers of class {i} ({graph.classes[i].where}) are not those that read it")
    for i, root in graph.inside.items():
        cls = graph.classes[i]
        if len(graph.consumers.get(i, [])) != 1 or graph.is_output(cls) or root not in graph.sums:
            raise TapeError(f"rewrite: class {i} ({cls.where}) is swallowed by a sum, but somebody else reads it")
    for i in graph.wants:
        cls = graph.classes[i]
        if cls.op in PARAMETERS and cls.attrs:
            raise TapeError(f"rewrite: class {i} ({cls.where}) wants a gradient, and is fixed")
        above = i == graph.loss_class.index or any(
            reader in graph.wants and differentiable(graph.classes[reader], j)
            for reader, j in graph.consumers.get(i, [])
        )
        starts = any(i in found and delayed in graph.wants for delayed, found in graph.starts.items())
        if not above and not starts:
            raise TapeError(f"rewrite: class {i} ({cls.where}) wants a gradient that nobody passes on")
    for i, terms in graph.sums.items():
        _verify_sum(graph, graph.classes[i], terms)


def _verify_reads(graph: Graph, folded: Folded, old: Class) -> None:
    """What a class reads is what it did, but for lists in between, and that any member stands for all of a class that
    is made once: for that its members must be one value."""
    cls, made_once = graph.classes[old.index], old.index in graph.once
    where = f"rewrite: class {cls.index} ({cls.where})"
    members = 1 if made_once else old.count
    if cls.count != members:
        raise TapeError(f"{where} has {cls.count} members, the tape {old.count}")
    if made_once and ((old.rows != old.rows[0]).any() or (old.args != old.args[0]).any()):
        raise TapeError(f"{where} is made once, and its members are of different sizes or of different rows")
    if (cls.rows != old.rows[:members]).any() or (cls.args != old.args[:members]).any():
        raise TapeError(f"{where} has other sizes or rows than on the tape")
    told = [_stood_for(graph, *read) for read in _inputs(folded, old)]
    if made_once:
        for j, (classes, numbers) in enumerate(told):
            if (classes != classes[0]).any() or (numbers != numbers[0]).any():
                raise TapeError(f"{where} is made once, and what its members read by input {j} is not one value")
        told = [(classes[:1], numbers[:1]) for classes, numbers in told]
    found = [_through_lists(graph, *read) for read in _inputs(graph.state, cls)]
    if cls.index in graph.state.joins:  # which lists all that it joins
        told = [(np.concatenate([c for c, _ in told]), np.concatenate([n for _, n in told]))]
    if len(told) != len(found):
        raise TapeError(f"{where} has {len(found)} inputs, on the tape {len(told)}")
    for j, (expected, read) in enumerate(zip(told, found, strict=True)):
        if not all(map(np.array_equal, expected, read)):
            raise TapeError(f"{where} reads by input {j} other members than on the tape")


def _inputs(state: Folded, cls: Class) -> list[tuple[np.ndarray, np.ndarray]]:
    """Class and number of what each member reads, for each input; for a join outside cells of all that it joins."""
    refs = [state.joins[cls.index]] if cls.index in state.joins else cls.refs
    return [state.members_read(cls, ref) for ref in refs]


def _stood_for(graph: Graph, classes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Members by those that are made for them."""
    return classes, np.where(np.isin(classes, list(graph.once)), 0, numbers)


def _through_lists(graph: Graph, classes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is read, by way of the lists that copy members for their readers."""
    for c in distinct(classes).tolist():
        if graph.classes[c].op == "pick":
            chosen, (ref,) = classes == c, graph.classes[c].refs
            assert ref.classes is not None and ref.numbers is not None
            classes, numbers = classes.copy(), numbers.copy()
            classes[chosen], numbers[chosen] = ref.classes[numbers[chosen]], ref.numbers[numbers[chosen]]
    return classes, numbers


def _verify_sum(graph: Graph, root: Class, terms: list[Term]) -> None:
    """A sum's terms are the tape's addends."""
    if root.op == "matmul":
        expected = [root.index]
    else:
        expected, stack = [], [root]
        while stack:
            cls = stack.pop()
            for ref in cls.refs:
                if graph.inside.get(ref.source) == root.index and graph.classes[ref.source].op == "add":
                    stack.append(graph.classes[ref.source])
                else:
                    expected.append(ref.source)
    if sorted(term.cls.index for term in terms) != sorted(expected):
        raise TapeError(
            f"rewrite: class {root.index} ({root.where}) adds up classes "
            f"{sorted(t.cls.index for t in terms)}, the tape {sorted(expected)}"
        )


def dump_graph(graph: Graph) -> str:
    """The classes, then which are made once, the sums and the components."""
    sums = [
        f"sum {i}: " + ", ".join(f"{t.kind} {t.cls.index}" for t in terms) for i, terms in sorted(graph.sums.items())
    ]
    components = [
        f"component {k}{' (recurs)' if u.recurrent else ''}: classes {', '.join(str(c.index) for c in u.classes)}"
        for k, u in enumerate(graph.components)
    ]
    made = [(i, count) for i, count in sorted(graph.once.items()) if i in graph.needed]
    once = [f"class {i} is made once for {count} members" for i, count in made]
    wants = "gradients wanted: classes " + (", ".join(map(str, sorted(graph.wants))) or "none")
    return "\n".join([graph.state.dump(), *once, *sums, *components, wants])
