"""Explicit memory, section 10.12 and figure 10.18: a task network that reads and writes cells addressed by attention.

Addressing is that of the neural Turing machine (Graves et al. 2014): by content, then by a shift from where it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError
from tinyseq.nn.module import Cell, Module, uniform
from tinyseq.nn.sequences import Encoded, encode
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter

START = 1e-3  # what memory cells hold at first


class Head(Module):
    """What a task network says to its memory: o = c + V h, cut into key, strength, gate, shift and sharpness.

        wᶜ(i) ∝ exp(β cos(k, M(i)))                            by content
        wᵍ = g wᶜ + (1 − g) w(t−1)                             or from where it was
        wˢ(i) = Σ_j s(j) wᵍ(i − j), j = −1, 0, 1               shifted, around the ends
        w(i) ∝ wˢ(i)^γ                                         sharpened

    with k = tanh, β = softplus, g = σ, s = softmax, γ = 1 + softplus of their parts of o.
    """

    def __init__(self, name: str, size: int, width: int, more: int, rng: np.random.Generator, dtype: Any) -> None:
        self.width, rows = width, width + 6 + more
        self.V = Parameter(uniform(rng, (rows, size), size, dtype), f"V_{name}")
        self.c = Parameter(np.zeros(rows, dtype), f"c_{name}")

    def says(self, h: Tensor) -> Tensor:
        """o (B, W + 6 + more)."""
        return self.c + F.linear(h, self.V)

    def address(self, o: Tensor, M: Tensor, before: Tensor) -> Tensor:
        """The weights w (B, N) over the cells of M (B, N, W), from those of the step before."""
        (B, N, W), at = M.shape, self.width
        key = F.tanh(o[:, :at])
        inner = F.reshape(F.matmul(M, F.reshape(key, (B, W, 1))), (B, N))
        sizes = F.sqrt(F.sum(M * M, axis=-1) + 1e-8)
        cosine = inner / (sizes * F.sqrt(F.sum(key * key, axis=-1, keepdims=True) + 1e-8))
        content = F.softmax(F.softplus(o[:, at : at + 1]) * cosine)
        gate = F.sigmoid(o[:, at + 1 : at + 2])
        w = gate * content + (1 - gate) * before
        shift = F.softmax(o[:, at + 2 : at + 5])
        back = F.concatenate([w[:, 1:], w[:, :1]])
        on = F.concatenate([w[:, -1:], w[:, :-1]])
        moved = shift[:, :1] * back + shift[:, 1:2] * w + shift[:, 2:] * on
        return F.softmax((1 + F.softplus(o[:, at + 5 : at + 6])) * F.log(moved + 1e-6))


class MemoryCell(Cell):
    """A task network with N memory cells of W numbers, read and written softly.

        h(t) = task network(x(t), r(t−1))
        M(t) = M(t−1) ⊙ (1 − w eᵀ) + w aᵀ,   e = σ, a = tanh of parts of o      written at w
        r(t) = Σ_i w′(i) M(t)(i)                                                 read at w′

    ``cell`` is any cell whose input is x and r side by side: ``nn.LSTMCell(input_size + width, ...)``. The state is
    (state of the cell, M (B, N, W), w (B, N), w′ (B, N), r (B, W)); both weights begin at the first cell. The output is
    h and r side by side. No parameter depends on N: ``slots`` may be set anew for longer sequences.
    """

    name = "memory"

    def __init__(self, cell: Any, slots: int, width: int, *, rng: np.random.Generator) -> None:
        positive(slots=slots, width=width)
        rng = generator(rng)
        if cell.input_size <= width:
            raise ShapeError(
                f"the task network reads x and the {width} numbers read from memory side by side, but takes only "
                f"{cell.input_size} inputs; make it with input_size + {width}"
            )
        self.task, self.slots, self.width, self.dtype = cell, slots, width, cell.dtype
        self.input_size, self.output_size = cell.input_size - width, cell.output_size + width
        self.hidden_size = self.output_size
        self.write = Head("w", cell.output_size, width, 2 * width, rng, cell.dtype)
        self.read = Head("r", cell.output_size, width, 0, rng, cell.dtype)

    def step(self, x: Tensor, state: Any) -> tuple[Any, Tensor]:
        """x(t) (B, input) and the state → the new state, (h(t), r(t)) side by side."""
        inner, M, w, w_read, r = state
        (B, N, W), at = M.shape, self.width + 6
        inner, h = self.task.step(F.concatenate([x, r]), inner)
        o = self.write.says(h)
        w = self.write.address(o, M, w).named("w")
        column = F.reshape(w, (B, N, 1))
        erase = F.matmul(column, F.reshape(F.sigmoid(o[:, at : at + W]), (B, 1, W)))
        add = F.matmul(column, F.reshape(F.tanh(o[:, at + W :]), (B, 1, W)))
        M = (M * (1 - erase) + add).named("M")
        w_read = self.read.address(self.read.says(h), M, w_read).named("w′")
        r = F.reshape(F.matmul(F.reshape(w_read, (B, 1, N)), M), (B, W)).named("r")
        return (inner, M, w, w_read, r), F.concatenate([h, r])

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple:
        """Memory all but empty, both weights at the first cell."""
        first = np.zeros((batch, self.slots), self.dtype)
        first[:, 0] = 1
        M = tensor(np.full((batch, self.slots, self.width), START, self.dtype))
        inner = self.task.initial_state(batch, h)
        return inner, M, tensor(first), tensor(first), F.zeros((batch, self.width), self.dtype)

    def hidden(self, state: Any) -> Tensor:
        """h and r of a state."""
        return F.concatenate([self.task.hidden(state[0]), state[4]])

    def encode(self, x: Any, lengths: Any = None, state: Any = None, mask: Any = None) -> Encoded:
        """Run over sequences."""
        return encode(self, x, lengths, state, mask=mask)
