"""Selective copying and overwritten keys: the definition, step by step, and what a guess is worth."""

from __future__ import annotations

import numpy as np
import pytest

from tinyseq.errors import TinyseqError
from tinyseq.tasks.recall import overwritten, selective_copying


def test_selective_copying(rng: np.random.Generator) -> None:
    x, y = selective_copying(rng, 20, 2000, kept=5, symbols=4)
    assert x.shape == y.shape == (25, 2000)
    for b in range(2000):
        hidden = x[:20, b][x[:20, b] != 4]
        assert np.array_equal(hidden, y[20:, b]) and len(hidden) == 5
    assert (x[20:] == 5).all() and (y[:20] == 0).all()
    places = (x[:20] != 4).mean(axis=1)
    np.testing.assert_allclose(places, 5 / 20, atol=0.04)  # any place is as likely
    np.testing.assert_allclose(np.bincount(y[20:].reshape(-1)) / 10_000, 0.25, atol=0.02)  # a guess costs ln 4
    with pytest.raises(TinyseqError, match="length is at least kept"):
        selective_copying(rng, 4, 1, kept=5)


def test_overwritten(rng: np.random.Generator) -> None:
    keys, values = 3, 4
    x, y = overwritten(rng, 6, 3000, keys, values)
    assert x.shape == (7, 3000, 10)
    again = 0
    for b in range(3000):
        kept: dict[int, int] = {}
        for row in x[:-1, b]:
            assert row[:keys].sum() == row[keys : keys + values].sum() == 1 and not row[keys + values :].any()
            key = int(row[:keys].argmax())
            again += key in kept
            kept[key] = int(row[keys : keys + values].argmax())
        last = x[-1, b]
        assert last.sum() == 1 and not last[: keys + values].any()
        assert y[b] == kept[int(last[keys + values :].argmax())]
    assert again > 3000  # keys do come again
    np.testing.assert_allclose(np.bincount(y) / 3000, 0.25, atol=0.03)
