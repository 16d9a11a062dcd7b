"""Sequences as the nets take them: (T, B, F) arrays, lists of arrays, padded batches with lengths; all without leaks.

Sequences of different lengths are packed: the batch shrinks as sequences end (``Chain(lengths)``), so that no step is
ever run on padding, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import DataError, DtypeError, ShapeError, TinyseqError
from tinyseq.functions.picks import take_structural
from tinyseq.nn.module import Module
from tinyseq.nn.packing import Packed, checked_lengths, pack, unpack
from tinyseq.structure.chain import Chain
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import here
from tinyseq.tensor.nesting import flatten, matched, rebuild
from tinyseq.unfolding.unfold import unfold


@dataclass
class Steps:
    """Sequences ready to be unfolded over: x (T, B, …), or packed rows where the chain has lengths."""

    x: Tensor
    chain: Chain
    batch: int

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, (B,)."""
        return np.full(self.batch, self.chain.T) if self.chain.lengths is None else self.chain.lengths


def prepare(x: Any, lengths: Any = None, what: str = "x") -> Steps:
    """Any form of sequences as a tensor and its chain."""
    if isinstance(x, Steps):
        return x
    if isinstance(x, Packed):
        if lengths is not None:
            raise DataError(f"{what} is packed and knows its lengths; leave lengths out")
        return Steps(_named(here(x.rows, what), what), x.chain, len(x.lengths))
    if isinstance(x, (list, tuple)):
        if lengths is not None:
            raise DataError(f"{what} is a list of sequences, whose lengths are known; leave lengths out")
        return _of_list(x, what)
    if lengths is not None:
        return _of_padded(x, lengths, what)
    x = here(x, what)
    if x.ndim < 2:
        raise ShapeError(f"sequences are (T, B, F), or tokens (T, B); {what} has shape {x.shape}")
    if 0 in x.shape:
        raise ShapeError(f"empty sequence: {what} has shape {x.shape}; T, B and F must be at least 1")
    return Steps(_named(x, what), Chain(x.shape[0]), x.shape[1])


def _of_list(sequences: Any, what: str) -> Steps:
    if not any(isinstance(s, Tensor) for s in sequences):
        packed = pack(sequences)
        return Steps(_named(here(packed.rows, what), what), packed.chain, len(packed.lengths))
    tensors = [here(s, f"sequence {i} of {what}") for i, s in enumerate(sequences)]
    if any(s.dtype_code == INT64 for s in tensors):
        raise DtypeError(f"lists of tokens are packed before ts.compile sees them: give it {what} = nn.pack(list)")
    for i, s in enumerate(tensors):
        if s.shape[1:] != tensors[0].shape[1:]:
            raise DataError(f"sequence {i} has features {s.shape[1:]}, sequence 0 has {tensors[0].shape[1:]}")
    chain = Chain([len(s) for s in tensors])
    rows = take_structural(F.concatenate(tensors, 0), np.argsort(chain.unpack_rows()))
    return Steps(_named(rows, what), chain, len(tensors))


def _of_padded(x: Any, lengths: Any, what: str) -> Steps:
    if isinstance(x, np.ndarray):
        packed = pack(x, lengths)
        return Steps(_named(here(packed.rows, what), what), packed.chain, len(packed.lengths))
    x = here(x, what)
    if x.dtype_code == INT64:
        raise DtypeError(
            f"padded tokens are packed before ts.compile sees them: give it {what} = nn.pack(array, lengths)"
        )
    chain = Chain(list(checked_lengths(lengths, x.shape)))
    where = chain.packed_rows()
    flat = x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))
    return Steps(_named(take_structural(flat, where[:, 1] * x.shape[1] + where[:, 0]), what), chain, x.shape[1])


def _named(x: Tensor, name: str) -> Tensor:
    return x if x.name else x.named(name)


def check_features(steps: Steps, size: int, what: str = "x") -> Steps:
    """Inputs have ``size`` features a step, or are tokens below ``size``."""
    x = steps.x
    feature_axes = x.ndim - (2 if steps.chain.lengths is None else 1)
    if x.dtype_code == INT64:
        if feature_axes:
            raise ShapeError(
                f"token sequences are (T, B), {what} has shape {x.shape}; "
                "features that are whole numbers: x.astype('float32')"
            )
        F.check_range("token", x, size)
    elif feature_axes != 1 or x.shape[-1] != size:
        hint = "; tokens (T, B) are integers, write x.astype('int64')" if not feature_axes else ""
        raise ShapeError(f"sequences are (T, B, F) with F = {size} features, {what} has shape {x.shape}{hint}")
    return steps


def like(y: Any, steps: Steps, what: str = "y") -> Steps:
    """Targets with the lengths of the inputs: in the same form, or padded (T, B, …) beside packed inputs."""
    ragged = steps.chain.lengths is not None
    if ragged and isinstance(y, np.ndarray) and y.ndim > 1 and y.shape[:2] == (steps.chain.T, steps.batch):
        y = pack(y, steps.lengths)
    made = prepare(y, what=what)
    if ragged != (made.chain.lengths is not None) or not np.array_equal(made.lengths, steps.lengths):
        wrong = "" if made.batch != steps.batch else _first_difference(made.lengths, steps.lengths)
        hint = ""
        if not ragged and made.chain.lengths is None and (made.batch, made.chain.T) == (steps.chain.T, steps.batch):
            hint = f"; {what} looks batch-first: write {what}.swapaxes(0, 1)"
        raise ShapeError(
            f"{what} needs a value for each step of x: x has {steps.batch} sequences of {_span(steps)} steps, "
            f"{what} {made.batch} of {_span(made)}{wrong}{hint}"
        )
    return made


def _span(steps: Steps) -> str:
    low, high = int(steps.lengths.min()), int(steps.lengths.max())
    return str(low) if low == high else f"{low} to {high}"


def _first_difference(a: np.ndarray, b: np.ndarray) -> str:
    at = np.flatnonzero(a != b)
    return f" (sequence {at[0]} has {b[at[0]]} steps, {a[at[0]]} targets)" if len(at) else ""


class Step:
    """A step function with the name and the parameters of a module, for ``ts.unfold``."""

    def __init__(self, module: Module, function: Callable[..., Any], name: str | None = None) -> None:
        self.step, self.parameters = function, module.parameters
        self.name = name or str(getattr(module, "name", type(module).__name__.lower()))
        self.cell = module if name is None else self


@dataclass
class Encoded:
    """A net run over sequences.

    outputs   features at each step: (T, B, H), or packed (Σ lengths, H) where lengths differ
    final     the state after the last step of each sequence
    last      the features after the last step of each sequence, (B, H)
    forward, backward   of a bidirectional net: each direction for itself, in the order of time
    """

    outputs: Tensor
    final: Any
    last: Tensor
    chain: Chain
    batch: int
    forward: Encoded | None = None
    backward: Encoded | None = None

    def __iter__(self) -> Any:
        raise TinyseqError("an encoded sequence is not a pair: write encoded.outputs and encoded.final")

    @property
    def steps(self) -> Steps:
        """The outputs as the input of another net."""
        return Steps(self.outputs, self.chain, self.batch)

    def batch_first(self) -> tuple[Tensor, np.ndarray]:
        """Outputs (B, T, H), and a mask (B, T), True where there is a step; other rows are copies of the first."""
        T, B = self.chain.T, self.batch
        if self.chain.lengths is None:
            return F.transpose(self.outputs, (1, 0, 2)), np.ones((B, T), bool)
        mask = np.arange(T) < self.chain.lengths[:, None]
        rows = np.zeros((B, T), np.int64)
        rows[mask] = self.chain.unpack_rows()
        return take_structural(self.outputs, rows), mask

    def unpacked(self) -> list[np.ndarray]:
        """The values of the outputs, one array (length, H) for each sequence."""
        value = self.outputs.value
        if self.chain.lengths is None:
            return list(value.swapaxes(0, 1))
        return unpack(value, self.chain.lengths.tolist())


def encode(
    cell: Any, x: Any, lengths: Any = None, state: Any = None, backwards: bool = False, mask: Any = None
) -> Encoded:
    """Run a cell over sequences, from the end to the start where ``backwards``; where ``mask`` is 0, a value for each
    step in the form of x, the state is held."""
    steps = check_features(prepare(x, lengths), cell.input_size)
    wanted = getattr(cell, "dtype", None)
    if wanted is not None and steps.x.dtype_code != INT64 and steps.x.dtype != wanted:
        raise DtypeError(
            f"x is {steps.x.dtype}, the cell is {wanted}: write x.astype('{wanted}'), or make the cell with "
            f"dtype=np.{steps.x.dtype}"
        )
    chain = steps.chain.reversed() if backwards else steps.chain
    inputs = steps.x
    if backwards and steps.chain.lengths is not None and inputs.dtype_code == INT64:
        inputs = F.one_hot(inputs, cell.input_size, cell.dtype)
    start = cell.initial_state(steps.batch) if state is None else state
    if mask is None:
        unfolded = unfold(cell, chain, inputs, start)
    else:
        unfolded = unfold(Step(cell, _holding(cell)), chain, (inputs, mask_of(mask, steps, wanted).x), start)
    final = unfolded.final
    return Encoded(unfolded.outputs, final, cell.hidden(final), steps.chain, steps.batch)


def mask_of(mask: Any, steps: Steps, dtype: Any) -> Steps:
    """A mask of steps as columns of 0 and 1, packed as x is."""
    if isinstance(mask, Steps):
        return mask
    if not isinstance(mask, (Tensor, Packed)):
        given = mask if isinstance(mask, (list, tuple)) else [mask]
        for i, part in enumerate(given):
            if not isinstance(part, Tensor) and not np.isin(part, (0, 1)).all():
                which = f"; that of sequence {i} holds other numbers" if part is not mask else ""
                raise DataError(f"a mask of steps holds 1 where the net reads, 0 where its state is held{which}")
        made = [part if isinstance(part, Tensor) else np.asarray(part, dtype) for part in given]
        mask = made if isinstance(mask, (list, tuple)) else made[0]
    found = like(mask, steps, "the mask")
    if found.x.ndim != (2 if steps.chain.lengths is None else 1) or found.x.dtype_code == INT64:
        raise ShapeError(f"a mask has one number for each step, (T, B) floats or in the form of x; got {found.x.shape}")
    return Steps(F.reshape(found.x, (*found.x.shape, 1)), found.chain, found.batch)


def _holding(cell: Any) -> Callable[..., Any]:
    """A step of a cell that holds the state where the mask is 0; its output is then that of the state held."""

    def step(x: Tensor, mask: Tensor, state: Any) -> tuple[Any, Tensor]:
        new, _ = cell.step(x, state)
        new = matched(new, state, "the state a step returns")
        before, after = flatten(state), flatten(new)
        rest = (1,) * (max(h.ndim for h in before) - 2)
        kept = [F.where(F.reshape(mask, (*mask.shape, *rest)) if h.ndim > 2 else mask, a, h)
                for a, h in zip(after, before, strict=True)]  # fmt: skip
        state = rebuild(state, kept)
        return state, cell.hidden(state)

    return step


def checked_encoder(encoder: Any) -> Any:
    """Anything that runs over sequences: a cell, a Bidirectional, a Stack."""
    if not (isinstance(encoder, Module) and hasattr(encoder, "encode")):
        raise TinyseqError(f"expected a cell or an encoder such as nn.LSTMCell(...), got {encoder!r}")
    return encoder


def total_over_time(losses: Tensor, steps: Steps) -> Tensor:
    """Σ_t of (T, B) or packed rows for each sequence: (B,)."""
    if steps.chain.lengths is None:
        return F.sum(losses, axis=0)
    start = F.zeros((steps.batch,), losses.dtype)
    return unfold(_add, steps.chain, losses, start, name="total").final


def _add(loss: Tensor, total: Tensor) -> tuple[Tensor, None]:
    return total + loss, None


def mean_over_batch(losses: Tensor, steps: Steps) -> Tensor:
    """Σ_t, averaged over the batch: what ``loss`` returns."""
    return F.sum(losses) / steps.batch
