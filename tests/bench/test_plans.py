"""What the planner's decisions bring, and what checking costs: what is timed, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from tinyseq.bench.measuring import plans
from tinyseq.bench.problems.problems import Problem
from tinyseq.bench.results.results import Settings
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.pipeline import plan_tape

SMALL = Problem("rnn 3,4,5,2", "rnn", 3, 4, 5, 2)
QUICK = Settings((SMALL.row,), (), 2, 0.0)


def test_each_decision_of_the_planner_is_timed_beside_all_of_them() -> None:
    row = plans.choices_row("without rnn", SMALL, QUICK, lambda what: None)
    assert row.bytes.keys() == {"all", *OPTIONAL} and not row.failed and not row.refused
    assert {name.removeprefix("tinyseq ") for name in row.samples} == row.bytes.keys()
    assert row.bytes["reuse"] > row.bytes["all"] and row.bytes["pack"] != row.bytes["all"]


def test_a_decision_without_which_numbers_differ_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(tape: Any, outputs: list[int], loss: int, without: frozenset[str]) -> Any:
        if without == {"hoist"}:
            raise plans.Unplannable("not without it")
        if without == {"defer"}:
            for given in tape.executor.values.values():
                given[:] = given[::-1].copy()
        return plan_tape(tape, outputs, loss, without=without)

    monkeypatch.setattr(plans, "plan_tape", other)
    row = plans.choices_row("without rnn", SMALL, QUICK, lambda what: None)
    assert row.failed == {"tinyseq hoist": "not without it"}
    assert "tinyseq defer" in row.refused and "tinyseq defer" not in row.samples


def test_checking_a_plan_is_timed_step_by_step() -> None:
    row = plans.checking_row("checking rnn", SMALL, QUICK, lambda what: None)
    assert [name.split()[1] for name in row.samples] == ["plan", "passes", "elements", "meaning"]
    assert all(len(taken) == QUICK.rounds for taken in row.samples.values())
