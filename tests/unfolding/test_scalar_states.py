"""States without axes, carried from call to call: what one call returns the next one takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")

X = np.linspace(-1, 1, 8)


def step(x: Any, state: Any) -> Any:
    h, total = state
    h = ts.tanh(0.5 * h + x)
    return (h, total + h * h), h


def by_hand(h: float, total: float, xs: np.ndarray) -> tuple[float, float]:
    for x in xs:
        h = np.tanh(0.5 * h + x)
        total += h * h
    return h, total


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_compiled_function_goes_on_where_it_stopped(dtype: Any) -> None:
    calls, recorded = [], 0

    def f(x: Any, state: Any) -> Any:
        calls.append(1)
        return ts.unfold(step, ts.Chain(4), x, state).final

    fast = ts.compile(f)
    state: Any = (np.array(0.25, dtype), np.zeros((), dtype))
    for n in range(2):
        state = fast(X.astype(dtype)[4 * n : 4 * n + 4], state)
        assert all(np.shape(s) == () and s.dtype == dtype for s in state)
        recorded = recorded if n else len(calls)
    np.testing.assert_allclose(state, by_hand(0.25, 0.0, X), rtol=1e-5)
    assert len(calls) == recorded  # a number is no other signature


def test_a_state_that_is_alone_and_one_in_a_dict() -> None:
    fast = ts.compile(lambda x, h: ts.unfold(lambda x, h: (0.5 * h + x,) * 2, ts.Chain(4), x, h).final)
    h = np.float64(1.0)
    for n in range(2):
        h = fast(X[4 * n : 4 * n + 4], h)
    want = 1.0
    for x in X:
        want = 0.5 * want + x
    assert h == pytest.approx(want)
    nested = ts.compile(lambda s: {"h": [s["h"][0] * 2.0]})
    made = nested(nested({"h": [np.array(1.5)]}))
    assert made["h"][0] == 6.0


def test_a_number_of_integers_can_be_carried() -> None:
    table = ts.Parameter(np.array([[1.0], [2.0], [3.0]]))
    fast = ts.compile(lambda i: (ts.sum(ts.take(table, i)), i))
    total, i = fast(np.array(2))
    assert total == 3.0 and fast(i)[0] == 3.0 and int(i) == 2


def test_on_tapes_too() -> None:
    h: Any = (np.float64(0.25), np.float64(0.0))
    for n in range(2):
        with Tape():
            final = ts.unfold(step, ts.Chain(4), X[4 * n : 4 * n + 4], h).final
            h = tuple(s.value * 1.0 for s in final)  # arithmetic of NumPy's makes numbers of arrays without axes
    np.testing.assert_allclose(h, by_hand(0.25, 0.0, X))


def test_with_checkpoints() -> None:
    W = ts.Parameter(np.array(0.5), "W")

    def segment(x: Any, h: Any) -> Any:
        unfolded = ts.unfold(lambda x, h: (ts.tanh(W * h + x),) * 2, ts.Chain(len(x)), x, h)
        return ts.sum(unfolded.outputs), unfolded.final

    whole, cut = ts.compile(segment), ts.compile(segment, checkpoint=2)
    loss, h = whole.backward(X, np.array(0.1))
    grad = W.grad.copy()
    got, end = cut.backward(X, np.array(0.1))
    np.testing.assert_allclose([got, end, W.grad], [loss, h, grad])
    assert cut(X, end)[0] == pytest.approx(float(whole(X, h)[0]))
