"""A cell that is on no tape yet, unfolded over a few steps of one that is there to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.recursive import TreeCell
from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Tree
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, tensor
from tinyseq.unfolding.unfold import unfold
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.look import labels

BATCH, LEAVES = 1, 4


def tape_of(cell: Any, delays: Sequence[int] = (1,), inputs: Any = None, state: Any = None) -> tuple[Tape, int]:
    """A scratch tape with the cell unfolded, and the step to call t.

    The step taken is ``loss_step`` where the cell has one. Shapes of inputs and state come from the cell's sizes
    (``input_size``, ``hidden_size``, ``output_size``, ``initial_state``), or are given: arrays of one step, (B, …).
    """
    reach = max(*delays, *own_delays(cell))
    chain = Chain(2 * reach + 3)
    tape = Tape()
    with tape:
        start = _state(cell, state)
        step, arguments = cell.step, _inputs(cell, inputs)
        if inputs is None and hasattr(cell, "loss_step") and hasattr(cell, "output_size"):
            step = cell.loss_step
            arguments = (*arguments, np.zeros(BATCH, np.int64))
        names = ("x", "y") if len(arguments) <= 2 else tuple(f"x_{i + 1}" for i in range(len(arguments)))
        sequences = tuple(
            tensor(np.broadcast_to(a, (chain.T, *np.shape(a))), name=n) for a, n in zip(arguments, names, strict=False)
        )
        unfold(_Step(cell, step), chain, sequences, start, delays=tuple(delays))
    return tape, reach + 1


def tape_of_tree(cell: TreeCell, inputs: Any = None) -> Tape:
    """A scratch tape with a tree cell unfolded over four leaves, or as many as there are rows of ``inputs``."""
    given = np.zeros((LEAVES, _input_size(cell)), _dtype(cell)) if inputs is None else np.asarray(inputs)
    tape = Tape()
    with tape:
        cell.unfold(Tree.balanced(len(given)), tensor(given, name="x"))
    return tape


def own_delays(cell: Any) -> tuple[int, ...]:
    """How far back a cell reads through a delay line of its own (nn.SkipCell)."""
    found = getattr(cell, "delays", ())
    whole = isinstance(found, (tuple, list)) and all(isinstance(d, int) and d > 0 for d in found)
    return tuple(found) if whole and found else (1,)


class _Step:
    """A step of a cell under the cell's own name."""

    def __init__(self, cell: Any, step: Any) -> None:
        self.name, self.step = getattr(cell, "name", type(cell).__name__), step
        self.parameters = cell.parameters


def _dtype(cell: Any) -> np.dtype:
    return next((p.dtype for p in cell.parameters()), np.dtype(np.float32))


def _inputs(cell: Any, given: Any) -> tuple[np.ndarray, ...]:
    if given is not None:
        return tuple(np.asarray(a) for a in (given if isinstance(given, tuple) else (given,)))
    return (np.zeros((BATCH, _input_size(cell)), _dtype(cell)),)


def _input_size(cell: Any) -> int:
    size = getattr(cell, "input_size", None)
    if size is None:
        raise TinyseqError(
            f"to draw {type(cell).__name__} tinyseq must know the shape of one input: give the cell an input_size, "
            "or draw(cell, inputs=array of shape (B, F))"
        )
    return int(size)


def _state(cell: Any, given: Any) -> Any:
    if given is not None:
        return given
    if hasattr(cell, "initial_state"):
        start = cell.initial_state(BATCH)
        return start.named("h") if isinstance(start, Tensor) and not start.name else start
    size = getattr(cell, "hidden_size", None)
    if size is None:
        raise TinyseqError(
            f"to draw {type(cell).__name__} tinyseq must know the shape of its state: give the cell a hidden_size or "
            "initial_state(batch), or draw(cell, state=array of shape (B, H))"
        )
    return as_tensor(np.zeros((BATCH, int(size)), _dtype(cell)))


def any_batch(diagram: Diagram) -> None:
    """Write T and B for the length and the batch of 1 that a scratch tape has."""
    for v in diagram.vertices:
        if not v.shape or v.role == "parameter":
            continue
        text, axes = labels.shape(v.shape), ("B",) if v.shape[0] == BATCH else ()
        if v.role == "data" and v.shape[0] != BATCH and v.shape[1:2] == (BATCH,):
            axes = ("T", "B")  # type: ignore[assignment]
        v.shape = (*axes, *v.shape[len(axes) :])  # type: ignore[assignment]
        v.note = labels.shape(v.shape) if v.note == text else v.note


def relative_time(centre: int) -> Any:
    """Time steps written as t−1, t, t+1."""

    def write(t: int) -> str:
        return "t" if t == centre else f"t{'+' if t > centre else '−'}{abs(t - centre)}"

    return write
