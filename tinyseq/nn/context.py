"""Conditioned on a sequence, with the outputs fed back: section 10.2.4, figure 10.10."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError
from tinyseq.nn.decoding import gumbel, state_tensors, state_values
from tinyseq.nn.kinds import CellMaker, make_cell
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.sequences import Step, Steps, check_features, like, mean_over_batch, prepare, total_over_time
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold


class FeedbackRNN(Module):
    """p(y | x) of sequences of one length, with every y(t) depending on those before it: figure 10.10.

        h(t) = cell(h(t−1), x(t), R y(t−1)),  o(t) = c + V h(t),  p(y | x) = Π_t softmax(o(t))_y(t)

    With h(t−1)→h(t) and y(t−1)→h(t) it can represent any distribution over y given x, where figure 10.3 makes the y(t)
    independent given x. y(0) = 0.
    """

    name = "feedback"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        vocabulary: int,
        *,
        rng: np.random.Generator,
        cell: CellMaker = "rnn",
        dtype: Any = np.float32,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, vocabulary=vocabulary)
        generator(rng)
        self.input_size, self.hidden_size, self.vocabulary = input_size, hidden_size, vocabulary
        self.dtype = np.dtype(dtype)
        self.cell = make_cell(cell, input_size, hidden_size, rng=rng, dtype=dtype, context_size=vocabulary)
        self.V = Parameter(uniform(rng, (vocabulary, hidden_size), hidden_size, dtype), "V")
        self.c = Parameter(np.zeros(vocabulary, dtype), "c")

    def start(self, batch: int) -> tuple[Any, Tensor]:
        """(the cell's state, zeros in place of y(0))."""
        return self.cell.initial_state(batch), F.zeros((batch, self.vocabulary), self.dtype)

    def advance(self, x: Tensor, state: Any) -> tuple[Any, Tensor]:
        """x(t), (the cell's state, y(t−1) one-hot) → the cell's state, o(t)."""
        inner, before = state
        inner, h = self.cell.step(x, inner, self.cell.terms(before))
        return inner, (self.c + F.linear(h, self.V)).named("o")

    def _step(self, x: Tensor, y: Tensor, state: Any) -> tuple[Any, Tensor]:
        inner, o = self.advance(x, state)
        return (inner, F.one_hot(y, self.vocabulary, self.dtype).named("y")), F.cross_entropy(
            o, y, reduction="none"
        ).named("L")

    def loss(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """−log p(y | x), averaged over the batch; y (T, B) of class numbers, or in the form of x."""
        losses, steps = self._losses(x, y, lengths)
        return mean_over_batch(losses, steps).named("L")

    def log_prob(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """log p(y | x) of each pair, (B), in nats."""
        losses, steps = self._losses(x, y, lengths)
        return -total_over_time(losses, steps)

    def _losses(self, x: Any, y: Any, lengths: Any) -> tuple[Tensor, Steps]:
        steps = check_features(prepare(x, lengths), self.input_size)
        y = like(y, steps).x
        F.check_range("target y: class", y, self.vocabulary)
        return unfold(Step(self, self._step), steps.chain, (steps.x, y), self.start(steps.batch)).outputs, steps

    def generate(self, x: Any) -> np.ndarray:
        """The likeliest y(t) at each step, fed back: (T, B)."""
        return self._run(x, None)

    def sample(self, x: Any, *, rng: np.random.Generator) -> np.ndarray:
        """y drawn from p(y | x): (T, B)."""
        return self._run(x, generator(rng))

    def _run(self, x: Any, rng: np.random.Generator | None) -> np.ndarray:
        with Tape():
            steps = check_features(prepare(x), self.input_size)
            if steps.chain.lengths is not None:
                raise ShapeError("outputs are written for sequences of one length, x (T, B, F); call for each length")
            xs, state = steps.x.value, state_values(self.start(steps.batch))
        written = []
        for x_t in xs:
            with Tape():
                inner, o = self.advance(state_tensors(x_t), state_tensors(state))
                noise = 0.0 if rng is None else gumbel(rng, o.shape)
                written.append((o.value + noise).argmax(axis=1))
                state = state_values(inner), np.eye(self.vocabulary, dtype=self.dtype)[written[-1]]
        return np.array(written)
