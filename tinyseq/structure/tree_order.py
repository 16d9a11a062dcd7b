"""The order of a tree's nodes, and what can be wrong with them. Array work and one loop, no recursion."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DataError
from tinyseq.jit.decorators import kernel


@kernel
def walk(pointers, children, parents, root, order, heights, depths):
    """Preorder from the root, depths on the way down and heights on the way back; returns how many nodes it reached."""
    stack = np.empty(len(parents) + 1, np.int64)
    stack[0] = root
    top, reached = 1, 0
    while top:
        top -= 1
        node = stack[top]
        order[reached] = node
        reached += 1
        if parents[node] >= 0:
            depths[node] = depths[parents[node]] + 1
        for e in range(pointers[node + 1] - 1, pointers[node] - 1, -1):
            stack[top] = children[e]
            top += 1
    for k in range(reached - 1, 0, -1):
        above = parents[order[k]]
        heights[above] = max(heights[above], heights[order[k]] + 1)
    return reached


def inverse(order: np.ndarray) -> np.ndarray:
    """The place of each number in a permutation."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers of all runs starts[i], starts[i] + 1, …, lengths[i] of them, run after run."""
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


def parents_of(pointers: np.ndarray, children: np.ndarray, n: int) -> np.ndarray:
    """Each node's parent, −1 for the root, or DataError where children do not make a tree."""
    owner = np.repeat(np.arange(n), np.diff(pointers))
    bad = np.flatnonzero((children < 0) | (children >= n))
    if len(bad):
        raise DataError(
            f"node {owner[bad[0]]} has the child {children[bad[0]]}, which is missing: nodes are 0 to {n - 1}"
        )
    uses = np.bincount(children, minlength=n)
    if uses.max() > 1:
        child = int(np.argmax(uses > 1))
        above = owner[children == child]
        raise DataError(f"node {child} has {len(above)} parents, {above[0]} and {above[1]}: a tree gives each node one")
    roots = np.flatnonzero(uses == 0)
    parents = np.full(n, -1)
    parents[children] = owner
    if not len(roots):
        raise DataError(cycle(parents, 0))
    if len(roots) > 1:
        raise DataError(several_roots(roots))
    return parents


def several_roots(roots: np.ndarray) -> str:
    """Say that there are too many roots."""
    return f"{len(roots)} roots, nodes {roots[0]} and {roots[1]}: a tree has one; several trees are a ts.Forest([...])"


def cycle(parents: np.ndarray, node: int) -> str:
    """Say which nodes lie on the cycle above a node."""
    seen: dict[int, int] = {}
    while node not in seen:
        seen[node] = len(seen)
        node = int(parents[node])
    ring = [*list(seen)[seen[node] :], node]
    shown = ring if len(ring) <= 8 else [*ring[:4], "…", *ring[-3:]]
    return f"a cycle, no tree: going up from node {node} leads to {' → '.join(map(str, shown))}"
