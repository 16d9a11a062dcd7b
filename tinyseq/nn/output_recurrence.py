"""Recurrence through the output only, and teacher forcing: section 10.2.1, figures 10.4 and 10.6."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import ShapeError
from tinyseq.nn.decoding import gumbel
from tinyseq.nn.module import Cell, uniform
from tinyseq.nn.sequences import Step, Steps, check_features, like, mean_over_batch, prepare, total_over_time
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here, tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold


class OutputRecurrence(Cell):
    """The net of figure 10.4: nothing is handed on but the output.

        a(t) = b + W v(t−1) + U x(t),  h(t) = tanh a(t),  o(t) = c + V h(t)

    v(t−1) = softmax o(t−1) where the net runs on its own output, v(t−1) = the one-hot y(t−1) under teacher forcing
    (figure 10.6); v(0) is uniform. Shapes: U (hidden, input), W (hidden, output), V (output, hidden).

    Under teacher forcing no way leads from one step to another, so the gradients of the steps are independent, and what
    the targets do not show cannot be learned.
    """

    name = "output_recurrence"

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, *, rng: np.random.Generator, dtype: Any = np.float32
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        rng = generator(rng)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.dtype = np.dtype(dtype)
        self.U = Parameter(uniform(rng, (hidden_size, input_size), hidden_size, dtype), "U")
        self.W = Parameter(uniform(rng, (hidden_size, output_size), hidden_size, dtype), "W")
        self.b = Parameter(np.zeros(hidden_size, dtype), "b")
        self.V = Parameter(uniform(rng, (output_size, hidden_size), hidden_size, dtype), "V")
        self.c = Parameter(np.zeros(output_size, dtype), "c")

    # -- steps --------------------------------------------------------------------------------------------------------
    def step(self, x: Tensor, o: Tensor) -> tuple[Tensor, Tensor]:
        """One step on the net's own output: x(t), o(t−1) → o(t), o(t)."""
        o = self.output(x, F.softmax(o))
        return o, o

    def output(self, x: Tensor, v: Tensor) -> Tensor:
        """o(t) from x(t) (B, input) or tokens (B), and v(t−1) (B, output)."""
        Ux = F.take(self.U, x, axis=1) if x.dtype_code == INT64 else F.linear(x, self.U)
        h = F.tanh(self.b + F.linear(v, self.W) + Ux).named("h")
        return (self.c + F.linear(h, self.V)).named("o")

    def _free_step(self, x: Tensor, y: Tensor, o: Tensor) -> tuple[Tensor, Tensor]:
        o, _ = self.step(x, o)
        return o, F.cross_entropy(o, y, reduction="none").named("L")

    def _forced_step(self, x: Tensor, y: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        o = self.output(x, v)
        return F.one_hot(y, self.output_size, self.dtype).named("y"), F.cross_entropy(o, y, reduction="none").named("L")

    def _scheduled_step(self, x: Tensor, y: Tensor, keep: Tensor, noise: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        o = self.output(x, v)
        told = F.one_hot(y, self.output_size, self.dtype)
        keep = F.expand(keep.reshape((keep.shape[0], 1)), told.shape)
        return F.where(keep, told, chosen(o + noise)), F.cross_entropy(o, y, reduction="none").named("L")

    def _generating_step(self, x: Tensor, noise: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        o = self.output(x, v)
        v = chosen(o + noise)
        return v, v

    # -- over sequences -----------------------------------------------------------------------------------------------
    def initial_state(self, batch: int) -> Tensor:
        """o(0) = 0, whose softmax is uniform."""
        return F.zeros((batch, self.output_size), self.dtype)

    def outputs(self, x: Any, lengths: Any = None) -> Tensor:
        """o (T, B, output), or packed rows, of the net running on its own outputs (figure 10.4)."""
        steps = self._steps(x, lengths)
        return unfold(self, steps.chain, steps.x, self.initial_state(steps.batch)).outputs

    def decide(self, o: np.ndarray) -> np.ndarray:
        """The likeliest class."""
        return o.argmax(axis=-1)

    def loss(self, x: Any, y: Any, lengths: Any = None, *, teacher: Any = True, noise: Any = None) -> Tensor:
        """Σ_t −log softmax(o(t))_y(t), averaged over the batch; y (T, B) of class numbers, or in the form of x.

        teacher   True: y(t−1) is fed back; False: softmax o(t−1), with its gradient; an array (T, B) of 1 and 0:
                  scheduled sampling (Bengio et al. 2015): where it is 1 y(t) is fed to step t + 1, where it is 0 the
                  net's own draw, which needs ``noise`` (T, B, output), from ``net.noise(rng, shape of y)``
        """
        losses, steps = self._losses(x, y, lengths, teacher, noise)
        return mean_over_batch(losses, steps).named("L")

    def log_prob(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """log p(y | x) of each sequence, each y(t) given x(1…t) and y(t−1): (B)."""
        losses, steps = self._losses(x, y, lengths, True, None)
        return -total_over_time(losses, steps)

    def _losses(self, x: Any, y: Any, lengths: Any, teacher: Any, noise: Any) -> tuple[Tensor, Steps]:
        steps = self._steps(x, lengths)
        y = like(y, steps).x
        F.check_range("target y: class", y, self.output_size)
        start = self.initial_state(steps.batch)
        if teacher is False:
            return unfold(Step(self, self._free_step), steps.chain, (steps.x, y), start).outputs, steps
        start = F.softmax(start)
        if teacher is True:
            return unfold(Step(self, self._forced_step), steps.chain, (steps.x, y), start).outputs, steps
        if noise is None:
            raise ShapeError("scheduled sampling draws outputs: give noise=net.noise(rng, y.shape)")
        keep = here(plain(teacher, "teacher", self.dtype) if isinstance(teacher, np.ndarray) else teacher, "teacher")
        inputs = (steps.x, y, like(keep, steps, "teacher").x, like(noise, steps, "noise").x)
        return unfold(Step(self, self._scheduled_step), steps.chain, inputs, start).outputs, steps

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Gumbel noise for draws: shape (T, B) → (T, B, output)."""
        return gumbel(generator(rng), (*shape, self.output_size), self.dtype)

    def generate(self, x: Any, *, rng: np.random.Generator | None = None) -> np.ndarray:
        """Free running (figure 10.6, right): classes (T, B), each fed back; the likeliest, or drawn with ``rng``."""
        with Tape():
            steps = self._steps(x, None)
            if steps.chain.lengths is not None:
                raise ShapeError("generate takes sequences of one length, x (T, B, F); call it for each length")
            shape = (steps.chain.T, steps.batch)
            noise = np.zeros((*shape, self.output_size), self.dtype) if rng is None else self.noise(rng, shape)
            start = F.softmax(self.initial_state(steps.batch))
            unfolded = unfold(Step(self, self._generating_step), steps.chain, (steps.x, as_tensor(noise)), start)
            return unfolded.outputs.value.argmax(axis=-1)

    def _steps(self, x: Any, lengths: Any) -> Steps:
        return check_features(prepare(x, lengths), self.input_size)


def chosen(z: Tensor) -> Tensor:
    """The largest element of each row as a one-hot row; no gradient passes."""
    hits = 1 - F.greater(F.max(z, axis=-1, keepdims=True), z)
    classes = z.shape[-1]
    first = hits * tensor(np.arange(classes, 0, -1, dtype=z.dtype))  # of equals the earlier counts more
    return 1 - F.greater(F.max(first, axis=-1, keepdims=True), first)
