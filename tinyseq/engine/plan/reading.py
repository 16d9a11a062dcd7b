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
def parted_by(kind, given, nodes):
    """Write the nodes whose kind is not ``given``, then the others, each in order; returns how many the first are."""
    inner = kind.size
    for i in range(kind.size):
        inner -= given[kind[i]]
    first, second = 0, inner
    for i in range(kind.size):
        if given[kind[i]]:
            nodes[second] = i
            second += 1
        else:
            nodes[first] = i
            first += 1
    return inner


@kernel
def take(inner, starts, instances, places, sizes, kind, rows, args, pointers, first_class, cls, number, nodes, told):
    """Write the nodes of each class, class after class, and of each node its class and number.

    A group is a part of ``instances`` and one of ``places``, ``sizes`` how many there are; it has a class for each
    place. ``told`` of a class is its first node's kind, rows and arg, whether all rows (1) and all args (2) are one
    number, and how many inputs that node has.
    """
    c, at, instance, place = 0, 0, 0, 0
    for g in range(sizes.shape[0]):
        count, many = sizes[g, 0], sizes[g, 1]
        for m in range(count):
            begin = starts[instances[instance + m]]
            for p in range(many):
                node = inner[begin + places[place + p]]
                nodes[at + p * count + m], cls[node], number[node] = node, first_class + c + p, m
                if m == 0:
                    inputs = np.int64(pointers[node + 1]) - np.int64(pointers[node])
                    told[c + p, 0], told[c + p, 1], told[c + p, 2] = kind[node], rows[node], args[node]
                    told[c + p, 3], told[c + p, 4] = 3, inputs
                else:
                    if rows[node] != told[c + p, 1]:
                        told[c + p, 3] &= 2
                    if args[node] != told[c + p, 2]:
                        told[c + p, 3] &= 1
        at, instance, place, c = at + count * many, instance + count, place + many, c + many


@kernel
def read(nodes, sizes, arity, pointers, edges, cls, number, classes, numbers, found):
    """Write class and number of what each member of each class reads, input after input; and of each input of a class
    the class where all are of one, else -1, and how the numbers go. ``arity`` is that of each class."""
    c, at, out, r = 0, 0, 0, 0
    for g in range(sizes.shape[0]):
        count, many = sizes[g, 0], sizes[g, 1]
        for _ in range(many):
            for j in range(arity[c]):
                for m in range(count):
                    source = edges[pointers[nodes[at + m]] + j]
                    classes[out + m], numbers[out + m] = cls[source], number[source]
                found[r, 0], found[r, 1] = described(classes[out : out + count], numbers[out : out + count])
                out, r = out + count, r + 1
            at, c = at + count, c + 1


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
