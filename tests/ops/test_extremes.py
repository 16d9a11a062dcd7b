"""Extreme and odd inputs: huge logits, infinities, NaN, empty rows, broadcasting, ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as special

import tinyseq as ts
from tests import naive
from tinyseq import functions as F

pytestmark = pytest.mark.usefixtures("executor")
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
HUGE = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 9999.0]])


def value_and_gradient(f: Callable[..., ts.Tensor], *arrays: Any, u: Any = None) -> tuple[np.ndarray, list[Any]]:
    y = naive.value(f, *arrays)
    seed = np.ones(y.shape, y.dtype) if u is None else u
    return y, naive.gradients(f, seed, *arrays)


@each_dtype
def test_softmax_family_at_huge_logits(dtype: Any) -> None:
    x = HUGE.astype(dtype)
    y, (g,) = value_and_gradient(ts.softmax, x, u=np.array([[1, 2, 3]] * 3, dtype))
    np.testing.assert_allclose(y, special.softmax(x.astype(np.float64), -1), rtol=1e-6, atol=0)
    assert np.isfinite(g).all()
    y, (g,) = value_and_gradient(ts.log_softmax, x)
    np.testing.assert_allclose(y, special.log_softmax(x.astype(np.float64), -1), rtol=1e-6)
    np.testing.assert_allclose(g, 1 - 3 * special.softmax(x.astype(np.float64), -1), rtol=1e-6, atol=1e-6)


@each_dtype
def test_cross_entropy_at_huge_logits_is_the_gap(dtype: Any) -> None:
    x, target = HUGE.astype(dtype), np.array([1, 0, 2])
    y, (g, _) = value_and_gradient(lambda x, t: ts.cross_entropy(x, t, reduction="none"), x, target)
    # log(2 + e^-1) past the gap of 1 between the largest logits and the target
    np.testing.assert_allclose(y, [2e4, np.log(3), 1 + np.log(2 + np.exp(-1))], rtol=1e-6)
    wanted = special.softmax(x.astype(np.float64), -1) - np.eye(3)[target]
    np.testing.assert_allclose(g, wanted, rtol=1e-6, atol=1e-6)


@each_dtype
def test_bernoulli_cross_entropy_at_huge_logits(dtype: Any) -> None:
    a = np.array([1e4, 1e4, -1e4, -1e4, 0.0], dtype)
    t = np.array([1, 0, 1, 0, 0.5], dtype)
    y, (ga, gt) = value_and_gradient(ts.bernoulli_cross_entropy, a, t)
    np.testing.assert_allclose(y, [0, 1e4, 1e4, 0, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(ga, [0, 1, -1, 0, 0], atol=1e-7)
    np.testing.assert_allclose(gt, [-1e4, -1e4, 1e4, 1e4, 0], rtol=1e-6)


def test_bernoulli_cross_entropy_keeps_small_losses() -> None:
    y = naive.value(ts.bernoulli_cross_entropy, np.array([-50.0, 50.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(y, np.exp(-50.0), rtol=1e-12)


@each_dtype
def test_squashing_at_huge_inputs(dtype: Any) -> None:
    x = np.array([1e4, -1e4, np.inf, -np.inf, 0.0], dtype)
    for f, wanted, slope in (
        (ts.tanh, [1, -1, 1, -1, 0], [0, 0, 0, 0, 1]),
        (ts.sigmoid, [1, 0, 1, 0, 0.5], [0, 0, 0, 0, 0.25]),
        (ts.softplus, [1e4, 0, np.inf, 0, np.log(2)], [1, 0, 1, 0, 0.5]),
        (ts.relu, [1e4, 0, np.inf, 0, 0], [1, 0, 1, 0, 0]),
    ):
        y, (g,) = value_and_gradient(f, x)
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-30, err_msg=f.__name__)
        np.testing.assert_allclose(g, slope, rtol=1e-6, atol=1e-30, err_msg=f.__name__)


@each_dtype
def test_edges_of_the_elementary_functions(dtype: Any) -> None:
    x = np.array([0.0, -1.0, np.inf, -np.inf, 1e4], dtype)
    for f, g in ((ts.exp, np.exp), (ts.log, np.log), (ts.sqrt, np.sqrt), (ts.abs, np.abs)):
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(naive.value(f, x), g(x), rtol=1e-6, err_msg=f.__name__)


@each_dtype
def test_norm_neither_overflows_nor_underflows(dtype: Any) -> None:
    big = np.finfo(dtype).max / 4
    small = np.finfo(dtype).tiny
    for scale in (big, small):
        y, (g,) = value_and_gradient(lambda x: ts.norm(x), np.array([3, 4], dtype) * scale / 5)
        np.testing.assert_allclose(y, scale, rtol=1e-5)
        np.testing.assert_allclose(g, [0.6, 0.8], rtol=1e-5)
        columns = np.array([[3.0, 0.0], [4.0, 1.0]], dtype) * scale / 5
        np.testing.assert_allclose(naive.value(lambda x: ts.norm(x, 0), columns), [scale, scale / 5], rtol=1e-5)
        np.testing.assert_allclose(
            naive.value(lambda x: ts.norm(x, 0), columns[:, ::-1]), [scale / 5, scale], rtol=1e-5
        )


def test_norm_of_zero_has_slope_zero() -> None:
    y, (g,) = value_and_gradient(lambda x: ts.norm(x), np.zeros(3))
    assert y == 0
    np.testing.assert_array_equal(g, 0)


UNARY: dict[str, Callable] = {
    f.__name__: f
    for f in (
        *(ts.neg, ts.exp, ts.log, ts.sqrt, ts.abs, ts.tanh, ts.sigmoid, ts.relu, ts.softplus, ts.detach),
        *(ts.sum, ts.mean, ts.max, ts.norm, ts.softmax, ts.log_softmax),
    )
}
UNARY.update(
    affine=lambda x: 2.0 * x + 1.0,
    reshape=lambda x: x.reshape(-1),
    transpose=lambda x: ts.transpose(x),
    expand=lambda x: ts.expand(x, (2, 4)),
    slice=lambda x: x[:, 1:],
    index=lambda x: x[0],
    square=lambda x: x**2,
    power=lambda x: x**3,
    maximum=lambda x: ts.maximum(x, 0.5),
    maximum_right=lambda x: ts.maximum(0.5, x),
    minimum=lambda x: ts.minimum(x, 0.5),
    greater=lambda x: x > 0.5,
    product=lambda x: x @ np.ones((4, 2)),
    divided=lambda x: 1.0 / ts.abs(x),
    cross_entropy=lambda x: ts.cross_entropy(x, np.array([0])),
    squared=lambda x: ts.squared_error(x, np.ones((1, 4))),
    bernoulli=lambda x: ts.bernoulli_cross_entropy(x, np.ones((1, 4))),
    gather=lambda x: ts.gather(x, np.array([2])),
    take=lambda x: ts.take(x, np.array([0, 0])),
    layer_norm=lambda x: ts.layer_norm(x, np.ones(4), np.zeros(4)),
)


@pytest.mark.parametrize("name", sorted(UNARY))
@each_dtype
def test_nan_comes_out_where_it_goes_in(name: str, dtype: Any) -> None:
    x = np.array([[0.3, 0.7, np.nan, 1.5]])
    if name in ("product", "cross_entropy", "squared", "bernoulli", "layer_norm") and dtype is np.float32:
        return
    y = naive.value(UNARY[name], x.astype(dtype))
    assert np.isnan(y).any(), f"{name} lost the NaN: {y}"


@pytest.mark.parametrize("place", [0, 1])
def test_nan_survives_on_both_sides_of_a_binary_op(place: int) -> None:
    for f in (ts.add, ts.sub, ts.mul, ts.div, ts.power, ts.maximum, ts.minimum, ts.greater, ts.squared_error):
        operands: list[Any] = [np.array([1.5, 2.5]), np.array([0.5, 3.5])]
        operands[place][1] = np.nan
        y = naive.value(f, *operands)
        assert np.isnan(y).tolist() == [False, True], f.__name__


def test_nan_in_the_mask_counts_as_true_and_a_masked_nan_does_not_leak() -> None:
    a, b = np.array([1.0, np.nan]), np.array([3.0, 4.0])
    y, (_, ga, gb) = value_and_gradient(lambda m, a, b: ts.where(m, a, b), np.array([1.0, 0.0]), a, b)
    np.testing.assert_array_equal(y, [1, 4])
    np.testing.assert_array_equal(ga, [1, 0])
    np.testing.assert_array_equal(gb, [0, 1])


def test_nan_gradient_reaches_the_parameter() -> None:
    _, (g,) = value_and_gradient(lambda x: ts.sum(ts.log(x)), np.array([1.0, np.nan, 2.0]))
    assert np.isnan(g).tolist() == [False, True, False]


def test_kinks() -> None:
    x = np.array([-1.0, 0.0, 1.0])
    assert naive.value(ts.abs, np.array([1.0, -1.0, -0.0])).tolist() == [1, 1, 0]
    assert not np.signbit(naive.value(ts.abs, np.array([-0.0])))
    np.testing.assert_array_equal(value_and_gradient(ts.abs, x)[1][0], [-1, 0, 1])
    np.testing.assert_array_equal(value_and_gradient(ts.relu, x)[1][0], [0, 0, 1])
    _, (g,) = value_and_gradient(ts.abs, np.array([0.0, np.nan, 2.0]), u=np.array([0.0, 1.0, -3.0]))
    np.testing.assert_array_equal(g, [0, np.nan, -3])
    u = np.array([4.0, 5.0, 6.0])
    _, (ga, gb) = value_and_gradient(ts.maximum, np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), u=u)
    np.testing.assert_array_equal(ga, [2, 0, 6])
    np.testing.assert_array_equal(gb, [2, 5, 0])
    _, (g,) = value_and_gradient(lambda x: ts.max(x, 1), np.array([[2.0, 5.0, 5.0], [7.0, 7.0, 1.0]]))
    np.testing.assert_array_equal(g, [[0, 1, 0], [1, 0, 0]])
    _, (ga, gb) = value_and_gradient(ts.minimum, np.array([1.0, 2.0]), np.array([3.0, 0.5]))
    np.testing.assert_array_equal([ga, gb], [[1, 0], [0, 1]])


def test_power_at_the_edges() -> None:
    a, b = np.array([0.0, 0.0, 0.0, -2.0, 2.0, -2.0]), np.array([0.0, 1.0, 2.0, 3.0, -1.0, 2.0])
    y, (ga, _) = value_and_gradient(ts.power, a, b)
    np.testing.assert_allclose(y, [1, 0, 0, -8, 0.5, 4])
    np.testing.assert_allclose(ga, [0, 1, 0, 12, -0.25, -4])
    _, (_, gb) = value_and_gradient(ts.power, np.array([0.0, 0.0, 3.0]), np.array([2.0, 0.5, 2.0]))
    np.testing.assert_allclose(gb, [0, 0, 9 * np.log(3)])


@pytest.mark.parametrize(
    ("name", "f", "shapes", "result"),
    [
        ("add", ts.add, ((0, 3), (0, 3)), (0, 3)),
        ("expanded", ts.add, ((0, 3), (3,)), (0, 3)),
        ("tanh", ts.tanh, ((2, 0),), (2, 0)),
        ("matmul-m", ts.matmul, ((0, 3), (3, 2)), (0, 2)),
        ("matmul-k", ts.matmul, ((2, 0), (0, 3)), (2, 3)),
        ("matmul-n", ts.matmul, ((2, 3), (3, 0)), (2, 0)),
        ("matmul-batch", ts.matmul, ((0, 2, 3), (0, 3, 4)), (0, 2, 4)),
        ("sum", ts.sum, ((0, 3),), ()),
        ("sum-axis", lambda x: ts.sum(x, 0), ((0, 3),), (3,)),
        ("mean-axis", lambda x: ts.mean(x, 1), ((0, 3),), (0,)),
        ("norm", ts.norm, ((0,),), ()),
        ("softmax", ts.softmax, ((0, 3),), (0, 3)),
        ("reshape", lambda x: x.reshape(3, 0), ((0, 3),), (3, 0)),
        ("transpose", ts.transpose, ((0, 3),), (3, 0)),
        ("concatenate", lambda a, b: ts.concatenate([a, b], 0), ((0, 3), (2, 3)), (2, 3)),
        ("stack", lambda a, b: ts.stack([a, b]), ((0,), (0,)), (2, 0)),
        ("slice", lambda x: x[1:1], ((2, 3),), (0, 3)),
        ("window", lambda x: F.window(x, 2, 0), ((2, 3),), (0, 3)),
        ("take", lambda x: ts.take(x, np.zeros(0, np.int64)), ((2, 3),), (0, 3)),
        ("gather", lambda x: ts.gather(x, np.zeros(0, np.int64)), ((0, 3),), (0,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_empty_rows(name: str, f: Callable, shapes: tuple, result: tuple) -> None:
    y, grads = value_and_gradient(f, *[np.ones(shape) for shape in shapes])
    assert y.shape == result
    assert y.size == 0 or np.isin(y, [0.0, 1.0]).all()
    assert [g.shape for g in grads] == list(shapes)
    assert all(np.isfinite(g).all() for g in grads)


def test_empty_reductions_that_have_no_value_are_refused() -> None:
    for f in (ts.mean, ts.max):
        with pytest.raises(ts.errors.ShapeError, match="over no elements"):
            naive.value(f, np.ones((0, 3)))


def test_operands_with_strides_are_read_in_order() -> None:
    base = np.arange(12.0).reshape(3, 4)
    for view in (base.T, base[::2], base[:, ::-1], np.asfortranarray(base), base[1:, 1:3]):
        np.testing.assert_array_equal(naive.value(lambda x: x * 1.0, view), view)
        with ts.Tape():
            np.testing.assert_array_equal((ts.tensor(view) @ np.eye(view.shape[1])).value, view)
    y, (g,) = value_and_gradient(lambda x: x * 2.0, base, u=np.arange(12.0).reshape(4, 3).T)
    np.testing.assert_array_equal(g, 2 * np.arange(12.0).reshape(4, 3).T)
    assert y.flags.c_contiguous
