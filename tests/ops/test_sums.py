"""Long sums in float32 keep their digits: every reduction, gradient and product, beside sums in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tinyseq.engine.kernels import batched
from tinyseq.ops import totals
from tinyseq.tape import Tape

both = pytest.mark.usefixtures("executor")
MANY = 10**7
ENOUGH = 300_000
TOLERANCE = 1e-6


def relative(found: Any, wanted: Any) -> float:
    return float(np.max(np.abs(np.asarray(found, np.float64) - wanted) / np.abs(wanted)))


def numbers(kind: str, *shape: int) -> np.ndarray:
    """Equal numbers, whose roundings all go one way, or drawn ones."""
    if kind == "equal":
        return np.full(shape, 0.1, np.float32)
    return np.random.default_rng(5).random(shape, np.float32) + np.float32(0.1)


each_kind = pytest.mark.parametrize("kind", ["equal", "drawn"])


@both
@each_kind
def test_all_of_ten_million(kind: str) -> None:
    x = numbers(kind, MANY)
    total = math.fsum(x[:: MANY // 10]) if kind == "equal" else 0  # a cross-check of the oracle's own sum
    wanted = x.sum(dtype=np.float64)
    assert kind == "drawn" or math.isclose(wanted, total * (MANY // 10), rel_tol=1e-12)
    assert relative(naive.value(ts.sum, x), wanted) < TOLERANCE
    assert relative(naive.value(ts.mean, x), wanted / MANY) < TOLERANCE
    assert relative(naive.value(ts.norm, x), np.linalg.norm(x.astype(np.float64))) < TOLERANCE


@both
@each_kind
@pytest.mark.parametrize("shape", [(MANY, 1), (ENOUGH // 3, 3), (ENOUGH // 16, 16), (10**4, 100), (3000, 1700)])
def test_columns(kind: str, shape: tuple[int, int]) -> None:
    """Over the first axis, also where rows are few numbers or more than fit at once."""
    x = numbers(kind, *shape)
    wanted = x.sum(0, dtype=np.float64)
    assert relative(naive.value(lambda x: ts.sum(x, 0), x), wanted) < TOLERANCE
    assert relative(naive.value(lambda x: ts.mean(x, 0), x), wanted / shape[0]) < TOLERANCE


@both
@each_kind
def test_inner_and_several_axes(kind: str) -> None:
    x = numbers(kind, 3, 20_000, 2, 7)
    wide = x.astype(np.float64)
    assert relative(naive.value(lambda x: ts.sum(x, 1), x), wide.sum(1)) < TOLERANCE
    assert relative(naive.value(lambda x: ts.sum(x, (0, 1)), x), wide.sum((0, 1))) < TOLERANCE
    assert relative(naive.value(lambda x: ts.mean(x, (1, 3)), x), wide.mean((1, 3))) < TOLERANCE
    assert relative(naive.value(lambda x: ts.norm(x, 1), x), np.sqrt((wide**2).sum(1))) < TOLERANCE


def test_every_row_length_and_column_number_near_the_borders() -> None:
    """Parts, groups of rows and rests: no number is left out and none comes twice."""
    rng = np.random.default_rng(0)
    for n in (*range(1, 20), 31, 32, 33, 127, 128, 129, 1023, 1024, 1025, 2049):
        for columns in (1, 2, 5, 63, 65, 1023, 1025):
            x = rng.integers(-8, 9, (n, columns)).astype(np.float32)  # exact in float32
            assert np.array_equal(naive.value(lambda x: ts.sum(x, 0), x), x.sum(0))
            assert np.array_equal(naive.value(lambda x: ts.sum(x, 0), x.T.copy().T), x.sum(0))
            if columns < 70:
                assert np.array_equal(naive.value(lambda x: ts.sum(x, 1), x.T.copy()), x.sum(0))
            d = np.array([n, 0, columns + 3, 1, columns, 0], np.int64)
            padded = np.concatenate([x, np.full((n, 3), np.nan, np.float32)], axis=1)
            y = np.ones(columns, np.float32)
            batched.COLUMN_SUM(d, y, padded.reshape(-1))
            assert np.array_equal(y, x.sum(0) + 1)


@both
@each_kind
def test_the_gradient_of_what_was_broadcast(kind: str) -> None:
    """A bias, a column, a scalar, and axes that are not neighbours."""
    u = numbers(kind, 10**5, 4, 5)
    wide = u.astype(np.float64)
    for shape, axes in (((5,), (0, 1)), ((4, 1), (0, 2)), ((1, 4, 1), (0, 2)), ((1, 1, 1), (0, 1, 2)), ((4, 5), (0,))):
        b = ts.Parameter(np.ones(shape, np.float32))
        with Tape():
            ts.sum(ts.tensor(u) * b).backward()
        assert relative(b.grad, wide.sum(axes).reshape(shape)) < TOLERANCE


@both
@each_kind
@pytest.mark.parametrize("features, outputs", [(1, 1), (3, 2), (16, 1), (1, 16), (33, 40)])
def test_the_gradient_of_a_layer_over_many_rows(kind: str, features: int, outputs: int) -> None:
    rows = 300_000 // (features * outputs) + 3000
    x, u = numbers(kind, rows, features), numbers(kind, rows, outputs)
    W = ts.Parameter(np.ones((features, outputs), np.float32))
    b = ts.Parameter(np.ones(outputs, np.float32))
    with Tape():
        ts.sum((ts.matmul(ts.tensor(x), W) + b) * ts.tensor(u)).backward()
    assert relative(W.grad, x.astype(np.float64).T @ u.astype(np.float64)) < TOLERANCE
    assert relative(b.grad, u.sum(0, dtype=np.float64)) < TOLERANCE


@both
@each_kind
@pytest.mark.parametrize("m, n", [(1, 1), (1, 7), (5, 1), (9, 33), (40, 70)])
def test_products_over_many_features(kind: str, m: int, n: int) -> None:
    k = 200_000 // (m * n) + 5000
    a, b = numbers(kind, m, k), numbers(kind, k, n)
    wanted = a.astype(np.float64) @ b.astype(np.float64)
    W = ts.Parameter(b, "W")
    for f in (ts.matmul, lambda a, b: ts.matmul(ts.transpose(ts.transpose(a)), b)):
        assert relative(naive.value(f, a, b), wanted) < TOLERANCE
    assert relative(naive.value(lambda a: ts.matmul(a, W), a), wanted) < TOLERANCE
    assert relative(naive.value(ts.linear, a, b.T.copy()), wanted) < TOLERANCE
    batched = naive.value(ts.matmul, np.stack([a, 2 * a]), np.stack([b, b]))
    assert relative(batched, np.stack([wanted, 2 * wanted])) < TOLERANCE


@both
@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradient_of_a_row_that_is_read_often(axis: int) -> None:
    """An embedding: most tokens are one of two, some come once."""
    tokens = np.random.default_rng(1).integers(0, 2, ENOUGH)
    tokens[:50] = np.arange(2, 52)
    u = numbers("equal", ENOUGH, 3)
    wanted = np.stack([np.bincount(tokens, u[:, i].astype(np.float64)) for i in range(3)], 1)
    E = ts.Parameter(np.ones((52, 3) if axis == 0 else (3, 52), np.float32))
    with Tape():
        ts.sum(ts.take(E, tokens, axis) * ts.tensor(u)).backward()
    assert relative(E.grad, wanted if axis == 0 else wanted.T) < TOLERANCE


@both
def test_denominators_of_many_classes() -> None:
    """Of ten million classes all but one have probability e⁻ᵃ times that one's."""
    n, a = MANY // 4, np.float32(0.1)
    x = np.full((1, n), -a, np.float32)
    x[0, 7] = 0
    total = 1 + (n - 1) * math.exp(-float(a))
    u = np.full((1, n), 0.1, np.float32)
    assert relative(naive.value(ts.softmax, x), np.exp(x.astype(np.float64)) / total) < TOLERANCE
    assert relative(naive.value(ts.log_softmax, x), x - math.log(total)) < TOLERANCE
    assert relative(naive.value(ts.cross_entropy, x, np.array([7])), math.log(total)) < TOLERANCE
    (g,) = naive.gradients(ts.log_softmax, u, x)
    p = np.exp(x.astype(np.float64)) / total
    np.testing.assert_allclose(g, u - p * u.sum(dtype=np.float64), atol=1e-6)
    g = naive.gradients(ts.cross_entropy, np.float32(1), x, np.array([7]))[0]
    assert relative(g[0, 8:], p[0, 8:]) < TOLERANCE


@both
def test_losses_over_many_rows() -> None:
    """The mean of equal losses is each of them, and its gradients add up to what one row's would be."""
    rows = ENOUGH
    logits = np.tile(np.array([[0.3, -0.2, 0.1]], np.float32), (rows, 1))
    one = float(np.log(np.exp(logits[0].astype(np.float64)).sum()) - 0.3)
    p = np.exp(logits[0].astype(np.float64)) / np.exp(logits[0].astype(np.float64)).sum()
    c = ts.Parameter(np.zeros(3, np.float32))
    with Tape():
        loss = ts.cross_entropy(ts.tensor(logits) + c, np.zeros(rows, np.int64))
        loss.backward()
    assert relative(loss.value, one) < TOLERANCE
    np.testing.assert_allclose(c.grad, p - [1, 0, 0], rtol=2e-6)
    y = ts.Parameter(np.full(1, 0.3, np.float32))
    with Tape():
        loss = ts.mean(ts.squared_error(ts.expand(y, (rows,)), ts.tensor(np.full(rows, 0.1, np.float32))))
        loss.backward()
    difference = float(np.float32(0.3)) - float(np.float32(0.1))
    assert relative(loss.value, difference**2) < TOLERANCE and relative(y.grad, [2 * difference]) < TOLERANCE


@both
def test_layer_norm_of_a_long_row() -> None:
    x = numbers("drawn", 1, ENOUGH) + 3
    wide = x.astype(np.float64)
    wanted = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    gain, bias = np.ones(ENOUGH, np.float32), np.zeros(ENOUGH, np.float32)
    np.testing.assert_allclose(naive.value(ts.layer_norm, x, gain, bias), wanted, atol=2e-6)


def loop(steps: int) -> Callable[[Any, Any, Any], ts.Tensor]:
    def f(w: Any, b: Any, x: Any) -> ts.Tensor:
        total = []
        for t in range(steps):
            total.append(ts.tensor(x[t]) * w + b)
        return ts.sum(ts.stack(total))

    return f


@both
def test_a_weight_that_every_step_reads() -> None:
    """One node for each of 20,000 steps adds to the gradient."""
    steps = 20_000
    x = np.full((steps, 1, 2), 0.1, np.float32)
    w, b = ts.Parameter(np.ones((1, 2), np.float32)), ts.Parameter(np.ones((1, 2), np.float32))
    with Tape():
        loop(steps)(w, b, x).backward()
    assert relative(w.grad, x.sum(0, dtype=np.float64)) < TOLERANCE and np.array_equal(b.grad, np.full((1, 2), steps))


@both
def test_a_recurrence_of_many_steps() -> None:
    """h(t) = h(t−1)/2 + u x(t) + b ⊙ w, its outputs weighted by 1/10: sums over 50,000 steps of one row."""
    steps = 50_000
    U, b = ts.Parameter(np.ones((1, 2), np.float32), "U"), ts.Parameter(np.ones(2, np.float32), "b")
    peephole = ts.Parameter(np.ones(2, np.float32), "p")
    x = np.full((steps, 1, 1), 0.1, np.float32)

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = h * 0.5 + ts.matmul(x, U) * peephole + b
        return h, h * 0.1

    with Tape():
        net = ts.unfold(step, ts.Chain(steps), x, np.zeros((1, 2), np.float32))
        ts.sum(net.outputs).backward()
    seen = float(np.float32(0.1)) * np.cumsum(0.5 ** np.arange(steps))[::-1].sum()
    assert relative(b.grad, seen) < 2e-6
    assert relative(U.grad, seen * float(np.float32(0.1))) < 2e-6
    assert relative(peephole.grad, seen * float(np.float32(0.1))) < 2e-6


def test_infinity_and_nan_pass_through_long_sums() -> None:
    for shape, axis in (((5000,), 0), ((5000, 3), 0), ((40, 1500), 0), ((3, 5000), 1)):
        for bad, wanted in ((np.inf, np.inf), (-np.inf, -np.inf), (np.nan, np.nan)):
            x = np.ones(shape, np.float32)
            x[tuple(n - 1 for n in shape)] = bad
            for f in (ts.sum, ts.mean):
                y = naive.value(lambda x, f=f, axis=axis: f(x, axis), x)
                np.testing.assert_equal(np.ravel(y)[-1], np.float32(wanted))
                assert np.isfinite(np.ravel(y)[:-1]).all()
    x = np.full((4096, 2), 3e38, np.float32)
    np.testing.assert_allclose(naive.value(lambda x: ts.mean(x, 0), x), x[0], rtol=1e-6)
    assert np.isinf(naive.value(lambda x: ts.sum(x, 0), x)).all()


def test_the_plain_function_adds_many_rows_up() -> None:
    """Python looks at bounds: no slice may end before the loop that goes through it."""
    x, total = np.arange(2 + 19 * 5.0), np.zeros(4)
    totals.add_rows.py_func(total, x, 2, 5, 19, 4)
    np.testing.assert_allclose(total, x[2 : 2 + 19 * 5].reshape(19, 5)[:, :4].sum(0), rtol=1e-13)
