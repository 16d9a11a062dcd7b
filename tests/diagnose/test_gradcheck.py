"""The gradient checker: it passes what is right and catches what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.diagnose import gradcheck
from tinyseq.errors import DtypeError, GradientError
from tinyseq.ops import OPS
from tinyseq.ops.op import Op, Site

pytestmark = pytest.mark.usefixtures("executor")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """exp with the gradient of tanh: a wrong vjp in the table of ops."""
    right: Op = OPS["exp"]
    monkeypatch.setitem(OPS, "exp", replace(right, vjp={0: OPS["tanh"].vjp[0]}, reads={0: ("y",)}))
    yield


def test_right_gradients_pass_and_the_report_is_a_table(rng: np.random.Generator) -> None:
    w = ts.Parameter(rng.standard_normal((3, 2)), "W")
    report = gradcheck(lambda x: ts.tanh(x @ w), rng.standard_normal((4, 3)), w)
    assert report and bool(report) is True
    assert [c.name for c in report.checks] == ["argument 0", "W"]
    lines = str(report).splitlines()
    assert lines[0].split() == ["input", "tape", "differences", "error"]
    assert lines[1].startswith("argument 0 (4, 3)") and lines[1].endswith("ok")
    assert lines[-1] == "all 2 gradients agree (tolerance 1e-06)"
    assert all(c.error < 1e-8 for c in report.checks)
    assert repr(report) == str(report)


def test_a_wrong_vjp_is_caught_and_named(broken: None, rng: np.random.Generator) -> None:
    w = ts.Parameter(rng.standard_normal(3), "w")
    v = ts.Parameter(rng.standard_normal(3), "v")
    report = gradcheck(lambda: ts.exp(w) * v, w, v)
    assert not report
    assert [c.passed for c in report.checks] == [False, True]
    text = str(report)
    assert "w (3,)" in text and "WRONG" in text and text.count("ok") == 1
    assert "1 of 2 inputs have a wrong gradient" in text
    worst = report.checks[0].elements
    gaps = [abs(tape - differences) for _, tape, differences in worst]
    assert gaps == sorted(gaps, reverse=True) and f"at {worst[0][0]}: tape" in text


@pytest.mark.parametrize("size", [1, 10, 300])
def test_one_wrong_element_among_many_is_caught(size: int, rng: np.random.Generator) -> None:
    def f(x: ts.Tensor) -> ts.Tensor:
        half = ts.detach(x[:1]) * 0.01 + x[:1] * 0.99  # the first element's gradient is 1% too small
        return ts.tanh(ts.concatenate([half, x[1:]], 0))

    report = gradcheck(f, rng.standard_normal(size))
    assert not report
    place, tape, differences = report.checks[0].elements[0]
    assert place == (0,) and tape == pytest.approx(0.99 * differences, rel=1e-4)


def test_a_small_relative_error_is_caught(rng: np.random.Generator) -> None:
    x = rng.standard_normal(20)
    assert gradcheck(lambda x: ts.exp(x), x)
    assert not gradcheck(lambda x: ts.exp(x) * (1 - 1e-4) + ts.exp(ts.detach(x)) * 1e-4, x)


def test_a_missing_gradient_is_said_to_be_missing(rng: np.random.Generator) -> None:
    w = ts.Parameter(rng.standard_normal(3), "w")
    v = ts.Parameter(rng.standard_normal(3), "v")
    report = gradcheck(lambda: ts.detach(w) * v, w, v)
    assert not report and report.checks[0].unreached
    assert "no gradient reaches it, though the result changes with it: detached?" in str(report)
    unused = ts.Parameter(rng.standard_normal(3), "unused")
    assert gradcheck(lambda: v * 2.0, unused, v)


def test_a_swapped_sign_in_one_of_many_terms_is_caught(rng: np.random.Generator) -> None:
    h = ts.Parameter(rng.standard_normal((2, 5)), "h")
    W = ts.Parameter(rng.standard_normal((5, 5)), "W")

    def right() -> ts.Tensor:
        return ts.tanh(ts.linear(h, W))

    def wrong() -> ts.Tensor:
        flipped = ts.concatenate([W[:4], 2.0 * ts.detach(W[4:]) - W[4:]], 0)
        return ts.tanh(ts.linear(h, flipped))

    assert gradcheck(right, W)
    assert not gradcheck(wrong, W)


def test_values_and_gradients_of_parameters_are_left_alone(rng: np.random.Generator) -> None:
    w = ts.Parameter(rng.standard_normal(3), "w")
    w.grad = np.full(3, 7.0)
    before, array = w.value.copy(), w.value
    gradcheck(lambda: ts.exp(w), w)
    np.testing.assert_array_equal(w.value, before)
    assert w.value is array
    np.testing.assert_array_equal(w.grad, 7.0)

    def failing() -> ts.Tensor:
        if not np.array_equal(w.value, before):
            raise ZeroDivisionError
        return ts.exp(w)

    with pytest.raises(ZeroDivisionError):
        gradcheck(failing, w)
    np.testing.assert_array_equal(w.value, before)


def test_float32_arrays_are_taken_as_float64_and_scalars_and_empty_ones_work(rng: np.random.Generator) -> None:
    assert gradcheck(lambda x: x * x, rng.standard_normal(3).astype(np.float32))
    assert gradcheck(lambda x: x * x, 3.0)
    assert gradcheck(lambda x: ts.sum(x) + 1.0, np.ones((0, 3)))


def test_inputs_of_all_magnitudes(rng: np.random.Generator) -> None:
    for scale in (1e-8, 1.0, 1e8):
        assert gradcheck(lambda x: x * x, rng.uniform(1, 2, 5) * scale)
        assert not gradcheck(lambda x: x * ts.detach(x), rng.uniform(1, 2, 5) * scale)


def test_nan_fails() -> None:
    report = gradcheck(lambda x: ts.log(x), np.array([1.0, -1.0]))
    assert not report and "nan" in str(report)


def test_what_cannot_be_checked_is_refused(rng: np.random.Generator) -> None:
    x = rng.standard_normal(3)
    with pytest.raises(GradientError, match="needs something to differentiate by"):
        gradcheck(lambda: ts.tensor([1.0]))
    with pytest.raises(DtypeError, match="argument 1 is int64: gradients are by floating-point arrays"):
        gradcheck(lambda a, b: a, x, np.arange(3))
    with pytest.raises(DtypeError, match=r"Parameter\(w, \(2,\), float32\) is float32: build it with dtype=np.float64"):
        gradcheck(lambda: ts.Parameter(np.ones(2)), ts.Parameter(np.ones(2, np.float32), "w"))
    with pytest.raises(GradientError, match="needs an f that returns a tensor, it returned ndarray"):
        gradcheck(lambda a: a.value, x)
    noise = np.random.default_rng(0)
    with pytest.raises(GradientError, match="f gave two values for the same inputs"):
        gradcheck(lambda a: a * noise.standard_normal(3), x)


def test_the_site_of_a_broken_op_is_untouched_by_other_ops(broken: None) -> None:
    assert OPS["exp"].forward(Site((), 0, ((3,),), (3,)))[0].kernel.name == "exp"
    assert gradcheck(lambda x: ts.tanh(x), np.ones(3))


def test_elements_of_all_sizes_in_one_input() -> None:
    """Each element has a step of its own size; the large ones hide nothing of the small ones."""
    x = np.array([1e6, 0.5, -0.3, 1e-3, 0.0, -4e9])
    assert gradcheck(lambda x: ts.tanh(x), x)
    assert gradcheck(lambda x: ts.sum(x * x), x)
    for at in (0, 1, 2, 5):
        keep = np.ones(6)
        keep[at] = 0.99
        report = gradcheck(lambda x, keep=keep: x * x * keep + ts.detach(x * x) * (1 - keep), x)
        assert not report and report.checks[0].elements[0][0] == (at,)


def test_elements_close_to_a_pole() -> None:
    for x in (np.array([1e-7]), np.array([1e-9, 3e-4, 0.2, 5.0, 1e8]), np.array([[1e-12, 1e12]])):
        assert gradcheck(lambda x: ts.log(x), x)
        assert gradcheck(lambda x: 1.0 / x, x)
        assert not gradcheck(lambda x: ts.log(x) * 0.999 + ts.detach(ts.log(x)) * 0.001, x)


def test_nothing_to_check_is_no_agreement(rng: np.random.Generator) -> None:
    x = rng.standard_normal(3)
    report = gradcheck(lambda x: ts.relu(-1.0 - x * x), x)
    assert not report and all(c.passed for c in report.checks)
    assert "NOTHING WAS CHECKED" in str(report) and "agree" not in str(report)
    report = gradcheck(lambda a, b: a * 2.0 + ts.sum(ts.detach(b) * 0.0), x, x)
    assert report and str(report).count("nothing to check") == 1
