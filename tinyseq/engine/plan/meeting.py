"""Whether two members of a level, which threads share, write one element: those can't run at the same time."""

from __future__ import annotations

import numpy as np

from tinyseq.jit.decorators import kernel


def two_meet(members: np.ndarray, groups: np.ndarray, places: np.ndarray, levels: np.ndarray, size: int) -> bool:
    """Whether two members write one element at one level: member, its group, place and level of each write, and how
    many elements each writes from its place on."""
    if len(places) < 2:
        return False
    whole = [np.ascontiguousarray(each, np.int64) for each in (members, groups, places, levels)]
    return bool(_met(*whole, max(size, 1)))


@kernel
def _met(members, groups, places, levels, size):
    """Whether some write comes to an element that another member's at the same level comes to.

    Elements are cut into rooms of ``size``: a write touches one room, or two in a row. Of each room and level the
    writes are a list, which begins in a table of hashes.
    """
    count, lowest = places.size, places.min()
    mask = np.int64(1)
    while mask < 2 * count:
        mask *= 2
    mask -= 1
    first, after = np.full(mask + 1, -1, np.int64), np.empty(count, np.int64)
    for i in range(count):
        room = (places[i] - lowest) // size + 1
        for near in range(-1, 2):
            j = first[_hash(room + near, levels[i]) & mask]
            while j >= 0:
                apart = members[j] != members[i] or groups[j] != groups[i]
                if apart and levels[j] == levels[i] and abs(places[j] - places[i]) < size:
                    return True
                j = after[j]
        at = _hash(room, levels[i]) & mask
        after[i], first[at] = first[at], i
    return False


@kernel
def _hash(room, level):
    """Bits of a room and a level, stirred."""
    found = np.uint64(room) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(level) * np.uint64(0xC2B2AE3D27D4EB4F)
    return np.int64(found >> np.uint64(20))
