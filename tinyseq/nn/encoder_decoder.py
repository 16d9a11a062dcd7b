"""Encoder–decoder nets, section 10.4 and figure 10.12: one sequence is read, another is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.nn.attention import Attention
from tinyseq.nn.decoding import (
    Decoded,
    beam_search,
    drawn,
    greedy,
    state_rows,
    state_tensors,
    state_values,
    whole,
)
from tinyseq.nn.kinds import CellMaker, make_cell
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.sequences import (
    Encoded,
    Packed,
    Step,
    Steps,
    checked_encoder,
    mean_over_batch,
    pack,
    prepare,
    total_over_time,
)
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold


class EncoderDecoder(Module):
    """p(y | x) of a sequence of symbols y given a sequence x; the lengths of both are free.

        C = the encoder's features after its last step, or C(i) = Σ_j α_ij h(j) with ``attention``
        s(i) = cell(s(i−1), y(i−1), C),   o(i) = c + V s(i) + Q C,   p(y(i) | y(1…i−1), x) = softmax o(i)

    C enters every state (R C) and every output (Q C), as in figure 10.12. y ends with a symbol of its own, number
    ``vocabulary``, which the model adds and takes off again; y(0) = 0. The decoder's cell is "rnn", "lstm", "gru" or a
    class that makes a cell with a context.
    """

    name = "decoder"

    def __init__(
        self,
        encoder: Any,
        vocabulary: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        cell: CellMaker = "rnn",
        attention: bool = False,
    ) -> None:
        positive(vocabulary=vocabulary, hidden_size=hidden_size)
        generator(rng)
        self.encoder = checked_encoder(encoder)
        self.vocabulary, self.hidden_size = vocabulary, hidden_size
        self.symbols, self.dtype = vocabulary + 1, self.encoder.dtype
        C = self.encoder.output_size
        self.cell = make_cell(cell, self.symbols, hidden_size, rng=rng, dtype=self.dtype, context_size=C)
        self.attention: Attention | None = None
        if attention:
            self.attention = Attention(self.cell.output_size, C, rng=rng, dtype=self.dtype)
        size = self.cell.output_size
        self.V = Parameter(uniform(rng, (self.symbols, size), size, self.dtype), "V")
        self.Q = Parameter(uniform(rng, (self.symbols, C), C, self.dtype), "Q")
        self.c = Parameter(np.zeros(self.symbols, self.dtype), "c")

    # -- one step of the decoder ------------------------------------------------------------------------------------
    def start(self, encoded: Encoded) -> tuple[Any, Tensor, Any]:
        """(the cell's state, zeros in place of y(0), what the decoder reads of the encoder)."""
        before = F.zeros((encoded.batch, self.symbols), self.dtype)
        state = self.cell.initial_state(encoded.batch)
        if self.attention is not None:
            if not encoded.steps.lengths.all():
                empty = int(encoded.steps.lengths.argmin())
                raise DataError(f"sequence {empty} has length 0: attention has nothing to read; leave the pair out")
            keys, mask = encoded.batch_first()
            return state, before, (keys, as_tensor(mask.astype(self.dtype)).named("m"))
        C = encoded.last.named("C")
        return state, before, (self.cell.terms(C), F.linear(C, self.Q))

    def advance(self, state: Any) -> tuple[Any, Tensor]:
        """One step: (cell's state, y(i−1) one-hot, what is read) → cell's state, o(i)."""
        inner, before, read = state
        if self.attention is None:
            terms, QC = read
        else:
            C, _ = self.attention(self.cell.hidden(inner), *read)
            terms, QC = self.cell.terms(C), F.linear(C, self.Q)
        inner, s = self.cell.step(before, inner, terms)
        return inner, (self.c + F.linear(s, self.V) + QC).named("o")

    def _step(self, y: Tensor, state: Any) -> tuple[Any, Tensor]:
        inner, o = self.advance(state)
        losses = F.cross_entropy(o, y, reduction="none").named("L")
        return (inner, F.one_hot(y, self.symbols, self.dtype).named("y"), state[2]), losses

    # -- densities ----------------------------------------------------------------------------------------------------
    def pack(self, sequences: Any) -> Packed:
        """Target sequences packed for ``loss`` and ts.compile, each with its end symbol."""
        end = np.array([self.vocabulary])
        arrays = [plain(s, f"sequence {i}") for i, s in enumerate(sequences)]
        for i, a in enumerate(arrays):
            if a.ndim != 1 or (a.size and (a.dtype.kind not in "iu" or not 0 <= a.min() <= a.max() < self.vocabulary)):
                raise ShapeError(
                    f"target sequence {i} is {a.dtype} {a.shape}, expected symbols (length,) of 0 to "
                    f"{self.vocabulary - 1}"
                )
        return pack([np.concatenate([a.astype(np.int64), end]) for a in arrays])

    def encode(self, x: Any, lengths: Any = None) -> Encoded:
        """The encoder's features."""
        return self.encoder.encode(x, lengths)

    def loss(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """−log p(y | x), averaged over the batch: nats for each target sequence, its end included.

        x in any form the encoder takes; y a list of symbol arrays, packed by ``pack``, or (T, B) of one length.
        """
        losses, steps = self._losses(x, y, lengths)
        return mean_over_batch(losses, steps).named("L")

    def log_prob(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """log p(y | x) of each pair, (B), in nats."""
        losses, steps = self._losses(x, y, lengths)
        return -total_over_time(losses, steps)

    def _losses(self, x: Any, y: Any, lengths: Any) -> tuple[Tensor, Steps]:
        encoded = self.encode(x, lengths)
        steps = self._targets(y)
        if steps.batch != encoded.batch:
            raise ShapeError(f"{encoded.batch} sequences x, but {steps.batch} sequences y; each x has one y")
        return unfold(Step(self, self._step), steps.chain, steps.x, self.start(encoded)).outputs, steps

    def _targets(self, y: Any) -> Steps:
        if isinstance(y, (list, tuple)) and not isinstance(y, Packed):
            y = self.pack(y)
        if isinstance(y, Packed):
            steps = prepare(y, what="y")
        else:
            y = F.indices(y)
            if y.ndim != 2:
                raise ShapeError(f"targets are symbols (T, B), a list of arrays, or packed; got shape {y.shape}")
            F.check_range("target y: symbol", y, self.vocabulary)
            steps = prepare(F.concatenate([y, np.full((1, y.shape[1]), self.vocabulary)], 0), what="y")
        F.check_range("target y: symbol", steps.x, self.symbols)
        return steps

    # -- decoding -----------------------------------------------------------------------------------------------------
    def decode(
        self, x: Any, lengths: Any = None, *, max_length: int, beam: int = 1, length_penalty: float = 0.0
    ) -> list[Decoded]:
        """For each x the likeliest y found, with its log-probability: greedy, or by a beam of that width, whose
        ``length_penalty`` lets longer ones win (``nn.beam_search``)."""
        state, count = self._started(x, lengths)
        if beam == 1:
            return greedy(self._advance_values, state, count, self.vocabulary, max_length)
        rows = [state_rows(state, np.array([i])) for i in range(count)]
        found = [
            beam_search(self._advance_values, r, beam, self.vocabulary, max_length, length_penalty=length_penalty)
            for r in rows
        ]
        return [best[0] for best in found]

    def predict(  # type: ignore[override]
        self, x: Any, *, max_length: int | None = None, beam: int = 1
    ) -> list[np.ndarray]:
        """For each x the symbols found likeliest, cut at ``max_length``: twice the longest x and ten where nobody says.

        x is what the encoder takes, or ``ts.data.Sequences``."""
        x = getattr(x, "x", x)
        if max_length is None:
            max_length = 2 * (max(len(a) for a in x) if isinstance(x, list) else len(x)) + 10
        return self.generate(x, max_length=max_length, beam=beam, cut=True)

    def generate(
        self,
        x: Any,
        lengths: Any = None,
        *,
        max_length: int,
        beam: int = 1,
        cut: bool = False,
        length_penalty: float = 0.0,
    ) -> list[np.ndarray]:
        """The symbols of ``decode``; a sequence without an end is an error, unless ``cut``."""
        found = self.decode(x, lengths, max_length=max_length, beam=beam, length_penalty=length_penalty)
        return whole(found, max_length, cut)

    def sample(
        self, x: Any, lengths: Any = None, *, rng: np.random.Generator, max_length: int, cut: bool = False
    ) -> list[np.ndarray]:
        """For each x a y drawn from p(y | x)."""
        state, count = self._started(x, lengths)
        found = drawn(self._advance_values, state, count, self.vocabulary, max_length, generator(rng))
        return whole(found, max_length, cut)

    def weights(self, x: Any, y: np.ndarray) -> np.ndarray:
        """α while y (n,) is written for one x (T, 1, …): (n + 1, T)."""
        if self.attention is None:
            raise TinyseqError("this model has no attention; make it with attention=True")
        rows = []
        state, last = self._started(x, None)[0], None
        for symbol in [*plain(y, "y").tolist(), self.vocabulary]:
            with Tape():
                inner, _, (keys, mask) = state_tensors(self._told(state, last))
                rows.append(self.attention(self.cell.hidden(inner), keys, mask)[1].value[0])
            _, state = self._advance_values(state, last)
            last = np.array([symbol])
        return np.array(rows)

    def _started(self, x: Any, lengths: Any) -> tuple[Any, int]:
        with Tape():
            encoded = self.encode(x, lengths)
            return state_values(self.start(encoded)), encoded.batch

    def _told(self, state: Any, last: np.ndarray | None) -> Any:
        if last is None:
            return state
        return state[0], np.eye(self.symbols, dtype=self.dtype)[last], state[2]

    def _advance_values(self, state: Any, last: np.ndarray | None) -> tuple[np.ndarray, Any]:
        told = self._told(state, last)
        with Tape():
            inner, o = self.advance(state_tensors(told))
            return F.log_softmax(o).value.astype(np.float64), (state_values(inner), told[1], told[2])
