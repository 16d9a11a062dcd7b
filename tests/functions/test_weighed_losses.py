"""Cross-entropy with rows ignored, classes weighed and labels smoothed, beside PyTorch, on both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, ShapeError, TinyseqError

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(7, 4))
Y = np.array([0, 3, -100, 1, 2, -100, 3])
WEIGHT = np.array([0.5, 1.0, 2.0, 3.0])

pytestmark = pytest.mark.usefixtures("executor")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignored", [None, -100, 3])
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_values_and_gradients_are_those_of_pytorch(
    torch: Any, reduction: str, ignored: int | None, weighed: bool, smoothing: float
) -> None:
    y = Y if ignored == -100 else np.abs(Y) % 4
    o = torch.tensor(LOGITS, requires_grad=True)
    options = {} if ignored is None else {"ignore_index": ignored}
    wanted = torch.nn.functional.cross_entropy(
        o, torch.tensor(y), reduction=reduction, label_smoothing=smoothing,
        weight=torch.tensor(WEIGHT) if weighed else None, **options,
    )  # fmt: skip
    wanted.sum().backward()
    W = ts.Parameter(LOGITS, "o")
    with ts.Tape():
        loss = ts.cross_entropy(
            W, y, reduction=reduction, ignore_index=ignored, weight=WEIGHT if weighed else None,
            label_smoothing=smoothing,
        )  # fmt: skip
        np.testing.assert_allclose(loss.value, wanted.detach().numpy(), rtol=1e-12)
        ts.sum(loss).backward()
    np.testing.assert_allclose(W.grad, o.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_compiled_with_a_class_ignored_and_weights() -> None:
    W, y = ts.Parameter(LOGITS, "o"), np.abs(Y) % 4
    f = ts.compile(lambda y: ts.cross_entropy(W, y, ignore_index=0, weight=WEIGHT, label_smoothing=0.2))
    for targets in (y, y[::-1].copy()):
        value = f.backward(targets)
        grad = W.grad
        with ts.Tape():
            loss = ts.cross_entropy(W, targets, ignore_index=0, weight=WEIGHT, label_smoothing=0.2)
            loss.backward()
            assert value == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(grad, W.grad, rtol=1e-12, atol=1e-15)
        assert not W.grad[targets == 0].any()


def test_gradients_are_derivatives() -> None:
    W = ts.Parameter(LOGITS, "o")
    assert ts.gradcheck(lambda: ts.cross_entropy(W, Y, ignore_index=-100, weight=WEIGHT, label_smoothing=0.3), W)


def test_what_is_wrong_is_said() -> None:
    f = ts.compile(lambda y: ts.cross_entropy(ts.tensor(LOGITS), y, ignore_index=-100))
    with pytest.raises(DataError, match=r"ignore_index=-100 is no class, and inside ts.compile.*mask=\(y != ignored\)"):
        f(np.abs(Y) % 4)
    with ts.Tape():
        with pytest.raises(ShapeError, match="one weight for each of the 4 classes"):
            ts.cross_entropy(LOGITS, np.abs(Y) % 4, weight=np.ones(3))
        with pytest.raises(TinyseqError, match="label_smoothing is at least 0 and below 1"):
            ts.cross_entropy(LOGITS, np.abs(Y) % 4, label_smoothing=1.0)
