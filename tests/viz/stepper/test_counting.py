# ruff: noqa: E501  (scripts of the page)
"""Losses that count and the length of the sequence: the page's loss, gradients and script beside Python's."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import opened, rng, users_loop
from tinyseq import train

F64 = np.float64
STATE = """() => {
  const r = stepper.runs[stepper.state.run], mask = stepper.state.mask;
  const grads = mask === "full" ? r.grads : stepper.backward(r, new stepper.Mask(r, mask, stepper.state.width));
  return [r.values[r.loss][0], Object.fromEntries(r.ledgers.map((l) => [l.name, Array.from(grads[l.leaf] ?? [])]))];
}"""
EDGE = """() => {
  const r = stepper.runs[0], named = (v) => [r.of_kind(r.vertexNode[v]).name, r.position[r.vertexNode[v]]].join();
  return r.view.ends.find(([a, b]) => named(a) === "h,2" && named(b) === "h,3");
}"""


def of_net(keep: Any, T: int = 6, of: int = 6) -> tuple[ts.Tensor, Any]:
    """The loss of an RNN over T of 6 steps, the losses of some steps alone."""
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r, dtype=F64)
    x, y = r.integers(0, 4, (of, 2)), r.integers(0, 4, (of, 2))
    with ts.Tape():
        if keep is None:
            return net.loss(x[:T], y[:T]), net
        h, total = ts.zeros((2, 3), F64), None
        for t in range(T):
            h, o = net(ts.tensor(x[t]), h)
            one = ts.mean(ts.cross_entropy(o, ts.tensor(y[t])))
            if keep(t):
                total = one if total is None else total + one
        return total, net


def of_cell(keep: Any, T: int = 6) -> tuple[ts.Tensor, Any]:
    """Squares of the states of an LSTM, which stand in one array: a loss outside of the steps that is not linear."""
    r = rng()
    net = ts.nn.LSTMCell(4, 3, rng=r, dtype=F64)
    x = r.normal(size=(6, 1, 4))
    with ts.Tape():
        o = ts.unfold(net, ts.Chain(T), ts.tensor(x[:T], "x"), net.initial_state(1)).outputs
        if keep is None:
            return (ts.sum(o * o) * 0.5).named("L"), net
        return sum(ts.sum(o[t] * o[t]) * 0.5 for t in range(T) if keep(t)), net


NETS = {"net": of_net, "cell": of_cell}
COUNTING = {
    "last": ([["l", 1, 0]], lambda t: t == 5, 6),
    "one": ([["l", 2, 3]], lambda t: t == 3, 6),
    "first": ([["l", 3, 2]], lambda t: t <= 2, 6),
    "short": ([["T", 4]], None, 4),
    "short, last": ([["l", 1, 0], ["T", 3]], lambda t: t == 2, 3),
    "one step": ([["T", 1]], None, 1),
}


def close(page: Any, loss: ts.Tensor, net: Any) -> None:
    loss.backward()
    found, grads = page.evaluate(STATE)
    assert found == pytest.approx(loss.item(), rel=1e-12)
    assert set(grads) == {p.name for p in net.parameters()}
    for p in net.parameters():
        want = np.zeros(p.shape) if p.grad is None else p.grad
        np.testing.assert_allclose(grads[p.name], want.ravel(), rtol=1e-9, atol=1e-14, err_msg=p.name)


@pytest.mark.parametrize("how", COUNTING)
@pytest.mark.parametrize("name", NETS)
def test_the_loss_is_the_sum_of_those_that_count(browser: Any, tmp_path: Any, name: str, how: str) -> None:
    actions, keep, T = COUNTING[how]
    path = NETS[name](None)[0].tape.to_html(tmp_path / "c.html")
    with opened(browser, path) as page:
        full = page.evaluate(STATE)
        for action in actions:
            page.evaluate("(action) => stepper.act(action)", action)
        close(page, *NETS[name](keep, T))
        hash = page.evaluate("() => location.hash")
        beyond = page.evaluate(
            "() => { const r = stepper.runs[0]; return [...document.querySelectorAll('#graph g.v')].flatMap((g, v) => g.classList.contains('after-end') ? [r.position[r.vertexNode[v]]] : []); }"
        )
        assert set(beyond) == set(range(T, 6))
        page.click("#reset")
        assert page.evaluate(STATE) == full and page.locator("#graph .after-end").count() == 0
    with opened(browser, path, hash) as page:  # and so from the address
        close(page, *NETS[name](keep, T))


def test_training_by_the_losses_that_count(browser: Any, tmp_path: Any) -> None:
    path = of_net(None)[0].tape.to_html(tmp_path / "t.html", learning_rate=0.5)
    loss, net = of_net(None, 4)
    r, losses, optimiser = rng(), [], train.SGD(net.parameters(), 0.5)
    ts.nn.RNN(4, 3, 4, rng=r, dtype=F64)
    x, y = r.integers(0, 4, (6, 2)), r.integers(0, 4, (6, 2))
    for _ in range(5):
        with ts.Tape():
            loss = net.loss(x[:4], y[:4])
            loss.backward()
        losses.append(loss.item())
        optimiser.step()
    with opened(browser, path) as page:
        page.fill("#knob-length input", "4")
        for _ in range(4):
            page.click("#train-once")
        history = "() => { const r = stepper.runs[0]; return [...r.history.map((e) => e.loss), r.values[r.loss][0]]; }"
        np.testing.assert_allclose(page.evaluate(history), losses, rtol=1e-10)
        hash = page.evaluate("() => location.hash")
    with opened(browser, path, hash) as page:
        np.testing.assert_allclose(page.evaluate(history), losses, rtol=1e-10)


SCRIPTS = {
    "counted": ("net", [["l", 2, 3]], ""),
    "counted outside": ("cell", [["l", 3, 2]], ""),
    "short, cut": ("net", [["T", 5], "cut"], ""),
    "chunk": ("net", [], "mask=chunk&w=2"),
    "window": ("cell", [["l", 3, 4]], "mask=window&w=3"),
    "window, users loop": ("users loop", [["l", 1, 0]], "mask=window&w=2"),
}


@pytest.mark.parametrize("how", SCRIPTS)
def test_the_script_has_cuts_counted_losses_and_masks(browser: Any, tmp_path: Any, how: str) -> None:
    name, actions, hash = SCRIPTS[how]
    loss = users_loop() if name == "users loop" else NETS[name](None)[0]
    path = loss.tape.to_html(tmp_path / "s.html", loss=loss)
    with opened(browser, path, f"#{hash}") as page:
        plain = page.evaluate(STATE)
        for action in actions:
            page.evaluate("(a) => stepper.act(a)", ["c", *page.evaluate(EDGE)] if action == "cut" else action)
        found, grads = page.evaluate(STATE)
        assert not actions or [found, grads] != plain
        page.click("#copy-python")
        script = page.input_value("#python-text")
        page.keyboard.press("Escape")
    (tmp_path / "state.py").write_text(script, "utf-8")
    run = subprocess.run([sys.executable, tmp_path / "state.py"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    printed = {name: float(number) for name, number in (line.split() for line in run.stdout.splitlines())}
    most = 1e-5 if name == "users loop" else 1e-9
    assert printed.pop("loss") == pytest.approx(found, rel=most)
    assert printed == pytest.approx({name: np.linalg.norm(numbers) for name, numbers in grads.items()}, rel=most)
