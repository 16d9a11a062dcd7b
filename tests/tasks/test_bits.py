"""Bits: the answers against plain loops; what can be known of them."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks.bits import delayed_bits, parity


def test_delayed_bits(rng: np.random.Generator) -> None:
    for delay in (0, 1, 3):
        x, y = delayed_bits(rng, 8, 50, delay)
        for t in range(8):
            np.testing.assert_array_equal(y[t], x[t - delay] if t >= delay else 0)
    assert set(np.unique(x)) == {0, 1} and abs(delayed_bits(rng, 100, 100)[0].mean() - 0.5) < 0.02


def test_parity(rng: np.random.Generator) -> None:
    x, y = parity(rng, 9, 40)
    for t in range(9):
        np.testing.assert_array_equal(y[t], x[: t + 1].sum(0) % 2)


def test_bad_sizes(rng: np.random.Generator) -> None:
    with pytest.raises(ts.TinyseqError, match="fewer than the 4 steps; got 4"):
        delayed_bits(rng, 4, 2, 4)
    with pytest.raises(ts.TinyseqError, match="batch must be a whole number"):
        parity(rng, 4, 0)
