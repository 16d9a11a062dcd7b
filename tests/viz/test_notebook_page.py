# ruff: noqa: E501  (a script)
"""The page in a cell: what is changed there arrives in Python; without anywidget it is shown all the same."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import rnn
from tinyseq.viz import widget
from tinyseq.viz.notebook_page import Page

HOST = """async ([esm, page]) => {
  const { default: made } = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  window.model = { page, height: 500, get(key) { return this[key]; }, set(key, value) { this[key] = value; }, save_changes() {} };
  made.render({ model: window.model, el: document.body });
}"""


def test_what_is_changed_in_the_page_arrives_in_python(browser: Any) -> None:
    pytest.importorskip("anywidget", reason="the widget is of the extra: pip install 'tinyseq[notebook]'")
    loss = rnn(dtype=np.float64)
    made = widget(loss.tape, loss=loss, title="RNN")
    assert made.values == {} and made.loss == pytest.approx(loss.item())
    W = next(p for p in loss.tape.parameters if p.name == "W")
    page = browser.new_page()
    page.set_content("<!doctype html><title>host</title>")
    esm = files("tinyseq.viz.stepper").joinpath("assets", "widget.js").read_text("utf-8")
    page.evaluate(HOST, [esm, made.page])
    page.wait_for_function("() => window.model.told !== undefined")
    frame = page.frames[1]
    leaf = frame.evaluate("() => stepper.runs[0].ledgers.find((l) => l.name === 'W').leaf")
    frame.evaluate("(n) => stepper.act(['s', n, 4, 0.875])", leaf)
    page.wait_for_function("() => window.model.told.changes.length === 1")
    made.told = page.evaluate("() => window.model.told")
    page.close()
    wanted = W.value.copy()
    wanted[1, 1] = 0.875
    np.testing.assert_array_equal(made.values["W"], wanted)
    assert set(made.values) == {"W"}
    made.put()
    np.testing.assert_array_equal(W.value, wanted)
    executor = ts.Reference(loss.tape)
    executor.values.update(
        {i: loss.tape.executor.value(i) for i in range(len(loss.tape)) if loss.tape.node(i).op == "input"}
    )
    assert made.loss == pytest.approx(float(executor.value(loss.index)), rel=1e-12)


def test_without_anywidget_the_page_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyseq.viz.notebook_page._widget_class", lambda: None)
    loss = rnn()
    made = widget(loss.tape, loss=loss, height=300)
    assert isinstance(made, Page) and "height: 300px" in made._repr_html_()
    assert made._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')
