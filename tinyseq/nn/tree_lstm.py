"""Tree-LSTMs (Tai, Socher and Manning 2015): an LSTM's gates over any tree, a forget gate for each child."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.errors import DataError
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.recursive import TreeNet, product
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter


class TreeLSTM(TreeNet):
    """The N-ary Tree-LSTM (Tai, Socher & Manning 2015, equations 9–14), binary by default, in the book's symbols.

        z   = [h_1; …; h_N]                              the children's outputs, 0 where a child is missing
        g   = σ(b_g + U_g x + W_g z)                     input gate   (Tai: i)
        f_k = σ(b_f + U_f x + W_fk z),  k = 1 … N        one forget gate for each child
        q   = σ(b_q + U_q x + W_q z)                     output gate  (Tai: o)
        s   = g ⊙ tanh(b + U x + W z) + Σ_k f_k ⊙ s_k    cell state   (Tai: c)
        h   = tanh(s) ⊙ q

    Leaves have no z, inner nodes without input no x: their terms are left out. Children are ordered; a node may have
    1 to ``arity`` of them. The state is (h, s). b_f starts at 1, so that cells remember at first.
    Shapes: U_• (hidden, input), W_• (hidden, N · hidden), b_• (hidden).
    """

    name = "tree_lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        arity: int = 2,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, rng, dtype, dropout)
        positive(arity=arity)
        self.arity = arity
        sizes = (input_size, hidden_size, arity * hidden_size, rng, dtype)
        self.candidate, self.g, self.q = Affine("", *sizes), Affine("_g", *sizes), Affine("_q", *sizes)
        self.f = Affine("_f", *sizes, bias=1.0)
        self.f.W.name = "W_f1"
        self.f_more = [
            Parameter(uniform(rng, (hidden_size, arity * hidden_size), hidden_size, dtype), f"W_f{k + 1}")
            for k in range(1, arity)
        ]

    def hidden(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """h of a state (h, s)."""
        return state[0]

    def leaf(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(h, s) of a leaf: x (B, input) or tokens (B)."""
        return remember(self.candidate(x), self.g(x), self.q(x))

    def merge(self, *children: tuple[Tensor, Tensor], x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(h, s) of an inner node from its children's, left to right."""
        missing = self.arity - len(children)
        if missing < 0:
            raise DataError(
                f"a TreeLSTM of arity {self.arity} got a node with {len(children)} children; "
                f"make it with arity={len(children)}, or use ChildSumTreeLSTM"
            )
        parts = [h for h, _ in children]
        if missing:
            parts.append(F.zeros((parts[0].shape[0], missing * self.hidden_size), parts[0].dtype))
        z = F.concatenate(parts).named("z") if len(parts) > 1 else parts[0]
        base = self.f.of_input(x)
        kept = [
            F.sigmoid(base + F.linear(z, W)).named("f") * s
            for (_, s), W in zip(children, [self.f.W, *self.f_more], strict=False)
        ]
        return remember(self.candidate(x, z), self.g(x, z), self.q(x, z), kept)


class ChildSumTreeLSTM(TreeNet):
    """The child-sum Tree-LSTM (Tai, Socher & Manning 2015, equations 2–8), for any number of unordered children.

        h̃   = Σ_k h_k
        g   = σ(b_g + U_g x + W_g h̃)                     input gate   (Tai: i)
        f_k = σ(b_f + U_f x + W_f h_k)                   one forget gate for each child, by its own output
        q   = σ(b_q + U_q x + W_q h̃)                     output gate  (Tai: o)
        s   = g ⊙ tanh(b + U x + W h̃) + Σ_k f_k ⊙ s_k    cell state   (Tai: c)
        h   = tanh(s) ⊙ q

    Made for dependency trees, where every node has an input x; where one has none its terms are left out. The state
    is (h, s). b_f starts at 1. Shapes: U_• (hidden, input), W_• (hidden, hidden), b_• (hidden).
    """

    name = "child_sum"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, rng, dtype, dropout)
        sizes = (input_size, hidden_size, hidden_size, rng, dtype)
        self.candidate, self.g, self.q = Affine("", *sizes), Affine("_g", *sizes), Affine("_q", *sizes)
        self.f = Affine("_f", *sizes, bias=1.0)

    def hidden(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """h of a state (h, s)."""
        return state[0]

    def leaf(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(h, s) of a leaf: x (B, input) or tokens (B)."""
        return remember(self.candidate(x), self.g(x), self.q(x))

    def merge(self, *children: tuple[Tensor, Tensor], x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(h, s) of an inner node from its children's."""
        total = children[0][0]
        for h, _ in children[1:]:
            total = total + h
        base = self.f.of_input(x)
        kept = [F.sigmoid(base + F.linear(h, self.f.W)).named("f") * s for h, s in children]
        return remember(self.candidate(x, total), self.g(x, total), self.q(x, total), kept)


class Affine(Module):
    """b + U x + W z, terms without an operand left out: what a gate looks at."""

    def __init__(
        self, suffix: str, inputs: int, hidden: int, below: int, rng: np.random.Generator, dtype: Any, bias: float = 0.0
    ) -> None:
        self.U = Parameter(uniform(rng, (hidden, inputs), hidden, dtype), f"U{suffix}")
        self.W = Parameter(uniform(rng, (hidden, below), hidden, dtype), f"W{suffix}")
        self.b = Parameter(np.full(hidden, bias, dtype), f"b{suffix}")

    def of_input(self, x: Tensor | None) -> Tensor | Parameter:
        """b + U x, the part that all children share."""
        return self.b if x is None else self.b + product(self.U, x)

    def __call__(self, x: Tensor | None, z: Tensor | None = None) -> Tensor | Parameter:
        base = self.of_input(x)
        return base if z is None else base + F.linear(z, self.W)


def remember(candidate: Any, g: Any, q: Any, kept: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """s = σ(g) ⊙ tanh(candidate) + Σ kept, h = tanh(s) ⊙ σ(q)."""
    s = F.sigmoid(g).named("g") * F.tanh(candidate)
    for part in kept or ():
        s = s + part
    s = s.named("s")
    return (F.tanh(s) * F.sigmoid(q).named("q")).named("h"), s
