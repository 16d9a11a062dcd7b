"""Predict, then reveal: answers are those of Python, hints name the part that is wrong, progress is in the address."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.viz.stepper.pages import opened

LIST = "() => stepper.tasks().map((t) => ({ ...t, ask: t.ask.map((x) => x.textContent ?? x).join('') }))"


def answered(page: Any, number: int, text: str) -> str:
    page.locator("#task-list button").nth(number).click()
    page.fill("#task-answer", text)
    page.press("#task-answer", "Enter")
    return page.text_content("#task-hint")


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_five_tasks_with_hints_and_progress(browser: Any, exported: Any, name: str) -> None:
    path, loss = exported(name)
    with opened(browser, path) as page:
        tasks = page.evaluate(LIST)
        names = [task["name"] for task in tasks]
        assert names[:4] == [
            "a local derivative",
            "a state's gradient δ(t)",
            "a term of the ledger",
            "a weight's gradient",
        ]
        assert names[4] == "an eigenvalue" and len(tasks) == 5
        slope, state, term, total = tasks[:4]
        assert slope["answer"] == pytest.approx(slope["upstream"] * slope["local"])
        for task in (state, term, total):
            assert task["answer"] == pytest.approx(sum(task["parts"]), rel=1e-5)
        grads = np.concatenate([p.grad.ravel() for p in loss.tape.parameters])
        assert np.abs(grads - total["answer"]).min() <= 1e-5 * abs(total["answer"])
        assert answered(page, 0, repr(slope["upstream"])).startswith("The local derivative")
        assert answered(page, 0, repr(slope["local"])).startswith("The upstream gradient")
        assert answered(page, 0, repr(-slope["answer"])).startswith("The size is right and the sign is not")
        assert answered(page, 1, repr(state["parts"][0])).startswith("The sum")
        assert answered(page, 1, "what").startswith("A number, please")
        assert page.text_content("#task-done") == f"0 of {len(tasks)} answered"
        for number, task in enumerate(tasks):
            assert answered(page, number, f"{task['answer']:.3g}".replace("-", "−")).startswith("Right")
        assert page.text_content("#task-done") == f"{len(tasks)} of {len(tasks)} answered"
        hash = page.evaluate("() => location.hash")
        page.locator("#task-list button").nth(0).click()
        page.click("#task-show")
        assert page.evaluate("() => stepper.state.k") == slope["k"] + 1
    with opened(browser, path, hash) as page:
        assert page.text_content("#task-done") == f"{len(tasks)} of {len(tasks)} answered"


def test_the_last_eigenvalue_is_numpys(browser: Any, exported: Any) -> None:
    path, loss = exported("rnn")
    W = next(p for p in loss.tape.parameters if p.name == "W")
    with opened(browser, path) as page:
        task = page.evaluate(LIST)[4]
    assert np.abs(np.linalg.eigvals(W.value.astype(float)) - task["answer"]).min() < 1e-9


def test_the_card_comes_back_with_the_numbers(browser: Any, exported: Any) -> None:
    """Numbers that overflow ask nothing, so the card goes; where they come back, so does it."""
    with opened(browser, exported("rnn")[0], "#do=s_5_0_1e%2B40") as page:
        page.wait_for_function("() => document.getElementById('tasks').hidden")
        page.evaluate("() => new Promise((done) => setTimeout(done, 200))")  # the observer of the screen has seen it go
        page.click("#undo")
        page.wait_for_function("() => !document.getElementById('tasks').hidden", timeout=5_000)


def test_a_tree_has_the_tasks_that_fit_it(browser: Any, exported: Any) -> None:
    path, _ = exported("tree")
    with opened(browser, path) as page:
        names = [task["name"] for task in page.evaluate(LIST)]
        assert "a local derivative" in names and "a weight's gradient" in names and len(names) == 5


def test_an_update_and_what_it_promises(browser: Any, exported: Any) -> None:
    path, loss = exported("loop")
    with opened(browser, path) as page:
        tasks = {task["name"]: task for task in page.evaluate(LIST)}
        assert tasks["what a step promises"]["answer"] == pytest.approx(
            -0.1 * sum(float(np.vdot(p.grad, p.grad)) for p in loss.tape.parameters)
        )
        p = max(loss.tape.parameters, key=lambda p: np.linalg.norm(p.grad))
        at = np.abs(p.grad).argmax()
        assert tasks["an update"]["answer"] == pytest.approx(p.value.ravel()[at] - 0.1 * p.grad.ravel()[at])
