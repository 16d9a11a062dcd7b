"""``tinyseq plan``: a plan in words, and what each pass has made."""

from __future__ import annotations

from typing import Any

import pytest

from tinyseq.cli.app import app
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.pipeline import PASSES


def test_a_plan_in_words(run: Any) -> None:
    result = run("plan", "lstm", "--steps", 5)
    assert result.exit_code == 0
    assert "In the loop, because each step needs the one before" in result.stdout and "5 steps" in result.stdout


@pytest.mark.parametrize("stage", PASSES)
def test_what_a_pass_has_made(stage: str, run: Any) -> None:
    result = run("plan", "gru", "--after", stage)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) > 3


def test_how_threads_share_it(run: Any) -> None:
    result = run("plan", "rnn", "--batch", 32, "--after", "share", "--threads", 2)
    assert result.stdout.startswith("2 threads\n") and "rows, thread 0: 0 to 15, thread 1: 16 to 31" in result.stdout


def test_what_cannot_be_planned_is_one_message(run: Any) -> None:
    result = run("plan", "nothing")
    assert result.exit_code == 1 and result.stderr.startswith("error: 'nothing' is neither a built-in cell")


def test_errors_of_every_command_are_told_without_a_traceback() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__code__.co_filename.endswith("console.py"), command.callback


def test_decisions_are_switched_off_by_the_environment(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = run("plan", "lstm").output
    monkeypatch.setenv("TINYSEQ_WITHOUT", "pack, in place")
    result = run("plan", "lstm")
    assert result.exit_code == 0 and result.output != usual
    assert f"pack: {OPTIONAL['pack']}" in result.output


def test_a_decision_that_is_not_there_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_WITHOUT", "packs")
    result = run("plan", "lstm")
    assert result.exit_code == 1 and "error: the planner has no optional decision 'packs'" in result.output


def test_help_says_what_can_be_switched_off(run: Any) -> None:
    text = " ".join(run("plan", "--help").output.replace("│", " ").split())
    assert all(name in text for name in OPTIONAL)
