"""The loss of a text read window after window, with the state carried on."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError
from tinyseq.functions import mul
from tinyseq.habits import advised
from tinyseq.replay.compiling import compile
from tinyseq.replay.function import CompiledFunction


def window_loss(model: Any) -> CompiledFunction:
    """(x, y, state) → (mean loss over a window in nats, final state's values), recorded once for each shape.

    The final state comes back as plain arrays, constants wherever they are used next.
    """

    def losses(x: Any, y: Any, state: Any, *masks: Any) -> tuple[Any, Any]:
        return mean_loss(model, x, y, state, *masks)

    return compile(losses)


def mean_loss(model: Any, x: Any, y: Any, state: Any, *masks: Any) -> tuple[Any, Any]:
    """The mean loss over a window in nats, and the final state."""
    loss, unfolded = model.losses(x, y, state, *masks)
    return mul(loss, 1.0 / len(x)), unfolded.final


@advised
def bits_per_token(model: Any, tokens: np.ndarray, context: np.ndarray, *, T: int = 100, B: int = 16) -> float:
    """Cross-entropy of a model on a text in bits per character; ``context`` is what came before, its last is read.

    The text is cut into B streams of equal length that run side by side, in windows of T steps with the state carried
    on; each stream starts from the initial state. What is left over (fewer than B characters) runs as one stream more.
    """
    return text_nats(model, tokens, context, T, B) / log(2)


def text_nats(model: Any, tokens: np.ndarray, context: np.ndarray, T: int = 100, B: int = 16) -> float:
    """``bits_per_token`` in nats."""
    if not len(context) or not len(tokens):
        raise DataError("one character of context and one to predict are the least")
    text = np.concatenate([plain(context, "context")[-1:], tokens]).astype(np.int64)
    B = min(B, len(tokens))
    length = len(tokens) // B
    window = getattr(model, "compiled_window", None) or window_loss(model)  # a net keeps what it has recorded
    total = _nats(window, text[: B * length + 1], length, B, T)
    if len(tokens) > B * length:
        total += _nats(window, text[B * length :], len(tokens) - B * length, 1, T)
    return total / len(tokens)


def _nats(window: CompiledFunction, text: np.ndarray, length: int, B: int, T: int) -> float:
    x, y = text[:-1].reshape(B, length).T, text[1:].reshape(B, length).T
    total, state = 0.0, None
    for start in range(0, length, T):
        part = x[start : start + T]
        nats, state = window(part, y[start : start + T], state)
        total += float(nats) * len(part) * B
    return total
