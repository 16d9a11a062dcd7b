"""Binary trees of the benchmark as index arrays, and the order in which a peer batches them by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Forest:
    """Binary trees over one numbering: leaves first (0 .. leaves-1), then inner nodes, children before parents.

    `left[i]`, `right[i]` are the children of node leaves + i; `roots` has one node per tree.
    """

    leaves: int
    left: np.ndarray
    right: np.ndarray
    roots: np.ndarray

    def depths(self) -> np.ndarray:
        """Edges from each node up to its root."""
        depth = np.zeros(self.leaves + self.left.size, dtype=np.int64)
        for node in range(self.left.size - 1, -1, -1):
            depth[[self.left[node], self.right[node]]] = depth[self.leaves + node] + 1
        return depth


@dataclass(frozen=True)
class Level:
    """All nodes of one depth: the `leaves` to take, and the order that puts the two children of the first inner
    node of the level above first, then those of the second, ... (None if they lie so already)."""

    leaves: np.ndarray
    order: np.ndarray | None


def levels(forest: Forest) -> list[Level]:
    """Deepest level first. The inner nodes of a level are the pairs of the level below it, so reshaping that
    level's states from (2n, H) to (n, 2H) gives the children side by side, and no state crosses a level."""
    depth = forest.depths()
    parents = forest.roots
    wanted = [parents]
    while (inner := parents[parents >= forest.leaves] - forest.leaves).size:
        parents = np.stack([forest.left[inner], forest.right[inner]], axis=1).reshape(-1)
        wanted.append(parents)
    found = []
    for nodes in reversed(wanted):
        computed = np.concatenate([nodes[nodes >= forest.leaves], nodes[nodes < forest.leaves]])
        place = np.empty(depth.size, dtype=np.int64)
        place[computed] = np.arange(computed.size)
        order = place[nodes]
        sorted_already = np.array_equal(order, np.arange(order.size))
        found.append(Level(computed[computed < forest.leaves], None if sorted_already else order))
    return found


def random_forest(rng: np.random.Generator, trees: int, leaves: tuple[int, int], balanced: bool) -> Forest:
    """`trees` trees whose number of leaves is uniform in the inclusive range. A balanced tree halves its leaves
    at every node, a random one splits them at a uniformly drawn place."""
    pairs: list[tuple[int, int]] = []
    roots = []
    sizes = rng.integers(leaves[0], leaves[1] + 1, size=trees)
    total = int(sizes.sum())
    start = 0
    for size in sizes:
        spans = [(start, start + int(size))]
        splits: dict[tuple[int, int], int] = {}
        for low, high in spans:
            if high - low > 1:
                middle = (low + high + 1) // 2 if balanced else int(rng.integers(low + 1, high))
                splits[low, high] = middle
                spans += [(low, middle), (middle, high)]
        node: dict[tuple[int, int], int] = {}
        for low, high in reversed(spans):
            if high - low == 1:
                node[low, high] = low
            else:
                middle = splits[low, high]
                pairs.append((node[low, middle], node[middle, high]))
                node[low, high] = total + len(pairs) - 1
        roots.append(node[start, start + int(size)])
        start += int(size)
    children = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Forest(total, children[:, 0].copy(), children[:, 1].copy(), np.array(roots, dtype=np.int64))
