"""Layers between recurrent ones, and Sequential, which puts both one after the other over sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import DtypeError, ShapeError, TinyseqError
from tinyseq.functions.picks import take_structural
from tinyseq.nn.dropout import dropout, dropout_mask
from tinyseq.nn.module import Module, uniform
from tinyseq.nn.packing import Packed
from tinyseq.nn.sequences import Encoded, Steps, mask_of, prepare
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.parameter import Parameter


class Linear(Module):
    """y = W x + b over the last axis: x (…, input) → y (…, output). Shapes: W (output, input), b (output)."""

    def __init__(
        self, input_size: int, output_size: int, *, rng: np.random.Generator, bias: bool = True, dtype: Any = np.float32
    ) -> None:
        positive(input_size=input_size, output_size=output_size)
        self.input_size, self.output_size, self.dtype = input_size, output_size, np.dtype(dtype)
        self.W = Parameter(uniform(generator(rng), (output_size, input_size), input_size, dtype), "W")
        self.b = Parameter(np.zeros(output_size, dtype), "b") if bias else None

    def outputs(self, x: Any) -> Tensor:
        """W x + b."""
        x = _features(x, self.input_size)
        y = F.linear(x, self.W)
        return y if self.b is None else y + self.b


class Embedding(Module):
    """Rows of a table for tokens: tokens (…) of 0 to vocabulary − 1 → (…, output). Shape: E (vocabulary, output)."""

    def __init__(self, vocabulary: int, output_size: int, *, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        positive(vocabulary=vocabulary, output_size=output_size)
        self.input_size, self.output_size, self.dtype = vocabulary, output_size, np.dtype(dtype)
        self.E = Parameter(generator(rng).normal(0, 1, (vocabulary, output_size)).astype(dtype), "E")

    def outputs(self, x: Any) -> Tensor:
        """The rows of E that tokens name."""
        x = here(x, "the tokens")
        if x.dtype_code != INT64:
            raise DtypeError(f"an embedding reads tokens, whole numbers, got {x.dtype}: write x.astype('int64')")
        return F.take(self.E, x)


class LayerNorm(Module):
    """g ⊙ (x − μ)/√(σ² + ε) + b over the last axis (Ba et al. 2016). Shapes: g (size), b (size)."""

    def __init__(self, size: int, *, epsilon: float = 1e-5, dtype: Any = np.float32) -> None:
        positive(size=size)
        self.input_size, self.output_size, self.epsilon, self.dtype = size, size, epsilon, np.dtype(dtype)
        self.gain, self.b = Parameter(np.ones(size, dtype), "g"), Parameter(np.zeros(size, dtype), "b")

    def outputs(self, x: Any) -> Tensor:
        """The features normalised."""
        return F.layer_norm(_features(x, self.input_size), self.gain, self.b, self.epsilon)


class Standardise(Module):
    """(x − μ)/σ for each feature; ``fit`` takes μ and σ from the training part, and they are saved with the model."""

    def __init__(self, size: int, *, dtype: Any = np.float32) -> None:
        positive(size=size)
        self.input_size, self.output_size, self.dtype = size, size, np.dtype(dtype)
        self.mean = Parameter(np.zeros(size, dtype), "μ", trainable=False)
        self.scale = Parameter(np.ones(size, dtype), "σ", trainable=False)

    def fit(self, data: Any) -> Standardise:
        """Take mean and standard deviation of each feature over all steps of data, or of rows (…, size).

        A feature that never changes keeps σ = 1. Steps that are masked do not count.
        """
        rows = self._rows(data)
        if rows.shape[-1] != self.input_size or not len(rows):
            raise ShapeError(f"{self.input_size} features are standardised, got rows of shape {rows.shape}")
        deviation = rows.std(axis=0)
        self.mean.value[...] = rows.mean(axis=0)
        self.scale.value[...] = np.where(deviation > 1e-12 * np.abs(rows).max(axis=0, initial=1e-300), deviation, 1.0)
        return self

    def _rows(self, data: Any) -> np.ndarray:
        if not hasattr(data, "x"):
            rows = plain(data, "the rows", np.float64)
            return rows.reshape(-1, rows.shape[-1])
        masks = getattr(data, "masks", None)
        parts = data.x if masks is None else [a[m > 0] for a, m in zip(data.x, masks, strict=True)]
        return np.concatenate(parts).astype(np.float64)

    def outputs(self, x: Any) -> Tensor:
        """(x − μ)/σ."""
        return (_features(x, self.input_size) - self.mean) / self.scale

    def undone(self, x: Tensor) -> Tensor:
        """μ + σ x."""
        return x * self.scale + self.mean


class Dropout(Module):
    """x ⊙ m, m = 0 with probability ``rate``, else 1/(1 − rate): in training only, which is where there is a mask.

    ``over_time`` drops the same units of a sequence at every step (Gal and Ghahramani 2016); else each step has draws
    of its own. ``layer(x)`` drops nothing, ``layer(x, rng=rng)`` draws a mask, ``layer(x, mask=m)`` takes one.
    """

    def __init__(self, rate: float, *, over_time: bool = True) -> None:
        dropout_mask(np.random.default_rng(0), (1,), rate)  # only for its check
        self.rate, self.over_time = float(rate), over_time

    def outputs(self, x: Any, *, rng: np.random.Generator | None = None, mask: Any = None) -> Tensor:
        """x (T, B, F) or rows (B, F), with units dropped where there is a mask or a generator."""
        x = here(x, "x")
        if rng is not None:
            shape = x.shape[1:] if self.over_time and x.ndim == 3 else x.shape
            mask = dropout_mask(rng, shape, self.rate, x.dtype)
        return x if mask is None else dropout(x, mask)


def _features(x: Any, size: int) -> Tensor:
    x = here(x, "x")
    if x.dtype_code == INT64 or not x.ndim or x.shape[-1] != size:
        raise ShapeError(f"a layer of {size} features reads floats (…, {size}), got {x.dtype} {x.shape}")
    return x


class Sequential(Module):
    """Layers one after the other over sequences: recurrent ones (cells, Bidirectional, Stack), layers of each step
    (Linear, Embedding, LayerNorm, Standardise, Dropout) and functions such as ts.tanh. At least one is recurrent.

    ``encode(x, masks=model.masks(rng, x))`` trains with dropout, ``encode(x)`` drops nothing.
    """

    each_step = True

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers: list[Any] = []
        for layer in layers:
            self.layers += layer.layers if isinstance(layer, Sequential) else [layer]
        if not any(hasattr(layer, "encode") for layer in self.layers):
            raise TinyseqError("Sequential needs a recurrent layer, such as nn.LSTMCell(3, 4, rng=rng)")
        size = None
        self.sizes: list[int] = []
        for i, layer in enumerate(self.layers):
            if not (isinstance(layer, Module) or callable(layer)):
                raise TinyseqError(f"layer {i} is {layer!r}; expected a layer or a function such as ts.tanh")
            wanted = getattr(layer, "input_size", size)
            if size is not None and wanted != size:
                raise ShapeError(f"layer {i}, {type(layer).__name__}, takes {wanted} features, but gets {size}")
            size = getattr(layer, "output_size", size)
            self.sizes.append(0 if size is None else size)
        first = next(layer for layer in self.layers if hasattr(layer, "input_size"))
        known = next(layer for layer in self.layers if hasattr(layer, "encode"))
        self.input_size, self.output_size, self.dtype = first.input_size, self.sizes[-1], known.dtype

    def masks(self, rng: np.random.Generator, x: Any) -> list[np.ndarray] | None:
        """A mask for each Dropout, drawn for sequences x; None where there is none."""
        if not any(isinstance(layer, Dropout) for layer in self.layers):
            return None
        if isinstance(x, Packed):
            batch, rows = len(x.lengths), (int(np.sum(x.lengths)),)
        elif isinstance(x, (list, tuple)):
            batch, rows = len(x), (sum(len(a) for a in x),)
        else:
            batch, rows = x.shape[1], tuple(x.shape[:2])
        size, drawn = self.input_size, []
        for layer, after in zip(self.layers, self.sizes, strict=True):
            if isinstance(layer, Dropout):
                shape = (batch, size) if layer.over_time else (*rows, size)
                drawn.append(dropout_mask(rng, shape, layer.rate, self.dtype))
            size = after or size
        return drawn

    def encode(self, x: Any, lengths: Any = None, state: Any = None, mask: Any = None, masks: Any = None) -> Encoded:
        """Run over sequences; ``state`` has one for each recurrent layer, and so has ``final``.

        Where ``mask`` is 0 all of them hold their state; ``masks`` are those of the Dropouts.
        """
        steps, finals, encoded = prepare(x, lengths), list[Any](), None
        given = None if mask is None else mask_of(mask, steps, self.dtype)
        dropped = self._checked(masks)
        last: Tensor | None = None
        for layer in self.layers:
            if hasattr(layer, "encode"):
                held = {} if given is None else {"mask": given}
                encoded = layer.encode(steps, state=None if state is None else state[len(finals)], **held)
                finals.append(encoded.final)
                outputs, last = encoded.outputs, encoded.last
            elif isinstance(layer, Dropout):
                m = next(dropped)
                outputs = steps.x if m is None else dropout(steps.x, _rows(m, steps, layer.over_time))
                last = last if m is None or last is None else dropout(last, _last(m, steps, layer.over_time))
            else:
                outputs, last = layer(steps.x), None if last is None else layer(last)
            steps = Steps(outputs, steps.chain, steps.batch)
        assert encoded is not None and last is not None
        both = hasattr(self.layers[-1], "encode")
        inner = (encoded.forward, encoded.backward) if both else (None, None)
        return Encoded(steps.x, tuple(finals), last, steps.chain, steps.batch, *inner)

    def merged(self, h: Any, g: Any) -> Any:
        """The features of the two directions of the last layer as one."""
        return self.layers[-1].merged(h, g)

    def _checked(self, masks: Any) -> Any:
        many = sum(isinstance(layer, Dropout) for layer in self.layers)
        if masks is not None and len(masks) != many:
            raise ShapeError(f"{many} layers of Dropout need a mask each, got {len(masks)}")
        return iter([None] * many if masks is None else masks)


def _rows(mask: Any, steps: Steps, over_time: bool) -> Tensor:
    """A mask for all steps: packed rows take that of their sequence."""
    mask = as_tensor(mask)
    if not over_time or steps.chain.lengths is None:
        return mask
    return take_structural(mask, steps.chain.packed_rows()[:, 0])


def _last(mask: Any, steps: Steps, over_time: bool) -> Tensor:
    """The mask of the last steps."""
    mask = as_tensor(mask)
    if over_time:
        return mask
    if steps.chain.lengths is None:
        return mask[steps.chain.T - 1]
    rows = np.maximum(np.where(steps.chain.lengths > 0, steps.chain.last_rows(), 0), 0)
    return take_structural(mask, rows)
