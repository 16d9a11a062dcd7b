"""Readouts against closed forms: any parts, both methods, online with and without forgetting."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn


def rows(rng: np.random.Generator, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((count, 6)) + 3.0, rng.standard_normal((count, 2)) - 1.0


@pytest.mark.parametrize("method", ["normal", "qr"])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_ridge_is_the_closed_form_however_the_rows_come(rng: np.random.Generator, method: str, penalty: float) -> None:
    z, y = rows(rng)
    zc, yc = z - z.mean(0), y - y.mean(0)
    w = np.linalg.lstsq(np.vstack([zc, np.sqrt(penalty) * np.eye(6)]), np.vstack([yc, np.zeros((6, 2))]), rcond=None)[
        0
    ].T
    for cuts in ([], [1], [50, 51, 100]):
        ridge = nn.Ridge(6, 2, penalty, method)
        for part, target in zip(np.split(z, cuts), np.split(y, cuts), strict=True):
            ridge.add(part, target)
        V, c = ridge.solve()
        np.testing.assert_allclose(V, w, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(c, y.mean(0) - w @ z.mean(0), rtol=1e-9, atol=1e-11)


def test_qr_keeps_the_digits_that_the_normal_equations_lose(rng: np.random.Generator) -> None:
    z = rng.standard_normal((100, 5))
    z[:, 4] = z[:, 3] + 1e-9 * z[:, 4]
    y = z @ np.array([[1.0, 2, 3, 1e3, -1e3]]).T
    normal, exact = nn.Ridge(5, 1, 0.0), nn.Ridge(5, 1, 0.0, "qr")
    normal.add(z, y)
    exact.add(z, y)
    with pytest.raises(ts.TinyseqError, match="method='qr'"):
        normal.solve()
    np.testing.assert_allclose(exact.solve()[0][0], [1, 2, 3, 1e3, -1e3], rtol=1e-4)


@pytest.mark.parametrize("forgetting", [1.0, 0.95])
def test_online_is_least_squares_with_weights_that_fade(rng: np.random.Generator, forgetting: float) -> None:
    z, y = rows(rng)
    online = nn.RecursiveLeastSquares(6, 2, forgetting, delta=0.4)
    before = online.update(z[:70], y[:70])
    np.testing.assert_array_equal(before[0], 0)
    online.update(z[70:], y[70:])
    A, g = np.hstack([np.ones((120, 1)), z]), forgetting ** np.arange(119, -1, -1)[:, None]
    w = np.linalg.solve(A.T @ (g * A) + 0.4 * forgetting**120 * np.eye(7), A.T @ (g * y)).T
    np.testing.assert_allclose(online.weights, w, rtol=1e-8, atol=1e-9)


def test_online_with_a_vanishing_start_is_least_squares(rng: np.random.Generator) -> None:
    z, y = rows(rng)
    online = nn.RecursiveLeastSquares(6, 2, delta=1e-6)
    online.update(z, y)
    ridge = nn.Ridge(6, 2, 0.0, "qr")
    ridge.add(z, y)
    V, c = ridge.solve()
    np.testing.assert_allclose(online.V, V, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(online.c, c, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_fitted(rng: np.random.Generator) -> None:
    z, y = rows(rng)
    bad = z.copy()
    bad[3, 2] = np.inf
    for call, words in (
        (lambda: nn.Ridge(6, 2).solve(), "add"),
        (lambda: nn.Ridge(6, 2).add(z[:, :5], y), r"\(T, 6\)"),
        (lambda: nn.Ridge(6, 2).add(z[1:], y), "119 rows"),
        (lambda: nn.Ridge(6, 2).add(bad, y), "row 3"),
        (lambda: nn.Ridge(6, 2, -1.0), "at least 0"),
        (lambda: nn.Ridge(6, 2, method="svd"), "'qr'"),
        (lambda: nn.RecursiveLeastSquares(6, 2, 1.1), "forgetting"),
        (lambda: nn.RecursiveLeastSquares(6, 2, delta=0), "delta"),
        (lambda: nn.RecursiveLeastSquares(6, 2).update(bad, y), "not finite"),
        (lambda: nn.RecursiveLeastSquares(6, 2).update(z, y[1:]), "rows z"),
    ):
        with pytest.raises(ts.TinyseqError, match=words):
            call()


@pytest.mark.parametrize("method", ["normal", "qr"])
@pytest.mark.parametrize("offset", [1e3, 1e6, 1e8])
def test_an_offset_costs_no_digits(rng: np.random.Generator, method: str, offset: float) -> None:
    """The products of rows with an offset of 1e8 hold nothing of what is of size 1."""
    z = rng.standard_normal((300, 3))
    V, c = np.array([[1.0, -2.0, 0.5]]), 7.0
    shifts = offset * np.array([1.0, -3.0, 2.0])
    ridge = nn.Ridge(3, 1, 1e-9, method)
    for part in np.split(z, [1, 20, 20, 250]):
        ridge.add(part + shifts, part @ V.T + c + offset)
    found, constant = ridge.solve()
    np.testing.assert_allclose(found, V, rtol=1e-13 * offset + 1e-9)
    np.testing.assert_allclose(constant, c + offset - V @ shifts, rtol=1e-6)


@pytest.mark.parametrize("silence", [0.0, 0.5])
@pytest.mark.parametrize("forgetting", [0.9, 0.99])
def test_online_after_a_long_silence(rng: np.random.Generator, silence: float, forgetting: float) -> None:
    """What is not excited is held: weights stay finite, and what comes afterwards is learned as before."""
    online = nn.RecursiveLeastSquares(3, 1, forgetting)
    online.update(np.full((50_000, 3), silence), np.ones((50_000, 1)))
    assert np.isfinite(online.inverse).all() and np.abs(online.weights).max() < 2
    assert abs(online.weights @ [1, silence, silence, silence] - 1) < 1e-6
    z = rng.standard_normal((400, 3))
    online.update(z, z @ [[2.0], [-1.0], [0.5]] + 3.0)
    np.testing.assert_allclose(online.weights, [[3.0, 2.0, -1.0, 0.5]], atol=5 * forgetting**400 + 1e-5)
    assert np.linalg.eigvalsh(online.inverse).min() > 0
    online.update(z, z @ [[1.0], [1.0], [1.0]])  # and what changes is learned anew
    np.testing.assert_allclose(online.weights, [[0.0, 1.0, 1.0, 1.0]], atol=10 * forgetting**400 + 1e-5)
