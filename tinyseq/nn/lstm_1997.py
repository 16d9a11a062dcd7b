"""The LSTM as first published (Hochreiter and Schmidhuber 1997): blocks of cells, no forget gate, cut gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.nn.cells import Affine, RecurrentCell
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

SPREAD = 0.1  # weights start in U[−0.1, 0.1]


class LSTM1997Cell(RecurrentCell):
    """Blocks of memory cells that share an input and an output gate; a cell adds up and never forgets.

        z(t) = (y(t), yⁱⁿ(t), yᵒᵘᵗ(t))                                 all outputs of the hidden layer, which all read
        yⁱⁿ(t)  = σ(bⁱⁿ + Uⁱⁿ x(t) + Wⁱⁿ z(t−1))                       input gates, one a block
        yᵒᵘᵗ(t) = σ(bᵒᵘᵗ + Uᵒᵘᵗ x(t) + Wᵒᵘᵗ z(t−1))                    output gates, one a block
        s(t) = s(t−1) + yⁱⁿ(t) ⊙ g(b + U x(t) + W z(t−1))             the constant error carousel, g = 2 tanh(a/2)
        y(t) = yᵒᵘᵗ(t) ⊙ h(s(t))                                       h = tanh(s/2)

    g and h are the paper's logistic functions of range [−2, 2] and [−1, 1]. With ``truncate``, as in the paper, the
    gradient goes back in time through s alone: z(t−1) is detached. Shapes: U (cells, input), W (cells, cells + 2
    blocks), gates have a row a block. The state is (z, s), the output y (B, cells). Weights start in U[−0.1, 0.1].
    """

    name = "lstm 1997"

    def __init__(
        self,
        input_size: int,
        blocks: int = 2,
        block_size: int = 1,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        cell_bias: bool = True,
        truncate: bool = False,
    ) -> None:
        positive(blocks=blocks, block_size=block_size)
        super().__init__(input_size, blocks * block_size, rng, dtype, 0)
        self.blocks, self.block_size, self.truncate = blocks, block_size, truncate
        width = self.hidden_size + 2 * blocks

        def affine(gate: str, rows: int) -> Affine:
            W = Parameter(_small(rng, (rows, width), dtype), f"W_{gate}" if gate else "W")
            part = Affine(gate, input_size, rows, 0, rng, dtype, W)
            part.U.value[...] = _small(rng, part.U.shape, dtype)
            return part

        self.a, self.gate_in, self.gate_out = affine("", self.hidden_size), affine("in", blocks), affine("out", blocks)
        self.a.b.trainable = cell_bias

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], terms: Any = None) -> tuple[Any, Tensor]:
        """x(t) (B, input) or tokens (B), (z(t−1), s(t−1)) → (z(t), s(t)), y(t)."""
        z, s = state
        z = F.detach(z) if self.truncate else z
        gate_in = F.sigmoid(self.gate_in(x, z)).named("y_in")
        gate_out = F.sigmoid(self.gate_out(x, z)).named("y_out")
        new = 2.0 * F.tanh(0.5 * self.a(x, z))
        s = (s + self._each(gate_in) * new).named("s")
        y = (self._each(gate_out) * F.tanh(0.5 * s)).named("y")
        return (F.concatenate([y, gate_in, gate_out]).named("z"), s), y

    def _each(self, gate: Tensor) -> Tensor:
        """A block's gate for each of its cells: (B, blocks) → (B, cells)."""
        if self.block_size == 1:
            return gate
        B = gate.shape[0]
        wide = F.expand(F.reshape(gate, (B, self.blocks, 1)), (B, self.blocks, self.block_size))
        return F.reshape(wide, (B, self.hidden_size))

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(z(0), s(0)): zeros, or ``h`` in place of y(0)."""
        y = self.zeros(batch) if h is None else h
        gates = F.zeros((batch, 2 * self.blocks), self.dtype)
        return F.concatenate([y, gates]), self.zeros(batch)

    def hidden(self, state: Any) -> Tensor:
        """y of (z, s)."""
        return state[0][:, : self.hidden_size]


def _small(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return rng.uniform(-SPREAD, SPREAD, shape).astype(dtype)
