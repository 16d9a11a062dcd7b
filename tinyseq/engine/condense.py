"""From nodes to classes: find the repetition in a tape.

Nodes that stand at the same place of repeated calls of a cell form one class; its members are numbered along the
structure (time, or height of a tree). What a class reads is then one of a few things: the member of the same
number, the member d steps before, one node shared by all, or a list. All this is array work on the tape's columns: a
loop written in Python is recognised just as an unfolded cell is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.jit import kernel
from tinyseq.tape import DTYPES, Tape

MOST_CLASSES = 4000
FEWEST_REPEATS = 8  # of nodes outside cells: fewer are not taken for a loop


class Unplannable(Exception):
    """This tape has no plan; the reference executor runs it. The message says why, for ``explain``."""


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
            return [int(c) for c in np.unique(self.classes)]
        return [self.source] + ([self.start[0]] if self.start else [])


@dataclass
class Class:
    """Nodes of one place: ``nodes[number]`` is the tape index of a member."""

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
        return len(self.nodes)

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


@kernel
def _heights(pointers, children, heights):
    """Longest path from a member without children; members come after their children."""
    for i in range(heights.size):
        top = -1
        for j in range(pointers[i], pointers[i + 1]):
            if heights[children[j]] > top:
                top = heights[children[j]]
        heights[i] = top + 1


@dataclass
class Condensed:
    """A tape as classes, with the way back from nodes: class and number of each."""

    tape: Tape
    classes: list[Class]
    groups: list[Group]
    node_class: np.ndarray
    node_number: np.ndarray
    joins: dict[int, np.ndarray]


def condense(tape: Tape) -> Condensed:
    """Group the nodes of a tape into classes."""
    kind, n = tape.kind, len(tape)
    kinds = tape.kinds
    leaf_kind = np.array([k.op in ("input", "parameter") for k in kinds])
    inner = np.flatnonzero(~leaf_kind[kind])
    pointers, edges = tape.input_pointers, tape.input_indices
    starts, members = _instances(tape, inner, kinds)
    state = Condensed(tape, [], [], np.full(n, -1, np.int64), np.full(n, -1, np.int64), {})
    for leaf in np.flatnonzero(leaf_kind[kind]).tolist():
        _add_class(state, np.array([leaf]), _add_group(state, 1))
    if sum(length for _, length in members) > MOST_CLASSES:
        raise Unplannable("the tape has too many nodes that repeat nothing")
    first_inner = len(state.classes)
    for instances, length in members:
        group = _add_group(state, len(instances))
        for place in range(length):
            _add_class(state, inner[starts[instances] + place], group)
    for cls in state.classes[first_inner:]:
        _read(state, cls, pointers, edges)
    _orient(state, first_inner)
    return state


def _add_group(state: Condensed, count: int) -> Group:
    group = Group(len(state.groups), count)
    state.groups.append(group)
    return group


def _add_class(state: Condensed, nodes: np.ndarray, group: Group) -> None:
    tape = state.tape
    k = tape.kinds[int(tape.kind[nodes[0]])]
    rows = tape.rows[nodes]
    cls = Class(
        len(state.classes),
        k.op,
        k.attrs,
        k.tail,
        DTYPES[k.dtype],
        k.name,
        k.cell,
        k.line,
        nodes,
        rows,
        tape.arg[nodes],
        group,
    )
    group.ragged = group.ragged or bool((rows != rows[0]).any())
    state.node_class[nodes] = cls.index
    state.node_number[nodes] = np.arange(len(nodes))
    state.classes.append(cls)


def _instances(tape: Tape, inner: np.ndarray, kinds: list[Any]) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
    """Starts of the instances among ``inner``; and for each template its instances (in order) and their length."""
    if not len(inner):
        return np.zeros(0, np.int64), []
    kind = tape.kind[inner]
    cells = {name: i for i, name in enumerate(dict.fromkeys(["", *(k.cell for k in kinds)]))}
    cell = np.array([cells[k.cell] for k in kinds])[kind]
    step = tape.step[inner]
    bounds = np.ones(len(inner), bool)
    bounds[1:] = (cell[1:] == 0) | (cell[1:] != cell[:-1]) | (step[1:] != step[:-1])
    starts = np.flatnonzero(bounds)
    lengths = np.diff(np.append(starts, len(inner)))
    instance = np.cumsum(bounds) - 1
    place = np.arange(len(inner)) - starts[instance]
    code = _mix(kind.astype(np.uint64) * np.uint64(2) + np.uint64(1)) * _mix(
        place.astype(np.uint64) + np.uint64(1 << 40)
    )
    code += _wiring(tape, inner, instance, starts, place)
    keys = np.add.reduceat(code, starts) + _mix(lengths.astype(np.uint64))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.searchsorted(inverse[order], np.arange(len(first) + 1))
    templates = [order[cuts[i] : cuts[i + 1]] for i in np.argsort(first, kind="stable")]
    picked = np.array([k.op in ("index", "window") for k in kinds])[kind[starts]]
    free = (cell[starts] == 0) & ~picked
    parts: list[np.ndarray] = []
    for instances in templates:
        first_of = starts[instances[0]]
        if cell[first_of] == 0 and picked[instances[0]]:
            parts += _runs(instances, tape.arg[inner[starts[instances]]])
        elif free[instances[0]] and len(instances) < FEWEST_REPEATS:
            parts += np.split(instances, len(instances))
        else:
            parts.append(instances)
    templates = parts
    return starts, [(instances, int(lengths[instances[0]])) for instances in templates]


def _runs(instances: np.ndarray, args: np.ndarray) -> list[np.ndarray]:
    """Cut a list of picks where it turns: one sequence read twice, or forwards and then backwards, is two runs."""
    way = np.sign(np.diff(args))
    turns = np.flatnonzero(way[1:] != way[:-1]) + 1 if len(way) > 1 else np.zeros(0, np.int64)
    cuts, start = [], 0
    for turn in turns.tolist():
        if turn > start:  # the difference at a turn lies between two runs
            cuts.append(turn + 1 if way[turn] != way[start] else turn)
            start = cuts[-1]
    return [part for part in np.split(instances, cuts) if len(part)]


def _wiring(tape: Tape, inner: np.ndarray, instance: np.ndarray, starts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A hash of each node's inputs: their number, and which of them lie in the same instance, where."""
    pointers, edges = tape.input_pointers, tape.input_indices
    counts = np.diff(pointers)[inner]
    code = _mix(counts.astype(np.uint64) + np.uint64(1 << 50)) * _mix(place.astype(np.uint64) + np.uint64(1 << 41))
    joins = np.array([k.op in ("stack", "concatenate") and not k.cell for k in tape.kinds])[tape.kind[inner]]
    code[joins] += _mix(inner[joins].astype(np.uint64) + np.uint64(1 << 43))
    number = np.full(len(tape), -1, np.int64)
    number[inner] = np.arange(len(inner))
    reading = np.flatnonzero(counts)
    if not len(reading):
        return code
    total = int(counts.sum())
    owner = np.repeat(np.arange(len(inner)), counts)
    firsts = np.cumsum(counts) - counts
    within = np.arange(total) - np.repeat(firsts, counts)
    edge = edges[np.repeat(pointers[inner], counts) + within]
    source = number[edge]
    local = (source >= 0) & (instance[source] == instance[owner])
    where = np.where(local, place[source] + 1, 0)
    # rows of two sequences are two classes, though the nodes look alike
    picks = np.array([k.op in ("index", "window") and not k.cell for k in tape.kinds])[tape.kind[inner]]
    where = np.where(picks[owner] & ~local, edge + (1 << 20), where)
    # outside cells the place in a loop is told by what a node reads
    free = np.array([not k.cell and k.op not in ("index", "window") for k in tape.kinds])[tape.kind[inner]]
    from_leaf = np.where(source < 0, edge + (1 << 30), tape.kind[edge] + (1 << 20))
    where = np.where(free[owner], from_leaf, where)
    weight = _mix((place[owner] * 64 + within).astype(np.uint64) + np.uint64(1 << 42))
    code[reading] += np.add.reduceat(_mix(where.astype(np.uint64) + np.uint64(7)) * weight, firsts[reading])
    return code


def _mix(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


# -- what a class reads -----------------------------------------------------------------------------------------------
def _read(state: Condensed, cls: Class, pointers: np.ndarray, edges: np.ndarray) -> None:
    arity = int(pointers[cls.nodes[0] + 1] - pointers[cls.nodes[0]])
    if cls.op in ("stack", "concatenate") and cls.count == 1:
        state.joins[cls.index] = edges[pointers[cls.nodes[0]] : pointers[cls.nodes[0] + 1]]
        return
    for j in range(arity):
        nodes = edges[pointers[cls.nodes] + j]
        cls.refs.append(Ref("gather", classes=state.node_class[nodes], numbers=state.node_number[nodes]))


def simplify(ref: Ref, classes_: list[Class]) -> Ref:
    """Recognise same, delayed and shared members in a list of them."""
    classes, numbers = ref.classes, ref.numbers
    assert classes is not None and numbers is not None
    count = len(classes)
    last = int(classes[-1])
    same = classes == last
    if same.all():
        if (numbers == numbers[0]).all():
            if count == 1 and classes_[last].count == 1:
                return Ref("same", last, 0)
            return Ref("shared", last, int(numbers[0]))
        if (np.diff(numbers) == 1).all():
            whole = numbers[0] == 0 and classes_[last].count == count
            return Ref("same" if whole else "delay", last, int(numbers[0]))
        return ref
    for source, forwards in ((int(classes[-1]), True), (int(classes[0]), False)):
        found = _delayed(ref, source, forwards) if classes_[source].count == count else None
        if found is not None:
            return found
    return ref


def _delayed(ref: Ref, source: int, forwards: bool) -> Ref | None:
    """The main source shifted, with one shared node standing for what lies before (or after) its members."""
    classes, numbers = ref.classes, ref.numbers
    assert classes is not None and numbers is not None
    main = classes == source
    count = len(classes)
    edge = int(main.argmax()) if forwards else int(main.argmin())
    body = slice(edge, None) if forwards else slice(None, edge)
    rest = slice(None, edge) if forwards else slice(edge, None)
    if not main[body].all() or main[rest].any():
        return None
    shift = int(numbers[body][0] - np.arange(count)[body][0])
    if (numbers[body] - np.arange(count)[body] != shift).any() or (shift >= 0) == forwards:
        return None
    if abs(shift) != len(classes[rest]):
        return None
    start_class, start_number = int(classes[rest][0]), int(numbers[rest][0])
    if (classes[rest] != start_class).any() or (numbers[rest] != start_number).any():
        return None
    return Ref("delay", source, shift, (start_class, start_number))


# -- the order of members --------------------------------------------------------------------------------------------
def components(successors: list[set[int]]) -> list[list[int]]:
    """Strongly connected components, each after all it points to (Tarjan 1972, without recursion)."""
    n = len(successors)
    index, low, on_stack = [-1] * n, [0] * n, [False] * n
    stack: list[int] = []
    found: list[list[int]] = []
    counter = 0
    for root in range(n):
        if index[root] >= 0:
            continue
        work = [(root, iter(sorted(successors[root])))]
        index[root] = low[root] = counter
        counter += 1
        stack.append(root)
        on_stack[root] = True
        while work:
            v, children = work[-1]
            for w in children:
                if index[w] < 0:
                    index[w] = low[w] = counter
                    counter += 1
                    stack.append(w)
                    on_stack[w] = True
                    work.append((w, iter(sorted(successors[w]))))
                    break
                if on_stack[w]:
                    low[v] = min(low[v], index[w])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[v])
                if low[v] == index[v]:
                    members = []
                    while True:
                        w = stack.pop()
                        on_stack[w] = False
                        members.append(w)
                        if w == v:
                            break
                    found.append(sorted(members))
    return found


def _orient(state: Condensed, first_inner: int) -> None:
    """Number members in the order of memory: a chain that runs backwards by its time steps, a tree by height; then
    recognise what each input is."""
    of_group: list[list[Class]] = [[] for _ in state.groups]
    for cls in state.classes:
        of_group[cls.group.index].append(cls)
    group_of = np.array([cls.group.index for cls in state.classes])
    reads: list[set[int]] = [set() for _ in state.groups]
    for cls in state.classes:
        for ref in cls.refs:
            reads[cls.group.index].update(np.unique(group_of[ref.classes]).tolist())
    done = {state.classes[i].group.index for i in range(first_inner)}
    for members in components(reads):
        classes = [cls for g in members for cls in of_group[g]]
        if not all(state.groups[g].count == 1 for g in members):
            _order(state, [state.groups[g] for g in members], classes, done)
        done.update(members)
    for cls in state.classes[first_inner:]:
        cls.refs = [simplify(ref, state.classes) for ref in cls.refs]


def _order(state: Condensed, groups: list[Group], classes: list[Class], done: set[int]) -> None:
    inside = np.zeros(len(state.classes), bool)
    inside[[cls.index for cls in classes]] = True
    flips = _runs_backwards(state, classes, done)
    if _is_chain(state, groups, classes, inside):
        if flips:
            for group in groups:
                order = np.arange(group.count)[::-1]
                _renumber(state, [cls for cls in classes if cls.group is group], order)
                group.backwards = True
        return
    heights = _heights_of(groups, classes, inside)
    top = max(int(h.max()) for h in heights.values())
    for group in groups:
        height = heights[group.index]
        order = np.argsort(height, kind="stable")
        _renumber(state, [cls for cls in classes if cls.group is group], order)
        group.levels = np.searchsorted(height[order], np.arange(top + 2))


def _runs_backwards(state: Condensed, classes: list[Class], done: set[int]) -> bool:
    votes = 0
    for cls in classes:
        if cls.op in ("index", "window"):
            votes += int((np.diff(cls.args) == 1).all()) - int((np.diff(cls.args) == -1).all())
        for ref in cls.refs:
            assert ref.classes is not None and ref.numbers is not None
            source = state.classes[int(ref.classes[0])]
            if source.group.index in done and source.group.count > 1 and (ref.classes == source.index).all():
                votes += int((np.diff(ref.numbers) == 1).all()) - int((np.diff(ref.numbers) == -1).all())
    return votes < 0


def _is_chain(state: Condensed, groups: list[Group], classes: list[Class], inside: np.ndarray) -> bool:
    """Whether what these classes read of each other is always the same member or one a fixed number before."""
    if len({group.count for group in groups}) > 1:
        return False
    for cls in classes:
        for ref in cls.refs:
            assert ref.classes is not None
            if inside[ref.classes].any():
                found = simplify(ref, state.classes)
                if found.kind not in ("same", "delay") or found.shift > 0 or not inside[found.source]:
                    return False
    return True


def _heights_of(groups: list[Group], classes: list[Class], inside: np.ndarray) -> dict[int, np.ndarray]:
    """Height of each group's members: the longest path through members of these groups."""
    offsets = dict(zip([g.index for g in groups], np.cumsum([0, *[g.count for g in groups]]).tolist(), strict=False))
    total = sum(group.count for group in groups)
    offset_of = np.zeros(len(inside), np.int64)
    first_node = np.zeros(total, np.int64)
    for cls in reversed(classes):
        offset_of[cls.index] = offsets[cls.group.index]
        first_node[offsets[cls.group.index] : offsets[cls.group.index] + cls.count] = cls.nodes
    targets, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for cls in classes:
        for ref in cls.refs:
            assert ref.classes is not None and ref.numbers is not None
            where = np.flatnonzero(inside[ref.classes])
            target = where + offsets[cls.group.index]
            source = ref.numbers[where] + offset_of[ref.classes[where]]
            targets.append(target[source != target])
            sources.append(source[source != target])
    rank = np.empty(total, np.int64)
    by_tape = np.argsort(first_node, kind="stable")
    rank[by_tape] = np.arange(total)
    target, source = rank[np.concatenate(targets)], rank[np.concatenate(sources)]
    if (source >= target).any():
        raise Unplannable("members of a cell depend on members recorded after them")
    order = np.argsort(target, kind="stable")
    heights = np.zeros(total, np.int64)
    _heights(np.searchsorted(target[order], np.arange(total + 1)), source[order], heights)
    return {g.index: heights[rank[offsets[g.index] : offsets[g.index] + g.count]] for g in groups}


def _renumber(state: Condensed, classes: list[Class], order: np.ndarray) -> None:
    """Let member ``order[i]`` become member i, and tell all that read these classes."""
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    lo, hi = classes[0].index, classes[-1].index
    for cls in classes:
        cls.nodes, cls.rows, cls.args = cls.nodes[order], cls.rows[order], cls.args[order]
        state.node_number[cls.nodes] = np.arange(len(order))
        for ref in cls.refs:
            ref.classes, ref.numbers = ref.classes[order], ref.numbers[order]  # type: ignore[index]
    for cls in state.classes:
        for ref in cls.refs:
            if ref.classes is not None:
                inside = (ref.classes >= lo) & (ref.classes <= hi)
                if inside.any():
                    ref.numbers = ref.numbers.copy()  # type: ignore[union-attr]
                    ref.numbers[inside] = new[ref.numbers[inside]]
