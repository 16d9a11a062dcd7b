"""Graphs without a plan: the reference runs them, with the right numbers, and somebody is told once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.conftest import Planned
from tinyseq.engine import compiled, planned
from tinyseq.engine.plan import pipeline
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.errors import FallbackWarning, TapeError, TinyseqWarning


class Broken(Exception):
    """Not one of tinyseq's."""


@pytest.fixture(params=[Unplannable("not today"), Broken("inside"), IndexError("of a list"), MemoryError("too much")])
def refusal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    def refuse(*_: Any, **__: Any) -> None:
        raise request.param

    compiled.CACHE.clear()
    monkeypatch.setattr(compiled, "_told", set())
    monkeypatch.setattr(planned, "plan_tape", refuse)
    return request.param


def square(x: Any, w: ts.Parameter) -> Any:
    return ts.sum(ts.tanh(w * x) ** 2.0)


def right(w: ts.Parameter, loss: Any, x: np.ndarray) -> None:
    y = np.tanh(w.value * x)
    np.testing.assert_allclose(loss, (y**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(w.grad, 2 * y * (1 - y**2) * x, rtol=1e-12)


def test_a_compiled_function_whose_planning_fails(refusal: Exception) -> None:
    w, x = ts.Parameter(np.array([1.0, 2.0]), "w"), np.array([0.5, -0.3])

    def loss(x: Any) -> Any:
        return square(x, w)

    run = ts.compile(loss)
    with pytest.warns(FallbackWarning, match=rf"'loss' runs node by node.*{refusal}") as told:
        for k in (1, 2, 3):
            right(w, run.backward(k * x), k * x)
    run(np.ones((2, 2)))  # another recording of the same function: nobody is told again
    assert len(told) == 1 and told[0].filename == __file__
    assert issubclass(FallbackWarning, TinyseqWarning)


def test_a_tape_whose_planning_fails(refusal: Exception) -> None:
    w, x = ts.Parameter(np.array([1.0, 2.0]), "w"), np.array([0.5, -0.3])
    with pytest.warns(FallbackWarning, match=str(refusal)) as told:
        for _ in range(3):
            with ts.Tape(executor=Planned):
                loss = square(ts.tensor(x), w)
            loss.backward()
            right(w, loss.value, x)
    assert len(told) == 1 and told[0].filename == __file__


def test_the_refusal_names_op_cell_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tape: ts.Tape, outputs: list[int], loss: int, **_: Any) -> Any:
        cls = next(c for c in pipeline.plan_tape(tape, outputs, loss).graph.classes if c.op == "tanh")
        raise Unplannable(f"{cls.op} on a Sunday")

    w = ts.Parameter(np.eye(2), "w")

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(x + h @ w)
        return h, h

    run = ts.compile(lambda x: ts.sum(ts.unfold(step, ts.Chain(3), x, ts.zeros((1, 2), np.float64)).outputs))
    monkeypatch.setattr(planned, "plan_tape", refuse)
    with pytest.warns(FallbackWarning, match=rf"tanh on a Sunday \(at tanh of step, {__file__}:\d+\)"):
        run.backward(np.ones((3, 1, 2)))


def test_a_fault_at_rows_that_a_list_names_falls_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class of a list of rows is the planner's own: no node of the tape stands for it."""
    w = ts.Parameter(np.array([[0.5, 0.1], [0.2, -0.3]]), "w")

    class Sum(ts.nn.TreeCell):
        def leaf(self, x: Any) -> Any:
            return ts.tanh(x @ w)

        def merge(self, left: Any, right: Any) -> Any:
            return ts.tanh(left @ w + right)

    def loss(x: Any) -> Any:
        return ts.sum(ts.unfold(Sum(), ts.Tree.balanced(4), x).roots)

    def refuse(tape: ts.Tape, outputs: list[int], loss: int, **_: Any) -> Any:
        cls = next(c for c in pipeline.plan_tape(tape, outputs, loss).graph.classes if c.op == "pick")
        raise IndexError(f"of {cls.op}")

    x = np.arange(8.0).reshape(4, 2) / 8
    with ts.Tape(executor=ts.Reference):
        expected = loss(ts.tensor(x)).value
    monkeypatch.setattr(planned, "plan_tape", refuse)
    with pytest.warns(FallbackWarning, match=rf"failed with IndexError: of pick .*\(at pick of tree, {__file__}:\d+\)"):
        np.testing.assert_allclose(ts.compile(loss).backward(x), expected, rtol=1e-12)


def test_small_tapes_are_nothing_to_tell() -> None:
    w = ts.Parameter(np.ones(2), "w")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ts.Tape():
            loss = ts.sum(w * w)
        loss.backward()


def test_a_plan_that_breaks_its_rules_is_an_error_where_plans_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any, **__: Any) -> None:
        raise TapeError("a wrong plan")

    monkeypatch.setattr(planned, "verify_plan", wrong)
    w = ts.Parameter(np.ones(2), "w")
    with pytest.raises(TapeError, match="a wrong plan") as caught:
        ts.compile(lambda x: ts.sum(w * x)).backward(np.ones(2))
    assert any("TINYSEQ_DUMP=schedule,place,write,emit" in note for note in caught.value.__notes__)
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    assert ts.compile(lambda x: ts.sum(w * x)).backward(np.ones(2)) == 2.0
