"""Gated cells: the LSTM of equations 10.40–10.44 and the GRU of 10.45–10.47, in the book's form and the usual one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import Affine, RecurrentCell, one_of_squashes
from tinyseq.nn.module import uniform
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

Terms = dict[str, Tensor] | None


class LSTMCell(RecurrentCell):
    """The LSTM of section 10.10.1.

        f(t) = σ(bᶠ + Uᶠ x(t) + Wᶠ h(t−1))                               forget gate            (10.40)
        s(t) = f(t) ⊙ s(t−1) + g(t) ⊙ φ(b + U x(t) + W h(t−1))           state                  (10.41)
        h(t) = tanh(s(t)) ⊙ q(t)                                         output                 (10.42)
        q(t) = σ(bᵒ + Uᵒ x(t) + Wᵒ h(t−1))                               output gate            (10.43)
        g(t) = σ(bᵍ + Uᵍ x(t) + Wᵍ h(t−1))                               external input gate    (10.44)

    The book squashes the input by φ = σ (``squash="sigmoid"``); usual, and the default, is φ = tanh. The state is
    (h, s), each (B, hidden). ``forget_bias`` is where bᶠ starts (Jozefowicz et al. 2015 advise 1).

    ``peepholes`` let the gates see the state too, each through a diagonal matrix, so that pᶠ ⊙ s(t−1) is added under
    the σ of f(t), pᵍ ⊙ s(t−1) under that of g(t), and under that of q(t)

        pᵒ ⊙ s(t−1)  with peepholes="book": figure 10.16, where the state reaches all three gates a step late
        pᵒ ⊙ s(t)    with peepholes="gers": Gers, Schraudolph and Schmidhuber 2002, as usual since

    ``projection_size`` makes h smaller than the state (Sak, Senior and Beaufays 2014, ``proj_size`` in PyTorch):

        h(t) = P (tanh(s(t)) ⊙ q(t))        P (projection, hidden), and every W is (hidden, projection)

    h is then (B, projection), s stays (B, hidden).
    """

    name = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        context_size: int = 0,
        squash: str = "tanh",
        forget_bias: float = 1.0,
        peepholes: str | None = None,
        projection_size: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        if projection_size:
            positive(projection_size=projection_size)
        if peepholes not in (None, "book", "gers"):
            raise TinyseqError(
                "peepholes is None, 'book' (all gates see s(t−1)) or 'gers' (the output gate sees s(t)), "
                f"got {peepholes!r}"
            )
        self.squash, self.forget_bias, self.peepholes = gate_squash(squash), forget_bias, peepholes
        self.projection_size = int(projection_size)

        def recurrent(gate: str) -> Parameter | None:
            if not projection_size:
                return None
            name = f"W_{gate}" if gate else "W"
            return Parameter(uniform(rng, (hidden_size, projection_size), hidden_size, dtype), name)

        self.a, self.f, self.g, self.q = (
            Affine(gate, input_size, hidden_size, context_size, rng, dtype, recurrent(gate))
            for gate in ("", "f", "g", "o")
        )
        self.f.b.value[...] = forget_bias
        self.p: dict[str, Parameter] = {}
        if peepholes:
            names = {"f": "p_f", "g": "p_g", "q": "p_o"}
            self.p = {k: Parameter(uniform(rng, (hidden_size,), hidden_size, dtype), p) for k, p in names.items()}
        self.P: Parameter | None = None
        if projection_size:
            self.P = Parameter(uniform(rng, (projection_size, hidden_size), hidden_size, dtype), "P")

    @property
    def output_size(self) -> int:
        """Features of h."""
        return self.projection_size or self.hidden_size

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], terms: Terms = None) -> tuple[Any, Tensor]:
        """x(t) (B, input) or tokens (B), (h(t−1), s(t−1)) → (h(t), s(t)), h(t)."""
        h, s = state
        term = terms or {}
        f = self._gate("f", self.f(x, h, term.get("f")), s)
        g = self._gate("g", self.g(x, h, term.get("g")), s)
        q = self.q(x, h, term.get("q"))
        if self.peepholes != "gers":
            q = self._gate("q", q, s)
        squashed = getattr(F, self.squash)(self.a(x, h, term.get("a")))
        s = (f * s + g * squashed).named("s")
        if self.peepholes == "gers":
            q = self._gate("q", q, s)
        h = F.tanh(s) * q
        h = (h if self.P is None else F.linear(h, self.P)).named(self.symbol)
        return (h, s), h

    def _gate(self, name: str, a: Tensor, s: Tensor) -> Tensor:
        """σ(a), or σ(a + p ⊙ s) with peepholes."""
        return F.sigmoid(a + self.p[name] * s if self.p else a).named(name)

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(h(0), s(0)): zeros, or ``h`` in place of h(0)."""
        return F.zeros((batch, self.output_size), self.dtype) if h is None else h, self.zeros(batch)

    def hidden(self, state: Any) -> Tensor:
        """h of (h, s)."""
        return state[0]


class GRUCell(RecurrentCell):
    """The GRU of section 10.10.2. The book shifts the gates' time by one; here, as usual, a gate acts when computed.

        u(t) = σ(bᵘ + Uᵘ x(t) + Wᵘ h(t−1))                                  update gate    (10.46)
        r(t) = σ(bʳ + Uʳ x(t) + Wʳ h(t−1))                                  reset gate     (10.47)
        h(t) = u(t) ⊙ h(t−1) + (1 − u(t)) ⊙ φ(b + U x(t) + W(r(t) ⊙ h(t−1)))              (10.45)

    The book has φ = σ (``squash="sigmoid"``); usual, and the default, is tanh. ``reset_after``, the default as in
    PyTorch and Keras, resets after the product: φ(b + U x + r ⊙ (W h + b_h)); False is the book's form.
    """

    name = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        context_size: int = 0,
        squash: str = "tanh",
        reset_after: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        self.squash, self.reset_after = gate_squash(squash), reset_after
        self.a, self.u, self.r = (
            Affine(gate, input_size, hidden_size, context_size, rng, dtype) for gate in ("", "u", "r")
        )
        self.b_h = Parameter(np.zeros(hidden_size, dtype), "b_h") if reset_after else None

    def step(self, x: Tensor, h: Tensor, terms: Terms = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) (B, hidden) → h(t), h(t)."""
        term = terms or {}
        u = F.sigmoid(self.u(x, h, term.get("u"))).named("u")
        r = F.sigmoid(self.r(x, h, term.get("r"))).named("r")
        if self.b_h is None:
            a = self.a(x, r * h, term.get("a"))
        else:
            a = self.a.b + self.a.of_input(x) + r * (self.b_h + F.linear(h, self.a.W))
            a = a + term["a"] if "a" in term else a
        new = getattr(F, self.squash)(a)
        h = (u * h + (1 - u) * new).named(self.symbol)
        return h, h


def gate_squash(squash: str) -> str:
    """Check the squashing function of a gated cell."""
    return one_of_squashes(squash, tanh="usual", sigmoid="the book")
