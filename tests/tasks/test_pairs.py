"""Pairs and signals: the answers against plain Python and convolution."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks.pairs import additions, copies, text_of
from tinyseq.tasks.signals import ADDING_BASELINE, adding, filtered, unseen_variance


def test_copies(rng: np.random.Generator) -> None:
    x, y = copies(rng, 5, 40)
    np.testing.assert_array_equal(x, y)
    x, y = copies(rng, 5, 40, vocabulary=3, reverse=True)
    assert [x[:, 7].tolist()[::-1], x.min(), x.max()] == [y[:, 7].tolist(), 0, 2]


def test_additions(rng: np.random.Generator) -> None:
    x, y = additions(rng, 3, 500)
    assert x.shape == (7, 500) and y.shape == (4, 500)
    for b in range(500):
        a, c = text_of(x[:, b])[::-1].split("+")
        assert int(a) + int(c) == int(text_of(y[:, b]))
    with pytest.raises(ts.TinyseqError, match="symbols are 0 to 11"):
        text_of(np.array([12]))


def test_adding(rng: np.random.Generator) -> None:
    x, y = adding(rng, 11, 20_000)
    assert (x[..., 1].sum(0) == 2).all() and (x[:5, :, 1].sum(0) == 1).all()
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(0), y[:, 0], rtol=1e-6)
    assert np.square(y - 1).mean() == pytest.approx(ADDING_BASELINE, rel=0.03)


def test_filtered(rng: np.random.Generator) -> None:
    w = np.array([0.5, -1.0, 2.0, 0.25])
    x, y = filtered(rng, w, 1, 30, 3)
    for t in range(30):
        wanted = sum(w[k + 1] * x[t + k] for k in range(-1, 3) if 0 <= t + k < 30)
        np.testing.assert_allclose(y[t], wanted, rtol=1e-5, atol=1e-6)
    assert [unseen_variance(w, 1, m) for m in (-1, 0, 1, 2)] == [1 + 4 + 0.0625, 4.0625, 0.0625, 0]
    with pytest.raises(ts.TinyseqError, match="can lie behind, got 4"):
        filtered(rng, w, 4, 30, 3)
