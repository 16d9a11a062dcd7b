"""Ancestral sampling from a sequence model, whatever way its sequences end."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.errors import DataError, TinyseqError
from tinyseq.nn.decoding import check_length, gumbel, state_rows, state_tensors, state_values
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import as_tensor


def sample_sequences(
    model: Any, count: int, rng: np.random.Generator, context: Any, max_length: int, steps: int | None, cut: bool
) -> list[np.ndarray]:
    """``count`` sequences drawn from a ``SequenceModel``; those that have ended are run no further."""
    positive(count=count)
    check_length(max_length)
    if (model.length is None) != (steps is not None):
        raise TinyseqError("steps is the length to draw where the model has none (length=None): give it there only")
    tau = _lengths(model, count, rng, steps)
    with Tape():
        state = state_values(model.start(count, context))
    drawn: list[list[int]] = [[] for _ in range(count)]
    alive = np.arange(count)
    for t in range(model.max_length or steps or max_length + 1):
        remaining = tau[alive] - 1 - t if model.length == "count" else None
        symbols, stop, state = _draw(model, state, remaining, rng)
        ended = symbols == model.vocabulary if model.length == "end" else np.zeros(len(alive), bool)
        if t == max_length and not ended.all() and model.length in ("end", "halt"):
            alive = alive[~ended]
            break
        for i, symbol in zip(alive[~ended].tolist(), symbols[~ended].tolist(), strict=True):
            drawn[i].append(symbol)
        kept = np.flatnonzero(~(ended | stop | (tau[alive] <= t + 1)))
        alive, state = alive[kept], state_rows(state, kept)
        if not len(alive):
            break
    if len(alive) and not cut:
        raise DataError(
            f"sequence {alive[0]} had not ended after max_length = {max_length} symbols; give a greater max_length, or "
            "cut=True to have such sequences cut off"
        )
    return [np.array(s, np.int64) for s in drawn]


def _lengths(model: Any, count: int, rng: np.random.Generator, steps: int | None) -> np.ndarray:
    """τ of each sequence where it is known beforehand, else as good as infinite."""
    if model.length == "count":
        log_p = model.log_length.value.astype(np.float64)
        return (log_p + gumbel(rng, (count, model.max_length))).argmax(axis=1) + 1
    return np.full(count, np.iinfo(np.int64).max if steps is None else steps)


def _draw(model: Any, state: Any, remaining: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Any]:
    """One symbol for each sequence, whether it stops after it, and the state's values."""
    with Tape():
        inner, before = state_tensors(state)
        inner, h = model.recur(before, None if remaining is None else as_tensor(remaining), inner)
        logits = model.logits(h).value.astype(np.float64)
        symbols = (logits + gumbel(rng, logits.shape)).argmax(axis=1)
        stop = np.zeros(len(symbols), bool)
        if model.length == "halt":
            halt = model.halting(h).value.astype(np.float64)
            stop = rng.logistic(size=halt.shape) < halt
        before = F.one_hot(symbols, model.symbols, model.dtype)
        return symbols, stop, state_values((inner, before))
