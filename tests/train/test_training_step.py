"""The watched training step: what it computes, how it stops, what it keeps."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GradientError, TinyseqError
from tinyseq.tasks import Windows
from tinyseq.train import SGD, Adam, Diverged, TrainingStep, clip_elements, clip_global_norm, fit, global_norm


def quadratic(start):
    """L = ½ Σ k w², its gradient k w."""
    w = ts.Parameter(np.array(start), "w")
    return w, lambda k: ts.sum(k * w * w) * 0.5


def test_a_step_is_gradient_clipping_and_update():
    w, loss = quadratic([3.0, 4.0])
    step = TrainingStep(loss, SGD([w], 0.5), clip=1.0)
    assert step(np.array([1.0, 1.0])) == pytest.approx(12.5)
    assert step.norm == pytest.approx(5.0)
    np.testing.assert_allclose(w.value, [3 - 0.5 * 0.6, 4 - 0.5 * 0.8])
    assert step.steps == 1


def test_clipping_by_element_then_by_norm():
    w, loss = quadratic([0.2, 7.0])
    step = TrainingStep(loss, SGD([w], 1.0), clip_element=1.0)
    step(np.ones(2))
    np.testing.assert_allclose(w.value, [0.0, 6.0], atol=1e-15)
    assert step.norm == pytest.approx(np.hypot(0.2, 7.0))
    w, loss = quadratic([0.75, 7.0])
    TrainingStep(loss, SGD([w], 1.0), clip_element=1.0, clip=0.5)(np.ones(2))
    np.testing.assert_allclose(w.value, [0.75 - 0.3, 7 - 0.4])


def test_the_elements_that_are_clipped():
    p, q = ts.Parameter(np.zeros(3), "p"), ts.Parameter(np.zeros(1), "q")
    p.grad, q.grad = np.array([0.5, -3.0, 2.0]), None
    assert clip_elements([p, q], 1.5) == 3.0
    np.testing.assert_array_equal(p.grad, [0.5, -1.5, 1.5])
    assert clip_elements([p, q], 1.5) == 1.5
    p.grad = np.array([np.nan, 9.0, -np.inf])
    assert np.isnan(clip_elements([p], 1.0))
    np.testing.assert_array_equal(p.grad, [np.nan, 1.0, -1.0])
    with pytest.raises(TinyseqError, match="limit must be a finite number above 0, got 0"):
        clip_elements([p], 0)


def test_by_norm_keeps_the_direction_and_by_element_does_not():
    p = ts.Parameter(np.zeros(2), "p")
    p.grad = np.array([0.1, 10.0])
    clip_global_norm([p], 1.0)
    assert p.grad[0] / p.grad[1] == pytest.approx(0.01) and global_norm([p]) == pytest.approx(1)
    p.grad = np.array([0.1, 10.0])
    clip_elements([p], 1.0)
    np.testing.assert_array_equal(p.grad, [0.1, 1.0])


def test_a_loss_that_is_not_finite_puts_the_last_good_weights_back():
    w, loss = quadratic([1.0])
    step = TrainingStep(loss, SGD([w], 1e200))
    step(np.array([1.0]))  # leads to w = −1e200
    with pytest.raises(Diverged, match=r"stopped at step 2: the loss is inf. The weights are the last good") as stopped:
        step(np.array([1e300]))
    np.testing.assert_array_equal(w.value, [1.0])
    found = stopped.value.found
    assert (stopped.value.step, found.direction, found.node.op) == (2, "forward", "mul")
    assert f"{__file__}:" in str(stopped.value) and "k * w * w" in str(stopped.value)
    assert str(stopped.value).splitlines()[-1] == "Try a smaller rate than 1e+200, or clip the gradient's norm"


def test_a_gradient_that_is_not_finite_is_not_used_and_named():
    w = ts.Parameter(np.array([4.0, 1.0]), "w")
    step = TrainingStep(lambda x: ts.sum(ts.sqrt(w * x)), Adam([w], 0.1), clip_element=1.0)
    step(np.array([1.0, 1.0]))
    kept, state = w.value.copy(), step.optimiser.state_dict()
    with pytest.raises(Diverged, match=r"the gradient's norm is nan") as stopped:
        step(np.array([1.0, 0.0]))
    np.testing.assert_array_equal(w.value, kept)
    assert all(np.array_equal(state[name], array) for name, array in step.optimiser.state_dict().items())
    assert stopped.value.found.direction == "backward" and stopped.value.found.node.op == "sqrt"


class Root:
    """A model for ``fit`` whose state goes through a square root: its gradient is infinite where a token is 0."""

    def __init__(self):
        self.w = ts.Parameter(np.array([1.0]), "w")

    def losses(self, x, y, state):
        def step(x, h):
            h = ts.sqrt(ts.one_hot(x, 3, np.float64) * self.w).named("h")
            return h, h

        unfolded = ts.unfold(step, ts.Chain(len(x)), x, ts.zeros((x.shape[1], 3), np.float64))
        return ts.sum(unfolded.outputs), unfolded


def test_fit_names_the_op_the_time_step_and_the_line():
    model = Root()
    tokens = np.zeros(40, np.int64)
    with pytest.raises(Diverged) as stopped:
        fit(model, Windows(tokens, 5, 2), SGD([model.w], 0.1), 3, progress=False)
    assert isinstance(stopped.value, GradientError)
    text = str(stopped.value)
    assert text.startswith("training stopped at step 1 of 3: the gradient's norm is nan. The weights are the last good")
    assert "in the backward pass, at h = sqrt" in text and "at time step 4" in text
    assert "ts.sqrt(ts.one_hot(x, 3, np.float64)" in text
    np.testing.assert_array_equal(model.w.value, [1.0])


def test_fit_clips_by_element():
    model = ts.nn.RNN(4, 8, 4, rng=np.random.default_rng(0), dtype=np.float64)
    before = [p.value.copy() for p in model.parameters()]
    tokens = np.random.default_rng(0).integers(0, 4, 200)
    fit(model, Windows(tokens, 5, 3), SGD(model.parameters(), 1.0), 1, clip_element=1e-4, progress=False)
    moved = np.concatenate([np.abs(p.value - b).ravel() for p, b in zip(model.parameters(), before, strict=True)])
    assert moved.max() == pytest.approx(1e-4, rel=1e-9)
    assert (moved > 0.99e-4).sum() > 20


@pytest.mark.parametrize("name", ["clip", "clip_element"])
def test_bad_limits(name):
    w, loss = quadratic([1.0])
    with pytest.raises(TinyseqError, match=f"{name} must be a finite number above 0, got -1"):
        TrainingStep(loss, SGD([w], 0.1), **{name: -1})
