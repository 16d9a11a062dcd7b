"""What an argument must be: plain numbers, positive sizes, a generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import DataError, TinyseqError

__all__ = ["check_plain", "generator", "plain", "positive"]

WHAT_TO_TYPE = (
    "if the numbers alone are meant, write np.asarray(array), and for a masked array array.filled(value) "
    "together with the mask of a loss"
)


def plain(value: Any, what: str, dtype: Any = None) -> np.ndarray:
    """``np.asarray`` for numbers given by a user, after `check_plain`."""
    check_plain(value, what)
    return np.asarray(value, dtype)


def check_plain(value: Any, what: str) -> None:
    """Raise DataError for an array, or a list, tuple or dict with one in it, whose meaning NumPy would drop: masked
    arrays, matrices (whose * is a product), records, and other subclasses (units, axes with labels)."""
    kind = type(value)
    if kind is np.ndarray:
        if value.dtype.names is not None:
            raise DataError(
                f"{what} is a structured array with the fields {', '.join(value.dtype.names)}; give its fields as "
                "columns: np.stack([array[name] for name in array.dtype.names], axis=-1)"
            )
        return
    if issubclass(kind, np.ndarray):
        if kind is np.memmap:
            return
        masked = isinstance(value, np.ma.MaskedArray)
        lost = "its mask" if masked else "what it says beyond its numbers"
        known = f"{kind.__module__}.{kind.__qualname__}"
        raise DataError(f"{what} is a {known}: {lost} would be lost; {WHAT_TO_TYPE}")
    if issubclass(kind, (list, tuple)):
        for part in value:
            if type(part) not in NUMBERS:
                check_plain(part, what)
    elif issubclass(kind, dict):
        for part in value.values():
            check_plain(part, what)


NUMBERS = frozenset({int, float, bool, str, np.float64, np.float32, np.int64})


def generator(rng: Any) -> np.random.Generator:
    """Check that randomness is explicit."""
    if isinstance(rng, np.random.Generator):
        return rng
    raise TinyseqError(f"rng must be a numpy Generator, got {rng!r}; write rng=np.random.default_rng(0)")


def positive(**sizes: int) -> None:
    """Check that sizes are whole numbers of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise TinyseqError(f"{name} must be a whole number of at least 1, got {size!r}")
