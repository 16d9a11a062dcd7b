"""Numbers modulo the prime 2³¹ − 1: sums and products as those of real numbers, without rounding.

What is no sum or product of its arguments is a hash of them. Two programs that compute the same sums of products of
the same functions give the same numbers, in whichever order they add; others differ but for one case in two milliards.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

PRIME = (1 << 31) - 1
MOST_TERMS = 1 << 15  # of 16 by 31 bits, in a sum of 63
Numbers = np.ndarray


def product(a: Numbers, b: Numbers) -> Numbers:
    """Element by element."""
    return a * b % PRIME


def matrix_product(a: Numbers, b: Numbers) -> Numbers:
    """a (…, m, k) · b (…, k, n): the halves of a times b, some k at a time, so that no sum leaves 63 bits."""
    total = np.zeros((), np.int64)
    for first in range(0, max(a.shape[-1], 1), MOST_TERMS):
        part, rows = a[..., first : first + MOST_TERMS], b[..., first : first + MOST_TERMS, :]
        high, low = part >> 16, part & 0xFFFF
        total = (total + (high @ rows % PRIME << 16) + low @ rows % PRIME) % PRIME
    return total


def inverse(number: int) -> int:
    """1 / number."""
    return pow(number % PRIME, PRIME - 2, PRIME)


def of_floats(values: Numbers) -> Numbers:
    """Floating-point numbers, which are fractions of integers; those that are not finite by a hash."""
    return np.array([_of_float(float(value)) for value in np.ravel(values)], np.int64).reshape(np.shape(values))


@cache
def _of_float(value: float) -> int:
    if not np.isfinite(value):
        return salt(f"the number {value}")
    above, below = value.as_integer_ratio()
    return above % PRIME * inverse(below) % PRIME


@cache
def salt(word: str) -> int:
    """A number for a word, the same in every process."""
    return int.from_bytes(hashlib.sha1(word.encode(), usedforsecurity=False).digest()[:7], "big") % PRIME


def mixed(numbers: Numbers) -> Numbers:
    """Numbers stirred: each bit of the result depends on each of the argument."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x % np.uint64(PRIME)).astype(np.int64)


def hashed(word: str, *arguments: Numbers | int) -> Numbers:
    """A function of its arguments, element by element, named by a word."""
    found: Numbers = np.asarray(salt(word), np.int64)
    for argument in arguments:
        found = mixed(found * 31 + np.asarray(argument, np.int64) + (1 << 40))
    return found


def hashed_along(word: str, numbers: Numbers, axis: int) -> Numbers:
    """A function of all numbers along an axis, in their order."""
    places = np.arange(numbers.shape[axis]).reshape(
        [-1 if a == axis % numbers.ndim else 1 for a in range(numbers.ndim)]
    )
    return mixed(hashed(word, places, numbers).sum(axis) + salt(word))


def random_numbers(seed: tuple[int, ...], size: int) -> Numbers:
    """Numbers that stand for any, the same for the same seed."""
    return np.random.default_rng(seed).integers(1, PRIME, size)
