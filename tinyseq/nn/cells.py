"""Recurrent cells without an output: what models, encoders and decoders are wired from. Equations 10.8 and 10.9."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.nn.module import Cell, Module, uniform
from tinyseq.nn.sequences import Encoded, encode
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter


class Affine(Module):
    """a = b + W h + U x (+ R c): the sum that every unit and gate is a function of.

    Shapes: U (hidden, input), W (hidden, hidden), b (hidden), R (hidden, context); x (B, input) or tokens (B), which
    stand for one-hot rows; h (B, hidden). ``gate`` is the superscript of the book, as in Uᶠ; here U_f. A cell whose
    state enters through other than one full matrix gives its own ``W``.
    """

    def __init__(
        self,
        gate: str,
        input_size: int,
        hidden_size: int,
        context_size: int,
        rng: np.random.Generator,
        dtype: Any,
        W: Any = None,
    ) -> None:
        def name(symbol: str) -> str:
            return f"{symbol}_{gate}" if gate else symbol

        self.U = Parameter(uniform(rng, (hidden_size, input_size), hidden_size, dtype), name("U"))
        full = Parameter(uniform(rng, (hidden_size, hidden_size), hidden_size, dtype), name("W")) if W is None else W
        self.W: Any = full
        self.b = Parameter(np.zeros(hidden_size, dtype), name("b"))
        self.R: Parameter | None = None
        if context_size:
            self.R = Parameter(uniform(rng, (hidden_size, context_size), hidden_size, dtype), name("R"))

    def __call__(self, x: Tensor, h: Tensor, term: Tensor | None = None) -> Tensor:
        """b + W h + U x, and ``term`` = R c where there is a context."""
        a = self.b + F.linear(h, self.W) + self.of_input(x)
        return a if term is None else a + term

    def of_input(self, x: Tensor) -> Tensor:
        """U x, a column of U for each token."""
        return F.take(self.U, x, axis=1) if x.dtype_code == INT64 else F.linear(x, self.U)


class RecurrentCell(Cell):
    """A cell h(t) = f(h(t−1), x(t)) whose output is its state h. Subclasses set ``affines`` and define ``step``.

    A context c enters as R c in every pre-activation: ``terms(c)`` computes R c, ``step(x, state, terms)`` adds it.
    """

    def __init__(
        self, input_size: int, hidden_size: int, rng: np.random.Generator, dtype: Any, context_size: int
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if context_size:
            positive(context_size=context_size)
        generator(rng)
        self.input_size, self.hidden_size, self.context_size = input_size, hidden_size, context_size
        self.dtype = np.dtype(dtype)
        self.symbol = "h"  # what pictures call the state

    @property
    def output_size(self) -> int:
        """Features of an output: those of h."""
        return self.hidden_size

    def affines(self) -> dict[str, Affine]:
        """The cell's affine maps by name."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Affine)}

    def terms(self, c: Any) -> dict[str, Tensor]:
        """R c for each affine map: c (B, context), or tokens (B)."""
        if not self.context_size:
            raise TinyseqError(
                f"this {type(self).__name__} was made without a context; "
                f"write {type(self).__name__}(..., context_size=n)"
            )
        terms = {}
        for name, affine in self.affines().items():
            assert affine.R is not None
            terms[name] = F.take(affine.R, c, axis=1) if c.dtype_code == INT64 else F.linear(c, affine.R)
        return terms

    def initial_state(self, batch: int, h: Tensor | None = None) -> Any:
        """The state before the first step: zeros, or ``h`` (B, hidden) in place of h(0)."""
        return self.zeros(batch) if h is None else h

    def hidden(self, state: Any) -> Tensor:
        """The part h of a state."""
        return state

    def zeros(self, batch: int) -> Tensor:
        """(B, hidden) zeros."""
        return F.zeros((batch, self.hidden_size), self.dtype)

    def encode(self, x: Any, lengths: Any = None, state: Any = None, mask: Any = None) -> Encoded:
        """Run over x: (T, B, input), tokens (T, B), a list of arrays, ``nn.pack(list)``, or padded with lengths.

        Where ``mask`` is 0, a number for each step in the form of x, the state is held."""
        return encode(self, x, lengths, state, mask=mask)


class RNNCell(RecurrentCell):
    """The hidden units of figure 10.3.

        a(t) = b + W h(t−1) + U x(t)        (10.8)
        h(t) = tanh a(t)                    (10.9)

    ``squash="relu"`` has max(a, 0) in place of tanh: with W = I an IRNN (``nn.initialisation.irnn``).
    ``layer_norm`` normalises the sum over the units first (Ba et al. 2016): a = b + g ⊙ (z − μ)/σ, z = W h + U x.
    """

    name = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        context_size: int = 0,
        squash: str = "tanh",
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        self.squash, self.layer_norm = one_of_squashes(squash, tanh="the book", relu="for W = I, an IRNN"), layer_norm
        self.a = Affine("", input_size, hidden_size, context_size, rng, dtype)
        self.gain = Parameter(np.ones(hidden_size, dtype), "g") if layer_norm else None

    def step(self, x: Tensor, h: Tensor, terms: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) (B, hidden) → h(t), h(t)."""
        term = terms["a"] if terms else None
        if self.gain is None:
            a = self.a(x, h, term).named("a")
        else:
            z = F.linear(h, self.a.W) + self.a.of_input(x)
            a = F.layer_norm(z if term is None else z + term, self.gain, self.a.b).named("a")
        h = getattr(F, self.squash)(a).named(self.symbol)
        return h, h


def one_of_squashes(squash: str, **known: str) -> str:
    """Check the squashing function of a cell; ``known`` says what each is for."""
    if squash not in known:
        names = " or ".join(f"{name!r} ({what})" for name, what in known.items())
        raise TinyseqError(f"squash is {names}, got {squash!r}")
    return squash


class InContext(Cell):
    """A cell with a context that is the same at every step: figure 10.9. Its state is (the cell's state, R c)."""

    def __init__(self, cell: RecurrentCell) -> None:
        self.cell_within, self.name = cell, cell.name

    def step(self, x: Tensor, state: Any) -> tuple[Any, Tensor]:
        """One step of the cell; R c is handed on."""
        inner, terms = state
        inner, h = self.cell_within.step(x, inner, terms)
        return (inner, terms), h


def check_context(c: Tensor, batch: int, size: int) -> Tensor:
    """A context is (B, context) floats, or (B) tokens below ``size``."""
    if c.dtype_code == INT64 and c.ndim == 1:
        F.check_range("context", c, size)
    if c.shape != ((batch,) if c.dtype_code == INT64 else (batch, size)):
        raise ShapeError(
            f"the context is (B, context) = ({batch}, {size}), or ({batch},) class numbers; got {c.dtype} {c.shape}"
        )
    return c if c.name else c.named("x")
