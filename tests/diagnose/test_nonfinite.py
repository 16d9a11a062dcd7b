"""The locator of NaN and infinity: forward, backward, the node, its step, its line; on every executor and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.diagnose import find_nonfinite
from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")


def roots(x: np.ndarray, scale: float = 1.0) -> tuple[Any, ts.Parameter]:
    """h(t) = √(w h(t−1) + x(t)) with w = 0, and its loss: NaN where x < 0; where x = 0 only the gradient is bad."""
    w = ts.Parameter(np.zeros(2, x.dtype), "w")

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = ts.sqrt(h * w + x).named("h")  # the line that is to be named
        return h, h

    start = np.ones((1, 2), x.dtype)
    return lambda x: ts.sum(ts.unfold(step, ts.Chain(len(x)), x, start).outputs) * scale, w


def planted(value: float, t: int = 37, dtype: Any = np.float64) -> np.ndarray:
    x = np.ones((100, 1, 2), dtype)
    x[t, 0, 1] = value
    return x


def test_a_nan_in_the_forward_pass() -> None:
    x = planted(-1.0)
    loss_of, _ = roots(x)
    with Tape() as tape:
        loss = loss_of(x)
    loss.backward()
    assert np.isnan(loss.value)
    found = find_nonfinite(tape)
    assert (found.direction, found.kind, found.count, found.size, found.place) == ("forward", "NaN", 1, 2, (0, 1))
    assert (found.node.op, found.node.name, found.node.cell, found.node.step) == ("sqrt", "h", "step", 37)
    lines = str(found).splitlines()
    assert lines[0].startswith("NaN begins in the forward pass, at h = sqrt %")
    assert lines[0].endswith("of step at time step 37: 1 of 2 numbers, the first at (0, 1)")
    assert lines[1].endswith("of step at time step 37: -1 to 1")
    assert lines[2].endswith("# the line that is to be named") and f"{__file__}:" in lines[2]
    assert find_nonfinite(loss) == found


def test_a_bad_gradient_of_a_finite_loss() -> None:
    """√0 is 0, its slope infinite: the loss is fine, the backward pass is not."""
    x = planted(0.0)
    loss_of, w = roots(x)
    with Tape() as tape:
        loss = loss_of(x)
    loss.backward()
    assert loss.value == 199 and not np.isfinite(w.grad).all()
    before = w.grad.copy()
    found = find_nonfinite(tape)
    assert (found.direction, found.kind, found.count, found.place) == ("backward", "infinity", 1, (0, 1))
    assert (found.node.op, found.node.name, found.node.step) == ("sqrt", "h", 37)
    assert (found.into.op, found.into.step) == ("add", 37)
    text = str(found)
    assert "begins in the backward pass, at h = sqrt" in text and "in the gradient it gives to add" in text
    assert "the gradient it gets: 1\n" in text and "its value: 0 to 1\n" in text
    np.testing.assert_array_equal(w.grad, before)


def test_where_all_is_finite_there_is_nothing() -> None:
    x = planted(4.0)
    loss_of, _ = roots(x)
    with Tape() as tape:
        loss = loss_of(x)
        empty_values = ts.tensor(np.zeros(3))
    assert find_nonfinite(tape) is None
    assert find_nonfinite(loss) is None
    with Tape() as tape:
        assert find_nonfinite(tape) is None
        ts.tensor(np.zeros(3))
    assert find_nonfinite(tape) is None and empty_values.shape == (3,)


def test_a_leaf_that_was_given_so() -> None:
    w = ts.Parameter(np.array([1.0, np.nan]), "w")
    with Tape():
        loss = ts.sum(w * ts.tensor(np.ones(2), "x"))
    found = find_nonfinite(loss)
    assert (found.node.op, found.node.name, found.place) == ("parameter", "w", (1,))
    assert "it was given so" in str(found)


def test_an_infinity_that_is_masked_is_not_blamed() -> None:
    w = ts.Parameter(np.array([0.0, 1.0]), "w")
    with Tape():
        hidden = ts.where(np.array([False, True]), ts.exp(w * 800.0), 1.0)  # eʷ overflows at 1 and is used
        harmless = ts.where(np.array([False, True]), ts.log(w).named("masked"), 0.0)  # log 0 is not
        loss = ts.sum(hidden) + ts.sum(harmless)
    found = find_nonfinite(loss)
    assert found.node.op == "exp" and found.kind == "infinity" and found.place == (1,)


def test_explosion_over_many_steps_names_the_step_at_which_it_overflows() -> None:
    w = ts.Parameter(np.array([[10.0]], np.float32), "W")

    def step(h: ts.Tensor) -> Any:
        h = ts.linear(h, w)
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(60), (), np.ones((1, 1), np.float32))
        loss = ts.sum(net.final)
    found = find_nonfinite(loss)
    assert (found.direction, found.node.op, found.node.step) == ("forward", "matmul", 38)  # 10³⁸ is the last below 2¹²⁸
    assert "1e+38" in str(found)


def test_a_gradient_that_explodes_though_values_do_not() -> None:
    w = ts.Parameter(np.array([[10.0]], np.float32), "W")

    def step(h: ts.Tensor) -> Any:
        h = ts.linear(h, w)
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(60), (), np.zeros((1, 1), np.float32))
        loss = ts.sum(net.final)
    assert loss.value == 0
    found = find_nonfinite(loss)
    assert (found.direction, found.node.op, found.node.step) == ("backward", "matmul", 21)
    assert found.kind == "infinity" and found.into.step == 20


@pytest.mark.parametrize(("bad", "direction"), [(-1.0, "forward"), (0.0, "backward")])
def test_a_compiled_function(bad: float, direction: str) -> None:
    x = planted(bad)
    loss_of, _ = roots(x)
    step = ts.compile(loss_of)
    fine = planted(1.0)
    step.backward(fine)
    assert find_nonfinite(step, fine) is None
    step.backward(x)
    found = find_nonfinite(step, x)
    assert (found.direction, found.node.op, found.node.step) == (direction, "sqrt", 37)


def test_values_are_those_the_tape_ran_with() -> None:
    w = ts.Parameter(np.array([-1.0]), "w")
    with Tape():
        loss = ts.sum(ts.sqrt(w))
    assert np.isnan(loss.value)
    w.value[...] = 1.0
    assert find_nonfinite(loss).node.op == "sqrt"


def test_what_it_does_not_look_into() -> None:
    with pytest.raises(TinyseqError, match="looks into a tape, a loss or a compiled function, got ndarray"):
        find_nonfinite(np.zeros(2))


@pytest.mark.parametrize(
    "f, bad", [(ts.log, 0.0), (ts.sqrt, 0.0), (lambda x: 1.0 / x, 0.0), (lambda x: ts.power(x, -0.5), 0.0)]
)
def test_the_branch_that_a_where_leaves_out(f: Any, bad: float) -> None:
    """The finder says so and shows the safe form, which then works."""
    x = ts.Parameter(np.array([[1.0, bad], [2.0, 3.0]]), "x")
    mask = x.value != bad
    with Tape() as tape:
        loss = ts.sum(ts.where(mask, f(x * 1.0), 0.0))
    loss.backward()
    assert np.isfinite(loss.value) and np.isnan(x.grad[0, 1])
    found = find_nonfinite(tape)
    assert found.direction == "backward" and found.left_out
    assert "0 · ∞ is NaN" in str(found) and "safe = ts.where(mask, x, 1.0)" in str(found)
    with Tape() as tape:
        safe = ts.where(mask, x, 1.0)
        loss = ts.sum(ts.where(mask, f(safe), 0.0))
    loss.backward()
    assert find_nonfinite(tape) is None and x.grad[0, 1] == 0 and x.grad[0, 0] != 0


def test_an_infinite_slope_that_is_read_is_no_left_out_branch() -> None:
    x = ts.Parameter(np.array([0.0, 1.0]), "x")
    with Tape() as tape:
        ts.sum(ts.sqrt(x)).backward()
    assert not find_nonfinite(tape).left_out and "left" not in str(find_nonfinite(tape))
