"""Sparse products: taken apart and put together, in a recurrence on every executor, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import tinyseq as ts


def matrix(rng: np.random.Generator, n: int = 6, k: int = 6) -> np.ndarray:
    return np.where(rng.random((n, k)) < 0.4, rng.standard_normal((n, k)), 0.0)


def test_a_matrix_taken_apart_is_the_matrix(rng: np.random.Generator) -> None:
    W = matrix(rng, 5, 7)
    for given in (W, sp.csr_array(W), sp.csc_matrix(W), sp.coo_array(W)):
        places, values = ts.Sparsity.of(given)
        np.testing.assert_array_equal(places.dense(values), W)
        assert places.shape == (5, 7) and len(values) == np.count_nonzero(W)
    twice = sp.coo_array((np.ones(3), ([0, 0, 1], [1, 1, 0])), (2, 2))
    places, values = ts.Sparsity.of(twice)
    np.testing.assert_array_equal(places.dense(values), [[0, 2], [1, 0]])


@pytest.mark.usefixtures("executor")
def test_a_matrix_of_zeros(rng: np.random.Generator) -> None:
    places, values = ts.Sparsity.of(np.zeros((3, 2)))
    x = ts.Parameter(rng.standard_normal((4, 2)), "x")
    with ts.Tape():
        y = ts.sparse_linear(x, values, places)
        np.testing.assert_array_equal(y.value, np.zeros((4, 3)))
        ts.sum(y).backward()
    np.testing.assert_array_equal(x.grad, np.zeros((4, 2)))


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("trainable", [True, False])
def test_a_sparse_recurrence_is_the_dense_one(rng: np.random.Generator, trainable: bool) -> None:
    W, T = 0.5 * matrix(rng), 30
    places, values = ts.Sparsity.of(W)
    sparse = ts.Parameter(values, "W", trainable=trainable)
    dense = ts.Parameter(W, "W", trainable=trainable)
    U = ts.Parameter(rng.standard_normal((6, 2)), "U")
    x = rng.standard_normal((T, 2, 2))
    found = []
    for product, own in (
        (lambda h: ts.sparse_linear(h, sparse, places), sparse),
        (lambda h: ts.linear(h, dense), dense),
    ):

        def step(x, h, product=product):
            h = ts.tanh(product(h) + ts.linear(x, U)).named("h")
            return h, h

        with ts.Tape() as tape:
            out = ts.unfold(step, ts.Chain(T), x, ts.zeros((2, 6), np.float64)).outputs
            loss = ts.sum(out**2)
        ts.verify(tape)
        loss.backward()
        found.append((loss.item(), U.grad.copy(), own.grad))
    (loss, dU, dw), (expected, dU_dense, dW) = found
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(dU, dU_dense, rtol=1e-10, atol=1e-12)
    assert (dw is None) == (not trainable)
    if trainable:
        np.testing.assert_allclose(dw, dW[W != 0], rtol=1e-10, atol=1e-12)


def test_a_sparse_recurrence_is_planned(rng: np.random.Generator) -> None:
    places, values = ts.Sparsity.of(0.5 * matrix(rng))
    W = ts.Parameter(values, "W")

    def loss(x):
        def step(x, h):
            h = ts.tanh(ts.sparse_linear(h, W, places) + x)
            return h, h

        return ts.sum(ts.unfold(step, ts.Chain(20), x, ts.zeros((1, 6), np.float64)).outputs)

    program = ts.compile(loss)._version((rng.standard_normal((20, 1, 6)),)).program(True)
    assert not isinstance(program, str), program


@pytest.mark.parametrize(
    ("columns", "starts", "width", "words"),
    [
        ([0, 1], [0, 1, 3], 4, "number of columns"),
        ([0, 4], [0, 2], 4, "0 to 3"),
        ([0, -1], [0, 2], 4, "0 to 3"),
        ([0, 1], [0, 2, 1], 4, "rise"),
        ([0, 1], [1, 2], 4, "rise"),
    ],
)
def test_places_that_are_none(columns: list, starts: list, width: int, words: str) -> None:
    with pytest.raises(ts.errors.ShapeError, match=words):
        ts.Sparsity(columns, starts, width)


def test_what_does_not_fit_the_places(rng: np.random.Generator) -> None:
    places, values = ts.Sparsity.of(matrix(rng))
    with ts.Tape():
        with pytest.raises(ts.errors.ShapeError, match=r"rows x \(B, 6\)"):
            ts.sparse_linear(np.ones((2, 5)), values, places)
        with pytest.raises(ts.errors.ShapeError, match="values"):
            ts.sparse_linear(np.ones((2, 6)), values[1:], places)
        with pytest.raises(ts.errors.DtypeError, match="one dtype"):
            ts.sparse_linear(np.ones((2, 6), np.float32), values, places)
        with pytest.raises(ts.TinyseqError, match=r"Sparsity\.of"):
            ts.sparse_linear(np.ones((2, 6)), values, matrix(rng))
    with pytest.raises(ValueError, match="read-only"):
        places.columns[0] = 99
