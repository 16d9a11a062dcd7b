"""Pairs and signals: the answers against plain Python and convolution."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks.pairs import additions, copies, text_of
from tinyseq.tasks.signals import (
    ADDING_BASELINE,
    adding,
    adding_1997,
    adding_1997_baseline,
    filtered,
    nmse,
    unseen_variance,
    waveform,
)


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


def test_adding_1997(rng: np.random.Generator) -> None:
    lengths, errors, firsts, seconds = set(), [], [], []
    for _ in range(150):
        x, y = adding_1997(rng, 30, 200)
        lengths.add(len(x))
        value, mark = x[..., 0].astype(float), x[..., 1]
        assert np.abs(value).max() <= 1 and (mark[-1] == -1).all() and ((mark == 1).sum(0) == 2).all()
        assert (mark[1:-1] >= 0).all() and set(np.unique(mark[0])) <= {-1, 1}
        for b in range(200):
            at = np.flatnonzero(mark[:, b] == 1)
            assert at[0] < 10 and at[1] <= 14  # the first T/2 − 1 others reach to place 14
            assert y[b, 0] == pytest.approx(0.5 + sum(value[t, b] for t in at if t) / 4, abs=1e-6)
            firsts.append(at[0])
            seconds.append(at[1])
        errors.append(np.square(y - 0.5).mean())
    assert lengths == set(range(30, 34))
    assert np.mean(errors) == pytest.approx(adding_1997_baseline(30), rel=0.03)
    assert np.mean(np.array(firsts) == 0) == pytest.approx(0.1 + 0.9 / 14, abs=0.008)
    assert max(seconds) == 14
    assert adding_1997_baseline(10**6) == pytest.approx(1.9 / 48, rel=1e-5)
    with pytest.raises(ts.TinyseqError, match="at least 20 steps, got 19"):
        adding_1997(rng, 19, 2)


def test_waveform(rng: np.random.Generator) -> None:
    x, y = waveform(rng, 320, 5)
    assert x.shape == y.shape == (320, 5, 1) and not x.any() and y.dtype == np.float32
    np.testing.assert_allclose(np.abs(y).max(0), 1, rtol=1e-6)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    assert nmse(np.zeros_like(y), y) == pytest.approx(1, rel=1e-5) and nmse(y, y) == 0
    power = np.square(np.abs(np.fft.rfft(y[..., 0], axis=0))).sum(1)
    assert power[1:8].sum() > power[8:40].sum() > power[40:].sum() > 0  # slow and fast parts, the slow ones stronger
    for message, act in {
        r"at least 8 samples, got 7": lambda: waveform(rng, 7),
        r"one shape, got \(2,\) and \(3,\)": lambda: nmse(np.zeros(2), np.zeros(3)),
    }.items():
        with pytest.raises(ts.TinyseqError, match=message):
            act()


def test_filtered(rng: np.random.Generator) -> None:
    w = np.array([0.5, -1.0, 2.0, 0.25])
    x, y = filtered(rng, w, 1, 30, 3)
    for t in range(30):
        wanted = sum(w[k + 1] * x[t + k] for k in range(-1, 3) if 0 <= t + k < 30)
        np.testing.assert_allclose(y[t], wanted, rtol=1e-5, atol=1e-6)
    assert [unseen_variance(w, 1, m) for m in (-1, 0, 1, 2)] == [1 + 4 + 0.0625, 4.0625, 0.0625, 0]
    with pytest.raises(ts.TinyseqError, match="can lie behind, got 4"):
        filtered(rng, w, 4, 30, 3)
