"""Drawing text from a character model."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import generator, plain
from tinyseq.errors import DataError, TinyseqError
from tinyseq.habits import advised
from tinyseq.replay.compiling import compile
from tinyseq.replay.function import CompiledFunction
from tinyseq.tasks.text import Vocabulary


@advised
def sample_text(
    model: Any,
    vocabulary: Vocabulary,
    length: int,
    *,
    rng: np.random.Generator,
    temperature: float = 1.0,
    prompt: str = "\n",
) -> str:
    """Ancestral sampling: read the prompt, then draw x(t+1) ~ softmax(o(t)/temperature), ``length`` times.

    Returns what was drawn, without the prompt. ``temperature`` 0 takes the likeliest character. Raises DataError for
    an empty prompt or one with characters outside the vocabulary.
    """
    rng = generator(rng)
    if not isinstance(length, (int, np.integer)) or length < 0:
        raise TinyseqError(f"length must be a whole number from 0, got {length!r}")
    if not prompt:
        raise DataError("the prompt is empty; the model needs one character to start from")
    tokens = vocabulary.encode(prompt)
    drawn: list[int] = []
    state, advance = None, reader(model)
    for _ in range(length):
        logits, state = advance(np.asarray(tokens, np.int64)[:, None], state)
        tokens = np.array([draw(logits[0], temperature, rng)])
        drawn.append(int(tokens[0]))
    return vocabulary.decode(np.array(drawn, np.int64))


def reader(model: Any) -> CompiledFunction:
    """(tokens (n, 1), state) → the logits (1, V) after the last token, and the state's values."""

    def advance(tokens: Any, state: Any) -> tuple[Any, Any]:
        unfolded = model.unfold(tokens, state)
        return unfolded.output(len(tokens) - 1), unfolded.final

    return compile(advance)


def draw(logits: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """A number drawn from softmax(logits/temperature), by inversion of its distribution function."""
    if not 0 <= temperature < float("inf"):
        raise TinyseqError(f"temperature must be a finite number from 0, got {temperature!r}")
    logits = plain(logits, "logits", np.float64)
    if not np.isfinite(logits).all():
        raise TinyseqError("the model's outputs are not finite: its weights are broken; train it again")
    if temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):
        p = np.exp((logits - logits.max()) / temperature)
    steps = np.cumsum(p)
    return int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))
