"""Chapter 10, continued: the sLSTM of xLSTM (Beck et al. 2024), a gated net whose gates may exceed 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import Affine, RecurrentCell
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor

FORGET = ("exponential", "sigmoid")
NOTHING_YET = -1e30  # m(0): what was kept before the first step has the weight exp(m(0)) = 0


class SLSTMCell(RecurrentCell):
    """Exponential gates, a normaliser beside the cell state, and a stabiliser that keeps both from overflowing.

        z = tanh(b + U x + W h(t−1)),   o = σ(b_o + U_o x + W_o h(t−1))
        log i = b_i + U_i x + W_i h(t−1),   log f = ã or log σ(ã),  ã = b_f + U_f x + W_f h(t−1)
        m(t) = max(log f + m(t−1), log i)                                   stabiliser
        i′ = exp(log i − m(t)),   f′ = exp(log f + m(t−1) − m(t))
        s(t) = f′ ⊙ s(t−1) + i′ ⊙ z            cell state    (Beck: c)
        n(t) = f′ ⊙ n(t−1) + i′                normaliser
        h(t) = o ⊙ s(t)/n(t)

    h does not depend on m: s and n both carry the factor exp(−m). So m is detached, and values and gradients are those
    of m = 0 wherever that does not overflow. ``forget`` is "exponential" or "sigmoid";
    ``stabilised=False`` leaves m out.
    b_i scales s and n alike, so that nothing depends on it: it stays 0.
    ``mixing=False`` leaves W h(t−1) out of all gates, without which no state is tracked. The state is (h, s, n, m).
    """

    name = "slstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        forget: str = "sigmoid",
        forget_bias: float = 1.0,
        stabilised: bool = True,
        mixing: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        if forget not in FORGET:
            raise TinyseqError(f"forget is 'exponential' or 'sigmoid', got {forget!r}")
        self.forget, self.stabilised, self.mixing = forget, stabilised, mixing
        self.a, self.i, self.f, self.o = (
            Affine(gate, input_size, hidden_size, 0, rng, dtype) for gate in ("", "i", "f", "o")
        )
        self.f.b.value[...] = forget_bias
        self.i.b.trainable = False
        for part in (self.a, self.i, self.f, self.o):
            part.W.trainable = mixing

    def step(self, x: Tensor, state: tuple[Tensor, ...], terms: Any = None) -> tuple[Any, Tensor]:
        """x(t) (B, input) or tokens (B), (h, s, n, m)(t−1) → (h, s, n, m)(t), h(t)."""
        h, s, n, m = state
        z = F.tanh(self._sum(self.a, x, h)).named("z")
        o = F.sigmoid(self._sum(self.o, x, h)).named("o")
        log_i, log_f = self._sum(self.i, x, h), self._sum(self.f, x, h)
        if self.forget == "sigmoid":
            log_f = -F.softplus(-log_f)
        if self.stabilised:
            later = F.detach(F.maximum(log_f + m, log_i)).named("m")
            i, f = F.exp(log_i - later), F.exp(log_f + m - later)
        else:
            later, i, f = m, F.exp(log_i), F.exp(log_f)
        s = (f.named("f") * s + i.named("i") * z).named("s")
        n = (f * n + i).named("n")
        h = (o * (s / n)).named(self.symbol)
        return (h, s, n, later), h

    def _sum(self, part: Affine, x: Tensor, h: Tensor) -> Tensor:
        return part(x, h) if self.mixing else part.b + part.of_input(x)

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, ...]:
        """(h, s, n, m): zeros but for m, or ``h`` in place of h(0)."""
        m = tensor(np.full((batch, self.hidden_size), NOTHING_YET, self.dtype))
        return self.zeros(batch) if h is None else h, self.zeros(batch), self.zeros(batch), m

    def hidden(self, state: Any) -> Tensor:
        """h of the state."""
        return state[0]
