"""Counting: the languages aⁿbⁿ and aⁿbⁿcⁿ, of which the next symbol tells what was counted (Gers, Schmidhuber 2001)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError

SYMBOLS = "abcS"  # S begins and ends a string
END = 3


def counting_string(n: int, letters: int = 2) -> str:
    """aⁿbⁿ, or aⁿbⁿcⁿ with three letters."""
    positive(n=n)
    return "".join(letter * n for letter in _letters(letters))


def is_counting(string: str, letters: int = 2) -> bool:
    """Whether a string is of the language."""
    n, rest = divmod(len(string), len(_letters(letters)))
    return n > 0 and not rest and string == counting_string(n, letters)


def counting(
    rng: np.random.Generator, count: int, largest: int = 10, letters: int = 2
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Strings with n uniform in 1 … ``largest``, to be predicted symbol by symbol: lists of x and y, (length + 1).

    x is S and the string, y the string and S: numbers of ``SYMBOLS``. While a's come the next symbol is uncertain;
    from the first b on it is certain to who has counted.
    """
    positive(count=count, largest=largest)
    return pairs(generator(rng).integers(1, largest + 1, count).tolist(), letters)


def pairs(sizes: Sequence[int], letters: int = 2) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """x and y of the strings of given n."""
    strings = [counting_string(n, letters) for n in sizes]
    numbers = [np.array([SYMBOLS.index(c) for c in f"S{s}S"]) for s in strings]
    return [s[:-1] for s in numbers], [s[1:] for s in numbers]


def counting_entropy(largest: int = 10) -> float:
    """ln N: the nats of a whole string, all in its n; no model needs fewer, the right one no more."""
    positive(largest=largest)
    return float(np.log(largest))


def accepted(predicted: np.ndarray, n: int, letters: int = 2) -> bool:
    """Whether a net that predicts these symbols at each step of x has counted to n.

    That is: b or a while a's come (both are legal), from the first b on exactly the symbol that follows.
    """
    (x,), (y,) = pairs([n], letters)
    predicted = np.asarray(predicted)
    if predicted.shape != y.shape:
        raise DataError(f"aⁿbⁿ… with n = {n} has {len(y)} predictions, one for each symbol of x; got {predicted.shape}")
    certain = x != SYMBOLS.index("a")
    legal = np.isin(predicted, (0, 1))
    return bool(np.where(certain, predicted == y, legal).all())


def _letters(letters: int) -> str:
    if letters not in (2, 3):
        raise DataError(f"letters is 2 (aⁿbⁿ) or 3 (aⁿbⁿcⁿ), got {letters!r}")
    return SYMBOLS[:letters]
