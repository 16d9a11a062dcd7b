"""Reading classes off a tape: the members of all places of a template at once, what each reads, and how its numbers go.

Kernels over the tape's columns; a tape holds many nodes, but few classes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinyseq.jit.decorators import kernel

SAME, UP, DOWN, OTHER = 0, 1, -1, 2
"""How the numbers of a list go: all the same, each one more than the one before, each one less, or otherwise."""


@lru_cache(maxsize=4096)
def repeated(number: int, count: int) -> np.ndarray:
    """One number, ``count`` times, without room of its own, read-only."""
    found = np.ndarray((count,), np.int64, np.array([number], np.int64), strides=(0,))
    found.flags.writeable = False
    return found


@kernel
def take(inner, begins, places, rows, args, first_class, cls, number, nodes, node_rows, node_args, alike):
    """Write (places, members): nodes, their rows and args; and of each node its class and number. ``alike`` says of
    each place whether all rows (1) and all args (2) are one number."""
    for p in range(places.size):
        one_row, one_arg = True, True
        for m in range(begins.size):
            node = inner[begins[m] + places[p]]
            nodes[p, m], node_rows[p, m], node_args[p, m] = node, rows[node], args[node]
            one_row &= rows[node] == node_rows[p, 0]
            one_arg &= args[node] == node_args[p, 0]
            cls[node], number[node] = first_class + p, m
        alike[p] = np.int64(one_row) + 2 * np.int64(one_arg)


@kernel
def read(nodes, arity, pointers, edges, cls, number, classes, numbers, only, step):
    """Write (inputs of all places, members): class and number of what each reads. ``only`` is the class where all are
    of one, else -1; ``step`` how the numbers go."""
    r = 0
    for p in range(arity.size):
        for j in range(arity[p]):
            for m in range(nodes.shape[1]):
                source = edges[pointers[nodes[p, m]] + j]
                classes[r, m], numbers[r, m] = cls[source], number[source]
            only[r], step[r] = described(classes[r], numbers[r])
            r += 1


@kernel
def described(classes, numbers):
    """(the class if all are of one, else -1; how the numbers go)."""
    only = np.int64(classes[0])
    same, up, down = True, True, True
    for m in range(1, classes.size):
        if classes[m] != only:
            only = np.int64(-1)
            break
    for m in range(1, numbers.size):
        step = numbers[m] - numbers[m - 1]
        same &= step == 0
        up &= step == 1
        down &= step == -1
        if not (same or up or down):
            break
    return only, 0 if same else 1 if up else -1 if down else 2


@kernel
def delayed(classes, numbers, source, forwards):
    """(found, shift, start's class, start's number): whether a list is the members of ``source`` shifted, with one
    shared member standing for what lies before them, or, not ``forwards``, after them."""
    count = classes.size
    edge = 0
    while edge < count and (classes[edge] == source) != forwards:
        edge += 1
    low, high = (edge, count) if forwards else (0, edge)
    if low == high or high - low == count:
        return False, 0, 0, 0
    shift = np.int64(numbers[low]) - low
    if (shift >= 0) == forwards or abs(shift) != count - (high - low):
        return False, 0, 0, 0
    at = 0 if forwards else edge
    start, begin = np.int64(classes[at]), np.int64(numbers[at])
    for m in range(count):
        if low <= m < high:
            if classes[m] != source or numbers[m] - m != shift:
                return False, 0, 0, 0
        elif classes[m] == source or classes[m] != start or numbers[m] != begin:
            return False, 0, 0, 0
    return True, shift, start, begin


@kernel
def moved(classes, numbers, lo, hi, new):
    """Numbers of members of the classes lo to hi after these have been given new ones."""
    found = numbers.copy()
    for m in range(classes.size):
        if lo <= classes[m] <= hi:
            found[m] = new[numbers[m]]
    return found


@kernel
def reads_inside(classes, numbers, inside, offset_of, own, targets, sources, count):
    """Write (member, what it reads) for all that a list names of the classes ``inside``, both numbered through all
    groups; returns how many there are then."""
    for m in range(classes.size):
        if inside[classes[m]]:
            source = numbers[m] + offset_of[classes[m]]
            if source != own + m:
                targets[count], sources[count] = own + m, source
                count += 1
    return count


@kernel
def heights(targets, sources, rank, order, found):
    """Height of each member, the longest path from one that reads no other; whether each comes after what it reads.

    ``rank`` is a member's place on the tape, ``order`` the members by rank.
    """
    total = rank.size
    pointers = np.zeros(total + 1, np.int64)
    for e in range(targets.size):
        if rank[sources[e]] >= rank[targets[e]]:
            return False
        pointers[targets[e] + 1] += 1
    for i in range(total):
        pointers[i + 1] += pointers[i]
    filled, children = pointers.copy(), np.empty(targets.size, np.int64)
    for e in range(targets.size):
        children[filled[targets[e]]] = sources[e]
        filled[targets[e]] += 1
    for i in range(total):
        member, top = order[i], np.int64(-1)
        for j in range(pointers[member], pointers[member + 1]):
            top = max(top, found[children[j]])
        found[member] = top + 1
    return True
