"""What is meant by "the states" of a net, however it was recorded: cuts of the tape in the order of running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.diagnose.pullback import Cut
from tinyseq.errors import DataError, TapeError
from tinyseq.ops.groups import STACKS
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.nesting import flatten
from tinyseq.unfolding.chain import Unfolded
from tinyseq.unfolding.tree import UnfoldedTree


@dataclass(frozen=True)
class States:
    """Cuts in the order of running, with the number of each (its time step, or its position in a tree)."""

    tape: Tape
    cuts: list[Cut]
    steps: np.ndarray
    what: str  # "t", or "position" in a tree

    def name(self) -> str:
        """What the state is called: its tensors' names, as h or (h, s)."""
        names = [self.tape.node(i).name or "h" for i in self.cuts[-1]]
        return names[0] if len(names) == 1 else f"({', '.join(names)})"


def states_of(states: Any, leaf: int | None = None) -> States:
    """Cuts of an unfolded chain, of the way from a leaf to the root of an unfolded tree, of a list of states, or of
    the states that a tensor of outputs was stacked from.
    """
    if leaf is not None and not isinstance(states, UnfoldedTree):
        raise DataError(f"leaf is for trees, {type(states).__name__} has time steps: leave it out")
    if isinstance(states, UnfoldedTree):
        return _of_tree(states, leaf)
    if isinstance(states, Unfolded):
        columns = [nodes for nodes in states._states if states.tape.node(int(nodes[0])).dtype.kind == "f"]
        cuts = [tuple(int(i) for i in row) for row in zip(*columns, strict=True)]
        return _checked(states.tape, cuts, states.chain.positions, "t")
    if isinstance(states, Tensor):
        node = states.tape.node(states.index)
        if node.op not in STACKS:
            raise DataError(
                f"{states!r} is one tensor; give the states of all steps: the unfolded net, a list, or its stacked "
                "outputs"
            )
        return _checked(states.tape, [(i,) for i in node.inputs], np.arange(len(node.inputs)), "t")
    if isinstance(states, Sequence) and not isinstance(states, str) and len(states):
        leaves = [[t for t in flatten(state) if t.dtype_code != INT64] for state in states]
        tape = next((t.tape for state in leaves for t in state), None)
        if tape is not None:
            if any(t.tape is not tape for state in leaves for t in state):
                raise TapeError("the states are on several tapes; gradients flow through one graph")
            return _checked(tape, [tuple(t.index for t in state) for state in leaves], np.arange(len(leaves)), "t")
    raise DataError(
        f"gradient flow needs the states of a net, got {type(states).__name__}: give what ts.unfold returned, or a "
        "list with the state of each step, [h0, h1, …]"
    )


def _of_tree(unfolded: UnfoldedTree, leaf: int | None) -> States:
    """The way from a leaf (by default the deepest) up to its root."""
    forest = unfolded.forest
    n = len(forest)
    if leaf is None:
        leaf = int(np.argmax(forest.depths[: forest.n_leaves]))
    if not 0 <= leaf < n:
        raise DataError(f"leaf {leaf} asked for; {forest!r} has positions 0 to {n - 1}")
    parents = np.full(n, -1)
    parents[forest.children] = np.repeat(np.arange(n), np.diff(forest.pointers))
    way = [leaf]
    while parents[way[-1]] >= 0:
        way.append(int(parents[way[-1]]))
    cuts = [tuple(int(nodes[p]) for nodes in unfolded._nodes) for p in way]
    return _checked(unfolded.tape, cuts, np.array(way), "position")


def _checked(tape: Tape, cuts: list[Cut], steps: np.ndarray, what: str) -> States:
    if not cuts or not all(cuts):
        raise DataError("the state holds no floating-point tensor, so no gradient flows through it")
    return States(tape, cuts, np.asarray(steps), what)
