# ruff: noqa: E501  (scripts of the page)
"""Numbers changed in the page: everything follows as Python computes it; undo, address, script, what can't compute."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import LOSSES, gated, opened, rng, rnn
from tinyseq.ops import OPS
from tinyseq.ops.op import Op, call, map_kernel, size
from tinyseq.ops.registering import register
from tinyseq.tensor.record import record
from tinyseq.viz.stepper.page import step_page

STATE = """() => {
  const r = stepper.runs[stepper.state.run];
  return [Array.from(r.values[r.loss])[0], r.ledgers.map((l) => [l.name, Array.from(r.grads[l.leaf] ?? [])])];
}"""
LEAVES = """() => {
  const r = stepper.runs[0];
  return Array.from({ length: r.n }, (_, n) => n).filter((n) => r.is_leaf(n)).map((n) => [n, r.index[n], r.kinds[r.kind[n]].dtype, r.values[n].length]);
}"""


def by_reference(loss: ts.Tensor, changes: dict[int, dict[int, float]]) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients with some numbers of leaves changed: {node: {place: number}}."""
    executor = ts.Reference(loss.tape)
    for i in range(len(loss.tape)):
        kind = loss.tape.kind_of(i)
        if OPS[kind.op].leaf:
            executor.values[i] = loss.tape.executor.value(i).copy()
            for place, number in changes.get(i, {}).items():
                executor.values[i].reshape(-1)[place] = number
    executor.differentiate(loss.index)
    grads = {p.name: executor.grads[loss.tape.node_of(p)] for p in loss.tape.parameters if p.grad is not None}
    return float(executor.values[loss.index]), grads


def compare(page: Any, wanted: tuple[float, dict[str, np.ndarray]], most: float) -> None:
    loss, grads = page.evaluate(STATE)
    assert loss == pytest.approx(wanted[0], rel=most)
    assert {name for name, _ in grads} == set(wanted[1])
    for name, numbers in grads:
        want = wanted[1][name].ravel()
        np.testing.assert_allclose(numbers, want, rtol=0, atol=most * max(np.abs(want).max(), 1e-3), err_msg=name)


@pytest.mark.parametrize("name", LOSSES)
def test_every_leaf_can_be_changed_and_all_follows(browser: Any, exported: Any, name: str) -> None:
    path, loss = exported(name)
    most = 1e-12 if loss.dtype == np.float64 else 1e-5
    with opened(browser, path) as page:
        compare(page, by_reference(loss, {}), most)
        changes: dict[int, dict[int, float]] = {}
        for n, index, dtype, count in page.evaluate(LEAVES):
            number = 1.0 if dtype == "int64" else 0.375
            page.evaluate("(action) => stepper.act(action)", ["s", n, count - 1, number])
            changes.setdefault(index, {})[count - 1] = number
        compare(page, by_reference(loss, changes), most)
        page.keyboard.press("End")
        assert page.locator(".net .changed").count() > 0
        assert "residual" in page.text_content("#ledger-foot")
        page.click("#reset")
        compare(page, by_reference(loss, {}), most)
        assert page.locator(".net .changed").count() == 0


def test_typing_dragging_undo_and_the_address(browser: Any, tmp_path: Any) -> None:
    loss = rnn(dtype=np.float64)
    path = loss.tape.to_html(tmp_path / "c.html", loss=loss)
    W = next(p for p in loss.tape.parameters if p.name == "W")
    leaf = loss.tape.node_of(W)
    with opened(browser, path) as page:
        page.select_option("#leaf", label="W 3×3")
        page.fill("#edit-unit", "4")
        page.press("#edit-unit", "Tab")
        assert page.text_content("#edit-place") == "[1, 1]"
        page.fill("#edit-value", "0.75")
        page.press("#edit-value", "Enter")
        compare(page, by_reference(loss, {leaf: {4: 0.75}}), 1e-12)
        assert "was" in page.text_content("#edit-was")
        page.press("#edit-value", "ArrowUp")
        page.press("#edit-value", "ArrowUp")
        compare(
            page, by_reference(loss, {leaf: {4: 0.75 + 2 * float(page.get_attribute("#edit-slide", "step"))}}), 1e-10
        )
        page.fill("#edit-slide", "0.5")  # settings of one number are one change
        compare(page, by_reference(loss, {leaf: {4: 0.5}}), 1e-12)
        page.fill("#edit-unit", "0")
        page.press("#edit-unit", "Tab")
        page.fill("#edit-value", "-1.25")
        page.press("#edit-value", "Enter")
        both = by_reference(loss, {leaf: {4: 0.5, 0: -1.25}})
        compare(page, both, 1e-12)
        hash = page.evaluate("() => location.hash")
        page.keyboard.press("Escape")
        page.locator("#graph").focus()
        page.keyboard.press("Control+z")
        compare(page, by_reference(loss, {leaf: {4: 0.5}}), 1e-12)
        page.click("#undo")
        compare(page, by_reference(loss, {}), 1e-12)
        assert page.is_disabled("#undo")
        page.keyboard.press("Control+y")
        page.click("#redo")
        compare(page, both, 1e-12)
    with opened(browser, path, hash) as page:
        compare(page, both, 1e-12)
    with opened(browser, path, "#do=s_999_0_1~s_x_1~q_1~s_0_0_NaN~s_5_77_1") as page:  # what fits nothing is left out
        compare(page, by_reference(loss, {}), 1e-12)


def test_a_step_of_the_inputs_is_changed_where_it_is_clicked(browser: Any, tmp_path: Any) -> None:
    loss = gated(ts.nn.LSTMCell)
    path = loss.tape.to_html(tmp_path / "c.html", loss=loss)
    x = next(i for i in range(len(loss.tape)) if loss.tape.node(i).name == "x")
    with opened(browser, path) as page:
        page.locator("#graph g.v.pick", has_text="x(2)").first.click()
        place = page.evaluate("() => stepper.state.place")
        assert 8 <= place < 12
        page.fill("#edit-value", "2.5")
        page.press("#edit-value", "Enter")
        compare(page, by_reference(loss, {x: {place: 2.5}}), 1e-12)


def test_targets_stay_classes(browser: Any, tmp_path: Any) -> None:
    loss = rnn(dtype=np.float64)
    path = loss.tape.to_html(tmp_path / "c.html", loss=loss)
    with opened(browser, path) as page:
        integers = [n for n, _, dtype, _ in page.evaluate(LEAVES) if dtype == "int64"]
        assert len(integers) == 2
        for n in integers:
            page.select_option("#leaf", value=str(n))
            assert (page.get_attribute("#edit-slide", "max"), page.get_attribute("#edit-slide", "step")) == ("3", "1")
            page.fill("#edit-value", "17.2")
            page.press("#edit-value", "Enter")
            assert page.evaluate("(n) => stepper.runs[0].values[n][0]", n) == 3


@pytest.mark.parametrize("name", ["rnn", "lstm", "tree", "loop"])
def test_the_script_of_a_state_prints_its_loss_and_its_gradients(
    browser: Any, exported: Any, tmp_path: Any, name: str
) -> None:
    path, _ = exported(name)
    with opened(browser, path) as page:
        for n, _, dtype, _ in page.evaluate(LEAVES):
            page.evaluate("(action) => stepper.act(action)", ["s", n, 0, 1 if dtype == "int64" else -0.625])
        page.click("#copy-python")
        script = page.input_value("#python-text")
        page.keyboard.press("Escape")
        loss, grads = page.evaluate(STATE)
    (tmp_path / "state.py").write_text(script, "utf-8")
    run = subprocess.run([sys.executable, tmp_path / "state.py"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    printed = dict(line.split() for line in run.stdout.splitlines())
    assert float(printed.pop("loss")) == pytest.approx(loss, rel=1e-6)
    assert set(printed) == {name for name, _ in grads}
    for name, numbers in grads:
        assert float(printed[name]) == pytest.approx(np.linalg.norm(numbers), rel=1e-5)


DRAG = """async () => {
  const slide = document.getElementById("edit-slide");
  for (let i = 0; i < 24; i++) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    slide.value = i / 20;
    slide.dispatchEvent(new Event("input", { bubbles: true }));
  }
}"""
PARTS = {"ScriptDuration": "computed and drawn", "RecalcStyleDuration": "styles", "LayoutDuration": "layout"}


def test_how_long_a_change_takes(browser: Any, tmp_path: Any) -> None:
    """Printed, with -s: the processor's time, so that others on the machine do not count."""
    for T, hidden, dtype, most in ((12, 3, np.float64, 16), (100, 32, np.float32, 150)):
        loss = gated(ts.nn.LSTMCell, T=T, hidden=hidden, dtype=dtype)
        path = loss.tape.to_html(tmp_path / f"{T}.html", loss=loss)
        with opened(browser, path) as page:
            page.keyboard.press("End")
            asked = page.context.new_cdp_session(page)
            asked.send("Performance.enable", {"timeDomain": "threadTicks"})

            def spent(asked: Any = asked) -> dict[str, float]:
                return {each["name"]: each["value"] for each in asked.send("Performance.getMetrics")["metrics"]}

            page.evaluate(DRAG)
            before = spent()
            page.evaluate(DRAG)
            after = spent()
            parts = {words: (after[name] - before[name]) * 1000 / 24 for name, words in PARTS.items()}
            assert all(time > 0 for time in parts.values())
            told = ", ".join(f"{words} {time:.1f}" for words, time in parts.items())
            print(f"LSTM of T = {T}, H = {hidden}: {sum(parts.values()):.1f} ms a change of {most}: {told}")


def test_a_page_of_an_op_without_javascript_shows_stored_numbers_and_says_so(browser: Any, tmp_path: Any) -> None:
    double = map_kernel("page_double", ("y", "x0"), "x0 + x0", {})
    back = map_kernel("page_double_vjp", ("gx", "g"), "g + g", {})
    op = Op(
        "page_double", 1, "2·", "y = 2 a", lambda attrs, shapes, dtypes: (shapes[0], dtypes[0]),
        lambda site: [call(double, 1, {"y": size(site.shape), "x0": size(site.shape)}, (size(site.shape),))],
        {0: lambda site: [call(back, 1, {"gx0": size(site.shape), "g": size(site.shape)}, (size(site.shape),))]},
        {0: ()}, words="2 {a}", partials=("2",), jacobian="diagonal",
    )  # fmt: skip
    register(op)
    try:
        w = ts.Parameter(rng().normal(size=(2, 3)), "w")
        with ts.Tape() as tape:
            loss = ts.sum(ts.tanh(doubled(w)))
        path = tape.to_html(tmp_path / "o.html", loss=loss)
        with opened(browser, path) as page:
            assert not page.evaluate("() => stepper.runs[0].computes")
            assert "no JavaScript for page_double" in page.text_content("#banner")
            assert not page.is_visible("#editor")
            page.keyboard.press("End")
            (sums,) = page.evaluate(
                "() => stepper.runs[0].ledgers.map((l) => Array.from(stepper.terms(stepper.runs[0], l, null).sum))"
            )
            np.testing.assert_allclose(sums, w.grad.ravel(), rtol=1e-12)
        del OPS["page_double"]
        register(dataclasses.replace(op, javascript=DOUBLE))  # with it the page computes
        path = tape.to_html(tmp_path / "with.html", loss=loss)
        with opened(browser, path) as page:
            page.evaluate("() => stepper.act(['s', stepper.runs[0].ledgers[0].leaf, 5, 0.25])")
            compare(page, by_reference(loss, {tape.node_of(w): {5: 0.25}}), 1e-12)
            assert not page.is_visible("#banner")
    finally:
        del OPS["page_double"]


DOUBLE = """{
  forward(y, [x]) { for (let i = 0; i < y.length; i++) y[i] = 2 * x[i]; },
  vjp: [(out, g) => { for (let i = 0; i < g.length; i++) out[i] += 2 * g[i]; }],
}"""


def doubled(x: Any) -> ts.Tensor:
    return record("page_double", (x,))


def test_a_page_that_cannot_hold_the_whole_says_so(browser: Any, tmp_path: Any) -> None:
    loss = rnn(T=250, hidden=2, batch=1)
    text = step_page(loss.tape, loss=loss, budget=300_000)
    assert len(text.encode()) <= 300_000
    (tmp_path / "large.html").write_text(text, "utf-8")
    with opened(browser, tmp_path / "large.html") as page:
        assert not page.evaluate("() => stepper.runs[0].computes")
        assert "can't be changed" in page.text_content("#banner")
