"""Who feeds whom in a recursive net: trees and forests of trees. Pure index arrays, no recursion."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain as joined
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError
from tinyseq.habits import advised
from tinyseq.structure.brackets import read_brackets, read_treebank, write_brackets
from tinyseq.structure.tree_formats import read_ast, read_nested
from tinyseq.structure.tree_order import cycle, inverse, parents_of, runs, several_roots, walk


@advised
class Forest:
    """Several trees in one batch: ``Forest([tree, tree, …])``; a ``Tree`` is a forest of one.

    A node's number is its *position*: leaves come first, tree after tree and each from left to right, then nodes of
    height 1, of height 2 … So children precede their parents, the t-th leaf has position t, and the nodes of one
    height, which can be computed together, lie together.

    pointers, children  the children of position p, left to right: ``children[pointers[p]:pointers[p + 1]]``
    parents             (n,) position of the parent, −1 for a root
    heights, depths     (n,) edges down to the furthest leaf, edges up to the root
    roots               (trees,) position of each tree's root
    tree_of             (n,) which tree a node belongs to
    labels              (n,) objects, None where a node has no label
    numbers             (n,) the node's number in what its tree was built from

    Raises DataError for an empty list and for anything in it that is not a Tree.
    """

    pointers: np.ndarray
    children: np.ndarray
    parents: np.ndarray
    heights: np.ndarray
    depths: np.ndarray
    roots: np.ndarray
    tree_of: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray

    def __init__(self, trees: Iterable[Tree]) -> None:
        trees = list(trees)
        if not trees:
            raise DataError("a forest needs at least one tree, got an empty list")
        for i, tree in enumerate(trees):
            if not isinstance(tree, Tree):
                raise DataError(f"tree {i} of the forest is a {type(tree).__name__}; build it with ts.Tree.from_…")
        sizes, which = np.array([len(tree) for tree in trees]), np.arange(len(trees))
        starts = np.cumsum(sizes) - sizes
        heights = np.concatenate([tree.heights for tree in trees])
        order = np.argsort(heights, kind="stable")
        position = inverse(order)
        arity = np.concatenate([tree.arity for tree in trees])[order]
        edges = np.concatenate([tree.children for tree in trees]) + np.repeat(starts, sizes - 1)
        first = np.concatenate([tree.pointers[:-1] for tree in trees]) + np.repeat(starts - which, sizes)
        parents = np.concatenate([tree.parents for tree in trees])
        above = np.where(parents >= 0, position[parents + np.repeat(starts, sizes)], -1)
        self.pointers = np.concatenate([[0], np.cumsum(arity)])
        self.children = position[edges[runs(first[order], arity)]]
        self.parents, self.heights = above[order], heights[order]
        self.depths = np.concatenate([tree.depths for tree in trees])[order]
        self.roots = position[starts + sizes - 1]
        self.tree_of = np.repeat(which, sizes)[order]
        self.labels = np.concatenate([tree.labels for tree in trees])[order]
        self.numbers = np.concatenate([tree.numbers for tree in trees])[order]

    @classmethod
    def from_brackets(cls, text: str, labelled: bool = False) -> Forest:
        """The trees of a whole file: "(a b) ((c d) e)", also over several lines, with comments between them.

        ``labelled``: the first word after a bracket is that node's label, and an empty bracket around a tree, as in
        the Penn Treebank's "( (S …))", is left out. ``tasks.read_trees`` reads a file. Raises DataError naming the
        line, and for a text without a tree.
        """
        trees = [Tree.from_parents(*read) for read in read_treebank(text, labelled)]
        if not trees:
            raise DataError("the text holds no tree; a tree is written for instance '(a (b c))'")
        return Forest(trees)

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    @property
    def n_leaves(self) -> int:
        """Number of leaves, which have the positions 0 to n_leaves − 1."""
        return int(np.searchsorted(self.heights, 1))

    @property
    def arity(self) -> np.ndarray:
        """Number of children of each node, (n,)."""
        return np.diff(self.pointers)

    @property
    def depth(self) -> int:
        """Edges on the longest way from a root to a leaf: ⌈log₂ τ⌉ for a balanced tree over τ leaves."""
        return int(self.heights[-1])

    def signature(self) -> tuple:
        """What tells forests apart: equal ones share what ``ts.compile`` recorded."""
        shared = (self.pointers, self.children, self.tree_of, self.numbers)
        return type(self).__name__, *(column.tobytes() for column in shared), _written(self.labels)

    def children_of(self, position: int) -> tuple[int, ...]:
        """Positions of a node's children, left to right."""
        return tuple(self.children[self.pointers[position] : self.pointers[position + 1]].tolist())

    def positions(self, tree: int) -> np.ndarray:
        """Positions in the forest of one tree's nodes, in the order of that tree's own positions."""
        return np.flatnonzero(self.tree_of == tree)

    def pack(self, arrays: Sequence[Any]) -> np.ndarray:
        """Rows of all trees in the order of positions, from one array a tree: a row a leaf, or a row a node."""
        given = [plain(array, f"the array of tree {i}") for i, array in enumerate(arrays)]
        if len(given) != self.n_trees:
            raise DataError(f"{len(given)} arrays for a forest of {self.n_trees} trees: give one for each tree")
        nodes = np.bincount(self.tree_of)
        leaves = np.bincount(self.tree_of[: self.n_leaves])
        total = sum(len(array) for array in given if array.ndim)
        whole = total == len(self) and total > self.n_leaves
        for i, array in enumerate(given):
            wanted = nodes[i] if whole else leaves[i]
            if array.ndim < 1 or len(array) != wanted or array.shape[1:] != given[0].shape[1:]:
                raise DataError(
                    f"the array of tree {i} has shape {array.shape}; expected {(int(wanted), *given[0].shape[1:])}: "
                    f"a row for each {'node' if whole else 'leaf'}, features as in tree 0"
                )
        rows = np.concatenate(given)
        if not whole:
            return rows
        placed = np.empty_like(rows)
        placed[np.argsort(self.tree_of, kind="stable")] = rows
        return placed

    def tokens(self, vocabulary: Mapping[Any, int]) -> np.ndarray:
        """The number of every node's label, (n,) int64; take ``[:n_leaves]`` where only leaves have labels.

        A label that the vocabulary lacks raises DataError; unlabelled inner nodes become −1 unless it has None.
        """
        for position, label in enumerate(self.labels):
            if label is not None and label not in vocabulary:
                raise DataError(f"the vocabulary of {len(vocabulary)} lacks the label {label!r} at position {position}")
        return np.array([vocabulary.get(label, -1) for label in self.labels], np.int64)

    def __repr__(self) -> str:
        return f"Forest({self.n_trees} trees, {len(self)} nodes, {self.n_leaves} leaves, depth {self.depth})"


@advised
class Tree(Forest):
    """One tree: a forest of one, built by the ``from_…`` class methods, ``balanced`` or ``chain``.

    From children in compressed rows: those of node i are ``children[pointers[i]:pointers[i + 1]]``. Nodes may be
    numbered in any way; they are renumbered by position. Raises DataError naming the node for an empty tree, a
    missing child, a child with two parents, a second root, a cycle.
    """

    def __init__(self, pointers: Any, children: Any, labels: Sequence[Any] | None = None) -> None:
        pointers, children = np.asarray(pointers, np.int64), np.asarray(children, np.int64)
        n = len(pointers) - 1
        if n < 1:
            raise DataError("an empty tree: it needs at least one node, the root")
        if labels is not None and len(labels) != n:
            raise DataError(
                f"{len(labels)} labels for a tree of {n} nodes: give one for each node, None where it has none"
            )
        parents = parents_of(pointers, children, n)
        order, heights, depths = np.empty(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
        reached = walk(pointers, children, parents, int(np.argmin(parents)), order, heights, depths)
        if reached < n:
            raise DataError(cycle(parents, int(np.setdiff1d(np.arange(n), order[:reached])[0])))
        order = order[np.argsort(heights[order], kind="stable")]
        position = inverse(order)
        arity = np.diff(pointers)[order]
        self.pointers = np.concatenate([[0], np.cumsum(arity)])
        self.children = position[children[runs(pointers[order], arity)]]
        self.parents = np.where(parents[order] >= 0, position[parents[order]], -1)
        self.heights, self.depths, self.numbers = heights[order], depths[order], order
        self.roots, self.tree_of = np.array([n - 1]), np.zeros(n, np.int64)
        self.labels = np.full(n, None, object)
        if labels is not None:
            self.labels[:] = [labels[i] for i in order.tolist()]

    @property
    def root(self) -> int:
        """Position of the root: the last."""
        return len(self) - 1

    @classmethod
    def from_parents(cls, parents: Any, labels: Sequence[Any] | None = None) -> Tree:
        """From each node's parent, −1 for the root; children stand in the order of their numbers."""
        above = plain(parents, "the parents of a tree")
        if above.ndim != 1 or (above.size and above.dtype.kind not in "iu"):
            raise DataError(f"a parent array is a list of integers, one for each node, got {_short(parents)}")
        above, n = above.astype(np.int64), len(above)
        bad = np.flatnonzero((above < -1) | (above >= n))
        if len(bad):
            raise DataError(f"node {bad[0]} names the parent {above[bad[0]]}, which is missing: nodes are 0 to {n - 1}")
        order = np.argsort(above, kind="stable")
        counts = np.bincount(above + 1, minlength=n + 1)
        if n and counts[0] != 1:
            roots = np.flatnonzero(above < 0)
            raise DataError(cycle(above, 0) if not len(roots) else several_roots(roots))
        return cls(np.concatenate([[0], np.cumsum(counts[1:])]) if n else [0], order[counts[0] :], labels)

    @classmethod
    def from_children(cls, children: Sequence[Sequence[int]], labels: Sequence[Any] | None = None) -> Tree:
        """From each node's list of children; leaves have an empty list."""
        counts = [len(below) for below in children]
        flat = list(joined.from_iterable(children))
        if not all(isinstance(child, (int, np.integer)) for child in flat):
            node, below = next(
                (i, c) for i, c in enumerate(children) if not all(isinstance(child, (int, np.integer)) for child in c)
            )
            raise DataError(f"node {node} has a missing child: its children {_short(below)} must be node numbers")
        return cls(np.cumsum([0, *counts]), flat, labels)

    @classmethod
    def from_nested(cls, nested: Any, labelled: bool = False) -> Tree:
        """From nested tuples or lists: ("a", ("b", "c")); anything else is a leaf's label.

        ``labelled``: the first entry of each tuple is that node's label, ("S", ("NP", "the", "cat"), "sat").
        """
        return cls.from_parents(*read_nested(nested, labelled))

    @classmethod
    def from_brackets(cls, text: str, labelled: bool = False) -> Tree:
        """From text, "(a (b c))" or "[a [b c]]"; ``labelled``: the first word after a bracket is that node's label.

        Words end at ASCII white space or a bracket; in a tree that begins with "(", "[" and "]" belong to words.
        ``\\x20`` in a word is a space, ``\\x28`` and ``\\x29`` are brackets. ``ts.Forest.from_brackets`` reads many.
        """
        return cls.from_parents(*read_brackets(text, labelled))

    @classmethod
    def from_ast(cls, source: Any, names: bool = True) -> Tree:
        """From a Python expression or a node of the module ``ast``.

        Labels are the syntax's class names ("BinOp", "Add" …); names and constants are labelled by what they say,
        or with ``names=False`` by "Name" and "Constant" too.
        """
        return cls.from_parents(*read_ast(source, names))

    @classmethod
    def balanced(cls, n_leaves: int) -> Tree:
        """The balanced binary tree over a sequence: each node halves its leaves; depth ⌈log₂ n⌉ for any n ≥ 1."""
        sizes, parents, first = np.array([_count(n_leaves)]), [np.array([-1])], 0
        while sizes.max() > 1:
            inner = np.flatnonzero(sizes > 1)
            parents.append(np.repeat(first + inner, 2))
            first += len(sizes)
            sizes = np.stack([(sizes[inner] + 1) // 2, sizes[inner] // 2], axis=1).reshape(-1)
        return cls.from_parents(np.concatenate(parents))

    @classmethod
    def chain(cls, n_leaves: int) -> Tree:
        """The degenerate tree (((x₁ x₂) x₃) x₄) …, of depth n − 1: a recurrent net as a recursive one."""
        n = _count(n_leaves)
        left = np.concatenate([[0], np.arange(n, 2 * n - 2)])[: n - 1]
        pointers = np.concatenate([np.zeros(n, np.int64), 2 * np.arange(n)])
        return cls(pointers, np.stack([left, np.arange(1, n)], axis=1).reshape(-1))

    def brackets(self) -> str:
        """The tree as text that ``from_brackets`` reads; nodes without labels show positions at the leaves only.

        Labels are written as text, spaces and brackets in them as ``\\x20``, ``\\x28``, ``\\x29``. Raises DataError for
        an empty label, and where some inner nodes have labels and one without begins with a leaf.
        """
        return write_brackets(self.pointers, self.children, self.labels, self.root)

    def __repr__(self) -> str:
        return f"Tree({len(self)} nodes, {self.n_leaves} leaves, depth {self.depth})"


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _count(n_leaves: Any) -> int:
    if not isinstance(n_leaves, (int, np.integer)) or n_leaves < 1:
        raise DataError(f"a tree needs at least one leaf, got n_leaves = {n_leaves!r}")
    return int(n_leaves)


def _written(labels: np.ndarray) -> Any:
    """Labels as something that compares and hashes: bytes where they are plain numbers and texts."""
    try:
        return marshal.dumps(labels.tolist(), 2)  # of version 2: later ones write down which objects are the same
    except ValueError:
        return tuple(map(str, labels))
