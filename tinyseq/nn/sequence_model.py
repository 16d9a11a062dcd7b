"""A recurrent net as a directed graphical model of sequences: sections 10.2.3 and 10.2.4, figures 10.7 to 10.9."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import DataError, DtypeError, ShapeError, TinyseqError
from tinyseq.nn.cells import InContext, check_context
from tinyseq.nn.kinds import CellMaker, make_cell
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.sampling import sample_sequences
from tinyseq.nn.sequences import Packed, Step, Steps, mean_over_batch, pack, prepare, total_over_time
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold

LENGTHS = (None, "end", "halt", "count")
CONTEXTS = ("input", "state", "both")


class SequenceModel(Module):
    """p(y(1), …, y(τ)) = Π_t p(y(t) | y(1…t−1)), each factor softmax(c + V h(t)) with h(t) a state of a recurrent cell
    that reads y(t−1) (figure 10.8). A number of parameters that does not depend on τ.

    cell      "rnn", "lstm", "gru", or a class that makes a cell
    length    how sequences end:
              None     not modelled: a density over sequences of each given length
              "end"    one more symbol that ends the sequence; it may come at once, so empty sequences exist
              "halt"   a Bernoulli output after each symbol: p(stop) = σ(d + v·h(t))
              "count"  P(τ) p(y | τ): a table of P(τ) for τ = 1 … ``max_length``, and the number of symbols still to
                       come as a further input
    context   with ``context_size``: a vector x, or a class number, on which all is conditioned (figure 10.9): "input"
              adds R x at each step, "state" sets h(0) = tanh(k + K x), "both" does both

    Shapes: V (vocabulary, hidden), K (hidden, context); y (T, B) symbols, a list of them, or packed by ``pack``.
    """

    name = "sequence"

    def __init__(
        self,
        vocabulary: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        cell: CellMaker = "rnn",
        length: str | None = None,
        max_length: int | None = None,
        context_size: int = 0,
        context: str = "input",
        dtype: Any = np.float32,
    ) -> None:
        positive(vocabulary=vocabulary, hidden_size=hidden_size)
        if length not in LENGTHS:
            raise TinyseqError(f"length is None, 'end', 'halt' or 'count', got {length!r}")
        if context not in CONTEXTS:
            raise TinyseqError(f"context is 'input', 'state' or 'both', got {context!r}")
        if (length == "count") != (max_length is not None):
            raise TinyseqError("max_length is the greatest length of P(τ): give it with length='count' and only there")
        self.vocabulary, self.hidden_size, self.length, self.max_length = vocabulary, hidden_size, length, max_length
        self.context_size, self.context, self.dtype = context_size, context, np.dtype(dtype)
        self.symbols = vocabulary + (length == "end")
        generator(rng)
        self.cell = make_cell(
            cell,
            self.symbols + (max_length or 0),
            hidden_size,
            rng=rng,
            dtype=dtype,
            **({"context_size": context_size} if context_size and context != "state" else {}),
        )
        size = self.cell.output_size
        self.V = Parameter(uniform(rng, (self.symbols, size), size, dtype), "V")
        self.c = Parameter(np.zeros(self.symbols, dtype), "c")
        self.K = self.k = self.v = self.d = self.log_length = None
        if context_size and context != "input":
            self.K = Parameter(uniform(rng, (hidden_size, context_size), hidden_size, dtype), "K")
            self.k = Parameter(np.zeros(hidden_size, dtype), "k")
        if length == "halt":
            self.v = Parameter(uniform(rng, (1, size), size, dtype), "v")
            self.d = Parameter(np.zeros(1, dtype), "d")
        if length == "count":
            positive(max_length=max_length)  # type: ignore[arg-type]
            self.log_length = Parameter(np.zeros((1, int(max_length or 0)), dtype), "P(τ)")

    # -- the three kinds of ends, as rows beside the symbols ----------------------------------------------------------
    def pack(self, sequences: Any) -> Packed:
        """Sequences of symbols packed for ``loss`` and ts.compile, each with its end symbol where there is one."""
        arrays = [plain(s, f"sequence {i}") for i, s in enumerate(sequences)]
        for i, array in enumerate(arrays):
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
                raise DtypeError(f"sequence {i} is {array.dtype} {array.shape}, expected symbols (length,), integers")
        if self.length == "end":
            end = np.array([self.vocabulary])
            for i, array in enumerate(arrays):
                if array.size and array.max() >= self.vocabulary:
                    raise DataError(f"sequence {i} holds symbol {array.max()}; symbols are 0 to {self.vocabulary - 1}")
            arrays = [np.concatenate([array.astype(np.int64), end]) for array in arrays]
        return pack(arrays)

    def steps(self, y: Any, complete: bool = True) -> Steps:
        """Any form of sequences as the rows to predict."""
        if isinstance(y, Packed):
            steps = prepare(y, what="y")
        elif isinstance(y, (list, tuple)):
            steps = prepare(self.pack(y) if complete or self.length != "end" else pack(y), what="y")
        else:
            y = F.indices(y)
            if y.ndim != 2:
                raise ShapeError(f"sequences of symbols are (T, B), a list of arrays, or packed; got shape {y.shape}")
            F.check_range("symbol", y, self.vocabulary)
            if self.length == "end" and complete:
                y = F.concatenate([y, np.full((1, y.shape[1]), self.vocabulary)], 0)
            steps = prepare(y, what="y")
        F.check_range("symbol", steps.x, self.symbols)
        if self.length in ("halt", "count") and not steps.lengths.all():
            raise DataError(
                f"sequence {int(steps.lengths.argmin())} has length 0; with length={self.length!r} every sequence has "
                "a symbol at least, with length='end' some may be empty"
            )
        longest = int(steps.lengths.max())
        if self.max_length is not None and longest > self.max_length:
            raise DataError(
                f"sequence {int(steps.lengths.argmax())} has {longest} symbols, P(τ) goes to max_length = "
                f"{self.max_length}; make the model with a greater one"
            )
        return steps

    def remaining(self, steps: Steps) -> np.ndarray:
        """For each symbol how many come after it: (T, B), or packed rows."""
        if steps.chain.lengths is None:
            return np.tile(np.arange(steps.chain.T)[::-1, None], (1, steps.batch))
        where = steps.chain.packed_rows()
        return steps.chain.lengths[where[:, 0]] - 1 - where[:, 1]

    # -- one step -----------------------------------------------------------------------------------------------------
    def recur(self, before: Tensor, remaining: Tensor | None, state: Any) -> tuple[Any, Tensor]:
        """y(t−1) as a one-hot row, the count of symbols after y(t) → the cell's state, its output h(t)."""
        if remaining is not None:
            assert self.max_length is not None
            before = F.concatenate([before, F.one_hot(remaining, self.max_length, self.dtype)])
        cell = InContext(self.cell) if self.context_size and self.context != "state" else self.cell
        return cell.step(before, state)

    def logits(self, h: Tensor) -> Tensor:
        """o(t) = c + V h(t)."""
        return (self.c + F.linear(h, self.V)).named("o")

    def halting(self, h: Tensor) -> Tensor:
        """The logit of stopping after this symbol, (B)."""
        assert self.v is not None
        return F.sum(self.d + F.linear(h, self.v), axis=-1)

    def _step(self, y: Tensor, *rest: Any) -> tuple[Any, Tensor]:
        *extra, (state, before) = rest
        state, h = self.recur(before, extra[0] if self.length == "count" else None, state)
        loss = F.cross_entropy(self.logits(h), y, reduction="none")
        if self.length == "halt":
            stop, counts = extra
            loss = loss + counts * F.bernoulli_cross_entropy(self.halting(h), stop)
        return (state, F.one_hot(y, self.symbols, self.dtype).named("y")), loss.named("L")

    def start(self, batch: int, context: Any) -> tuple[Any, Tensor]:
        """The state before the first symbol: the cell's, and zeros in place of y(0)."""
        if (context is None) != (not self.context_size):
            wrong = "needs a context" if context is None else "was made without a context; give context_size"
            raise ShapeError(f"this model {wrong}")
        h0 = terms = None
        if context is not None:
            x = check_context(here(context, "the context"), batch, self.context_size)
            if self.K is not None:
                Kx = F.take(self.K, x, axis=1) if x.dtype_code == INT64 else F.linear(x, self.K)
                h0 = F.tanh(self.k + Kx)
            if self.context != "state":
                terms = self.cell.terms(x)
        state = self.cell.initial_state(batch, h0)
        return state if terms is None else (state, terms), F.zeros((batch, self.symbols), self.dtype)

    # -- densities ----------------------------------------------------------------------------------------------------
    def log_prob(self, y: Any, context: Any = None, *, complete: bool = True) -> Tensor:
        """log p(y) of each sequence in nats, (B), with all there is about its length.

        ``complete=False``: the probability that a sequence begins with y ("end" and "halt").
        """
        losses, steps = self._losses(y, context, complete)
        total = -total_over_time(losses, steps)
        return total if self.log_length is None else total + self._log_length(steps)

    def loss(self, y: Any, context: Any = None) -> Tensor:
        """−log p(y), averaged over the batch: nats for each sequence."""
        losses, steps = self._losses(y, context, True)
        loss = mean_over_batch(losses, steps)
        return (loss if self.log_length is None else loss - F.mean(self._log_length(steps))).named("L")

    def _log_length(self, steps: Steps) -> Tensor:
        assert self.log_length is not None and self.max_length is not None
        log_p = F.log_softmax(self.log_length).reshape((self.max_length,))
        return F.take(log_p, steps.lengths - 1)

    def _losses(self, y: Any, context: Any, complete: bool) -> tuple[Tensor, Steps]:
        if not complete and self.length == "count":
            raise TinyseqError("with length='count' a beginning has no probability of its own: it depends on τ")
        steps = self.steps(y, complete)
        inputs: tuple[Any, ...] = (steps.x,)
        if self.length in ("halt", "count"):
            remaining = self.remaining(steps)
            if self.length == "count":
                inputs += (as_tensor(remaining),)
            else:
                last = (remaining == 0).astype(self.dtype)
                stop, counts = (last, np.ones_like(last)) if complete else (np.zeros_like(last), 1 - last)
                inputs += (as_tensor(stop), as_tensor(counts))
        start = self.start(steps.batch, context)
        return unfold(Step(self, self._step), steps.chain, inputs, start).outputs, steps

    # -- drawing ------------------------------------------------------------------------------------------------------
    def sample(
        self,
        count: int,
        *,
        rng: np.random.Generator,
        context: Any = None,
        max_length: int = 1000,
        steps: int | None = None,
        cut: bool = False,
    ) -> list[np.ndarray]:
        """Ancestral sampling: ``count`` sequences, each symbol drawn given those before it (``nn.sampling``).

        Without a model of the length, ``steps`` says how long. A sequence that has not ended after ``max_length``
        symbols is an error, or cut there with ``cut=True``.
        """
        return sample_sequences(self, count, generator(rng), context, max_length, steps, cut)
