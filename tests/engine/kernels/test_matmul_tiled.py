"""The batched product's kernel against NumPy: each of its ways, every transpose, nothing else touched."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinyseq.engine.kernels.batched import MATMUL_TILED

SIZES = (1, 2, 5, 9, 33)  # rows: inner products below 8, copies from there on
COLUMNS = (1, 3, 4, 30, 65)  # a column becomes a row; inner products are taken four at a time
INNER = (0, 1, 7, 128)
BATCH, GAP = 3, 8


def guarded(matrices: np.ndarray) -> np.ndarray:
    """Flat, with NaN behind: whoever reads or keeps it there shows."""
    return np.concatenate([matrices.ravel(), np.full(GAP, np.nan, matrices.dtype)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("add", [0, 1])
def test_products_equal_numpys(dtype: type, transpose_a: bool, transpose_b: bool, add: int) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in itertools.product(SIZES, COLUMNS, INNER):
        a = rng.normal(size=(BATCH, k, m) if transpose_a else (BATCH, m, k)).astype(dtype)
        b = rng.normal(size=(BATCH, n, k) if transpose_b else (BATCH, k, n)).astype(dtype)
        before = rng.normal(size=(BATCH, m, n)).astype(dtype) if add else np.full((BATCH, m, n), np.nan, dtype)
        expected = (a.swapaxes(1, 2) if transpose_a else a) @ (b.swapaxes(1, 2) if transpose_b else b)
        expected = expected + before if add else expected
        strides = [*((1, m) if transpose_a else (k, 1)), *((1, k) if transpose_b else (n, 1))]
        d = np.array([BATCH, m * n, m * k, k * n, add, m, n, k, *strides])
        out = guarded(before)
        MATMUL_TILED.function(d, out, guarded(a), guarded(b))
        close = {"rtol": 1e-4, "atol": 1e-4} if dtype is np.float32 else {"rtol": 1e-11, "atol": 1e-11}
        found = out[:-GAP].reshape(BATCH, m, n)
        np.testing.assert_allclose(found, expected, **close, err_msg=f"m={m}, n={n}, k={k}")
        assert np.isnan(out[-GAP:]).all()


@pytest.mark.parametrize(("m", "n"), [(1, 5), (5, 1), (3, 6), (12, 6)])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_nan_and_infinity_propagate(m: int, n: int, transpose_b: bool) -> None:
    k = 9
    a, b = np.ones((m, k)), np.ones((n, k) if transpose_b else (k, n))
    a[0, 3], a[-1, 0] = np.nan, np.inf
    out = np.zeros(m * n)
    strides = (1, k) if transpose_b else (n, 1)
    d = np.array([1, m * n, m * k, k * n, 0, m, n, k, k, 1, *strides])
    MATMUL_TILED.function(d, out, a.ravel(), b.ravel())
    with np.errstate(invalid="ignore"):
        expected = a @ (b.T if transpose_b else b)
    np.testing.assert_array_equal(out.reshape(m, n), expected)
