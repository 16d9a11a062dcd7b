"""Reber strings, plain and embedded (Reber 1967, Cleeremans et al. 1989): a grammar whose entropy is known exactly."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError

SYMBOLS = "BTSXPVE"
# state → its two ways out, each taken with probability ½: (symbol, next state); 6 leads to E and the end
WAYS = {
    0: (("T", 1), ("P", 2)),
    1: (("S", 1), ("X", 3)),
    2: (("T", 2), ("V", 4)),
    3: (("X", 2), ("S", 5)),
    4: (("P", 3), ("V", 5)),
}
END = 5
REBER_BITS = 6.0  # entropy of a string: one bit a choice, six choices in the mean
EMBEDDED_BITS = 7.0  # and one for the outer letter


def reber(rng: np.random.Generator) -> str:
    """One string B … E of the grammar; the mean length is 8."""
    state, symbols = 0, ["B"]
    while state != END:
        symbol, state = WAYS[state][int(rng.integers(2))]
        symbols.append(symbol)
    return "".join([*symbols, "E"])


def embedded_reber(rng: np.random.Generator, count: int) -> list[str]:
    """``count`` strings B, (T | P), a Reber string, the same T | P, E. The last but one letter repeats the second."""
    positive(count=count)
    generator(rng)
    outer = ("T", "P")
    strings = []
    for _ in range(count):
        letter = outer[int(rng.integers(2))]
        strings.append(f"B{letter}{reber(rng)}{letter}E")
    return strings


def is_reber(string: str) -> bool:
    """Whether the grammar can make the string."""
    if len(string) < 2 or string[0] != "B" or string[-1] != "E":
        return False
    state = 0
    for symbol in string[1:-1]:
        if state == END:
            return False
        following = dict(WAYS[state])
        if symbol not in following:
            return False
        state = following[symbol]
    return state == END


def is_embedded_reber(string: str) -> bool:
    """Whether the string is an embedded Reber string, outer letters agreeing."""
    if len(string) < 6 or string[0] != "B" or string[-1] != "E" or string[1] not in "TP":
        return False
    return string[-2] == string[1] and is_reber(string[2:-2])


def may_follow(string: str) -> list[set[str]]:
    """For each symbol of an embedded Reber string but the last, which symbols the grammar allows after it."""
    if not is_embedded_reber(string):
        raise DataError(f"{string!r} is no embedded Reber string, B, T or P, a Reber string, the same T or P, E")
    allowed: list[set[str]] = [{"T", "P"}, {"B"}]
    state = 0
    for symbol in string[2:-2]:
        if state == END:  # the inner E
            break
        state = state if symbol == "B" else dict(WAYS[state])[symbol]
        allowed.append({"E"} if state == END else {way for way, _ in WAYS[state]})
    return [*allowed, {string[1]}, {"E"}]


def length_pmf(longest: int) -> np.ndarray:
    """P(length) of an embedded Reber string for lengths 0 … ``longest``, exactly."""
    here, pmf = np.zeros(END + 1), np.zeros(longest + 1)
    here[0] = 1.0
    for length in range(longest + 1):
        if length >= 6:  # B, letter, B before; E, letter, E after
            pmf[length] = here[END]
            here[END] = 0.0
            step = np.zeros_like(here)
            for state, ways in WAYS.items():
                for _, following in ways:
                    step[following] += here[state] / 2
            here = step
    return pmf


def encode(string: str) -> np.ndarray:
    """Symbols as numbers, in the order BTSXPVE."""
    wrong = sorted(set(string) - set(SYMBOLS))
    if wrong:
        raise DataError(f"Reber strings are made of {SYMBOLS}, got {wrong[0]!r} in {string!r}")
    return np.array([SYMBOLS.index(symbol) for symbol in string], np.int64)


def decode(symbols: np.ndarray) -> str:
    """The string that numbers stand for."""
    return "".join(SYMBOLS[int(i)] for i in symbols)
