"""Embedded Reber strings in batches of few different shapes, so that few graphs serve all of training."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.tasks import reber


class Strings:
    """``count`` strings by length; ``bits(model)`` scores them, ``batches`` trains on them."""

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self.strings = [reber.encode(s) for s in reber.embedded_reber(rng, count)]
        self.of_length: dict[int, list[np.ndarray]] = {}
        for s in self.strings:
            self.of_length.setdefault(len(s), []).append(s)
        self.longest = max(self.of_length)

    def batches(self, model: Any, rng: np.random.Generator, size: int, context: bool = False) -> Iterator[tuple]:
        """Packed strings (and their outer letters). Lengths are those of one of 10 batches drawn beforehand."""
        profiles = [[len(self.strings[i]) for i in rng.integers(0, len(self.strings), size)] for _ in range(10)]
        while True:
            lengths = profiles[rng.integers(len(profiles))]
            chosen = [self.of_length[n][rng.integers(len(self.of_length[n]))] for n in lengths]
            yield (model.pack(chosen), self.letters(chosen)) if context else (model.pack(chosen),)

    @staticmethod
    def letters(strings: list[np.ndarray]) -> np.ndarray:
        """The outer letter of each: 0 for T, 1 for P."""
        return np.array([int(s[1] == reber.SYMBOLS.index("P")) for s in strings])

    def bits(self, model: Any, context: bool = False) -> float:
        """−log₂ p, the mean over all strings."""
        with ts.Tape():
            given = (self.letters(self.strings),) if context else ()
            return model.loss(self.strings, *given).item() / float(np.log(2))
