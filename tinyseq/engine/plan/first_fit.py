"""Where storages of the arena lie: those that are alive at the same time do not overlap."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.layout import ALIGN, Storage
from tinyseq.jit.decorators import kernel


def allocate(storages: list[Storage], alignment: int = ALIGN) -> tuple[int, int]:
    """Place storages of the arena so that those alive at the same time don't overlap (first fit, in order of birth).

    Returns (elements of the arena, elements without reuse).
    """
    wanted = [s for s in storages if s.space == "arena" and s.last >= 0]
    told = np.array([(s.first, s.last, s.size, s.lead) for s in wanted], np.int64).reshape(-1, 4)
    bases, order, dying = np.empty(len(told), np.int64), np.lexsort((-told[:, 2], told[:, 0])), np.argsort(told[:, 1])
    top, total = _place(told, order, dying, alignment, bases)
    for storage, base in zip(wanted, bases.tolist(), strict=True):
        storage.base = base
    return top, total


@kernel
def _place(told, order, dying, alignment, bases):
    """Write where each storage begins, behind its lead, and return the top of all and their sum.

    ``told`` of each are its first and last block, size and lead; ``order`` is that of birth, ``dying`` that of the last
    blocks. What is free is a list of starts and sizes in order, no two of them neighbours.
    """
    many = order.size
    starts, sizes = np.empty(many, np.int64), np.empty(many, np.int64)
    free, room = np.empty(many + 1, np.int64), np.empty(many + 1, np.int64)
    count, top, total, dead = 0, np.int64(0), np.int64(0), 0
    for one in order:
        while told[dying[dead], 1] < told[one, 0]:
            gone = dying[dead]
            count = _freed(free, room, count, starts[gone], sizes[gone])
            dead += 1
        lead = -(-told[one, 3] // alignment) * alignment
        size = lead + -(-max(told[one, 2] - told[one, 3], 1) // alignment) * alignment
        total += size
        place = 0
        while place < count and room[place] < size:
            place += 1
        if place == count:
            start, top = top, top + size
        else:
            start = free[place]
            free[place], room[place] = start + size, room[place] - size
            if room[place] == 0:
                for k in range(place + 1, count):
                    free[k - 1], room[k - 1] = free[k], room[k]
                count -= 1
        starts[one], sizes[one], bases[one] = start, size, start + lead
    return top, total


@kernel
def _freed(free, room, count, start, size):
    """Put a place among those that are free, in order, one with its neighbours; returns how many there are."""
    k = 0
    while k < count and free[k] < start:
        k += 1
    before = k > 0 and free[k - 1] + room[k - 1] == start
    after = k < count and start + size == free[k]
    if before:
        room[k - 1] += size + (room[k] if after else 0)
    elif after:
        free[k], room[k] = start, room[k] + size
    if before and after:
        for j in range(k + 1, count):
            free[j - 1], room[j - 1] = free[j], room[j]
        return count - 1
    if before or after:
        return count
    for j in range(count, k, -1):
        free[j], room[j] = free[j - 1], room[j - 1]
    free[k], room[k] = start, size
    return count + 1
