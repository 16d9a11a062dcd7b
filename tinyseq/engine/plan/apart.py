"""Members one by one: what can't run for many members at once is planned as classes of one member each.

A step may do with each of its members what no kernel does for several, or read, as attention over its own past does,
more in each step than in the one before. Such groups of a folded tape are taken apart. Their plan has instructions for
each node, still many times faster than the reference executor; as they repeat nothing, only what is small is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinyseq.engine.plan.folded import Class, Folded, Group, Refused
from tinyseq.engine.plan.reads import Delayed, Picked, Read, Run, Same, Shared
from tinyseq.ops.groups import JOINS

Renamed = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From classes and numbers of members to those that they have once groups are taken apart."""

MOST_APART = 2000  # classes that a tape may have then
MOST_TIMES = 8  # that a tape is planned anew


def to_part(folded: Folded, refusal: Refused) -> frozenset[int]:
    """Groups to be taken apart as they have no plan otherwise; none where that would not help, or make too many
    classes."""
    groups = frozenset(g for g in refusal.groups if g < len(folded.groups) and folded.groups[g].count > 1)
    every = sum(cls.count if cls.group.index in groups else 1 for cls in folded.classes)
    return groups if every <= MOST_APART else frozenset()


def taken_apart(folded: Folded, groups: frozenset[int], why: str = "") -> Folded:
    """The same tape with each member of some groups, given by their indices, in a group of its own; and why."""
    order = _order(folded, groups)
    first = {c: k for k, (c, m) in reversed(list(enumerate(order))) if m <= 0}
    place = {pair: k for k, pair in enumerate(order)}
    renumbered = np.array([first[c.index] for c in folded.classes])
    parted = np.array([c.group.index in groups for c in folded.classes])

    def here(classes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and number of members, as they are called now."""
        now, moved = renumbered[classes], np.flatnonzero(parted[classes])
        numbers = numbers.copy()
        now[moved] = [place[pair] for pair in zip(classes[moved].tolist(), numbers[moved].tolist(), strict=True)]
        numbers[moved] = 0
        return now, numbers

    kept = {g.index: k for k, g in enumerate(g for g in folded.groups if g.index not in groups)}
    new_groups = [replace(g, index=kept[g.index]) for g in folded.groups if g.index in kept]
    of_member: dict[tuple[int, int], Group] = {}
    found = Folded([], new_groups, {}, {}, apart=(*folded.apart, (groups, why)))
    reads = {c.index: [folded.members_read(c, ref) for ref in c.refs] for c in folded.classes}
    for k, (c, m) in enumerate(order):
        cls = folded.classes[c]
        if m < 0:
            group, own = new_groups[kept[cls.group.index]], cls
        else:
            if (cls.group.index, m) not in of_member:
                of_member[cls.group.index, m] = Group(len(new_groups), 1)
                new_groups.append(of_member[cls.group.index, m])
            group = of_member[cls.group.index, m]
            own = replace(cls, nodes=cls.nodes[m : m + 1], rows=cls.rows[m : m + 1], args=cls.args[m : m + 1])
        found.classes.append(replace(own, index=k, group=group, refs=[]))
    for k, (c, m) in enumerate(order):
        cls = folded.classes[c]
        if c in folded.joins:
            joined = folded.joins[c]
            found.joins[k] = Picked(*here(np.asarray(joined.classes), np.asarray(joined.numbers)))
        elif m < 0:
            pairs = zip(cls.refs, reads[c], strict=True)
            found.classes[k].refs = [_read(found, found.classes[k], ref, here, *every, parted) for ref, every in pairs]
        else:
            own_reads = [here(classes[m : m + 1], numbers[m : m + 1]) for classes, numbers in reads[c]]
            if cls.op in JOINS:
                sources, places = (np.concatenate(each) for each in zip(*own_reads, strict=True))
                found.joins[k] = Picked(sources, places)
            else:
                found.classes[k].refs = [_one(found, int(s[0]), int(n[0])) for s, n in own_reads]
    at = folded.places.values()
    now = here(np.array([c for c, _ in at], np.int64), np.array([number for _, number in at], np.int64))
    found.places = dict(zip(folded.places, zip(*(each.tolist() for each in now), strict=True), strict=True))
    return found


def _order(folded: Folded, groups: frozenset[int]) -> list[tuple[int, int]]:
    """(class, member) of the classes to be, −1 for a class that stays whole: members one after the other as the tape
    has them, where the first class of their group stands."""
    of_group: dict[int, list[Class]] = {}
    for cls in folded.classes:
        of_group.setdefault(cls.group.index, []).append(cls)
    found: list[tuple[int, int]] = []
    for cls in folded.classes:
        together = of_group[cls.group.index]
        if cls.group.index not in groups:
            found.append((cls.index, -1))
        elif cls is together[0]:
            members = np.argsort(cls.nodes, kind="stable").tolist()
            found += [(each.index, m) for m in members for each in together]
    return found


def _one(found: Folded, source: int, number: int) -> Read:
    """How a class of one member reads a member."""
    return Same(source) if found.classes[source].count == 1 else Shared(source, number)


def _read(
    found: Folded, cls: Class, ref: Read, here: Renamed, classes: np.ndarray, numbers: np.ndarray, parted: np.ndarray
) -> Read:
    """How a class that stays whole reads what it read before."""
    sources, places = here(classes, numbers)
    if cls.count == 1:
        return _one(found, int(sources[0]), int(places[0]))
    if parted[classes].any() or isinstance(ref, Picked):
        alike = (sources == sources[0]).all() and (places == places[0]).all()
        return Shared(int(sources[0]), int(places[0])) if alike else Picked(sources, places)
    if isinstance(ref, Shared):
        return Shared(int(sources[0]), ref.number)
    source = int(here(np.array([ref.source]), np.array([0]))[0][0])
    if isinstance(ref, Delayed):
        starts = here(np.array([ref.start[0]]), np.array([ref.start[1]]))
        return Delayed(source, ref.by, (int(starts[0][0]), int(starts[1][0])))
    return Run(source, ref.first) if isinstance(ref, Run) else Same(source)
