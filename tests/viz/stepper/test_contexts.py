# ruff: noqa: E501  (scripts of the page)
"""A net that reads another through a context: whose gradient comes from which loss is the same as in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import opened, rng

F64 = np.float64
T = 3


def loss_of(keep: Any) -> ts.Tensor:
    """Four steps of an encoder, its last state through a tanh into each of three steps of a decoder."""
    r = rng()
    encoder, W = ts.nn.RNNCell(2, 3, rng=r, dtype=F64), ts.Parameter(r.normal(size=(3, 3)), "D")
    x = r.normal(size=(4, 1, 2))
    with ts.Tape():
        context = ts.tanh(ts.unfold(encoder, ts.Chain(4), ts.tensor(x, "x"), encoder.initial_state(1)).final) * 0.5

        def step(h: Any) -> Any:
            h = ts.tanh(ts.linear(h, W) + context).named("d")
            return h, h

        o = ts.unfold(step, ts.Chain(T), (), ts.zeros((1, 3), F64)).outputs
        terms = [ts.sum(o[t] ** 2) for t in range(T)]
        loss = ts.sum(ts.stack(terms) * ts.tensor(np.array([float(keep(t)) for t in range(T)])))
    loss.backward()
    return loss


@pytest.mark.parametrize("s", range(T))
def test_each_loss_by_itself(browser: Any, tmp_path: Any, s: int) -> None:
    wanted = {p.name: p.grad for p in loss_of(lambda t: t == s).tape.parameters}
    path = loss_of(lambda t: True).tape.to_html(tmp_path / "c.html")
    with opened(browser, path, "#bands=sum") as page:
        assert [steps for steps, _ in page.evaluate("() => stepper.bands().groups.map((g) => [g.steps, 0])")] == [[t] for t in range(T)]  # fmt: skip
        rows = page.evaluate("() => { const r = stepper.runs[0]; return r.ledgers.map((l, i) => { stepper.state.parameter = i; return [l.name, stepper.bands().groups.map((g) => Math.hypot(...g.rows))]; }); }")  # fmt: skip
        assert all(sizes[s] > 0 for name, sizes in rows if np.abs(wanted[name]).max() > 0)
        page.evaluate("(s) => stepper.act(['l', 2, s])", s)
        grads = page.evaluate("() => { const r = stepper.runs[0]; return Object.fromEntries(r.ledgers.map((l) => [l.name, Array.from(r.grads[l.leaf])])); }")  # fmt: skip
        for name, numbers in grads.items():
            np.testing.assert_allclose(numbers, wanted[name].ravel(), rtol=1e-10, atol=1e-15, err_msg=name)
        assert (
            page.locator("#knob-length input, #knob-length-1 input").count() == 2
        )  # of what is written, of what is read
