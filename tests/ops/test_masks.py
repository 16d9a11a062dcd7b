"""Rows and elements whose loss is masked away get the gradient 0, exactly, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tinyseq.errors import DataError
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
each_bad = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)

X = np.array([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3], [1.0, 0.0, -1.0], [-0.5, 0.5, 0.0]])
TARGET = np.array([2, 1, 0, 1])
MASK = np.array([1.0, 0.0, 1.0, 0.0])


def spoilt(x: np.ndarray, bad: float, whole: bool) -> np.ndarray:
    """What the mask hides, replaced: a whole row, or one number in it."""
    x = x.copy()
    x[1] = bad
    x[3, 0 if not whole else slice(None)] = bad
    return x


def rows_of_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@each_dtype
@each_bad
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_masked_rows_of_a_cross_entropy(dtype: Any, bad: float, whole: bool, reduction: str) -> None:
    x = spoilt(X, bad, whole).astype(dtype)

    def f(logits: Any) -> ts.Tensor:
        return ts.sum(ts.cross_entropy(logits, TARGET, mask=MASK, reduction=reduction))

    (g,) = naive.gradients(f, dtype(1), x)
    wanted = (rows_of_softmax(X) - np.eye(3)[TARGET]) * MASK[:, None] / (2 if reduction == "mean" else 1)
    np.testing.assert_array_equal(g[[1, 3]], 0)
    np.testing.assert_allclose(g, wanted, rtol=1e-5, atol=1e-7)
    losses = -np.log(rows_of_softmax(X)[np.arange(4), TARGET]) * MASK
    np.testing.assert_allclose(naive.value(f, x), losses.sum() / (2 if reduction == "mean" else 1), rtol=1e-6)


@each_bad
def test_a_mask_over_time_steps_and_one_that_is_a_tensor(bad: float) -> None:
    x = np.stack([X, X + 1, X * 2])
    x[2, 1:] = bad
    target = np.stack([TARGET] * 3)
    mask = np.ones((3, 4))
    mask[2, 1:] = 0
    for given in (mask, mask.astype(bool)):
        (g,) = naive.gradients(lambda x, m=given: ts.cross_entropy(x, target, mask=m), np.float64(1), x)
        assert np.isfinite(g).all() and not g[2, 1:].any() and g[:2].all()
    (g, _) = naive.gradients(lambda x, m: ts.cross_entropy(x, target, mask=m), np.float64(1), x, mask)
    assert np.isfinite(g).all() and not g[2, 1:].any() and g[:2].all()


@each_dtype
@each_bad
@pytest.mark.parametrize("loss", [ts.squared_error, ts.bernoulli_cross_entropy])
@pytest.mark.parametrize("where", ["output", "target"])
def test_masked_elements_of_elementwise_losses(dtype: Any, bad: float, loss: Callable, where: str) -> None:
    """A number that is missing among the targets is NaN in many data sets."""
    y, t = X.astype(dtype), rows_of_softmax(X).astype(dtype)
    mask = np.ones_like(y)
    mask[1], mask[3, 0] = 0, 0
    wanted = naive.gradients(lambda y, t: ts.sum(ts.where(mask, loss(y, t), 0.0)), dtype(1), y, t)
    hidden = spoilt(y if where == "output" else t, bad, False)
    given = (hidden, t) if where == "output" else (y, hidden)
    found = naive.gradients(lambda y, t: ts.sum(ts.where(mask, loss(y, t), 0.0)), dtype(1), *given)
    for g, w in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(g[mask == 0], 0)
        np.testing.assert_allclose(g, w, rtol=1e-6)


@each_dtype
@each_bad
@pytest.mark.parametrize("normaliser", [ts.softmax, ts.log_softmax])
def test_masked_rows_of_softmax(dtype: Any, bad: float, normaliser: Callable) -> None:
    """Rows of attention or of probabilities that a mask leaves out."""
    mask = np.repeat(MASK[:, None], 3, 1).astype(dtype)
    u = np.arange(12.0).reshape(4, 3).astype(dtype)

    def f(x: Any) -> ts.Tensor:
        return ts.sum(ts.where(mask, normaliser(x), 0.0) * ts.tensor(u))

    (g,) = naive.gradients(f, dtype(1), spoilt(X, bad, True).astype(dtype))
    (wanted,) = naive.gradients(f, dtype(1), X.astype(dtype))
    np.testing.assert_array_equal(g[[1, 3]], 0)
    np.testing.assert_allclose(g, wanted, rtol=1e-6)


def test_rows_that_count_still_show_their_nan() -> None:
    x = spoilt(X, np.nan, True)
    (g,) = naive.gradients(lambda x: ts.cross_entropy(x, TARGET), np.float64(1), x)
    assert np.isnan(g[[1, 3]]).all() and np.isfinite(g[[0, 2]]).all()


def test_what_is_added_to_a_gradient_stays() -> None:
    """The gradient of a masked row is added to what the row gets from elsewhere."""
    x = ts.Parameter(X.copy())
    with Tape():
        logits = x * 1.0
        (ts.sum(logits * 3.0) + ts.cross_entropy(logits, TARGET, mask=np.zeros(4), reduction="sum")).backward()
    np.testing.assert_array_equal(x.grad, np.full_like(X, 3.0))


@pytest.mark.parametrize("mask", [[1, 0.5, 1, 0], [2.0, 1, 1, 0], [1, np.nan, 1, 0], [-1.0, 0, 1, 1]])
def test_weights_are_no_mask(mask: list[float]) -> None:
    """Read as a mask, a weight of ½ would count a row whole and divide by half of it."""
    with Tape(), pytest.raises(DataError, match=r"0 and 1.*ts.sum\(weights"):
        ts.cross_entropy(ts.tensor(X), TARGET, mask=np.array(mask))
