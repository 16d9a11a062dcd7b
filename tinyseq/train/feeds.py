"""What a training reads: the k-th batch of any data as arguments of a loss, and the state that texts carry on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np

from tinyseq.data.batches import Batches
from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.errors import DataError, TinyseqError
from tinyseq.functions import mul
from tinyseq.nn.running import arguments, as_data, fits, units, weight
from tinyseq.nn.text_loss import window_loss
from tinyseq.replay.compiling import compile
from tinyseq.replay.function import CompiledFunction
from tinyseq.tasks.text import Windows
from tinyseq.train.place import nested, nesting_of
from tinyseq.train.ranks import ALONE, Ranks, share_of_masks


class TextFeed:
    """Windows of a text, whose state is carried on; ``loss`` gives (mean nats for each character, state)."""

    unit, counted, carries = "bits/char", "tokens", True

    def __init__(self, model: Any, windows: Any, seed: int, ranks: Ranks = ALONE) -> None:
        self.model, self.windows, self.seed, self.ranks = _trained(model), windows, seed, ranks
        known = isinstance(windows, Windows)
        self.digest = windows.digest if known else ""
        self.per_epoch = windows.per_epoch if known else 0
        self.settings = {"seed": seed, **({"data": windows.content, "window": windows.T, "batch": windows.B} if known
                                          else {})}  # fmt: skip
        self.loss = window_loss(model)
        self._rest: Iterator[Any] | None = None

    def arguments(self, k: int, state: Any) -> tuple[tuple[Any, ...], int]:
        """(arguments of the loss for the k-th window, characters in it)."""
        if isinstance(self.windows, Windows):
            x, y, fresh = self.windows[k]
        else:
            if self._rest is None:
                again = isinstance(self.windows, (list, tuple))
                self._rest = iter(cycle(self.windows) if again else self.windows)
            x, y, fresh = _window(next(self._rest))
        masks, state = drawn_masks(self.model, self.seed, k, x), None if fresh else state
        read = x.size
        if self.ranks.size > 1:
            x, y, state, masks = self._share(x, y, state, masks)
        extra = () if masks is None else (masks,)
        return (x, y, state, *extra), read

    def _share(self, x: Any, y: Any, state: Any, masks: Any) -> tuple[Any, Any, Any, Any]:
        """The streams that are this rank's; a state of all of them is cut too."""
        streams = x.shape[1]
        if streams < self.ranks.size:
            raise DataError(f"{self.ranks.size} ranks share a batch of {streams} streams: give a batch of more")
        rows = self.ranks.own(streams)
        self.ranks.weight = len(rows) / streams
        leaves: list[np.ndarray] = []
        nesting = nesting_of(state, leaves)
        state = nested(nesting, (leaf[rows] if len(leaf) == streams else leaf for leaf in leaves))
        return x[:, rows], y[:, rows], state, share_of_masks(masks, x, rows)


class DataFeed:
    """Batches of sequences or trees; ``loss`` gives the mean nats, or squares, for each step, sequence or node."""

    unit, carries = "loss", False

    def __init__(self, model: Any, data: Any, batch: int, seed: int, ranks: Ranks = ALONE) -> None:
        if not callable(getattr(model, "loss", None)):
            raise TinyseqError(
                f"fit trains models with a loss; {type(model).__name__} has none, such as nn.ManyToOne has"
            )
        data = as_data(data, getattr(model, "dtype", np.float32))
        if data.y is None and not hasattr(model, "sample"):
            raise DataError(f"{data.name} has no targets to learn")
        fits(model, data)
        if data.y is not None and data.classified and not getattr(data, "paired", False):
            _classes_fit(model, data)
        self.model, self.data, self.seed, self.ranks = model, data, seed, ranks
        self.batches = Batches(data, batch, seed)
        self.digest, self.per_epoch = self.batches.digest, self.batches.per_epoch
        self.settings = {"data": data.digest, "batch": batch, "seed": seed}
        self.counted = "trees" if isinstance(data, Trees) else "sequences"
        self.loss = _batch_loss(model)

    def arguments(self, k: int, state: Any) -> tuple[tuple[Any, ...], int]:
        """(arguments of the loss for the k-th batch, sequences in it)."""
        whole = batch = self.batches[k]
        inputs, y, options = arguments(batch, self.model)
        masks = self._masks(k, batch, inputs)
        if self.ranks.size > 1:
            rows = self.ranks.own(whole.count)
            mine = rows if len(rows) else np.zeros(1, np.int64)  # of a small batch: read, and not counted
            batch = self.data.batch(whole.rows[mine])
            masks = share_of_masks(masks, whole.x if isinstance(whole.x, tuple) else inputs[0], mine, batch.x)
            inputs, y, options = arguments(batch, self.model)
            every = weight(whole, self.model)
            self.ranks.weight = weight(batch, self.model) / every if len(rows) and every else 0.0
        if masks is not None:
            options["masks"] = masks
        share = batch.count / max(units(batch, self.model), 1)  # the models' losses are means over sequences
        scale = None if share == 1 else np.asarray(share, getattr(self.model, "dtype", np.float32))
        return (inputs, y, options, scale), whole.count

    def _masks(self, k: int, batch: Any, inputs: tuple[Any, ...]) -> Any:
        """Dropout masks for the k-th batch."""
        if not isinstance(batch.x, tuple):
            return drawn_masks(self.model, self.seed, k, inputs[0])
        draw = getattr(self.model, "masks", None)
        return draw(np.random.default_rng([self.seed, k, 7]), batch.x, batch.gaps) if draw else None


def feed(model: Any, data: Any, batch: int, seed: int, ranks: Ranks = ALONE) -> TextFeed | DataFeed:
    """Windows of a text or any iterable of them, or data in batches; of several ranks each reads its share."""
    if isinstance(data, (Sequences, Trees)) or _pair(data):
        return DataFeed(model, data, batch, seed, ranks)
    if callable(getattr(model, "losses", None)) or not isinstance(data, tuple):
        return TextFeed(model, data, seed, ranks)
    return DataFeed(model, data, batch, seed, ranks)


def _pair(data: Any) -> bool:
    """(x, y) of arrays or lists, not a list of windows."""
    return isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, (np.ndarray, list)) for part in data)


def drawn_masks(model: Any, seed: int, k: int, x: Any) -> Any:
    """Dropout masks for the k-th batch: the same whenever it is read; None where the model drops nothing."""
    draw = getattr(model, "masks", None)
    return draw(np.random.default_rng([seed, k, 7]), x) if draw else None


def _batch_loss(model: Any) -> CompiledFunction:
    def loss(inputs: Any, y: Any, options: Any, scale: Any) -> Any:
        total = model.loss(*inputs, **options) if y is None else model.loss(*inputs, y, **options)
        return total if scale is None else mul(total, scale)

    return compile(loss)


def _classes_fit(model: Any, data: Any) -> None:
    """Raises DataError where there are more classes than the model tells apart, or none."""
    given, wanted = data.output_size, getattr(model, "output_size", None)
    if all((np.asarray(part) < 0).all() for part in (data.y if isinstance(data.y, list) else [data.y])):
        raise DataError(f"nothing to learn: no target of {data.name} has a class, all are −1 or there is no step")
    if wanted is not None and given > wanted:
        raise DataError(
            f"{data.name} has {given} classes, the model tells {wanted} apart: make it with output_size={given}"
        )


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
    """A model that windows can train."""
    if callable(getattr(model, "losses", None)):
        return model
    raise TinyseqError(
        "windows train models with losses(x, y, state), such as nn.LSTM, whose state is carried from window to window; "
        f"for {type(model).__name__} write update = train.TrainingStep(model.loss, optimiser), then update(x, y); or "
        "train.fit(model, (x, y)), the arrays or lists of all"
    )
