"""The order of members: a chain by its time steps, a tree by height; then what each input is, seen in that order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group, Unplannable
from tinyseq.engine.plan.reading import DOWN, SAME, UP, delayed, described, heights, moved, reads_inside
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Run, Same, Shared, distinct
from tinyseq.ops.groups import NUMBERED


def simplify(ref: Read, classes: list[Class]) -> Read:
    """Recognise same, delayed and shared members in a list of them."""
    assert isinstance(ref, Picked) and ref.step is not None
    count, only = len(ref.classes), ref.only
    if only >= 0:
        first = int(ref.numbers[0])
        if ref.step == SAME:
            return Same(only) if count == 1 and classes[only].count == 1 else Shared(only, first)
        if ref.step == UP:
            return Same(only) if first == 0 and classes[only].count == count else Run(only, first)
        return ref
    for source, forwards in ((int(ref.classes[-1]), True), (int(ref.classes[0]), False)):
        if classes[source].count == count:
            found, shift, start, number = delayed(ref.classes, ref.numbers, source, forwards)
            if found:
                return Delayed(source, shift, (start, number))
    return ref


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


def orient(state: Folded, first_inner: int, at: Numbering) -> None:
    """Number members in the order of memory: a chain that runs backwards by its time steps, a tree by height; then
    recognise what each input is."""
    of_group: list[list[Class]] = [[] for _ in state.groups]
    group_of = [cls.group.index for cls in state.classes]
    reads: list[set[int]] = [set() for _ in state.groups]
    for cls, group in zip(state.classes, group_of, strict=True):
        of_group[group].append(cls)
        for ref in cls.refs:
            reads[group].update([group_of[c] for c in ((ref.only,) if ref.only >= 0 else ref.sources())])
    for index in at.joins:
        reads[group_of[index]].update([group_of[c] for c in at.joined(index).tolist()])
    done = set(group_of[:first_inner])
    together = [0] * len(state.groups)
    for place, members in enumerate(components(reads)):
        repeats = False
        for g in members:
            together[g] = place
            repeats |= state.groups[g].count > 1
        if repeats:
            classes = [cls for g in members for cls in of_group[g]]
            _order(state, at, [state.groups[g] for g in members], classes, done)
        done.update(members)
    late: dict[tuple[int, int], bool] = {}
    starts: dict[tuple[int, bool], tuple[int, int]] = {}
    for cls in state.classes[first_inner:]:
        found = [simplify(ref, state.classes) for ref in cls.refs]
        for j, simple in enumerate(found):
            if simple.start:
                start, source = group_of[simple.start[0]], group_of[simple.source]
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
            if isinstance(ref, Picked):  # the planner makes addresses of them
                ref.classes, ref.numbers = ref.classes.astype(np.int64), ref.numbers.astype(np.int64)


def _fits(ref: Read, classes: list[Class]) -> bool:
    """Whether a start is of the shape of the members that it stands before."""
    assert ref.start is not None
    start, source = classes[ref.start[0]], classes[ref.source]
    return start.tail == source.tail and int(start.rows[ref.start[1]]) == int(source.rows.max())


def _leads_to(reads: list[set[int]], place: list[int], start: int, source: int) -> bool:
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


def _order(state: Folded, at: Numbering, groups: list[Group], classes: list[Class], done: set[int]) -> None:
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
    found = _heights_of(at, groups, classes, inside)
    top = max(int(h.max()) for h in found.values())
    for group in groups:
        height = found[group.index]
        if (height[1:] < height[:-1]).any():
            order = np.argsort(height, kind="stable")
            height = height[order]
            _renumber(state, at, [cls for cls in classes if cls.group is group], order)
        group.levels = np.searchsorted(height, np.arange(top + 2))


def _runs_backwards(state: Folded, classes: list[Class], done: set[int]) -> bool:
    votes = 0
    for cls in classes:
        if cls.op in NUMBERED:
            votes += _way(described(cls.args, cls.args)[1])
        for ref in cls.refs:
            assert ref.step is not None
            if ref.only >= 0 and len(cls.nodes) > 1:
                group = state.classes[ref.only].group
                votes += _way(ref.step) if group.index in done and group.count > 1 else 0
    return votes < 0


def _way(step: int) -> int:
    """1 where numbers go up, -1 where they go down."""
    return step if step in (UP, DOWN) else 0


def _is_chain(state: Folded, at: Numbering, groups: list[Group], classes: list[Class], inside: np.ndarray) -> bool:
    """Whether what these classes read of each other is always the same member or one a fixed number before."""
    if len({group.count for group in groups}) > 1 or any(cls.index in at.joins for cls in classes):
        return False
    for cls in classes:
        for ref in cls.refs:
            assert ref.classes is not None
            if inside[ref.only] if ref.only >= 0 else inside[ref.classes].any():
                found = simplify(ref, state.classes)
                if not isinstance(found, Same | Run | Delayed) or found.shift > 0 or not inside[found.source]:
                    return False
                if found.start and inside[found.start[0]]:  # it must be there before the chain runs
                    return False
    return True


def _heights_of(at: Numbering, groups: list[Group], classes: list[Class], inside: np.ndarray) -> dict[int, np.ndarray]:
    """Height of each group's members: the longest path through members of these groups."""
    offsets = dict(zip([g.index for g in groups], accumulate([g.count for g in groups], initial=0), strict=False))
    total = sum(group.count for group in groups)
    offset_of, first_node = np.zeros(len(inside), np.int64), np.zeros(total, np.int64)
    seen: set[int] = set()
    for cls in classes:
        offset = offset_of[cls.index] = offsets[cls.group.index]
        if cls.group.index not in seen:
            seen.add(cls.group.index)
            first_node[offset : offset + cls.count] = cls.nodes
    room = sum(len(cls.refs) * cls.count for cls in classes) + sum(len(at.joins.get(c.index, ())) for c in classes)
    targets, sources, count = np.empty(room, np.int64), np.empty(room, np.int64), 0
    for cls in classes:
        own = offsets[cls.group.index]
        if cls.index in at.joins:
            joined = at.joins[cls.index]
            joined = joined[inside[at.cls[joined]]]
            read = at.number[joined] + offset_of[at.cls[joined]]
            read = read[read != own]
            targets[count : count + len(read)], sources[count : count + len(read)] = own, read
            count += len(read)
        for ref in cls.refs:
            if ref.only < 0 or inside[ref.only]:
                count = reads_inside(ref.classes, ref.numbers, inside, offset_of, own, targets, sources, count)
    order = np.argsort(first_node, kind="stable")
    rank = np.empty(total, np.int64)
    rank[order] = np.arange(total)
    found = np.zeros(total, np.int64)
    if not heights(targets[:count], sources[:count], rank, order, found):
        raise Unplannable("members of a cell depend on members recorded after them", classes[0])
    return {g.index: found[offsets[g.index] : offsets[g.index] + g.count] for g in groups}


def _renumber(state: Folded, at: Numbering, classes: list[Class], order: np.ndarray) -> None:
    """Let member ``order[i]`` become member i, and tell all that read these classes."""
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    lo, hi = classes[0].index, classes[-1].index
    for cls in classes:
        cls.nodes = cls.nodes[order]
        cls.rows, cls.args = (a if a.strides == (0,) else a[order] for a in (cls.rows, cls.args))
        at.number[cls.nodes] = np.arange(len(order))
        for ref in cls.refs:
            ref.classes, ref.numbers, ref.step = ref.classes[order], ref.numbers[order], None  # type: ignore[index]
    for cls in state.classes:
        for ref in cls.refs:
            if ref.only < 0 or lo <= ref.only <= hi:
                ref.numbers, ref.step = moved(ref.classes, ref.numbers, lo, hi, new), None
            if ref.step is None:
                ref.step = described(ref.classes, ref.numbers)[1]
