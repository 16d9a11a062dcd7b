"""Recursive nets, section 10.6 and figure 10.14: one cell for the leaves and inner nodes of any tree."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError
from tinyseq.nn.dropout import dropout as drop
from tinyseq.nn.dropout import dropout_mask
from tinyseq.nn.module import Module, uniform
from tinyseq.structure.tree import Forest
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.tree import UnfoldedTree, unfold_tree


class TreeCell(Module):
    """A net over trees: subclasses define ``leaf(x) -> state`` and ``merge(left, right, …) -> state``.

    Calling a cell records one node of a tree: ``cell(x=row)`` a leaf, ``cell(left, right)`` an inner node,
    ``cell(left, right, x=row)`` an inner node with an input; ``net(tree, x)`` runs over a tree. ``at`` is its position,
    by default the number of the call.
    """

    name = "tree"

    def leaf(self, x: Tensor) -> Any:
        """State of a leaf from its input. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define leaf(x) -> state")

    def merge(self, *children: Any, **inputs: Any) -> Any:
        """State of an inner node from its children's states, left to right. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define merge(left, right, ...) -> state")

    def __call__(self, *children: Any, x: Any = None, at: int | None = None, **options: Any) -> Any:
        if children and isinstance(children[0], Forest):  # a whole tree, as any model is called
            return super().__call__(*children, **({} if x is None else {"x": x}), **options)
        tape = Tape.current()
        if tape.name_of(self) is None:
            # only for the order: a parameter that comes later has its leaf where it is first used
            for parameter in self.parameters():
                as_tensor(parameter)
        outer = tape.enter(tape.cell_name(self, self.name), at)
        try:
            if not children:
                return self.leaf(x)
            return self.merge(*children, **({} if x is None else {"x": x}))
        finally:
            tape.leave(outer)

    def unfold(self, tree: Forest, x: Any) -> UnfoldedTree:
        """Unfold over a tree or forest; x has a row for each leaf, or a row for each node (``ts.unfold``)."""
        return unfold_tree(self, tree, x)


class TreeNet(TreeCell):
    """A tree cell with an output at the root.

        o = c + V_o h(root)
        L = −log softmax(o)_y

    Shapes: V_o (output, hidden), c (output). Inputs are floating-point rows (…, input), or tokens, integers that
    stand for one-hot inputs: V x is then a column of V. ``dropout`` is the rate of units of h that the output does not
    see, where a loss is given ``masks``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        dropout: float = 0.0,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        dropout_mask(np.random.default_rng(0), (1,), dropout)  # only for its check
        self.dropout = float(dropout)
        generator(rng)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.V_o = Parameter(uniform(rng, (output_size, hidden_size), hidden_size, dtype), "V_o")
        self.c = Parameter(np.zeros(output_size, dtype), "c")

    @property
    def dtype(self) -> np.dtype:
        """That of the parameters."""
        return self.V_o.dtype

    def hidden(self, state: Any) -> Tensor:
        """The part h of a state that the output reads."""
        return state

    def unfold(self, tree: Forest, x: Any) -> UnfoldedTree:
        """Unfold over a tree or forest: x (n_leaves, input) or tokens (n_leaves,); for one tree that a batch shares
        (n_leaves, B, input) or tokens (n_leaves, B); or with n rows, for inputs at inner nodes too."""
        x = here(x, "the input x")
        if x.dtype_code == INT64:
            F.check_range("token", x, self.input_size)
        elif x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"inputs of a tree are (n_leaves, F), or (n_leaves, B, F) where a batch shares the tree, "
                f"with F = {self.input_size} features; got shape {x.shape}"
            )
        return super().unfold(tree, x if x.name else x.named("x"))

    def output(self, tree: Forest, x: Any) -> Tensor:
        """o at the root of each tree, (trees, output); (B, output) where a batch shares the tree."""
        return self.outputs(tree, x)

    def outputs(self, tree: Forest, x: Any, every: bool = False, masks: Any = None) -> Tensor:
        """o at the roots, or with ``every`` at every node in the order of positions, (nodes, output)."""
        unfolded = self.unfold(tree, x)
        h = self.hidden(unfolded.states if every else unfolded.roots)
        h = h if masks is None else drop(h, masks[0])
        return (self.c + F.linear(h, self.V_o)).named("o")

    def masks(self, rng: np.random.Generator, inputs: tuple, every: bool = False) -> list[np.ndarray] | None:
        """Dropout masks for a loss over (tree, x), with ``every`` for one that all nodes have; None without dropout."""
        if not self.dropout:
            return None
        tree, x = inputs
        shared = x.ndim != (1 if x.dtype.kind in "iub" else 2)
        rows = x.shape[1] if shared else len(tree) if every else tree.n_trees
        return [dropout_mask(rng, (rows, self.hidden_size), self.dropout, self.dtype)]

    def decide(self, o: np.ndarray) -> np.ndarray:
        """The likeliest class."""
        return o.argmax(axis=-1)

    def loss(self, tree: Forest, x: Any, y: Any, *, counts: Any = None, masks: Any = None) -> Tensor:
        """L, averaged over the trees (or over the batch that shares one): y holds a class for each root.

        Where y has a class for every node of the forest, in the order of positions, it is the sum over the nodes for
        each tree, averaged over the trees; nodes where ``counts`` (nodes) is 0 do not count, nor do those of class −1
        where y is an array. ``masks`` are those of dropout.
        """
        return self.measured((tree, x), y, {"counts": counts, "masks": masks})[0]

    def measured(self, inputs: tuple, y: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss, and the outputs at the roots, or at every node where each has a class."""
        tree, counts = inputs[0], options.get("counts")
        x = here(inputs[1], "the input x")
        shared = x.ndim != (1 if x.dtype_code == INT64 else 2)
        every = not shared and np.shape(y) == (len(tree),) and len(tree) > tree.n_trees
        if every and isinstance(y, np.ndarray) and counts is None:
            counts, y = (y >= 0).astype(self.V_o.dtype), np.maximum(y, 0)
        o, y = self.outputs(tree, x, every, options.get("masks")), here(y, "the target y")
        y = y if y.name else y.named("y")
        if every:
            losses = F.cross_entropy(o, y, reduction="none").named("L")
            losses = losses if counts is None else F.where(here(counts, "counts"), losses, 0.0)
            return (F.sum(losses) / tree.n_trees).named("L"), o
        if y.shape != o.shape[:1]:
            raise ShapeError(
                f"targets are one class for each root: expected y of shape {o.shape[:1]}, got {y.shape}; or one for "
                f"every node, ({len(tree)},)"
            )
        return F.cross_entropy(o, y).named("L"), o


class RecursiveNet(TreeNet):
    """The recursive net of figure 10.14, for binary trees.

        a(p) = b + V x(p)                            at a leaf
        a(p) = b + U h(left) + W h(right)            at an inner node; + V x(p) where it has an input
        h(p) = tanh a(p)

    Shapes: V (hidden, input), U and W (hidden, hidden), b (hidden). U h(left) + W h(right) is the [U W][left; right] of
    other texts.
    """

    name = "recursive"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, rng, dtype, dropout)
        self.V = Parameter(uniform(rng, (hidden_size, input_size), hidden_size, dtype), "V")
        self.U = Parameter(uniform(rng, (hidden_size, hidden_size), hidden_size, dtype), "U")
        self.W = Parameter(uniform(rng, (hidden_size, hidden_size), hidden_size, dtype), "W")
        self.b = Parameter(np.zeros(hidden_size, dtype), "b")

    def leaf(self, x: Tensor) -> Tensor:
        """h = tanh(b + V x): x (B, input) or tokens (B) → (B, hidden)."""
        return F.tanh((self.b + product(self.V, x)).named("a")).named("h")

    def merge(self, left: Tensor, right: Tensor, *, x: Tensor | None = None) -> Tensor:
        """h = tanh(b + U left + W right), + V x within where there is an x."""
        return F.tanh(self.activation(left, right, x).named("a")).named("h")

    def activation(self, left: Tensor, right: Tensor, x: Tensor | None) -> Tensor:
        """a of an inner node."""
        a = self.b + F.linear(left, self.U) + F.linear(right, self.W)
        return a if x is None else a + product(self.V, x)


class RNTN(RecursiveNet):
    """The recursive neural tensor network (Socher et al. 2013), for binary trees: children meet in a product too.

        z = [h(left); h(right)]
        a_k(p) = b_k + (U h(left) + W h(right))_k + zᵀ T_k z,    k = 1 … hidden
        h(p) = tanh a(p)

    Leaves and inputs at inner nodes are those of ``RecursiveNet``. Shape: T (hidden · 2 hidden, 2 hidden), the slices
    T_k (2 hidden, 2 hidden) one under the other.
    """

    name = "rntn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, rng=rng, dtype=dtype, dropout=dropout)
        both = 2 * hidden_size
        self.T = Parameter(uniform(rng, (hidden_size * both, both), both * both, dtype), "T")

    def activation(self, left: Tensor, right: Tensor, x: Tensor | None) -> Tensor:
        """a of an inner node."""
        z = F.concatenate([left, right]).named("z")
        batch, both = z.shape
        Tz = F.reshape(F.linear(z, self.T), (batch, self.hidden_size, both))
        zTz = F.reshape(F.matmul(Tz, F.reshape(z, (batch, both, 1))), (batch, self.hidden_size))
        return super().activation(left, right, x) + zTz


def product(U: Parameter, x: Tensor) -> Tensor:
    """U x for rows x, or the columns of U that tokens x name."""
    return F.take(U, x, axis=1) if x.dtype_code == INT64 else F.linear(x, U)
