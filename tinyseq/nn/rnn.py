"""The vanilla recurrent net of section 10.2, equations 10.8 to 10.11, and the same net around a gated cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.nn.cells import RecurrentCell
from tinyseq.nn.deep import StackedCells
from tinyseq.nn.dropout import dropout_mask
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.module import uniform
from tinyseq.nn.recurrent_net import RecurrentNet
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter


class RNN(RecurrentNet):
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
        self.learn_initial_state, self.dtype = learn_initial_state, np.dtype(dtype)
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

    def initial_state(self, batch: int) -> Tensor:
        """h(0) (B, hidden): zeros, or the parameter h0 repeated."""
        if self.h0 is None:
            return F.zeros((batch, self.hidden_size), self.W.dtype)
        return F.expand(self.h0, (batch, self.hidden_size))


class GatedNet(RecurrentNet):
    """A gated cell with an output at each step: o(t) = c + V h(t), V (output, hidden), c (output).

    Subclasses set ``cell_class``; the constructor's other options are the cell's.
    """

    cell_class: type[RecurrentCell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        **options: Any,
    ) -> None:
        positive(output_size=output_size)
        cell: Any = self.cell_class
        self.cell = cell(input_size, hidden_size, rng=rng, dtype=dtype, **options)
        self.name, self.dtype = self.cell.name, self.cell.dtype
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        features = self.cell.output_size
        self.V = Parameter(uniform(rng, (output_size, features), features, dtype), "V")
        self.c = Parameter(np.zeros(output_size, dtype), "c")

    def step(self, x: Tensor, state: Any) -> tuple[Any, Tensor]:
        """One step: x(t) (B, input) or tokens (B), the state before → the state after, o(t)."""
        state, h = self.cell.step(x, state)
        return state, (self.c + F.linear(h, self.V)).named("o")

    def initial_state(self, batch: int) -> Any:
        """The cell's state before the first step: zeros."""
        return self.cell.initial_state(batch)


class CellNet(RecurrentNet):
    """Any cell with an output at each step: o(t) = c + V h(t), V (output, h), c (output); h is the cell's output.

    With StackedCells it has several layers. ``dropout`` drops units between the layers and before the output, the same
    at every step: ``losses(x, y, h, masks)`` with ``masks(rng, x)``.
    """

    def __init__(self, cell: Any, output_size: int, *, rng: np.random.Generator, dropout: float = 0.0) -> None:
        positive(output_size=output_size)
        self.cell, self.name, self.dtype = cell, cell.name, cell.dtype
        self.input_size, self.hidden_size, self.output_size = cell.input_size, cell.hidden_size, output_size
        self.dropout = dropout
        features = cell.output_size
        self.V = Parameter(uniform(generator(rng), (output_size, features), features, cell.dtype), "V")
        self.c = Parameter(np.zeros(output_size, cell.dtype), "c")

    def step(self, x: Tensor, state: Any, masks: Any = None) -> tuple[Any, Tensor]:
        """One step: x(t) (B, input) or tokens (B), the state before → the state after, o(t)."""
        if masks is None:
            state, h = self.cell.step(x, state)
        else:
            *between, last = masks
            state, h = self.cell.step(x, state, masks=between) if between else self.cell.step(x, state)
            h = F.mul(h, last)
        return state, (self.c + F.linear(h, self.V)).named("o")

    def loss_step(self, x: Tensor, y: Tensor, state: Any, masks: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        """One step and its loss."""
        state, o = self.step(x, state, masks)
        return state, (o, F.cross_entropy(o, y).named("L"))

    def masks(self, rng: np.random.Generator, x: Any) -> list[np.ndarray] | None:
        """Dropout masks for sequences x (T, B); None without dropout."""
        if not self.dropout:
            return None
        cells = self.cell.cells if isinstance(self.cell, StackedCells) else [self.cell]
        return [dropout_mask(rng, (x.shape[1], cell.output_size), self.dropout, self.dtype) for cell in cells]

    def initial_state(self, batch: int) -> Any:
        """The cell's state before the first step: zeros."""
        return self.cell.initial_state(batch)


class LSTM(GatedNet):
    """The net of figure 10.3 with the LSTM cell of 10.40–10.44 in place of its hidden units; options are the cell's."""

    cell_class = LSTMCell


class GRU(GatedNet):
    """The net of figure 10.3 with the GRU cell of 10.45–10.47 in place of its hidden units; options are the cell's."""

    cell_class = GRUCell
