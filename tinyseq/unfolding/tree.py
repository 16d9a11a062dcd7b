"""Unfolding a cell over trees: the cell's leaf and merge, folded once for each arity, stamped for every node.

A plain loop over positions, ``cell(*[states[c] for c in tree.children_of(p)], x=…)``, records the same nodes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinyseq.errors import DataError, ShapeError
from tinyseq.functions import concatenate, stack
from tinyseq.functions.shapes import first_row, first_rows
from tinyseq.structure.tree import Forest, Tree
from tinyseq.tape import INT64, Tape
from tinyseq.tape.instances import LOCAL, SLOT
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.nesting import matched, rebuild
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.folding import FoldedStep, fold, handles
from tinyseq.unfolding.stamping import stamp
from tinyseq.unfolding.watching import noticed

internal(__file__)


class UnfoldedTree:
    """A cell unfolded over a tree or forest.

    ``root``        the state at a tree's root: (1, …), or (B, …) where a batch shares the tree
    ``roots``       the states at the roots of all trees: (trees, …)
    ``states``      the states of all nodes in the order of positions: (n, …), or (n, B, …)
    ``state(p)``    the state of the node at position p
    """

    def __init__(self, forest: Forest, folded: list[FoldedStep], tape: Tape, nodes: np.ndarray, shared: bool) -> None:
        self.forest, self.folded, self.tape, self.shared = forest, folded, tape, shared
        self._nodes = nodes
        self._made: dict[str, Any] = {}

    def __repr__(self) -> str:
        rows = (len(self.forest),) if self.shared else ()
        shapes = [(*rows, *self.tape.shape(int(nodes[0]))) for nodes in self._nodes]
        whole = [shape if self.shared else (len(self.forest), *shape[1:]) for shape in shapes]
        return f"UnfoldedTree({self.forest!r}: states {rebuild(self.folded[0].state_tree, whole)})"

    def _together(self, key: str, positions: Any) -> Any:
        """The states at several positions, joined by one node for each tensor of the state."""
        if key not in self._made:
            columns = [handles(self.tape, nodes[positions]) for nodes in self._nodes]
            joined = [stack(parts) if self.shared else concatenate(parts, 0) for parts in columns]
            self._made[key] = rebuild(self.folded[0].state_tree, joined)
        return self._made[key]

    def state(self, position: int) -> Any:
        """The state of the node at a position."""
        n = len(self.forest)
        if not -n <= position < n:
            raise DataError(f"position {position} asked for; {self.forest!r} has positions 0 to {n - 1}")
        return rebuild(self.folded[0].state_tree, handles(self.tape, self._nodes[:, position]))

    @property
    def root(self) -> Any:
        """The state at the root of the one tree."""
        if self.forest.n_trees > 1:
            raise DataError(f"a forest of {self.forest.n_trees} trees has no one root: ask for .roots")
        return self.state(int(self.forest.roots[0]))

    @property
    def roots(self) -> Any:
        """The states at all roots, tree after tree."""
        return self.root if self.forest.n_trees == 1 else self._together("roots", self.forest.roots)

    @property
    def states(self) -> Any:
        """The states of all nodes."""
        return self._together("states", slice(None))


def unfold_tree(cell: Any, forest: Forest, x: Any, name: str | None = None) -> UnfoldedTree:
    """Unfold a tree cell, ``leaf(x) -> state`` and ``merge(left, right, …) -> state``, over a tree or forest.

    ``merge`` takes as many children as a node has: ``merge(left, right)`` for binary trees, ``merge(*children)`` for
    any. A state is a tensor or nested tuples of them. The input x has a row for each leaf, or a row for each node, both
    in the order of positions; in the second case inner nodes have inputs too, and ``merge(*children, x=…)`` gets them:

        (n_leaves, F) or tokens (n_leaves,)         each node gets one row, (1, F) or (1,)
        (n_leaves, B, F) or tokens (n_leaves, B)    one Tree shared by a batch: each node gets (B, F) or (B,)

    Nodes carry the scope (cell name, position). Raises DataError where a node has a number of children that merge
    doesn't take, ShapeError where x has other rows or merge returns another state than leaf.
    """
    missing = next((what for what in ("leaf", "merge") if not callable(getattr(cell, what, None))), None)
    if missing:
        raise DataError(
            f"a tree needs a cell with leaf(x) -> state and merge(left, right, ...) -> state; "
            f"{type(cell).__name__} has no {missing}"
        )
    tape = Tape.current()
    scope = tape.cell_name(cell, name or getattr(cell, "name", None) or type(cell).__name__)
    for parameter in cell.parameters() if hasattr(cell, "parameters") else ():
        as_tensor(parameter)
    x, shared, everywhere = _rows(x, forest)
    groups = _fold_all(cell, forest, tape, scope, x, shared, everywhere)
    folded = [one for one, _ in groups]
    made: list[np.ndarray] = []

    def slots(group: int, slot: int, instances: np.ndarray, bases: np.ndarray) -> np.ndarray:
        if not made:
            made.append(_state_nodes(groups, forest, bases))
        child, tensor = divmod(slot, len(made[0]))
        return made[0][tensor, forest.children[forest.pointers[instances] + child]]

    args = {(g, 0): instances for g, (_, instances) in enumerate(groups) if g == 0 or everywhere}
    bases = stamp(tape, groups, slots, np.arange(len(forest)), args)
    tape.next_step(scope, len(forest))
    if any(label is not None for label in forest.labels):
        tape.words[scope] = forest.labels
    nodes = made[0] if made else _state_nodes(groups, forest, bases)
    return noticed(scope, UnfoldedTree(forest, folded, tape, nodes, shared))


def _rows(x: Any, forest: Forest) -> tuple[Tensor, bool, bool]:
    """The input, whether a batch shares the tree, whether inner nodes have inputs."""
    x = here(x, "unfold: the input of a tree")
    shared = x.ndim == (2 if x.dtype_code == INT64 else 3)
    if shared and not isinstance(forest, Tree):
        raise ShapeError(
            f"only one Tree can be shared by a batch; x {x.shape} for a {forest!r} must be packed rows, "
            f"({forest.n_leaves}, F) or tokens ({forest.n_leaves},): forest.pack(list of arrays)"
        )
    if x.ndim < 1 or x.shape[0] not in (forest.n_leaves, len(forest)):
        raise ShapeError(
            f"x needs a row for each of the {forest.n_leaves} leaves, or for each of the {len(forest)} nodes, "
            f"of {forest!r}; got shape {x.shape}"
        )
    return x, shared, x.shape[0] > forest.n_leaves


def _fold_all(
    cell: Any, forest: Forest, tape: Tape, scope: str, x: Tensor, shared: bool, everywhere: bool
) -> list[tuple[FoldedStep, np.ndarray]]:
    """The leaf and then merge for each number of children that occurs, with the positions where they stand."""

    def read() -> Tensor:
        inner, tape.scope = tape.scope, ("", -1)
        row = first_row(x) if shared else first_rows(x, 1)
        tape.scope = inner
        return row

    def leaf(_: list[Tensor]) -> tuple[Any, Any]:
        state = cell.leaf(read())
        return state, state

    first = fold(tape, leaf, [], scope)
    if not first.state:
        raise ShapeError(f"{scope}: leaf returned no state; it must return a tensor or nested tuples of tensors")
    groups = [(first, np.arange(forest.n_leaves))]
    places, k = list(zip(first.state_shapes, first.output_dtypes, strict=True)), len(first.state)
    arity = forest.arity
    for count in np.unique(arity[forest.n_leaves :]).tolist():
        instances = np.flatnonzero(arity == count)
        _check_arity(cell, scope, forest, count, int(instances[0]), everywhere)

        def merge(children: list[Tensor], count: int = count) -> tuple[Any, Any]:
            given = {"x": read()} if everywhere else {}
            states = [rebuild(first.state_tree, children[c * k : (c + 1) * k]) for c in range(count)]
            state = matched(cell.merge(*states, **given), first.state_tree, f"{scope}: the state that merge returns")
            return state, state

        folded = fold(tape, merge, places * count, scope)
        if list(zip(folded.state_shapes, folded.output_dtypes, strict=True)) != places:
            raise ShapeError(
                f"{scope}: merge of {count} children must return a state like leaf's: leaf returned "
                f"{_shapes(first)}, merge {_shapes(folded)}"
            )
        groups.append((folded, instances))
    return groups


def _shapes(folded: FoldedStep) -> str:
    dtypes = ("float32", "float64", "int64")
    pairs = zip(folded.state_shapes, folded.output_dtypes, strict=True)
    return ", ".join(f"{dtypes[code]} {shape}" for shape, code in pairs) or "nothing"


_taken: WeakKeyDictionary[FunctionType, set[tuple[int, bool]]] = WeakKeyDictionary()
"""Numbers of children that a merge is known to take, and whether with an input: asking its signature takes a while."""


def _check_arity(cell: Any, scope: str, forest: Forest, count: int, position: int, everywhere: bool) -> None:
    function = getattr(cell.merge, "__func__", None)
    known = _taken.setdefault(function, set()) if isinstance(function, FunctionType) else set()
    if (count, everywhere) in known:
        return
    try:
        signature = inspect.signature(cell.merge)
        signature.bind(*range(count), **({"x": None} if everywhere else {}))
        known.add((count, everywhere))
    except TypeError as error:
        label = forest.labels[position]
        raise DataError(
            f"the node at position {position}{'' if label is None else f' ({label!r})'} has {count} children"
            f"{' and an input' if everywhere else ''}, but {scope} defines merge{signature}: {error}"
        ) from None


def _state_nodes(groups: Sequence[tuple[FoldedStep, np.ndarray]], forest: Forest, bases: np.ndarray) -> np.ndarray:
    """The tape's node of each tensor of each position's state, (tensors, n). A state may be a child's, handed on."""
    k, n = len(groups[0][0].state), len(forest)
    nodes = np.empty((k, n), np.int64)
    source = np.arange(k * n).reshape(k, n)
    handed_on = False
    for folded, instances in groups:
        for i, (code, number) in enumerate(folded.state):
            if code == SLOT:
                child, tensor = divmod(number, k)
                source[i, instances] = tensor * n + forest.children[forest.pointers[instances] + child]
                handed_on = True
            else:
                nodes[i, instances] = bases[instances] + number if code == LOCAL else number
    while handed_on:  # each round doubles the way looked back, so a chain of n takes log₂ n rounds
        further = source.reshape(-1)[source]
        handed_on = not np.array_equal(further, source)
        source = further
    return nodes.reshape(-1)[source]
