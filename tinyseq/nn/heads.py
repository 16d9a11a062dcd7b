"""What reads features: one output at the end (figure 10.5), or one at each step (figures 10.3 and 10.11)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.functions.picks import one_hot_rows
from tinyseq.habits import users_level
from tinyseq.nn.layers import Standardise
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.sequences import Encoded, Step, Steps, checked_encoder, like, mean_over_batch, total_over_time
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold


class Head(Module):
    """o = c + V h. Targets decide the loss: class numbers give −log softmax(o)_y, floats give ‖o − y‖².

    One-hot rows of floats train ‖o − y‖² too, with a warning: for cross-entropy give their class numbers.
    """

    def __init__(
        self,
        encoder: Any,
        output_size: int,
        *,
        rng: np.random.Generator,
        class_weights: Any = None,
        label_smoothing: float = 0.0,
        scaled: bool = False,
    ) -> None:
        positive(output_size=output_size)
        self.targets: str | None = None  # what it has seen, "classes" or "reals"
        self.label_smoothing = label_smoothing
        self.encoder = checked_encoder(encoder)
        self.output_size, size = output_size, self.encoder.output_size
        self.V = Parameter(uniform(generator(rng), (output_size, size), size, self.encoder.dtype), "V")
        self.c = Parameter(np.zeros(output_size, self.encoder.dtype), "c")
        self.class_weights = None
        if class_weights is not None:
            weights = plain(class_weights, "class_weights", self.encoder.dtype)
            if weights.shape != (output_size,) or not (weights >= 0).all():
                raise ShapeError(f"class_weights are {output_size} numbers from 0, one for each class; got {weights}")
            if not 0 < weights.sum() < np.inf:
                raise ShapeError(f"class_weights are finite, and one class at least counts: above 0; got {weights}")
            self.class_weights = Parameter(weights, "w", trainable=False)
        self.scaling = Standardise(output_size, dtype=self.encoder.dtype) if scaled else None

    @property
    def input_size(self) -> int:
        """Features that the encoder reads."""
        return self.encoder.input_size

    @property
    def dtype(self) -> Any:
        """The encoder's."""
        return self.encoder.dtype

    def decide(self, o: np.ndarray) -> np.ndarray:
        """The likeliest class where it was trained on classes, the outputs where on reals."""
        if self.targets is None:
            raise TinyseqError(
                "this model has seen no targets yet, so whether it predicts classes is not known: train it, or take "
                "its outputs, model(x)"
            )
        return o.argmax(axis=-1) if self.targets == "classes" else o

    def masks(self, rng: np.random.Generator, x: Any) -> Any:
        """Dropout masks for a loss over x, where the encoder has any dropout; else None."""
        draw = getattr(self.encoder, "masks", None)
        return draw(rng, x) if draw else None

    def encode(self, x: Any, lengths: Any = None, **options: Any) -> Encoded:
        """The features that the outputs read."""
        return self.encoder.encode(x, lengths, **options)

    def output(self, h: Tensor) -> Tensor:
        """c + V h for rows h (…, H)."""
        return (self.c + F.linear(h, self.V)).named("o")

    def unscaled(self, o: Tensor) -> Tensor:
        """Outputs in the units of the targets."""
        return o if self.scaling is None else self.scaling.undone(o)

    def checked(self, y: Tensor) -> Tensor:
        """Targets that a loss can be taken of."""
        if y.dtype_code == INT64:
            F.check_range("target y: class", y, self.output_size)
            self.targets = "classes"
        elif y.shape[-1] != self.output_size:
            raise ShapeError(
                f"real-valued targets have one number for each of the {self.output_size} outputs, got y {y.shape}; "
                "class numbers are integers, write y.astype('int64')"
            )
        else:
            self._one_hot(y)
            self.targets = "reals"
        return y

    def _one_hot(self, y: Tensor) -> None:
        """Say so where targets look like classes and train as reals."""
        value = getattr(y.tape.executor, "values", {}).get(y.index)
        if isinstance(value, np.ndarray) and one_hot_rows(value):
            warnings.warn(
                "the targets y are one-hot rows of floats, and floats train the squared error ‖o − y‖². For "
                "cross-entropy give class numbers: y.argmax(-1)",
                stacklevel=users_level(),
            )

    def losses_of(self, o: Tensor, y: Tensor) -> Tensor:
        """The loss of each row."""
        if y.dtype_code == INT64:
            return self._cross_entropy(o, y, "none").named("L")
        if self.scaling is not None:
            y = self.scaling(y)
        return F.sum(F.squared_error(o, y), axis=-1).named("L")

    def _cross_entropy(self, o: Tensor, y: Tensor, reduction: str) -> Tensor:
        if self.class_weights is None and not self.label_smoothing:
            return F.cross_entropy(o, y, reduction=reduction)
        weight = None if self.class_weights is None else as_tensor(self.class_weights)
        return F.cross_entropy(o, y, reduction=reduction, weight=weight, label_smoothing=self.label_smoothing)


class ManyToOne(Head):
    """One output after the last step, figure 10.5: o(τ) = c + V h(τ).

    ``loss`` is averaged over the batch: −log softmax(o(τ))_y for y (B) of class numbers, ‖o(τ) − y‖² for y (B, output).
    """

    def outputs(self, x: Any, lengths: Any = None, **options: Any) -> Tensor:
        """o(τ), (B, output)."""
        return self.unscaled(self._output(x, lengths, options))

    def _output(self, x: Any, lengths: Any, options: dict[str, Any]) -> Tensor:
        return self.output(self.encode(x, lengths, **options).last)

    def loss(self, x: Any, y: Any, lengths: Any = None, **options: Any) -> Tensor:
        """The mean loss of the batch; with class weights Σ w L / Σ w, which is 0 where none of its classes counts."""
        o, y = self._checked(x, y, lengths, options)
        losses = self.losses_of(o, y)
        if self.class_weights is None or y.dtype_code != INT64:
            return F.mean(losses).named("L")
        total = F.sum(F.take(as_tensor(self.class_weights).reshape((self.output_size, 1)), y))
        return (F.sum(losses) / (total + (1 - F.greater(total, 0)))).named("L")

    def measured(self, inputs: tuple, y: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The mean loss and the outputs."""
        o, y = self._checked(inputs[0], y, None, options)
        return F.mean(self.losses_of(o, y)).named("L"), self.unscaled(o)

    def log_prob(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """log p(y | x) of each sequence, (B)."""
        return -self._losses(x, F.indices(y), lengths, {})

    def _losses(self, x: Any, y: Any, lengths: Any, options: dict[str, Any]) -> Tensor:
        return self.losses_of(*self._checked(x, y, lengths, options))

    def _checked(self, x: Any, y: Any, lengths: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        y = np.asarray(y) if isinstance(y, (list, tuple)) else y
        o, y = self._output(x, lengths, options), here(y, "the target y")
        if y.ndim == 0 or y.shape[0] != o.shape[0] or y.ndim != (1 if y.dtype_code == INT64 else 2):
            batch_first = y.shape[:1] == getattr(x, "shape", ())[:1] != o.shape[:1]
            raise ShapeError(
                f"many-to-one has one target for each sequence: y ({o.shape[0]},) of class numbers or "
                f"({o.shape[0]}, {self.output_size}) of reals, got {y.dtype} {y.shape}"
                + ("; x looks batch-first: write x.swapaxes(0, 1)" if batch_first else "")
            )
        return o, self.checked(y if y.name else y.named("y"))


class ManyToMany(Head):
    """One output at each step, figures 10.3 and 10.11: o(t) = c + V h(t).

    ``loss`` is L = Σ_t L(t), averaged over the batch; targets (T, B) of class numbers or (T, B, output) of reals, or
    lists or packed as x is.
    """

    name = "output"
    each_step = True

    def outputs(self, x: Any, lengths: Any = None, **options: Any) -> Tensor:
        """o (T, B, output), or packed (Σ lengths, output)."""
        encoded = self.encode(x, lengths, **options)
        return self.unscaled(unfold(Step(self, self._step), encoded.chain, self._features(encoded), ()).outputs)

    def _features(self, encoded: Encoded) -> tuple[Tensor, ...]:
        """What a step reads: h(t), or h(t) and g(t), which it merges itself, so that pictures show both."""
        if encoded.forward is None or encoded.backward is None:
            return (encoded.outputs,)
        return encoded.forward.outputs, encoded.backward.outputs

    def _step(self, *features: Any) -> tuple[tuple, Tensor]:
        *parts, _ = features
        return (), self.output(parts[0] if len(parts) == 1 else self.encoder.merged(*parts))

    def _loss_step(self, *features: Any) -> tuple[tuple, Tensor]:
        *parts, y, nothing = features
        return (), self.losses_of(self._step(*parts, nothing)[1], y)

    def loss(self, x: Any, y: Any, lengths: Any = None, *, counts: Any = None, **options: Any) -> Tensor:
        """Σ_t L(t), averaged over the batch; steps where ``counts``, in the form of y, is 0 do not count."""
        losses, steps = self._losses(x, y, lengths, options)
        losses = losses if counts is None else F.where(like(counts, steps, "counts").x, losses, 0.0)
        return mean_over_batch(losses, steps).named("L")

    def measured(self, inputs: tuple, y: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss and the outputs."""
        counts = options.get("counts")
        encoded = self.encode(*inputs, **{key: value for key, value in options.items() if key != "counts"})
        read = (*self._features(encoded), self.checked(like(y, encoded.steps).x))
        losses, o = unfold(Step(self, self._measure_step), encoded.chain, read, ()).outputs
        losses = losses if counts is None else F.where(like(counts, encoded.steps, "counts").x, losses, 0.0)
        return mean_over_batch(losses, encoded.steps).named("L"), self.unscaled(o)

    def _measure_step(self, *features: Any) -> tuple[tuple, tuple[Tensor, Tensor]]:
        *parts, y, nothing = features
        o = self._step(*parts, nothing)[1]
        return (), (self.losses_of(o, y), o)

    def log_prob(self, x: Any, y: Any, lengths: Any = None) -> Tensor:
        """Σ_t log p(y(t) | x) of each sequence, (B)."""
        losses, steps = self._losses(x, y, lengths, {})
        return -total_over_time(losses, steps)

    def _losses(self, x: Any, y: Any, lengths: Any, options: dict[str, Any]) -> tuple[Tensor, Steps]:
        encoded = self.encode(x, lengths, **options)
        targets = like(y, encoded.steps)
        inputs = (*self._features(encoded), self.checked(targets.x))
        return unfold(Step(self, self._loss_step), encoded.chain, inputs, ()).outputs, encoded.steps
