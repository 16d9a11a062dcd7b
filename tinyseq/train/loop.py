"""The training loop of a character model: truncated backpropagation through time, window after window.

A model is anything with ``losses(x, y, state) -> (loss, unfolded)`` where ``unfolded.final`` is the state after the
last step: the cells of ``tinyseq.nn`` are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from math import cos, log, pi
from time import perf_counter
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, TinyseqError
from tinyseq.functions import mul
from tinyseq.habits import advised
from tinyseq.replay.compiling import compile
from tinyseq.replay.function import CompiledFunction
from tinyseq.tasks.text import Windows
from tinyseq.train.interrupts import Interrupts
from tinyseq.train.optimisers import Optimiser, number_from_0
from tinyseq.train.place import Place
from tinyseq.train.progress import Progress
from tinyseq.train.training_step import TrainingStep


@dataclass
class History:
    """What happened at each step of training: loss in bits per character before the step, norm of the gradient."""

    bits: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    interrupted: bool = False


@advised
def fit(
    model: Any,
    windows: Windows | Iterable[Any],
    optimiser: Optimiser,
    steps: int,
    *,
    clip: float | None = None,
    clip_element: float | None = None,
    schedule: Callable[[int], float] | None = None,
    progress: bool = True,
    after_step: Callable[[History], None] | None = None,
) -> History:
    """Train for a number of steps, one window each; the loss is the mean over T and B.

    The state's value is carried from window to window as a constant, so the gradient stops there: truncation by
    chunks. ``clip`` is the largest global norm of the gradient, ``clip_element`` its largest element, ``schedule``
    gives the rate of each step from 0, a number from 0. ``after_step`` is called after each. Ctrl-C ends the training
    after the step that runs and keeps what was learned (``history.interrupted``).

    The optimiser keeps the place in the text (``optimiser.place``) and its ``state_dict`` has it. Called again with it,
    or with one that loaded its state, over the same windows, the training goes on there: text, carried state and
    schedule, so that 10 and then 10 steps more are 20. Over other windows, and with a new optimiser, it starts anew;
    windows given as any iterable of (x, y, fresh) are read from their beginning, a list again and again. In pairs
    (x, y) each starts anew.

    Raises Diverged, a GradientError, when the loss or the gradient is not finite, naming the node where that begins;
    the parameters are then the last good ones, those of the last step whose loss was finite.
    """
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise TinyseqError(f"steps must be a whole number of at least 1, got {steps!r}")
    history, place = History(), _start(optimiser, windows)
    update = TrainingStep(
        window_loss(_trained(model)), optimiser, clip=clip, clip_element=clip_element, planned=int(steps)
    )
    started, state = perf_counter(), place.state
    with Progress(int(steps), shown=progress) as bar, Interrupts() as ctrl_c:
        try:
            for done, (x, y, fresh) in zip(range(place.done, place.done + steps), _from(windows, place), strict=False):
                if schedule is not None:
                    optimiser.rate = number_from_0("the schedule's rate", schedule(done))
                nats, state = update(x, y, None if fresh else state)
                optimiser.place = Place(done + 1, place.digest, state) if place.digest else None
                history.bits.append(nats / log(2))
                history.norms.append(update.norm)
                history.tokens += x.size
                if after_step is not None:
                    after_step(history)
                bar.advance(history.bits[-1], x.size)
                if ctrl_c.wanted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            history.interrupted = True
    history.seconds = perf_counter() - started
    return history


def _start(optimiser: Optimiser, windows: Any) -> Place:
    """Where the optimiser stands in these windows; their beginning where it has not seen them."""
    digest, place = windows.digest if isinstance(windows, Windows) else "", optimiser.place
    return place if place is not None and place.digest == digest else Place(0, digest, None)


def _from(windows: Any, place: Place) -> Iterator[tuple[Any, Any, bool]]:
    """The windows from a place on; those of any other iterable from its beginning."""
    if isinstance(windows, Windows):
        return (windows[k] for k in count(place.done))
    return map(_window, cycle(windows) if isinstance(windows, (list, tuple)) else windows)


def _window(given: Any) -> tuple[Any, Any, bool]:
    """(x, y, fresh) of a window; a pair starts anew."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise DataError(
            f"windows are (x, y), or (x, y, fresh) where the state may be carried on; got {type(given).__name__}: "
            "write train.fit(model, [(x, y)], optimiser, steps)"
        )
    x, y, fresh = given if len(given) == 3 else (*given, True)
    return np.asarray(x), y, fresh


def _trained(model: Any) -> Any:
    """A model that ``fit`` can train."""
    if callable(getattr(model, "losses", None)):
        return model
    raise TinyseqError(
        f"fit trains models with losses(x, y, state), such as nn.LSTM, whose state is carried from window to window; "
        f"for {type(model).__name__} write update = train.TrainingStep(model.loss, optimiser), then update(x, y)"
    )


def window_loss(model: Any) -> CompiledFunction:
    """(x, y, state) → (mean loss over a window in nats, final state's values), recorded once for each shape.

    The final state comes back as plain arrays, constants wherever they are used next.
    """

    def losses(x: Any, y: Any, state: Any) -> tuple[Any, Any]:
        loss, unfolded = model.losses(x, y, state)
        return mul(loss, 1.0 / len(x)), unfolded.final

    return compile(losses)


@advised
def bits_per_token(model: Any, tokens: np.ndarray, context: np.ndarray, *, T: int = 100, B: int = 16) -> float:
    """Cross-entropy of a model on a text in bits per character; ``context`` is what came before, its last is read.

    The text is cut into B streams of equal length that run side by side, in windows of T steps with the state carried
    on; each stream starts from the initial state. What is left over (fewer than B characters) runs as one stream more.
    """
    if not len(context) or not len(tokens):
        raise DataError("one character of context and one to predict are the least")
    text = np.concatenate([plain(context, "context")[-1:], tokens]).astype(np.int64)
    B = min(B, len(tokens))
    length = len(tokens) // B
    total = _nats(model, text[: B * length + 1], length, B, T)
    if len(tokens) > B * length:
        total += _nats(model, text[B * length :], len(tokens) - B * length, 1, T)
    return total / len(tokens) / log(2)


def _nats(model: Any, text: np.ndarray, length: int, B: int, T: int) -> float:
    x, y = text[:-1].reshape(B, length).T, text[1:].reshape(B, length).T
    total, state, window = 0.0, None, window_loss(model)
    for start in range(0, length, T):
        part = x[start : start + T]
        nats, state = window(part, y[start : start + T], state)
        total += float(nats) * len(part) * B
    return total


@advised
def cosine(rate: float, steps: int, last: float = 0.1) -> Callable[[int], float]:
    """A rate that falls along half a cosine from ``rate`` to ``last · rate`` over the steps."""
    return lambda step: rate * (last + (1 - last) * 0.5 * (1 + cos(pi * min(step / max(steps - 1, 1), 1.0))))
