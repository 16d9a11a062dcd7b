"""What nets with an output and a loss at each step share, figure 10.3: unfolding, loss over the sequence, checks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import DtypeError, ShapeError
from tinyseq.nn.module import Cell
from tinyseq.nn.text_loss import mean_loss, text_nats
from tinyseq.replay.compiling import compile
from tinyseq.structure.chain import Chain
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import here
from tinyseq.tensor.nesting import entering, flatten, matched, rebuild
from tinyseq.unfolding.chain import Unfolded
from tinyseq.unfolding.unfold import unfold


class RecurrentNet(Cell):
    """A cell whose output at each step is o(t): logits of ŷ(t) = softmax o(t), L = Σ_t −log ŷ(t)_{y(t)}.

    Subclasses set ``input_size``, ``hidden_size``, ``output_size`` and ``dtype``, and define ``step`` and
    ``initial_state``.
    """

    input_size: int
    hidden_size: int
    output_size: int
    dtype: np.dtype

    def initial_state(self, batch: int) -> Any:
        """The state before the first step. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define initial_state(batch) -> state")

    def loss_step(self, x: Tensor, y: Tensor, state: Any) -> tuple[Any, tuple[Tensor, Tensor]]:
        """One step and its loss L(t), the mean over the batch."""
        state, o = self.step(x, state)
        return state, (o, F.cross_entropy(o, y).named("L"))

    def unfold(self, x: Any, h: Any = None, chain: Chain | None = None) -> Unfolded:
        """Unfold over x (T, B, input) or tokens (T, B); outputs o (T, B, output)."""
        x = self._input(x)
        return unfold(self, chain or Chain(x.shape[0]), x, self._state(x, h))

    def outputs(self, x: Any, h: Any = None) -> Tensor:
        """o (T, B, output)."""
        return self.unfold(x, h).outputs

    def decide(self, o: np.ndarray) -> np.ndarray:
        """The likeliest class."""
        return o.argmax(axis=-1)

    def loss(self, x: Any, y: Any, h: Any = None) -> Tensor:
        """L = Σ_t L(t): negative log-likelihood summed over time, averaged over the batch."""
        return self.losses(x, y, h)[0]

    def measured(self, inputs: tuple, y: Any, options: dict[str, Any]) -> tuple[Tensor, Any]:
        """The loss and the outputs."""
        loss, unfolded = self.losses(inputs[0], y, **options)
        return loss, unfolded.outputs[0]

    def losses(self, x: Any, y: Any, h: Any = None, masks: Any = None) -> tuple[Tensor, Unfolded]:
        """The total loss and the unfolded net, whose outputs are (o, L(t)) and whose final state can be carried on.

        ``masks`` are those of a net that drops units (``nn.CellNet``)."""
        x = self._input(x)
        y = F.indices(y, "targets")
        y = y if y.name else y.named("y")
        if y.shape != x.shape[:2]:
            hint = "; y looks batch-first: write y.T" if y.shape == x.shape[:2][::-1] else ""
            raise ShapeError(f"targets are (T, B) class numbers: x has (T, B) = {x.shape[:2]}, y {y.shape}{hint}")
        F.check_range("cross_entropy: target", y, self.output_size)
        named_step = _LossStep(self, masks)
        unfolded = unfold(named_step, Chain(x.shape[0]), (x, y), self._state(x, h))
        return F.sum(unfolded.outputs[1]).named("L"), unfolded

    def _window(self, x: Any, y: Any, state: Any) -> tuple[Any, Any]:
        return mean_loss(self, x, y, state)

    compiled_window = compile(_window)

    def text_nats(self, tokens: np.ndarray, context: np.ndarray) -> float:
        """Mean −log p of a text's characters; ``context`` is what came before."""
        return text_nats(self, tokens, context)

    def _input(self, x: Any) -> Tensor:
        x = here(x, "the sequence x")
        x = x if x.name else x.named("x")
        if x.dtype_code == INT64:
            if x.ndim != 2:
                raise ShapeError(f"token sequences are (T, B), got shape {x.shape}")
            F.check_range(f"token (vocabulary of {self.input_size})", x, self.input_size)
        elif x.ndim != 3 or x.shape[2] != self.input_size:
            hint = "; tokens (T, B) are integers, write x.astype('int64')" if x.ndim == 2 else ""
            raise ShapeError(f"sequences are (T, B, F) with F = {self.input_size} features, got shape {x.shape}{hint}")
        if 0 in x.shape:
            raise ShapeError(f"empty sequence: x has shape {x.shape}; T, B and F must be at least 1")
        self._same_dtype("x", x)
        return x

    def _same_dtype(self, name: str, x: Tensor) -> None:
        if x.dtype_code != INT64 and x.dtype != self.dtype:
            raise DtypeError(
                f"{name} is {x.dtype}, the net is {self.dtype}: write {name}.astype('{self.dtype}'), "
                f"or build the net with dtype=np.{x.dtype}"
            )

    def _state(self, x: Tensor, state: Any) -> Any:
        if state is None:
            start = self.initial_state(x.shape[1])
            return start.named("h") if isinstance(start, Tensor) else start
        with Tape():  # only for its shapes
            start = self.initial_state(x.shape[1])
            wanted = [h.shape for h in flatten(start)]
        given = entering(matched(state, start, "the state h"), "the state h")
        if len(given) != len(wanted):
            raise ShapeError(f"the state of this net is {len(wanted)} arrays, as initial_state gives; got {len(given)}")
        for h, shape in zip(given, wanted, strict=True):
            if h.shape != shape:
                raise ShapeError(f"the state h is (B, hidden) = {shape}, got {h.shape}; sequences are (T, B, F)")
            self._same_dtype("h", h)
        return rebuild(start, given)


class _LossStep:
    """The step of a cell together with its loss, under the cell's own name."""

    def __init__(self, cell: RecurrentNet, masks: Any = None) -> None:
        self.scope_cell, self.name, self.step, self.parameters = cell, cell.name, cell.loss_step, cell.parameters
        if masks is not None:
            given = [here(mask, "a dropout mask") for mask in masks]
            self.step = partial(cell.loss_step, masks=given)  # type: ignore[call-arg]
