"""Labelled trees: what a recursive net is trained on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyseq.checks import generator, plain
from tinyseq.data.batch import Batch
from tinyseq.data.inputs import Inputs, chosen_groups
from tinyseq.errors import DataError, DtypeError
from tinyseq.habits import advised
from tinyseq.structure.tree import Forest, Tree


@dataclass(frozen=True)
class Trees(Inputs):
    """N trees with inputs and classes.

    trees       the trees
    x           one array for each tree: a row or token for each leaf, or for each node, in the order of positions
    y           None; (N,) the class of each root; or one array for each tree, (nodes,), −1 where a node has no class
    vocabulary  what the tokens stand for; number 0 is what is unknown
    groups      None, or (N,) what each tree belongs to, such as its file: ``split(by="group")`` parts none of them
    """

    trees: list[Tree]
    x: list[np.ndarray]
    y: Any = None
    name: str = "trees"
    classes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    groups: Any = None

    @classmethod
    def of(cls, trees: Any, x: Any, y: Any = None, name: str = "trees", **more: Any) -> Trees:
        """Check trees and arrays. Raises DataError that names the tree."""
        trees, x = list(trees), list(x)
        if not trees:
            raise DataError("there are no trees: the list is empty")
        if len(x) != len(trees):
            raise DataError(f"{len(trees)} trees have {len(x)} arrays of inputs: give one for each")
        made = []
        for i, (tree, rows) in enumerate(zip(trees, x, strict=True)):
            if not isinstance(tree, Tree):
                raise DataError(f"tree {i} is a {type(tree).__name__}; build it with ts.Tree.from_…")
            rows = plain(rows, f"the inputs of tree {i}")
            if rows.ndim not in (1, 2) or len(rows) not in (tree.n_leaves, len(tree)):
                raise DataError(
                    f"the inputs of tree {i} are {rows.shape}: a row for each of its {tree.n_leaves} leaves, or for "
                    f"each of its {len(tree)} nodes"
                )
            made.append(_of_inputs(rows, i))
        if more.get("groups") is not None:
            more["groups"] = plain(more["groups"], "the groups")
            if more["groups"].shape != (len(trees),):
                raise DataError(f"{len(trees)} trees have groups of shape {more['groups'].shape}: give one for each")
        return cls(trees, made, _classes(y, trees), name, **more)

    def __len__(self) -> int:
        return len(self.trees)

    def __repr__(self) -> str:
        sizes = self.lengths
        read = f"{self.input_size} different tokens" if self.tokens else f"{self.input_size} features"
        said = "no classes" if self.y is None else f"one of {self.output_size} classes for each "
        said += "" if self.y is None else "node" if self.each_node else "root"
        return f"{self.name}: {len(self)} trees of {sizes.min()} to {sizes.max()} nodes, {read}; {said}"

    @property
    def lengths(self) -> np.ndarray:
        """(N,) nodes of each tree."""
        return np.array([len(tree) for tree in self.trees], np.int64)

    @property
    def each_node(self) -> bool:
        """Whether there are classes at every node."""
        return isinstance(self.y, list)

    @property
    def classified(self) -> bool:
        """Whether there are classes."""
        return self.y is not None

    @property
    def output_size(self) -> int:
        """Classes."""
        if self.y is None:
            raise DataError(f"{self.name} has no classes")
        return len(self.classes) or 1 + max(int(a.max()) for a in (self.y if self.each_node else [self.y]))

    @property
    def arity(self) -> int:
        """The most children of a node."""
        return max(int(tree.arity.max()) for tree in self.trees)

    @property
    def inner_inputs(self) -> bool:
        """Whether inner nodes have inputs too."""
        return any(len(rows) > tree.n_leaves for rows, tree in zip(self.x, self.trees, strict=True))

    @property
    def digest(self) -> str:
        """A fingerprint: equal for the same trees in the same order."""
        total = hashlib.blake2b(digest_size=16)
        for tree, rows in zip(self.trees, self.x, strict=True):
            total.update(tree.pointers.tobytes() + tree.children.tobytes() + rows.tobytes())
        for part in [] if self.y is None else self.y if self.each_node else [self.y]:
            total.update(part.tobytes())
        return total.hexdigest()

    def __getitem__(self, rows: Any) -> Trees:
        """Some of the trees."""
        numbers = np.arange(len(self))[rows].reshape(-1).tolist()
        if not numbers:
            raise DataError(f"none of the {len(self)} trees of {self.name} is left")
        y = self.y
        if y is not None:
            y = [y[i] for i in numbers] if self.each_node else y[numbers]
        groups = None if self.groups is None else self.groups[numbers]
        return replace(self, trees=[self.trees[i] for i in numbers], x=[self.x[i] for i in numbers], y=y, groups=groups)

    @advised
    def split(
        self, held_out: float = 0.2, *, by: str | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Trees, Trees]:
        """(part to train on, part held out): at random, by="order", the last part, or by="group", whole groups."""
        if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
            raise DataError(f"the held-out part must be above 0 and below 1, got {held_out!r}; a tenth is 0.1")
        if by not in (None, "chance", "order", "group"):
            raise DataError(f"trees are split by 'chance', 'order' or 'group', got {by!r}")
        if by == "group":
            out = chosen_groups(self.groups, self.name, held_out, rng)
            return self[np.flatnonzero(~out)], self[np.flatnonzero(out)]
        n = max(1, round(held_out * len(self)))
        if n >= len(self):
            raise DataError(f"{self.name} has {len(self)} trees: too few to hold out {held_out:.0%} and train")
        order = np.arange(len(self)) if by == "order" else generator(rng).permutation(len(self))
        return self[np.sort(order[:-n])], self[np.sort(order[-n:])]

    def batch(self, rows: np.ndarray) -> Batch:
        """The trees with these numbers as one forest."""
        numbers = rows.tolist()
        forest = Forest([self.trees[i] for i in numbers])
        x, y = forest.pack([self.x[i] for i in numbers]), self.y
        if self.each_node:
            y = forest.pack([self.y[i] for i in numbers])
        elif y is not None:
            y = y[rows]
        return Batch((forest, x), y, None, rows, self.each_node)

    def targets(self) -> np.ndarray:
        """All classes: (N,), or those of all nodes one after the other."""
        if self.y is None:
            raise DataError(f"{self.name} has no classes")
        return np.concatenate(self.y) if self.each_node else self.y


def _of_inputs(rows: np.ndarray, i: int) -> np.ndarray:
    """Tokens or rows of finite floats. Raises DtypeError and DataError that name the tree."""
    if rows.dtype.kind not in "biuf":
        raise DtypeError(f"the inputs of tree {i} hold {rows.dtype}, expected integers or floating point")
    with np.errstate(over="ignore"):
        made: Any = rows.astype(np.float32 if rows.dtype.kind == "f" else np.int64)
    bad: Any = (
        np.argwhere(~np.isfinite(made)) if made.dtype.kind == "f" else np.argwhere(made < 0) if made.ndim == 1 else ()
    )
    if len(bad):
        raise DataError(
            f"the inputs of tree {i} hold {rows[tuple(bad[0])]} in row {bad[0][0]}; expected "
            + ("finite numbers" if made.dtype.kind == "f" else "tokens, integers from 0")
        )
    return made


def _classes(y: Any, trees: list[Tree]) -> Any:
    if y is None:
        return None
    if isinstance(y, (list, tuple)) and len(y) and np.ndim(y[0]):
        rows = [plain(a, f"the classes of tree {i}") for i, a in enumerate(y)]
        if len(rows) != len(trees):
            raise DataError(f"{len(trees)} trees have classes for {len(rows)}")
        for i, (a, tree) in enumerate(zip(rows, trees, strict=True)):
            if a.shape != (len(tree),) or a.dtype.kind not in "iu":
                raise DataError(
                    f"tree {i} has {len(tree)} nodes; its classes are {a.dtype} {a.shape}, expected whole numbers, one "
                    "for each node, −1 where there is none"
                )
        return [a.astype(np.int64) for a in rows]
    given = plain(y, "y")
    if given.shape != (len(trees),) or given.dtype.kind not in "iu" or (given < 0).any():
        raise DataError(
            f"y has one class number from 0 for each of the {len(trees)} roots; got {given.dtype} {given.shape}"
        )
    return given.astype(np.int64)
