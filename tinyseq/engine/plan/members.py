"""The order of members: a chain by its time steps, a tree by height; then what each input is, seen in that order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.engine.plan.folded import Class, Condensed, Group, Ref, Unplannable, distinct
from tinyseq.jit.decorators import kernel
from tinyseq.ops.groups import NUMBERED


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


@dataclass
class Numbering:
    """Class and number of each node of the tape, and the nodes that each join outside cells puts together."""

    cls: np.ndarray
    number: np.ndarray
    joins: dict[int, np.ndarray]

    def joined(self, index: int) -> np.ndarray:
        """Classes that a join reads; none where the class is no join."""
        return distinct(self.cls[self.joins[index]]) if index in self.joins else np.zeros(0, np.int64)


def orient(state: Condensed, first_inner: int, at: Numbering) -> None:
    """Number members in the order of memory: a chain that runs backwards by its time steps, a tree by height; then
    recognise what each input is."""
    of_group: list[list[Class]] = [[] for _ in state.groups]
    for cls in state.classes:
        of_group[cls.group.index].append(cls)
    group_of = np.array([cls.group.index for cls in state.classes])
    reads: list[set[int]] = [set() for _ in state.groups]
    for cls in state.classes:
        for ref in cls.refs:
            assert ref.classes is not None
            reads[cls.group.index].update(group_of[distinct(ref.classes)].tolist())
        reads[cls.group.index].update(group_of[at.joined(cls.index)].tolist())
    done = {state.classes[i].group.index for i in range(first_inner)}
    together = np.zeros(len(state.groups), np.int64)
    for place, members in enumerate(components(reads)):
        together[members] = place
        classes = [cls for g in members for cls in of_group[g]]
        if not all(state.groups[g].count == 1 for g in members):
            _order(state, at, [state.groups[g] for g in members], classes, done)
        done.update(members)
    late: dict[tuple[int, int], bool] = {}
    starts: dict[tuple[int, bool], tuple[int, int]] = {}
    for cls in state.classes[first_inner:]:
        found = [simplify(ref, state.classes) for ref in cls.refs]
        for j, simple in enumerate(found):
            if simple.start:
                start, source = int(group_of[simple.start[0]]), int(group_of[simple.source])
                if (start, source) not in late:
                    late[start, source] = _leads_to(reads, together, start, source)
                key = simple.source, simple.shift < 0
                if (
                    late[start, source]
                    or not _fits(simple, state.classes)
                    or starts.get(key, simple.start) != simple.start
                ):
                    continue
                starts[key] = simple.start
                reads[source].add(start)  # it is copied there first
            cls.refs[j] = simple
        for ref in cls.refs:
            if ref.classes is not None and ref.numbers is not None:  # the planner makes addresses of them
                ref.classes, ref.numbers = ref.classes.astype(np.int64), ref.numbers.astype(np.int64)


def _fits(ref: Ref, classes: list[Class]) -> bool:
    """Whether a start is of the shape of the members that it stands before."""
    assert ref.start is not None
    start, source = classes[ref.start[0]], classes[ref.source]
    return start.tail == source.tail and int(start.rows[ref.start[1]]) == int(source.rows.max())


def _leads_to(reads: list[set[int]], place: np.ndarray, start: int, source: int) -> bool:
    """Whether a start is computed from what it would stand before: then it can't be copied there first. ``place`` is
    that of each group among all components."""
    waiting, seen = [start], {start}
    while waiting:
        group = waiting.pop()
        if place[group] == place[source]:
            return True
        new = reads[group] - seen
        seen |= new
        waiting += new
    return False


def _order(state: Condensed, at: Numbering, groups: list[Group], classes: list[Class], done: set[int]) -> None:
    inside = np.zeros(len(state.classes), bool)
    inside[[cls.index for cls in classes]] = True
    flips = _runs_backwards(state, classes, done)
    if _is_chain(state, at, groups, classes, inside):
        if flips:
            for group in groups:
                order = np.arange(group.count)[::-1]
                _renumber(state, at, [cls for cls in classes if cls.group is group], order)
                group.backwards = True
        return
    heights = _heights_of(at, groups, classes, inside)
    top = max(int(h.max()) for h in heights.values())
    for group in groups:
        height = heights[group.index]
        order = np.argsort(height, kind="stable")
        _renumber(state, at, [cls for cls in classes if cls.group is group], order)
        group.levels = np.searchsorted(height[order], np.arange(top + 2))


def _runs_backwards(state: Condensed, classes: list[Class], done: set[int]) -> bool:
    votes = 0
    for cls in classes:
        if cls.op in NUMBERED:
            votes += int((np.diff(cls.args) == 1).all()) - int((np.diff(cls.args) == -1).all())
        for ref in cls.refs:
            assert ref.classes is not None and ref.numbers is not None
            source = state.classes[int(ref.classes[0])]
            if source.group.index in done and source.group.count > 1 and (ref.classes == source.index).all():
                votes += int((np.diff(ref.numbers) == 1).all()) - int((np.diff(ref.numbers) == -1).all())
    return votes < 0


def _is_chain(state: Condensed, at: Numbering, groups: list[Group], classes: list[Class], inside: np.ndarray) -> bool:
    """Whether what these classes read of each other is always the same member or one a fixed number before."""
    if len({group.count for group in groups}) > 1 or any(cls.index in at.joins for cls in classes):
        return False
    for cls in classes:
        for ref in cls.refs:
            assert ref.classes is not None
            if inside[ref.classes].any():
                found = simplify(ref, state.classes)
                if found.kind not in ("same", "delay") or found.shift > 0 or not inside[found.source]:
                    return False
                if found.start and inside[found.start[0]]:  # it must be there before the chain runs
                    return False
    return True


@kernel
def _heights(pointers, children, heights):
    """Longest path from a member without children; members come after their children."""
    for i in range(heights.size):
        top = -1
        for j in range(pointers[i], pointers[i + 1]):
            if heights[children[j]] > top:
                top = heights[children[j]]
        heights[i] = top + 1


def _heights_of(at: Numbering, groups: list[Group], classes: list[Class], inside: np.ndarray) -> dict[int, np.ndarray]:
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
        nodes = at.joins.get(cls.index, np.zeros(0, np.int64))
        nodes = nodes[inside[at.cls[nodes]]]
        source = at.number[nodes] + offset_of[at.cls[nodes]]
        source = source[source != offsets[cls.group.index]]
        targets.append(np.full(len(source), offsets[cls.group.index]))
        sources.append(source)
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
        raise Unplannable("members of a cell depend on members recorded after them", classes[0])
    order = np.argsort(target, kind="stable")
    heights = np.zeros(total, np.int64)
    _heights(np.searchsorted(target[order], np.arange(total + 1)), source[order], heights)
    return {g.index: heights[rank[offsets[g.index] : offsets[g.index] + g.count]] for g in groups}


def _renumber(state: Condensed, at: Numbering, classes: list[Class], order: np.ndarray) -> None:
    """Let member ``order[i]`` become member i, and tell all that read these classes."""
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    lo, hi = classes[0].index, classes[-1].index
    for cls in classes:
        cls.nodes, cls.rows, cls.args = cls.nodes[order], cls.rows[order], cls.args[order]
        at.number[cls.nodes] = np.arange(len(order))
        for ref in cls.refs:
            ref.classes, ref.numbers = ref.classes[order], ref.numbers[order]  # type: ignore[index]
    for cls in state.classes:
        for ref in cls.refs:
            if ref.classes is not None:
                inside = (ref.classes >= lo) & (ref.classes <= hi)
                if inside.any():
                    ref.numbers = ref.numbers.copy()  # type: ignore[union-attr]
                    ref.numbers[inside] = new[ref.numbers[inside]]
