"""Two nets with one cursor, nodes by keys, and the colours of the losses in the ledger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import opened, rnn

X = np.random.default_rng(0).normal(size=(7, 1, 3))


def recorded(cell: Any) -> ts.Tensor:
    made = cell(3, 4, rng=np.random.default_rng(1), dtype=np.float64)
    with ts.Tape():
        net = ts.unfold(made, ts.Chain(7), ts.tensor(X, "x"), made.initial_state(1))
        return ts.sum(ts.stack([ts.sum(net.outputs[t] ** 2) for t in range(7)])).named("L")


@pytest.fixture
def page(browser: Any, tmp_path: Any) -> Any:
    one, two = recorded(ts.nn.RNNCell), recorded(ts.nn.LSTMCell)
    path = one.tape.to_html(tmp_path / "two.html", loss=one, title="RNN", compare={"LSTM": two})
    with opened(browser, path) as page:
        yield page


NOW = "(k) => { const to = stepper.runs[1]; return to.group[to.node_at(stepper.same_moment(k))]; }"


def test_one_cursor_moves_both(page: Any) -> None:
    assert not page.is_visible("#beside-card")
    page.click("#beside")
    assert page.is_visible("#beside-graph svg")
    for k in range(1, page.evaluate("() => stepper.runs[0].F + stepper.runs[0].B")):
        page.evaluate("(k) => stepper.go(k)", k)
        here = page.evaluate("() => { const r = stepper.runs[0]; return r.group[r.node_at(stepper.state.k)]; }")
        if here >= 0:
            assert page.evaluate(NOW, k) == here
            assert page.locator("#beside-graph g.v.now").count() == 1
    assert "LSTM: L = " in page.text_content("#beside-note")
    assert "beside=true" in page.evaluate("() => location.hash")
    page.click("#runs button:nth-child(2)")
    assert page.text_content("#beside-title").startswith("RNN")
    assert page.locator("#graph svg").count() == page.locator("#beside-graph svg").count() == 1


def test_an_input_is_changed_in_both_and_a_weight_in_one(page: Any) -> None:
    page.click("#beside")
    page.select_option("#leaf", label="x 7×1×3")
    page.fill("#edit-value", "2.5")
    page.press("#edit-value", "Enter")
    values = "() => stepper.runs.map((r) => r.values[[...r.kind].findIndex((k) => r.kinds[k].name === 'x')][0])"
    assert page.evaluate(values) == [2.5, 2.5]
    before = page.evaluate("() => stepper.runs[1].values[stepper.runs[1].loss][0]")
    page.evaluate("() => stepper.act(['s', stepper.runs[0].ledgers[0].leaf, 0, 1.5])")
    assert page.evaluate("() => stepper.runs[1].values[stepper.runs[1].loss][0]") == before


def test_nodes_by_keys_and_the_ledger_in_the_colours_of_the_losses(page: Any) -> None:
    page.keyboard.press("End")
    page.keyboard.press("n")
    first = page.evaluate("() => stepper.state.pinned")
    page.keyboard.press("n")
    page.keyboard.press("p")
    assert first >= 0 and page.evaluate("() => stepper.state.pinned") == first
    assert "gradient" in page.text_content("#say") or "value of norm" in page.text_content("#say")
    page.keyboard.press("Escape")
    assert page.evaluate("() => stepper.state.pinned") == -1
    page.select_option("#bands-kind", "sum")
    assert page.locator("#ledger tbody tr").nth(3).locator(".stack i").count() == 7
    page.keyboard.press("?")
    assert page.locator("#help-colours dt").count() == 8


PAIR = """() => {
  const p = stepper.pair(), r = stepper.runs[0], names = r.ledgers.map((l) => l.name);
  const sizes = (of) => Object.fromEntries(r.ledgers.map((l, i) => [names[i], of(l.leaf)]));
  return [sizes(p.here), sizes(p.there), p.to.values[p.to.loss][0]];
}"""


def test_one_net_with_and_without_truncation(browser: Any, tmp_path: Any) -> None:
    loss = rnn(dtype=np.float64)
    loss.backward()
    whole = {p.name: np.linalg.norm(p.grad) for p in loss.tape.parameters}
    with opened(browser, loss.tape.to_html(tmp_path / "one.html", loss=loss)) as page:
        page.click("#beside")  # no other run is needed
        assert page.input_value("#beside-what") == "whole" and page.input_value("#mask") == "window"
        page.fill("#mask-k", "2")
        page.press("#mask-k", "Tab")
        here, there, _ = page.evaluate(PAIR)
        assert there == pytest.approx(whole, rel=1e-10)
        for name in ("V", "c"):  # of the readout nothing is lost
            assert here[name] == pytest.approx(whole[name], rel=1e-10)
        assert here["W"] != pytest.approx(whole["W"], rel=1e-3)
        assert page.evaluate("() => { const p = stepper.pair(); return [p.here(p.to.loss), p.there(p.to.loss)]; }") == [
            1.0,
            1.0,
        ]
        page.fill("#knob-length input", "4")  # faint in both
        assert page.locator("#graph g.v.after-end").count() == page.locator("#beside-graph g.v.after-end").count() > 0
        assert page.locator("#graph g.e.after-end").count() == page.locator("#beside-graph g.e.after-end").count() > 0
        page.click("#undo")
        page.keyboard.press("Escape")
        page.evaluate("() => stepper.go(stepper.runs[0].F + 30)")
        assert page.locator("#beside-graph g.v.now").count() == page.locator("#graph g.v.now").count() == 1
        assert "window of 2" in page.text_content("#beside-note")
        hash = page.evaluate("() => location.hash")
    with opened(browser, tmp_path / "one.html", hash) as page:
        assert page.is_visible("#beside-graph svg") and page.evaluate(PAIR)[:2] == [here, there]


def test_one_net_before_and_after_training(browser: Any, tmp_path: Any) -> None:
    loss = rnn(dtype=np.float64)
    loss.backward()
    before = {p.name: np.linalg.norm(p.grad) for p in loss.tape.parameters}
    with opened(browser, loss.tape.to_html(tmp_path / "one.html", loss=loss, learning_rate=0.5)) as page:
        for _ in range(4):
            page.click("#train-once")
        page.click("#beside")
        assert page.input_value("#beside-what") == "untrained"
        here, there, first = page.evaluate(PAIR)
        assert there == pytest.approx(before, rel=1e-10) and first == pytest.approx(loss.item(), rel=1e-12)
        assert here != pytest.approx(before, rel=1e-3)
        page.evaluate("() => stepper.act(['s', stepper.runs[0].ledgers[0].leaf, 0, 0.25])")  # a change is made in both
        assert (
            page.evaluate("() => { const p = stepper.pair(); return p.to.values[stepper.runs[0].ledgers[0].leaf][0]; }")
            == 0.25
        )
        hash = page.evaluate("() => location.hash")
        page.click("#reset")
        here, there, _ = page.evaluate(PAIR)
        assert here == there == pytest.approx(before, rel=1e-10)
        page.click("#beside")
        assert not page.is_visible("#beside-card")
    with opened(browser, tmp_path / "one.html", hash) as page:
        assert page.input_value("#beside-what") == "untrained"
        assert "before training: L = " in page.text_content("#beside-note")
