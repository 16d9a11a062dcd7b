"""Functions that record more than one op, and the operators: against NumPy, and PyTorch where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as special

import tinyseq as ts
from tests import naive
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a ** b": lambda a, b: a**b,
    "a @ b": lambda a, b: a @ b,
    "-a": lambda a, b: -a * 1.0,
    "abs(a)": lambda a, b: abs(a) * 1.0,
    "2 + a": lambda a, b: 2 + a,
    "2 - a": lambda a, b: 2 - a,
    "2 * a": lambda a, b: 2 * a,
    "2 / a": lambda a, b: 2 / a,
    "2 ** a": lambda a, b: 2**a,
    "a - 2": lambda a, b: a - 2,
    "a / 2": lambda a, b: a / 2,
    "a ** 3": lambda a, b: a**3,
    "a ** 0.5": lambda a, b: a**0.5,
    "a.sum(0)": lambda a, b: a.sum(0),
    "a.mean(1)": lambda a, b: a.mean(1),
    "a.max(0)": lambda a, b: a.max(0),
    "a.reshape(-1)": lambda a, b: a.reshape(-1),
    "a.T": lambda a, b: a.T * 1.0,
    "a.T @ b": lambda a, b: a.T @ b,
    "a @ b.T": lambda a, b: a @ b.T,
    "a.T @ b.T": lambda a, b: a.T @ b.T,
    "a.T.T": lambda a, b: a.T.T * 1.0,
    "a[1]": lambda a, b: a[1] * 1.0,
    "a[-1, 0:2]": lambda a, b: a[-1, 0:2] * 1.0,
}


@pytest.mark.parametrize("text", OPERATORS)
@pytest.mark.parametrize("kinds", ["tensor tensor", "parameter array", "array parameter", "parameter parameter"])
def test_operators_mean_what_they_mean_for_arrays(text: str, kinds: str, rng: np.random.Generator) -> None:
    a, b = rng.uniform(0.5, 2, (3, 3)), rng.uniform(0.5, 2, (3, 3))
    if kinds.startswith("array") and " b" not in text:
        return
    wrap = {"tensor": ts.tensor, "parameter": ts.Parameter, "array": lambda x: x}
    f = OPERATORS[text]
    first, second = kinds.split()
    if kinds.startswith("array") and "a.T" in text:
        return
    with Tape():
        y = f(wrap[first](a), wrap[second](b))
        np.testing.assert_allclose(y.value, f(a, b), rtol=1e-14)


def test_comparisons_are_masks(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    np.testing.assert_array_equal(naive.value(lambda a, b: a > b, a, b), (a > b) * 1.0)
    np.testing.assert_array_equal(naive.value(lambda a, b: a < b, a, b), (a < b) * 1.0)
    np.testing.assert_array_equal(naive.value(lambda a: a > 0, a), (a > 0) * 1.0)
    np.testing.assert_array_equal(naive.value(lambda a: ts.where(a > 0, a, -a), a), np.abs(a))


def test_minimum_and_maximum_of_tensors_and_numbers(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 3)), rng.standard_normal(3)
    np.testing.assert_array_equal(naive.value(ts.minimum, a, b), np.minimum(a, b))
    np.testing.assert_array_equal(naive.value(lambda a: ts.minimum(a, 0.1), a), np.minimum(a, 0.1))
    np.testing.assert_array_equal(naive.value(lambda a: ts.maximum(0.1, a), a), np.maximum(a, 0.1))
    assert ts.gradcheck(ts.minimum, a, b)


@pytest.mark.parametrize("shape", [(4,), (3, 2)], ids=["rows", "sequence"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(shape: tuple, masked: bool, reduction: str, rng: np.random.Generator) -> None:
    logits, target = rng.standard_normal((*shape, 5)), rng.integers(0, 5, shape)
    mask = rng.integers(0, 2, shape).astype(np.float64) if masked else None
    if mask is not None:
        mask.flat[0] = 1

    def f(x: Any) -> ts.Tensor:
        return ts.cross_entropy(x, target, mask=mask, reduction=reduction)

    losses = -np.take_along_axis(special.log_softmax(logits, -1), target[..., None], -1)[..., 0]
    count = losses.size
    if mask is not None:
        losses, count = losses * mask, int(mask.sum())
    wanted = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / count}[reduction]
    np.testing.assert_allclose(naive.value(f, logits), wanted, rtol=1e-13)
    assert ts.gradcheck(f, logits)


def test_masked_rows_have_no_gradient_even_where_the_loss_is_infinite() -> None:
    logits = np.array([[0.0, -np.inf], [1.0, 2.0]])
    _, (g,) = (
        0,
        naive.gradients(lambda x: ts.cross_entropy(x, np.array([0, 1]), mask=np.array([0, 1])), np.array(1.0), logits),
    )
    np.testing.assert_allclose(g, [[0, 0], [special.softmax([1, 2])[0], special.softmax([1, 2])[1] - 1]], atol=1e-15)


def test_layer_norm(rng: np.random.Generator, torch: Any) -> None:
    x, gain, bias = rng.standard_normal((2, 3, 5)) * 3 + 1, rng.standard_normal(5), rng.standard_normal(5)
    ours = naive.value(lambda *a: ts.layer_norm(*a), x, gain, bias)
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gain + bias
    np.testing.assert_allclose(ours, wanted, rtol=1e-12)
    theirs = torch.nn.functional.layer_norm(torch.tensor(x), (5,), torch.tensor(gain), torch.tensor(bias)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert ts.gradcheck(ts.layer_norm, x, gain, bias)
    tiny = x * 1e-4
    np.testing.assert_allclose(
        naive.value(lambda *a: ts.layer_norm(*a, epsilon=0.1), tiny, gain, bias),
        (tiny - tiny.mean(-1, keepdims=True)) / np.sqrt(tiny.var(-1, keepdims=True) + 0.1) * gain + bias,
        rtol=1e-12,
    )


def test_products_of_sequences_with_one_matrix(rng: np.random.Generator) -> None:
    x, W, v = rng.standard_normal((2, 3, 5)), rng.standard_normal((4, 5)), rng.standard_normal(5)
    np.testing.assert_allclose(naive.value(ts.linear, x, W), np.einsum("tbi,oi->tbo", x, W), rtol=1e-12)
    np.testing.assert_allclose(naive.value(ts.matmul, x, W.T.copy()), np.einsum("tbi,oi->tbo", x, W), rtol=1e-12)
    np.testing.assert_allclose(naive.value(ts.linear, v, W), W @ v, rtol=1e-12)
    assert ts.gradcheck(ts.linear, x, W) and ts.gradcheck(ts.linear, v, W)


def test_split_gives_all_parts_and_steps_all_steps(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 6))
    with Tape():
        parts = ts.split(ts.tensor(x), 3)
        for part, wanted in zip(parts, np.split(x, 3, -1), strict=True):
            np.testing.assert_array_equal(part.value, wanted)
        rows = ts.split(x, 2, axis=0)
        np.testing.assert_array_equal(rows[1].value, x[2:])
        seen = list(ts.steps(ts.tensor(x)))
        assert [t for t, _ in seen] == [0, 1, 2, 3]
        for t, x_t in seen:
            np.testing.assert_array_equal(x_t.value, x[t])
        assert len(ts.tensor(x)) == 4


def test_broadcasting_is_an_explicit_node() -> None:
    with Tape() as tape:
        a, b = ts.tensor(np.ones((4, 3))), ts.tensor(np.ones(3))
        same = a + a
        wide = a + b
        number = a * 2.0
    ops = [n.op for n in tape.nodes()]
    assert ops == ["input", "input", "add", "expand", "add", "affine"]
    assert same.shape == wide.shape == number.shape == (4, 3)
    assert tape.node(3).inputs == (b.index,) and tape.node(3).shape == (4, 3)


def test_a_transposed_operand_is_one_product_and_a_transpose_by_itself_a_node() -> None:
    with Tape() as tape:
        a, b = ts.tensor(np.ones((2, 3))), ts.tensor(np.ones((4, 3)))
        a @ b.T
        assert [n.op for n in tape.nodes()] == ["input", "input", "matmul"]
        flipped = b.T
        flipped + 1.0
        flipped * 2.0
        assert [n.op for n in tape.nodes()[3:]] == ["transpose", "affine", "affine"]
        assert b.T.T.index == b.index and b.T.shape == (3, 4)


def test_squares_and_roots_are_products_and_square_roots() -> None:
    with Tape() as tape:
        a = ts.tensor(np.ones(3))
        a**2, a**0.5, a**1.5
    assert [n.op for n in tape.nodes()] == ["input", "mul", "sqrt", "constant", "power"]


def test_one_hot_and_zeros_have_the_dtype_asked_for() -> None:
    with Tape():
        assert ts.one_hot([1], 3).dtype == np.float32 and ts.zeros((2,)).dtype == np.float32
        assert ts.one_hot([1], 3, np.float64).dtype == np.float64 and ts.zeros((2,), "float64").dtype == np.float64
        np.testing.assert_array_equal(ts.one_hot([[1], [0]], 2).value, [[[0, 1]], [[1, 0]]])


def test_dtypes_stay_what_they_are(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3)).astype(np.float32)
    for f in (
        lambda x: x + 1.0,
        lambda x: np.float64(2.0) * x,
        lambda x: ts.maximum(x, 0.5),
        lambda x: ts.where(np.ones((2, 3), bool), x, 0.0),
        lambda x: ts.cross_entropy(x, np.array([0, 1]), mask=np.array([1, 0])),
        lambda x: ts.layer_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32)),
    ):
        assert naive.value(f, x).dtype == np.float32
