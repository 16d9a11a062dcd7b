# ruff: noqa: E501  (scripts of the page)
"""The page in headless Chromium: numbers against Python's, keys, hash, hostile names, no scripts, no network."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import LOSSES, gated, opened, rng, rnn

RESUM = """() => stepper.runs.map((run) => run.ledgers.map((l) => Array.from(stepper.terms(run, l, null).sum)))"""
GRADS = """([kind, k]) => {
  const run = stepper.runs[0], grads = stepper.backward(run, new stepper.Mask(run, kind, k));
  return run.ledgers.map((l) => Array.from(grads[l.leaf] ?? []));
}"""


def used(loss):
    return [p for p in loss.tape.parameters if p.grad is not None]


@pytest.mark.parametrize("name", LOSSES)
def test_the_page_adds_terms_up_to_the_gradient_and_runs_backward_itself(browser, exported, name):
    path, loss = exported(name)
    tolerance = 1e-12 if used(loss)[0].dtype == np.float64 else 3e-6
    with opened(browser, path) as page:
        (sums,) = page.evaluate(RESUM)
        again = page.evaluate(GRADS, ["full", 1])
        assert len(sums) == len(used(loss))
        for parameter, by_terms, by_backward in zip(used(loss), sums, again, strict=True):
            scale = tolerance * max(np.abs(parameter.grad).max(), 1e-30)
            np.testing.assert_allclose(by_terms, parameter.grad.ravel(), rtol=0, atol=scale)
            np.testing.assert_allclose(by_backward, parameter.grad.ravel(), rtol=0, atol=scale)


@pytest.mark.parametrize("name", LOSSES)
def test_stepping_through_every_event_fills_the_ledger(browser, exported, name):
    path, _ = exported(name)
    with opened(browser, path) as page:
        end, rows = page.evaluate(
            "() => [stepper.runs[0].end, stepper.runs[0].ledgers[stepper.state.parameter].step.length]"
        )
        assert page.locator("#ledger tbody tr").count() == 0
        counts = page.evaluate("""() => {
          const seen = [];
          for (let k = stepper.runs[0].F; k <= stepper.runs[0].end; k++) { stepper.go(k); seen.push(document.querySelectorAll("#ledger tbody tr").length); }
          return seen;
        }""")
        assert len(counts) == end + 1 - page.evaluate("() => stepper.runs[0].F")
        assert counts == sorted(counts) and counts[-1] == rows > 0
        assert "residual" in page.text_content("#ledger-foot")
        assert page.locator(".net .v.todo").count() == 0 or name == "tree"


def test_keys_alone_walk_the_page(browser, exported):
    path, _ = exported("rnn")
    state = "() => [stepper.state.k, stepper.state.fold, stepper.state.heat]"
    with opened(browser, path) as page:
        forward = page.evaluate("() => stepper.runs[0].F")
        assert page.is_visible("#guide")
        for key, expected in [
            ("ArrowRight", [1, False, True]), ("ArrowRight", [2, False, True]), ("ArrowLeft", [1, False, True]),
            ("f", [1, True, True]), ("g", [1, True, False]), ("f", [1, False, False]), ("Home", [0, False, False]),
        ]:  # fmt: skip
            page.keyboard.press(key)
            assert page.evaluate(state) == expected, key
        assert not page.is_visible("#guide")
        page.keyboard.press("Shift+ArrowRight")
        first = page.evaluate(
            "() => [stepper.state.k, stepper.runs[0].group[stepper.runs[0].node_at(stepper.state.k)]]"
        )
        page.keyboard.press("Shift+ArrowRight")
        second = page.evaluate(
            "() => [stepper.state.k, stepper.runs[0].group[stepper.runs[0].node_at(stepper.state.k)]]"
        )
        assert second[0] > first[0] and (first[1], second[1]) == (0, 1)
        page.keyboard.press("End")
        assert page.evaluate("() => stepper.state.k === stepper.runs[0].end")
        page.keyboard.press("?")
        assert page.is_visible("#help")
        page.keyboard.press("Escape")
        page.locator("#help").wait_for(state="hidden")
        page.keyboard.press("Home")
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        waited = 0
        while page.evaluate("() => stepper.state.k") < 2 and waited < 100:
            page.wait_for_timeout(100)
            waited += 1
        assert page.evaluate("() => stepper.state.k") >= 2
        page.keyboard.press("Space")
        assert page.evaluate("() => stepper.state.k") < forward


def test_every_control_is_reached_with_tab_and_events_are_said(browser, exported):
    path, _ = exported("lstm")
    with opened(browser, path) as page:
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("() => document.activeElement.id"))
        wanted = [
            "to-forward",
            "first",
            "back",
            "play",
            "next",
            "by",
            "fold",
            "heat",
            "help-open",
            "position",
            "mask",
            "graph",
        ]
        assert [name for name in reached if name in wanted][: len(wanted)] == wanted
        page.locator("#graph").focus()  # in a slider the arrows move the slider
        page.keyboard.press("ArrowRight")
        assert page.get_attribute("#say", "aria-live") == "polite"
        assert page.text_content("#say").startswith("Forward, t = 0:")
        page.click("#to-backward")
        assert page.text_content("#say").startswith("Backward, ∂L/∂L is 1;")


def test_the_hash_restores_the_state(browser, exported):
    path, _ = exported("rnn")
    with opened(browser, path) as page:
        page.keyboard.press("End")
        page.keyboard.press("l")
        page.select_option("#mask", "chunk")
        page.fill("#mask-k", "2")
        page.press("#mask-k", "Tab")
        page.select_option("#parameter", label="V")
        hash, state = page.evaluate("() => [location.hash, JSON.stringify(stepper.state)]")
    with opened(browser, path, hash) as page:
        assert page.evaluate("() => JSON.stringify(stepper.state)") == state
        assert page.evaluate("() => stepper.state.mask") == "chunk"
    with opened(browser, path, "#k=999999&run=7&mask=none&p=-3&w=x&n=1e9&of=50") as page:
        assert page.evaluate("() => stepper.state.k === stepper.runs[0].end && stepper.state.run === 0")


def masked_by_hand(kind, k, T=6):
    """Gradients of ``rnn()`` truncated, from graphs with detached states: each loss alone for a window."""
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r, dtype=np.float64)
    x, y = r.integers(0, 4, (T, 2)), r.integers(0, 4, (T, 2))
    totals = [np.zeros(p.shape) for p in net.parameters()]
    for s in range(T) if kind == "window" else [None]:
        with ts.Tape():
            h, loss = ts.zeros((2, 3), np.float64), None
            for t in range(T):
                cut = t == s - k + 1 if kind == "window" else t % k == 0
                if cut and t:
                    h = h.detach()
                h, o = net(ts.tensor(x[t]), h)
                if s is None or s == t:
                    one = ts.mean(ts.cross_entropy(o, ts.tensor(y[t])))
                    loss = one if loss is None else loss + one
        loss.backward(seed=1.0)
        for total, p in zip(totals, net.parameters(), strict=True):
            total += 0 if p.grad is None else p.grad
    return {p.name: total for p, total in zip(net.parameters(), totals, strict=True)}


@pytest.mark.parametrize(("kind", "k"), [("window", 1), ("window", 3), ("chunk", 2), ("chunk", 4), ("window", 6)])
def test_truncated_gradients_are_those_of_cut_graphs(browser, tmp_path, kind, k):
    loss = rnn(dtype=np.float64)
    path = loss.tape.to_html(tmp_path / "cut.html", loss=loss)
    expected = masked_by_hand(kind, k)
    full = {p.name: p.grad for p in used(loss)}
    with opened(browser, path) as page:
        got = page.evaluate(GRADS, [kind, k])
        for p, numbers in zip(used(loss), got, strict=True):
            np.testing.assert_allclose(numbers, expected[p.name].ravel(), rtol=1e-10, atol=1e-14)
        same = np.allclose(got[[p.name for p in used(loss)].index("W")], full["W"].ravel(), rtol=1e-6)
        assert same == (kind == "window" and k == 6)


HOSTILE = "</script><img src=x onerror=alert(1)><!--DATA-->&'\"\\\u2028"


def test_hostile_names_stay_text(browser, tmp_path):
    W = ts.Parameter(np.eye(2), HOSTILE)

    class Cell(ts.nn.Cell):
        name = HOSTILE

        def step(self, x, h):
            h = ts.tanh(ts.linear(h, W) + x).named(HOSTILE)
            return h, h

    with ts.Tape():
        x = ts.tensor(np.ones((3, 1, 2)), HOSTILE)
        loss = ts.sum(ts.unfold(Cell(), ts.Chain(3), x, np.zeros((1, 2))).outputs).named(HOSTILE)
    path = loss.tape.to_html(tmp_path / "h.html", loss=loss, title=HOSTILE, compare={HOSTILE: loss})
    with opened(browser, path) as page:
        for k in range(page.evaluate("() => stepper.runs[0].end") + 1):
            page.evaluate("(k) => stepper.go(k)", k)
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 2
        assert "<img" in page.text_content("#parameter")
    with opened(browser, path, java_script_enabled=False) as page:
        assert page.locator("img").count() == 0


def test_without_scripts_the_picture_and_the_ledgers_stand(browser, exported):
    path, loss = exported("rnn")
    with opened(browser, path, java_script_enabled=False) as page:
        assert page.is_visible("#still svg.net") and not page.is_visible("header.bar")
        assert page.locator("#still table").count() == len(used(loss))
        assert f"{np.linalg.norm(loss.tape.parameters[1].grad):.3e}".replace("-", "−") in page.text_content("#still")


def test_values_that_are_not_finite_survive(browser, tmp_path):
    W = ts.Parameter(np.array([[1e200, np.inf], [1e-310, 1.0]]), "W")
    with ts.Tape():
        h = ts.tensor(np.array([[1.0, 0.0]])).named("x")
        loss = ts.sum(ts.linear(h, W) * 1e200).named("L")
    path = loss.tape.to_html(tmp_path / "n.html", loss=loss)
    with opened(browser, path) as page:
        values = page.evaluate(
            "() => { const r = stepper.runs[0], l = r.ledgers[0].leaf; return Array.from(r.array(r.value[l]).numbers, String); }"
        )
        assert values == ["1e+200", "Infinity", "1e-310", "1"]
        page.keyboard.press("End")
        page.keyboard.press("Shift+ArrowLeft")
        assert "NaN" in page.text_content("body") or "∞" in page.text_content("body")


def test_two_runs_are_switched_and_drawn_in_one_strip(browser, tmp_path):
    one, two = rnn(T=6, batch=1), gated(ts.nn.LSTMCell, T=8)
    path = one.tape.to_html(tmp_path / "two.html", loss=one, title="RNN", compare={"LSTM": two})
    with opened(browser, path) as page:
        assert page.locator("#strip path.line").count() == 2
        assert page.text_content("#title") == "RNN and LSTM"
        page.click("#runs button:nth-child(2)")
        assert page.evaluate("() => [stepper.state.run, stepper.runs[1].total]") == [1, 8]
        page.keyboard.press("End")
        assert page.locator("#ledger tbody tr").count() == 8
        sums = page.evaluate(RESUM)
    for loss, run, tolerance in ((one, sums[0], 1e-6), (two, sums[1], 1e-13)):
        for p, numbers in zip(used(loss), run, strict=True):
            np.testing.assert_allclose(numbers, p.grad.ravel(), rtol=0, atol=tolerance)


def test_beyond_the_budget_units_are_sampled_and_a_banner_says_so(browser, tmp_path):
    from tinyseq.viz.stepper.page import step_page

    hidden = 48
    loss = gated(ts.nn.LSTMCell, T=10, hidden=hidden)
    text = step_page(loss.tape, loss=loss, budget=350_000)
    assert len(text.encode()) <= 350_000
    (tmp_path / "s.html").write_text(text, "utf-8")
    with opened(browser, tmp_path / "s.html") as page:
        page.keyboard.press("End")
        assert "sampled units are kept" in page.text_content("#banner")
        cap, full = page.evaluate("() => [stepper.runs[0].cap, stepper.runs[0].full]")
        assert 0 < cap < hidden * hidden and not full
        leaf = page.evaluate(
            "() => { const r = stepper.runs[0], l = r.ledgers[1]; return [l.name, Array.from(r.array(r.grad[l.leaf]).numbers)]; }"
        )
        W = next(p for p in used(loss) if p.name == leaf[0])
        np.testing.assert_allclose(leaf[1], W.grad.ravel()[np.arange(cap) * W.grad.size // cap], rtol=1e-12)
        page.select_option("#mask", "chunk")
        assert "too few numbers" in page.text_content("#mask-note")
