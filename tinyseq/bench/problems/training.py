"""Training a character LSTM end to end as a neutral problem: text, tokens, parameters and the update's rule.

One step: embedding rows E[token] (K, D), LSTM (D, H) from a zero state, logits h V + c, loss as in `problems.py`;
gradient clipped to global norm v (equations 10.48 and 10.49), then Adam (Kingma & Ba 2015, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pydoc_data.topics import topics

import numpy as np

from tinyseq.bench.problems.cells import CELLS

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Training:
    """D = `embedding`, H = `hidden`, T = `steps`, B = `batch`; a step consumes T·B tokens.

    The loss is divided by the batch, so its gradient grows with T; `clip` is the norm it is cut to.
    """

    row: str
    embedding: int
    hidden: int
    steps: int
    batch: int
    rate: float = 1e-3
    clip: float = 1.0
    batches: int = 8
    seed: int = 0

    @property
    def tokens_per_step(self) -> int:
        return self.steps * self.batch

    def tokens(self) -> tuple[np.ndarray, int]:
        """(batches, T + 1, B) characters of Python's own help texts as integers, and the number of characters."""
        text = np.frombuffer("".join(topics.values()).encode("latin-1", "replace"), np.uint8)
        kinds, coded = np.unique(text, return_inverse=True)
        rng = np.random.default_rng(self.seed)
        starts = rng.integers(0, coded.size - self.steps - 1, (self.batches, 1, self.batch))
        return coded[starts + np.arange(self.steps + 1)[:, None]].astype(np.int64), int(kinds.size)

    def params(self) -> dict[str, np.ndarray]:
        """Float32 parameters: E, the LSTM's by the book's names, V, c."""
        kinds = self.tokens()[1]
        shapes = {"E": (kinds, self.embedding), **CELLS["lstm"].shapes(self.embedding, self.hidden)}
        shapes |= {"V": (self.hidden, kinds), "c": (kinds,)}
        rng = np.random.default_rng(self.seed + 1)
        bound = 1 / np.sqrt(self.hidden)
        return {name: rng.uniform(-bound, bound, s).astype(np.float32) for name, s in shapes.items()}


TRAINING = Training("train character lstm 64,128,100,32", embedding=64, hidden=128, steps=100, batch=32)
CHECKED_STEPS = 3
