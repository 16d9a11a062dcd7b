"""Members that have no plan together are planned one by one: right, verified, and only for what is run again."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import agreeing
from tests.engine.plan.golden import programs
from tinyseq.engine.plan import apart, pipeline
from tinyseq.engine.plan.apart import MOST_APART, taken_apart
from tinyseq.engine.plan.fold import fold
from tinyseq.engine.plan.folded import Refused, verify_folded
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.reasons import Later
from tinyseq.errors import FallbackWarning, TapeError

B, V, H = 3, 4, 5


def shaped(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) * 0.5


def over_its_past(weights: dict[str, ts.Parameter]) -> Any:
    """h(t) = tanh(U x(t) + W h(t−1) + c(t)), where c(t) attends to h(0) … h(t−1): the step grows with t."""

    def loss(x: Any) -> Any:
        h = ts.tanh(x[0] @ weights["U"])
        past = [h]
        for t in range(1, len(x)):
            n, memory = len(past), ts.stack(past)
            scores = ts.sum(memory * ts.expand(h, (n, B, H)), axis=2)
            a = ts.transpose(ts.softmax(ts.transpose(scores)))
            h = ts.tanh(x[t] @ weights["U"] + h @ weights["W"] + ts.sum(memory * ts.reshape(a, (n, B, 1)), axis=0))
            past.append(h)
        return ts.sum(ts.stack(past) ** 2)

    return loss


def weights() -> dict[str, ts.Parameter]:
    return {name: ts.Parameter(shaped(shape, 3), name) for name, shape in (("U", (V, H)), ("W", (H, H)))}


def recorded(loss: Any, *arrays: np.ndarray) -> tuple[ts.Tape, list[int], int]:
    with ts.Tape(executor=ts.Reference) as tape:
        found = loss(*map(ts.tensor, arrays))
    return tape, [found.index], found.index


@pytest.mark.parametrize("T", [3, 8, 12, 30])
@pytest.mark.parametrize("threads", [1, 2])
def test_attention_over_its_own_past_has_a_plan(T: int, threads: int) -> None:
    tape, wanted, loss = recorded(over_its_past(weights()), shaped((T, B, V), 5))
    plan = agreeing(tape, wanted, loss, threads, 1e-11, bounded=True)
    assert ("Planned node by node" in plan.explain()) == (T > 8)


def test_why_it_has_none_together_is_said_without_parting() -> None:
    tape, wanted, loss = recorded(over_its_past(weights()), shaped((30, B, V), 5))
    with pytest.raises(Refused, match="groups of different lengths in one recurrence") as refused:
        plan_tape(tape, wanted, loss, apart=False)
    assert refused.value.later and refused.value.stage == "schedule"


def test_what_is_run_once_is_run_by_the_reference_and_then_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    p, x = weights(), shaped((30, B, V), 5)
    run = ts.compile(over_its_past(p))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FallbackWarning)
        values, gradients = [], []
        for _ in range(3):
            values.append(float(run.backward(x)))
            gradients.append([w.grad.copy() for w in p.values()])
            kinds = [type(made) for made in run.versions()[0]._programs.values()]
            assert (kinds == [Later]) == (len(values) == 1)
    np.testing.assert_allclose(values[1:], values[0], rtol=1e-12)
    for found in gradients[1:]:
        for a, b in zip(found, gradients[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert not isinstance(ts.compile(over_its_past(p)).program(x), str)  # who asks for the program gets it at once


def test_lengths_that_are_new_each_time_are_planned_one_by_one_too() -> None:
    """Known plans of such a structure there are none, also where every plan is verified."""
    run = ts.compile(over_its_past(weights()), check=True)
    for T in range(12, 19):
        run.backward(shaped((T, B, V), T))
        assert not isinstance(run.program(shaped((T, B, V), T)), str)


def test_a_tape_that_comes_again_is_planned_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    p, x, found = weights(), shaped((30, B, V), 5), []
    for _ in range(3):
        with ts.Tape(executor=ts.Compiled) as tape:
            over_its_past(p)(ts.tensor(x)).backward()
        found.append((tape.executor.fallback, p["W"].grad.copy()))
    assert [bool(why) for why, _ in found] == [True, False, False]
    for _, gradient in found[1:]:
        np.testing.assert_allclose(gradient, found[0][1], rtol=1e-10, atol=1e-12)


def test_what_is_large_is_told_and_runs_on_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MOST_APART", 100)
    p, x = weights(), shaped((30, B, V), 5)
    run = ts.compile(over_its_past(p))
    with pytest.warns(FallbackWarning, match="groups of different lengths in one recurrence"):
        run.backward(x)
    assert isinstance(run.program(x), str) and MOST_APART >= 1000


SMALL = [name for name in programs() if name.startswith(("cell", "tree", "net")) and "T=7" not in name]


@pytest.mark.parametrize("name", SMALL)
def test_any_net_taken_apart_is_the_same_net(name: str) -> None:
    """All of its groups, and each by itself among those that stay whole."""
    tape, wanted, loss = programs()[name]()
    folded = fold(tape, wanted, loss)
    many = [g.index for g in folded.groups if g.count > 1]
    for groups in [frozenset(many), *(frozenset([g]) for g in many[:3])]:
        parts = taken_apart(folded, groups)
        verify_folded(parts, tape)
        assert len(parts.classes) <= MOST_APART and parts.apart == ((groups, ""),)
        agreeing(tape, wanted, loss, tolerance=1e-11, bounded=True, folded=parts)


@pytest.mark.parametrize("wrong", ["number", "class"])
def test_a_member_called_wrongly_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(found: Any, source: int, number: int) -> Any:
        if wrong == "class":
            return right(found, max(source - 1, 0), 0)
        return right(found, source, number + (found.classes[source].count > 1))

    right = apart._one
    monkeypatch.setattr(apart, "_one", other)
    tape, wanted, loss = programs()["tree RecursiveNet"]()
    folded = fold(tape, wanted, loss)
    group = next(g.index for g in folded.groups if g.count > 1 and g.levels is not None)
    with pytest.raises(TapeError, match=r"fold: class \d+ .* (member 0 reads %\d+, the tape says|reads beyond)"):
        verify_folded(taken_apart(folded, frozenset([group])), tape)


def test_the_check_looks_at_what_was_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folded: Any, groups: Any, why: str) -> Any:
        parts = taken_apart(folded, groups, why)
        reader = next(c for c in parts.classes if c.op == "matmul" and c.count == 1)
        reader.refs = reader.refs[::-1]
        return parts

    monkeypatch.setattr(pipeline, "taken_apart", broken)
    tape, wanted, loss = recorded(over_its_past(weights()), shaped((30, B, V), 5))
    with pytest.raises(TapeError, match="fold: class"):
        plan_tape(tape, wanted, loss, check=True)
