"""Integers have to be in range where an op looks up by them, and nowhere else: one rule while recording, on both
executors and in compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")

RNG = np.random.default_rng(0)
E, D = ts.Parameter(RNG.standard_normal((5, 3)), "E"), ts.Parameter(RNG.standard_normal((9, 3)), "D")
T, B = 30, 4
GOOD = np.stack([RNG.integers(0, 5, (T, B)), RNG.integers(0, 9, (T, B)), RNG.integers(0, 5, (T, B))], axis=2)
PADDED = GOOD.copy()
PADDED[:, :, 2] = -1
PADDED[3, 1, 2], PADDED[0, 0, 1] = 77, 8  # 8 is a number of D, not of E


def by_columns(x: Any) -> Any:
    """Two columns, each with a table of its own; the third is padding."""
    return ts.take(E, x[:, :, 0]) + ts.take(D, x[:, :, 1])


def by_slices(x: Any) -> Any:
    return ts.take(E, x[:, :, 0:1].reshape(T, B)) + ts.take(D, x[:, :, 1:2].reshape(T, B))


def by_steps(x: Any) -> Any:
    return ts.stack([ts.take(E, x[t][:, 0]) + ts.take(D, x[t][:, 1]) for t in range(T)])


def by_unfolding(x: Any) -> Any:
    def step(x: Any, h: Any) -> Any:
        return h, ts.take(E, x[:, 0]) + ts.take(D, x[:, 1])

    return ts.unfold(step, ts.Chain(T), x, ()).outputs


def by_recurrence(x: Any) -> Any:
    """The same, with a state that the sum does not read."""

    def step(x: Any, h: Any) -> Any:
        y = ts.take(E, x[:, 0]) + ts.take(D, x[:, 1])
        return ts.tanh(h + y), y

    return ts.unfold(step, ts.Chain(T), x, np.zeros((B, 3))).outputs


WAYS = [by_columns, by_slices, by_steps, by_unfolding, by_recurrence]


def loss_of(way: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: ts.sum(way(x) * way(x))


def want() -> float:
    return float(np.square(E.value[PADDED[:, :, 0]] + D.value[PADDED[:, :, 1]]).sum())


@pytest.mark.parametrize("way", WAYS)
def test_padding_that_nobody_reads_may_be_anything(way: Callable[[Any], Any]) -> None:
    f = loss_of(way)
    with Tape():
        loss = f(ts.tensor(PADDED))
        assert loss.value == pytest.approx(want())
        loss.backward()
    grads = E.grad, D.grad
    counts = np.zeros_like(E.value)
    np.add.at(counts, PADDED[:, :, 0], 2 * (E.value[PADDED[:, :, 0]] + D.value[PADDED[:, :, 1]]))
    np.testing.assert_allclose(E.grad, counts)
    for first in (GOOD, PADDED):  # recorded with one, run with the other
        fast = ts.compile(f)
        fast.backward(first)
        for _ in range(2):
            assert fast.backward(PADDED) == pytest.approx(want())
            for p, g in zip((E, D), grads, strict=True):
                np.testing.assert_allclose(p.grad, g)


@pytest.mark.parametrize("place, bad", [((2, 1, 0), -1), ((2, 1, 0), 5), ((T - 1, B - 1, 1), 9), ((0, 0, 1), -3)])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_read_is_checked_beside_padding(way: Callable[[Any], Any], place: tuple, bad: int) -> None:
    x = PADDED.copy()
    x[place] = bad
    f = loss_of(way)
    with pytest.raises(DataError, match=r"out of range|is outside"), Tape():
        f(ts.tensor(x)).value  # noqa: B018
    with pytest.raises(DataError, match=r"out of range|is outside"):
        ts.compile(f)(x)
    fast = ts.compile(f)
    fast(GOOD)
    for _ in range(2):
        with pytest.raises(DataError, match=rf"index {bad} at position .* is outside 0 to {4 if place[2] == 0 else 8}"):
            fast(x)
        assert fast(PADDED) == pytest.approx(want())


def test_masked_targets_beyond_the_rows_that_count() -> None:
    """Targets of rows that a slice leaves out: padded with −1, as elsewhere."""
    W = ts.Parameter(RNG.standard_normal((6, 5)))
    y = np.array([1, 4, 0, -1, -1, -1])

    def f(y: Any) -> Any:
        return ts.cross_entropy((W * 1.0)[0:3], y[0:3])

    with Tape():
        value = f(ts.tensor(y)).value
    assert ts.compile(f)(y) == pytest.approx(float(value))
    with pytest.raises(DataError):
        ts.compile(f)(np.array([1, -1, 0, 0, 0, 0]))


def states(x: Any, **options: Any) -> Any:
    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h * 0.5 + ts.take(E, x))
        return h, h

    return ts.unfold(step, ts.Chain(T), x, np.zeros((B, 3)), **options)


UNREAD: dict[str, Callable[[Any], Any]] = {
    "a state on the way": lambda x: states(x).output(3) * 1.0,
    "two of them": lambda x: states(x).output(2) * states(x).output(6),
    "of windows": lambda x: states(x, truncate=ts.Window(3)).output(3) * 1.0,
    "of chunks": lambda x: states(x, truncate=ts.Chunk(4)).output(6) * 1.0,
    "single picks": lambda x: (lambda ys: ys[0] * ys[3])([ts.take(E, x[t]) for t in range(T)]),
}


@pytest.mark.parametrize("f", UNREAD.values(), ids=UNREAD)
def test_steps_that_the_result_does_not_need_are_not_looked_up(f: Callable[[Any], Any]) -> None:
    x = RNG.integers(0, 5, (T, B))
    padded = x.copy()
    padded[7:] = 10**12  # to read a row of that number would be the end of the process
    fast = ts.compile(lambda x: ts.sum(f(x)))
    want, grad = float(fast.backward(x)), E.grad
    assert fast.backward(padded) == want
    np.testing.assert_array_equal(E.grad, grad)
    padded[3, 2] = -1
    with pytest.raises(DataError, match=r"index -1 at position \(3, 2\)"):
        fast.backward(padded)
