# ruff: noqa: E501  (scripts of the page)
"""The lessons' pages: they compute what Python computes, and what the lessons say of them can be seen there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.viz.stepper.pages import opened
from tinyseq.viz.lessons import LESSONS
from tinyseq.viz.lessons.live import LIVE, live_page


@pytest.fixture(scope="module")
def lesson_page(tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("lessons")
    return lambda number: live_page(number, folder / f"{number}.html")


def test_every_lesson_has_a_page() -> None:
    assert list(LIVE) == list(LESSONS)


@pytest.mark.parametrize("number", LIVE)
def test_it_computes_what_python_computes(browser: Any, lesson_page: Any, number: int) -> None:
    loss, others = LIVE[number].record()
    with opened(browser, lesson_page(number), LIVE[number].hash) as page:
        found = page.evaluate("() => stepper.runs.map((r) => [r.computes, r.values[r.loss][0], r.said])")
        assert len(found) == 1 + len(others)
        for (computes, computed, said), made in zip(found, [loss, *others.values()], strict=True):
            assert computes and computed == pytest.approx(made.item(), rel=1e-12) == said
        assert page.evaluate("() => stepper.tasks().length") == 5


NORMS = """() => {
  const r = stepper.runs[0], l = r.ledgers.find((x) => x.name === "W"), { rows } = stepper.terms(r, l, null);
  return [r.grad_norm[l.leaf], stepper.bands().groups.map((g) => g.norms[0] / Math.max(g.norms[g.steps[0]], 1e-300))];
}"""


def test_half_the_spectral_radius_kills_what_reaches_the_start_and_not_the_gradient_of_w(
    browser: Any, lesson_page: Any
) -> None:
    with opened(browser, lesson_page(5), "#bands=sum") as page:
        before, reach = page.evaluate(NORMS)
        page.fill("#knob-radius input", str(float(page.text_content("#knob-radius output")) / 2))
        after, less = page.evaluate(NORMS)
    assert 0.3 < after / before < 3
    assert np.all(np.array(less[8:]) < 0.02 * np.array(reach[8:]))


def test_more_losses_reach_the_start_of_an_lstm_than_of_an_rnn(browser: Any, lesson_page: Any) -> None:
    count = "() => { const { groups } = stepper.bands(); return groups.filter((g) => g.norms[0] >= 0.01 * g.norms[g.steps[0]]).map((g) => g.steps[0]); }"
    with opened(browser, lesson_page(11), "#bands=sum") as page:
        rnn = page.evaluate(count)
        page.click("#runs button:nth-child(2)")
        page.select_option("#track", label="s") if page.locator("#track option", has_text="s").count() else None
        lstm = page.evaluate(count)
    assert max(rnn) < 13 and max(lstm) == 13 and set(rnn) < set(lstm)


def test_a_clip_bounds_the_step_and_not_the_gradient(browser: Any, lesson_page: Any) -> None:
    with opened(browser, lesson_page(6)) as page:
        page.fill("#clip", "0.05")
        page.fill("#rate", "1")
        page.press("#rate", "Tab")
        page.click("#train-once")
        moved, norm = page.evaluate("""() => {
          const r = stepper.runs[0], [first] = r.history;
          const gap = r.ledgers.map((l, i) => first.values[i].reduce((s, v, j) => s + (v - r.values[l.leaf][j]) ** 2, 0));
          return [Math.sqrt(gap.reduce((a, b) => a + b, 0)), first.norm];
        }""")
    assert norm > 0.05 and moved == pytest.approx(0.05, rel=1e-9)


LOST = "() => Number(/, ([\\d.e×⁻⁰-⁹]+) %/.exec(document.getElementById('ledger-foot').textContent)[1])"


def test_with_a_larger_radius_the_same_window_loses_more(browser: Any, lesson_page: Any) -> None:
    with opened(browser, lesson_page(6), LIVE[6].hash) as page:
        page.keyboard.press("End")
        before = page.evaluate(LOST)
        radius = float(page.text_content("#knob-radius output"))
        page.fill("#knob-radius input", str(2 * radius))
        assert page.evaluate(LOST) > 2 * before


def test_with_a_low_forget_bias_fewer_losses_reach_the_start(browser: Any, lesson_page: Any) -> None:
    with opened(browser, lesson_page(11), LIVE[11].hash) as page:
        note = page.text_content("#bands-note")
        assert "RNN: 0–5 (" in note and "LSTM: all (" in note
        page.click("#runs button:nth-child(2)")
        page.fill("#knob-bias-0 input", "-2")
        assert "LSTM: all (" not in page.text_content("#bands-note")


def test_the_last_loss_alone_and_half_the_radius(browser: Any, lesson_page: Any) -> None:
    """The early terms go, those of the last steps stay: marks show what was, and from which step on 99 % comes."""
    with opened(browser, lesson_page(5)) as page:
        page.keyboard.press("End")
        page.select_option("#losses", "1")
        page.fill("#knob-radius input", str(float(page.text_content("#knob-radius output")) / 2))
        foot = page.text_content("#ledger-foot")
        assert "99 % of Σ ‖term‖ is of t ≥ 1" in foot and "was t ≥ " in foot
        sizes = page.evaluate("() => { const r = stepper.runs[0], l = r.ledgers[stepper.state.parameter]; return stepper.terms(r, l, null).rows.map((row) => row.size); }")  # fmt: skip
        assert max(sizes[8:]) < 1e-3 * max(sizes)
