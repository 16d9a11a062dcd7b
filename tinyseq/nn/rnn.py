"""The vanilla recurrent net of section 10.2: equations 10.8 to 10.11, figure 10.3."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import DtypeError, ShapeError
from tinyseq.nn.module import Cell, generator, positive, uniform
from tinyseq.structure import Chain
from tinyseq.tape import INT64
from tinyseq.tensor import Parameter, Tensor, as_tensor
from tinyseq.unfold import Unfolded, unfold


class RNN(Cell):
    """The recurrent net of figure 10.3.

        a(t) = b + W h(t−1) + U x(t)        (10.8)
        h(t) = tanh a(t)                    (10.9)
        o(t) = c + V h(t)                   (10.10)
        ŷ(t) = softmax o(t)                 (10.11)
        L    = Σ_t L(t),  L(t) = −log ŷ(t)_{y(t)}

    Shapes: U (hidden, input), W (hidden, hidden), V (output, hidden), b (hidden), c (output); x (T, B, input),
    h (B, hidden). Tokens (T, B) of integers stand for one-hot inputs: U x is then a column of U.
    ``learn_initial_state`` makes h(0) a parameter of shape (hidden).
    """

    name = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        learn_initial_state: bool = False,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        rng = generator(rng)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.learn_initial_state = learn_initial_state
        self.U = Parameter(uniform(rng, (hidden_size, input_size), hidden_size, dtype), "U")
        self.W = Parameter(uniform(rng, (hidden_size, hidden_size), hidden_size, dtype), "W")
        self.b = Parameter(np.zeros(hidden_size, dtype), "b")
        self.V = Parameter(uniform(rng, (output_size, hidden_size), hidden_size, dtype), "V")
        self.c = Parameter(np.zeros(output_size, dtype), "c")
        self.h0 = Parameter(np.zeros(hidden_size, dtype), "h0") if learn_initial_state else None

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x(t) (B, input) or tokens (B), h(t−1) (B, hidden) → h(t), o(t)."""
        Ux = F.take(self.U, x, axis=1) if x.dtype_code == INT64 else F.linear(x, self.U)
        a = (self.b + F.linear(h, self.W) + Ux).named("a")
        h = F.tanh(a).named("h")
        o = (self.c + F.linear(h, self.V)).named("o")
        return h, o

    def loss_step(self, x: Tensor, y: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step and its loss L(t), the mean over the batch."""
        h, o = self.step(x, h)
        return h, (o, F.cross_entropy(o, y).named("L"))

    def initial_state(self, batch: int) -> Tensor:
        """h(0) (B, hidden): zeros, or the parameter h0 repeated."""
        if self.h0 is None:
            return F.zeros((batch, self.hidden_size), self.W.dtype)
        return F.expand(self.h0, (batch, self.hidden_size))

    def unfold(self, x: Any, h: Any = None, chain: Chain | None = None) -> Unfolded:
        """Unfold over x (T, B, input) or tokens (T, B); outputs o (T, B, output)."""
        x = self._input(x)
        return unfold(self, chain or Chain(x.shape[0]), x, self._state(x, h))

    def loss(self, x: Any, y: Any, h: Any = None) -> Tensor:
        """L = Σ_t L(t): negative log-likelihood summed over time, averaged over the batch."""
        return self.losses(x, y, h)[0]

    def losses(self, x: Any, y: Any, h: Any = None) -> tuple[Tensor, Unfolded]:
        """The total loss and the unfolded net, whose outputs are (o, L(t)) and whose final state can be carried on."""
        x = self._input(x)
        y = F.indices(y, "targets")
        y = y if y.name else y.named("y")
        if y.shape != x.shape[:2]:
            hint = "; y looks batch-first: write y.T" if y.shape == x.shape[:2][::-1] else ""
            raise ShapeError(f"targets are (T, B) class numbers: x has (T, B) = {x.shape[:2]}, y {y.shape}{hint}")
        F.check_range("cross_entropy: target", y, self.output_size)
        named_step = _LossStep(self)
        unfolded = unfold(named_step, Chain(x.shape[0]), (x, y), self._state(x, h))
        return F.sum(unfolded.outputs[1]).named("L"), unfolded

    def _input(self, x: Any) -> Tensor:
        x = as_tensor(x)
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
        if x.dtype_code != INT64 and x.dtype != self.W.dtype:
            raise DtypeError(
                f"{name} is {x.dtype}, the net is {self.W.dtype}: write {name}.astype('{self.W.dtype}'), "
                f"or build the net with dtype=np.{x.dtype}"
            )

    def _state(self, x: Tensor, h: Any) -> Tensor:
        if h is None:
            return self.initial_state(x.shape[1]).named("h")
        h = as_tensor(h)
        if h.shape != (x.shape[1], self.hidden_size):
            raise ShapeError(
                f"the state h is (B, hidden) = ({x.shape[1]}, {self.hidden_size}), got {h.shape}; "
                "sequences are (T, B, F)"
            )
        self._same_dtype("h", h)
        return h


class _LossStep:
    """The step of a cell together with its loss, under the cell's own name."""

    def __init__(self, cell: RNN) -> None:
        self.scope_cell, self.name, self.step, self.parameters = cell, cell.name, cell.loss_step, cell.parameters
