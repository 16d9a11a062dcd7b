"""One sequence read, another written: copy, reversal, and addition of numbers digit by digit."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError

DIGITS = "0123456789+ "


def copies(
    rng: np.random.Generator, length: int, batch: int, vocabulary: int = 8, reverse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """x uniform symbols and y = x, or y = x from its end: x, y (length, batch)."""
    positive(length=length, batch=batch, vocabulary=vocabulary)
    x = generator(rng).integers(0, vocabulary, (length, batch))
    return x, x[::-1].copy() if reverse else x.copy()


def additions(rng: np.random.Generator, digits: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """ "12+7" → "19": both numbers uniform below 10^digits. x (2·digits + 1, batch) and y (digits + 1, batch).

    The question is padded with spaces on the right and read from its end, as in Keras's example; the answer is
    padded on the right too. Symbols number the characters of ``DIGITS``.
    """
    positive(digits=digits, batch=batch)
    a, b = generator(rng).integers(0, 10**digits, (2, batch))
    questions = [f"{p}+{q}".ljust(2 * digits + 1)[::-1] for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    answers = [str(p + q).ljust(digits + 1) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    return _table(questions), _table(answers)


def _table(strings: list[str]) -> np.ndarray:
    return np.array([[DIGITS.index(c) for c in s] for s in strings]).T


def text_of(symbols: np.ndarray) -> str:
    """The characters that symbols of an addition stand for."""
    symbols = np.asarray(symbols)
    if symbols.size and not 0 <= symbols.min() <= symbols.max() < len(DIGITS):
        raise DataError(f"symbols are 0 to {len(DIGITS) - 1}, got {symbols.min()} to {symbols.max()}")
    return "".join(DIGITS[int(i)] for i in symbols)
