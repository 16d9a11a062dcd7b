"""Memory tasks: every answer against a plain reading of the sequence; baselines as exact facts."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks.memory import (
    ORDER_SYMBOLS,
    ORDER_SYMBOLS_1997,
    copy_memory,
    copy_memory_baseline,
    latching,
    temporal_order,
    temporal_order_1997,
    warped,
)


def test_latching(rng: np.random.Generator) -> None:
    x, y = latching(rng, 40, 2000, noise=0.3, lead=3)
    assert x.shape == (40, 2000, 1) and x.dtype == np.float32
    np.testing.assert_array_equal(x[:3, :, 0], np.where(y == 1, 1, -1)[None].repeat(3, 0))
    rest = x[3:, :, 0]
    assert rest.std() == pytest.approx(0.3, rel=0.02) and abs(y.mean() - 0.5) < 0.05
    assert abs(np.corrcoef(rest.sum(0), y)[0, 1]) < 0.08  # the noise says nothing about y


@pytest.mark.parametrize("steps", [10, 47, 50, 200])
def test_temporal_order(steps: int, rng: np.random.Generator) -> None:
    x, y = temporal_order(rng, steps, 3000)
    names = ("AA", "AB", "BA", "BB")
    places = []
    for b in range(3000):
        text = "".join(ORDER_SYMBOLS[i] for i in x[:, b])
        at = [t for t, c in enumerate(text) if c in "AB"]
        assert len(at) == 2 and names[y[b]] == text[at[0]] + text[at[1]]
        places.append(at)
    first, second = np.array(places).T
    for at, low in ((first, 0.1), (second, 0.5)):
        wanted = [t for t in range(steps) if low * steps - 1e-9 <= t < (low + 0.1) * steps - 1e-9]
        assert sorted(set(at.tolist())) == wanted
    np.testing.assert_allclose(np.bincount(y) / 3000, 0.25, atol=0.04)
    np.testing.assert_allclose(np.bincount(x.ravel(), minlength=6)[2:] / x.size, (1 - 2 / steps) / 4, atol=0.02)


@pytest.mark.parametrize("symbols", [2, 3])
def test_temporal_order_1997(symbols: int, rng: np.random.Generator) -> None:
    lengths = set()
    windows = ((10, 20), (50, 60)) if symbols == 2 else ((10, 20), (33, 43), (66, 76))
    reached = [set() for _ in windows]
    for _ in range(60):
        x, y = temporal_order_1997(rng, 30, symbols)
        lengths.add(len(x))
        for b in range(30):
            text = "".join(ORDER_SYMBOLS_1997[i] for i in x[:, b])
            assert text[0] == "E" and text[-1] == "B" and not set(text[1:-1]) & set("EB")
            at = [t for t, c in enumerate(text) if c in "XY"]
            assert int("".join("01"[text[t] == "Y"] for t in at), 2) == y[b] and len(at) == symbols
            for t, (low, high), seen in zip(at, windows, reached, strict=True):
                assert low <= t <= high
                seen.add(t)
    assert lengths == set(range(100, 111)) and all(len(seen) == 11 for seen in reached)


def test_copy_memory(rng: np.random.Generator) -> None:
    x, y = copy_memory(rng, 30, 50)
    assert x.shape == y.shape == (50, 50)
    np.testing.assert_array_equal(x[:10], y[-10:])
    assert set(np.unique(x[:10])) == set(range(8))
    assert (x[10:39] == 8).all() and (x[39] == 9).all() and (x[40:] == 8).all() and (y[:-10] == 8).all()


def test_copy_memory_baseline_is_the_loss_of_a_net_without_memory(rng: np.random.Generator) -> None:
    assert copy_memory_baseline(100) == pytest.approx(10 * np.log(8) / 120, rel=1e-14)
    _, y = copy_memory(rng, 100, 20)
    p = np.zeros((120, 20, 10))  # what it knows: blanks, then anything of eight
    p[:-10, :, 8], p[-10:, :, :8] = 1, 1 / 8
    nats = -np.log(np.take_along_axis(p, y[..., None], 2)).mean()
    assert nats == pytest.approx(copy_memory_baseline(100), rel=1e-12)


@pytest.mark.parametrize("varying", [False, True])
def test_warped(varying: bool, rng: np.random.Generator) -> None:
    x, y = warped(rng, 60, 40, 4, varying=varying, symbols=50)
    padded, same = warped(np.random.default_rng(1), 60, 40, 4, varying=varying, padded=True, symbols=50)
    plain, again = warped(np.random.default_rng(1), 60, 40, 4, varying=varying, symbols=50)
    np.testing.assert_array_equal(same, again)
    lengths = set()
    for b in range(40):
        runs = [
            (symbol, len(list(run))) for symbol, run in groupby(zip(x[:, b].tolist(), y[:, b].tolist(), strict=True))
        ]
        before = 0
        for (symbol, previous), _ in runs:
            assert previous == before
            before = symbol
        lengths |= {n for _, n in runs[:-1]}
        shown = padded[:, b] != 50
        np.testing.assert_array_equal(padded[shown, b], plain[shown, b])
        assert shown[0] and (shown[1:] | (plain[1:, b] == plain[:-1, b])).all()
        if not varying:
            np.testing.assert_array_equal(np.flatnonzero(shown), np.arange(0, 60, 4))
    assert lengths >= ({1, 2, 3, 4} if varying else {4}) and (varying or max(lengths) <= 8)


def errors(rng: np.random.Generator) -> dict[str, Any]:
    return {
        r"lead = 5 of 4 steps": lambda: latching(rng, 4, 2, lead=5),
        r"standard deviation from 0, got -1": lambda: latching(rng, 4, 2, noise=-1),
        r"at least 10 steps, got 9": lambda: temporal_order(rng, 9, 2),
        r"6a has symbols=2, 6b has symbols=3; got 4": lambda: temporal_order_1997(rng, 2, 4),
        r"delay must be a whole number of at least 1, got 0": lambda: copy_memory(rng, 0, 2),
        r"warp must be a whole number of at least 1, got 0.5": lambda: warped(rng, 9, 2, 0.5),  # type: ignore[arg-type]
        r"batch must be a whole number": lambda: temporal_order(rng, 10, 0),
        r"write rng=np.random.default_rng": lambda: copy_memory(1, 5, 2),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("message", errors(np.random.default_rng(0)))
def test_errors(message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ts.TinyseqError, match=message):
        errors(rng)[message]()


@pytest.mark.parametrize("task", [temporal_order, latching])
def test_the_generator_decides(task: Any) -> None:
    for one, two in zip(*(task(np.random.default_rng(7), 20, 5) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(task(np.random.default_rng(7), 20, 5)[0], task(np.random.default_rng(8), 20, 5)[0])
