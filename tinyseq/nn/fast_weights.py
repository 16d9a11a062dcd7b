"""Chapter 10, continued: fast weights, a matrix as the state, written by outer products (Schmidhuber 1992) and by the
delta rule (Schlag, Irie and Schmidhuber 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import RecurrentCell
from tinyseq.nn.linear_recurrences import FromInput
from tinyseq.tensor.handles import Tensor

UPDATES = ("delta", "additive")


class FastWeightsCell(RecurrentCell):
    """An associative memory that a step writes and reads: linear attention as a recurrent net.

        k = K x/‖K x‖,   v = b_v + V x,   q = Q x/‖Q x‖,   β = σ(b_β + U_β x)
        S(t) = S(t−1) + v kᵀ                              update="additive"
        S(t) = S(t−1) + β (v − S(t−1) k) kᵀ               update="delta"
        o(t) = S(t) q

    What was written under a key that comes again is added to by the first, replaced by the second: with β = 1 and
    orthonormal keys S k is the value written last. The state is (S (B, values, keys), o), the output o (B, values). The
    input matrices may be given by hand: ``cell.k.U.value[...] = …``.
    """

    name = "fast_weights"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        keys: int | None = None,
        update: str = "delta",
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        if update not in UPDATES:
            raise TinyseqError(f"update is 'delta' or 'additive', got {update!r}")
        self.update, self.keys = update, keys or hidden_size
        positive(keys=self.keys)
        self.k, self.q = (FromInput(name, input_size, self.keys, rng, dtype) for name in ("k", "q"))
        self.v = FromInput("v", input_size, hidden_size, rng, dtype)
        self.beta = FromInput("β", input_size, 1, rng, dtype) if update == "delta" else None

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], terms: Any = None) -> tuple[Any, Tensor]:
        """x(t) (B, input) or tokens (B), (S, o)(t−1), of which o is not read → (S, o)(t), o(t)."""
        S, _ = state
        B, rows, columns = S.shape
        key = F.reshape(unit(self.k(x)).named("k"), (B, columns, 1))
        query = F.reshape(unit(self.q(x)).named("q"), (B, columns, 1))
        value = F.reshape(self.v(x).named("v"), (B, rows, 1))
        if self.beta is not None:
            beta = F.reshape(F.sigmoid(self.beta(x)).named("β"), (B, 1, 1))
            value = beta * (value - F.matmul(S, key))
        S = (S + F.matmul(value, F.reshape(key, (B, 1, columns)))).named("S")
        o = F.reshape(F.matmul(S, query), (B, rows)).named("o")
        return (S, o), o

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(S, o): zeros, or ``h`` in place of S(0)."""
        S = F.zeros((batch, self.hidden_size, self.keys), self.dtype) if h is None else h
        return S, self.zeros(batch)

    def hidden(self, state: Any) -> Tensor:
        """o of (S, o)."""
        return state[1]


def unit(x: Tensor) -> Tensor:
    """x/‖x‖, by rows; a row of zeros stays one."""
    return x / F.sqrt(F.sum(x * x, axis=-1, keepdims=True) + 1e-12)
