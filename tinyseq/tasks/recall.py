"""Tasks of what came after the chapter: selective copying, and keys that are overwritten."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError


def selective_copying(
    rng: np.random.Generator, length: int, batch: int, kept: int = 16, symbols: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens hidden amid noise, to be written down in their order (Gu and Dao 2023): x, y (length + kept, B).

    x: ``kept`` symbols of 0 … symbols − 1 at uniform places of the first ``length`` steps, the noise token ``symbols``
    at all others; then the signal symbols + 1, ``kept`` times. y: 0 in the first steps, which do not count, then the
    symbols. A guess costs ln(symbols) a token.
    """
    positive(length=length, batch=batch, kept=kept, symbols=symbols)
    if kept > length:
        raise DataError(f"{kept} tokens are kept of {length} steps; length is at least kept")
    tokens = generator(rng).integers(0, symbols, (kept, batch))
    x = np.full((length + kept, batch), symbols)
    places = np.sort(rng.random((length, batch)).argsort(axis=0)[:kept], axis=0)
    np.put_along_axis(x, places, tokens, axis=0)
    x[length:] = symbols + 1
    y = np.zeros_like(x)
    y[length:] = tokens
    return x, y


def overwritten(
    rng: np.random.Generator, pairs: int, batch: int, keys: int, values: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a key and a value, keys coming again with other values, then a key: x (pairs + 1, B, …), y (B).

    x: the key one-hot (``keys``), the value one-hot (``values``), and the key that is asked for one-hot (``keys``), of
    which the first two are 0 in the last step and the third in all others. It is one of those that came; y is the value
    that came last with it.
    """
    positive(pairs=pairs, batch=batch, keys=keys, values=values)
    k, v = generator(rng).integers(0, keys, (pairs, batch)), rng.integers(0, values, (pairs, batch))
    columns = np.arange(batch)
    asked = k[rng.integers(0, pairs, batch), columns]
    last = pairs - 1 - (k == asked)[::-1].argmax(axis=0)
    x = np.zeros((pairs + 1, batch, 2 * keys + values), np.float32)
    x[:-1, :, :keys], x[:-1, :, keys : keys + values] = np.eye(keys)[k], np.eye(values)[v]
    x[-1, columns, keys + values + asked] = 1
    return x, v[last, columns]
