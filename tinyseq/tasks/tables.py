"""Sequences by tables of conditional probabilities: the full table and the Markov chain that figure 10.7 stands for."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError, TinyseqError


class Table:
    """p(y(t) | y(t−n…t−1)) as a table for sequences of τ symbols out of k; ``order=None`` is the full table, n = t − 1.

    ``size`` counts its free parameters: the full table has Σ_t k^{t−1}(k−1) = k^τ − 1, a chain of order n has
    (k−1)(1 + k + … + kⁿ), for any τ. ``smoothing`` is added to each count.
    """

    def __init__(self, vocabulary: int, steps: int, order: int | None = None, smoothing: float = 0.0) -> None:
        positive(vocabulary=vocabulary, steps=steps)
        if order is not None and (not isinstance(order, (int, np.integer)) or order < 0):
            raise TinyseqError(f"the order of a table is None or a whole number from 0, got {order!r}")
        self.vocabulary, self.steps, self.order, self.smoothing = vocabulary, steps, order, smoothing
        self.memory = steps - 1 if order is None else min(int(order), steps - 1)
        if vocabulary ** (self.memory + 1) > 10**8:
            raise DataError(
                f"a table over {self.memory + 1} symbols out of {vocabulary} has {vocabulary}^{self.memory + 1} "
                "entries; that is why there are recurrent nets"
            )
        self.counts = [np.zeros((vocabulary,) * (n + 1)) for n in range(self.memory + 1)]

    @property
    def size(self) -> int:
        """Free parameters."""
        return sum((self.vocabulary - 1) * self.vocabulary**n for n in range(self.memory + 1))

    def fit(self, y: np.ndarray) -> Table:
        """Set the table to the frequencies in sequences y (τ, B); returns it."""
        y = self._checked(y)
        for t in range(self.steps):
            n = min(t, self.memory)
            np.add.at(self.counts[n], tuple(y[t - n : t + 1]), 1.0)
        return self

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """log p of each sequence of y (τ, B), in nats: (B). −∞ for what was never seen, without smoothing."""
        y = self._checked(y)
        total = np.zeros(y.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            for t in range(self.steps):
                n = min(t, self.memory)
                counts = self.counts[n] + self.smoothing
                p = counts / counts.sum(axis=-1, keepdims=True)
                total += np.nan_to_num(np.log(p[tuple(y[t - n : t + 1])]), nan=-np.inf, neginf=-np.inf)
        return total

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Ancestral sampling: (τ, count)."""
        rng = generator(rng)
        y = np.zeros((self.steps, count), np.int64)
        for t in range(self.steps):
            n = min(t, self.memory)
            rows = (self.counts[n] + self.smoothing)[tuple(y[t - n : t])] if n else self.counts[0] + self.smoothing
            heights = np.cumsum(np.broadcast_to(rows, (count, self.vocabulary)), axis=1)
            y[t] = (rng.random((count, 1)) * heights[:, -1:] >= heights).sum(axis=1)
        return y

    def _checked(self, y: np.ndarray) -> np.ndarray:
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[0] != self.steps or y.dtype.kind not in "iu":
            raise DataError(f"this table is for symbols (τ, B) = ({self.steps}, B), got {y.dtype} {y.shape}")
        if y.size and not 0 <= y.min() <= y.max() < self.vocabulary:
            raise DataError(f"symbols are 0 to {self.vocabulary - 1}, got {y.min()} to {y.max()}")
        return y
