"""What the page says in words and colours against counts taken from the tape itself."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import gated, opened, rnn
from tinyseq.ops import OPS
from tinyseq.viz.look import style
from tinyseq.viz.stepper.page import step_page

INSPECT = """(n) => { stepper.go(stepper.runs[0].end); stepper.state.pinned = n; stepper.render();
               return document.querySelector('#inspector').textContent; }"""
INSIDE = "(n) => { stepper.state.pinned = n; stepper.render(); return document.querySelector('#inside').textContent; }"


def page_of(loss, tmp_path, budget=None):
    text = step_page(loss.tape, loss=loss, **({} if budget is None else {"budget": budget}))
    path = tmp_path / "page.html"
    path.write_text(text, "utf-8")
    return path


def arrows_by_hand(loss):
    """{node: (arrows that leave it, gradients that come back)} by plain loops over the tape."""
    tape = loss.tape
    reached, waiting = set(), [loss.index]
    while waiting:  # downwards along everything the loss depends on
        i = waiting.pop()
        if i not in reached:
            reached.add(i)
            waiting += tape.inputs(i)
    learns = {}
    for i in sorted(reached):
        node = tape.node(i)
        learned = node.op == "parameter" and not dict(node.attrs).get("fixed")
        learns[i] = learned or any(learns[j] for j in node.inputs)
    below, waiting = {loss.index}, [loss.index]
    returning = dict.fromkeys(reached, 0)
    while waiting:  # the gradients' way, arrow by arrow
        i = waiting.pop()
        op = OPS[tape.node(i).op]
        for p, j in enumerate(tape.inputs(i)):
            if learns[j] and (op.joins or p in op.vjp):
                returning[j] += 1
                if j not in below:
                    below.add(j)
                    waiting.append(j)
    leaving = dict.fromkeys(reached, 0)
    for i in range(len(tape)):
        for j in tape.inputs(i):
            if j in leaving:
                leaving[j] += 1
    return {i: (leaving[i], returning[i]) for i in reached}


def random_net(seed):
    """A loop whose states are read again by later steps, by a loss or by nothing, some of it detached."""
    r = np.random.default_rng(seed)
    W, U = ts.Parameter(r.normal(0, 0.4, (3, 3)), "W"), ts.Parameter(r.normal(0, 0.4, (3, 2)), "U")
    b, still = ts.Parameter(np.zeros(3), "b"), ts.Parameter(np.ones(3), "s", trainable=False)
    with ts.Tape():
        h, past, loss = ts.zeros((1, 3), np.float64), [], None
        for _ in range(int(r.integers(3, 9))):
            x = ts.tensor(r.normal(size=(1, 2)))
            a = b + ts.linear(h, W) + ts.linear(x, U)
            if past and r.random() < 0.6:
                a = a + past[r.integers(len(past))] * still
            h = ts.tanh(a)
            past.append(h)
            if r.random() < 0.3:
                h = h.detach()
            if r.random() < 0.3:
                ts.sum(h * h)  # read by nothing that the loss depends on
            if loss is None or r.random() < 0.5:
                one = ts.sum(past[-1] ** 2)
                loss = one if loss is None else loss + one
        return loss + 0.5 * ts.sum(past[-1])


def said(leaving, returning):
    number = lambda n: "One" if n == 1 else f"{n:,}"  # noqa: E731
    return f"{number(leaving)} arrow{'s leave' if leaving > 1 else ' leaves'} this node", f"of {returning:,} arrived"


@pytest.mark.parametrize("seed", range(4))
def test_arrows_are_those_of_the_tape(browser, tmp_path, seed):
    loss = random_net(seed)
    with opened(browser, page_of(loss, tmp_path)) as page:
        check_arrows(page, loss)


def check_arrows(page, loss, those="() => [...stepper.runs[0].index.keys()]"):
    nodes = page.evaluate("() => Array.from(stepper.runs[0].index)")
    wanted = arrows_by_hand(loss)
    for n in page.evaluate(those):
        i = nodes[n]
        text = page.evaluate(INSPECT, n)
        leaving, returning = wanted[i]
        if i == loss.index or not returning:
            assert "arrived" not in text
            continue
        words, arrived = said(leaving, returning)
        assert words in text, (i, wanted[i], text)
        assert f"Gradient: {returning:,} {arrived}" in text
        assert ("+=" in re.split("arrived", text)[1]) == (returning > 1)


def test_arrows_are_those_of_the_tape_where_a_page_holds_a_part(browser, tmp_path):
    loss = rnn(T=300, batch=1)
    with opened(browser, page_of(loss, tmp_path, 300_000)) as page:
        held, of = page.evaluate("() => [stepper.runs[0].held, stepper.runs[0].of]")
        assert held < of == len(arrows_by_hand(loss))
        assert f"{held:,} of the {of:,} nodes" in page.text_content("#banner")
        nodes = page.evaluate("() => Array.from(stepper.runs[0].index)")
        W = nodes.index(loss.tape.node_of(next(p for p in loss.tape.parameters if p.name == "W")))
        text = page.evaluate(INSPECT, W)
        assert "300 arrows leave this node, so 300 gradients come back" in text and "300 of 300 arrived" in text
        middle = page.evaluate(
            """(W) => { const r = stepper.runs[0]; stepper.go(r.F + 1 + (r.B >> 1)); stepper.state.pinned = W;
                        stepper.render(); return document.querySelector('#inspector summary').textContent; }""",
            W,
        )
        assert 0 < int(re.search(r"(\d+) of 300", middle)[1]) < 300
        gap = """() => { const r = stepper.runs[0], all = [...r.index.keys()];
                         return all.filter((n) => n < 12 || r.unseen[n].length || r.beyond[n]); }"""
        check_arrows(page, loss, gap)
        # the last state held before the gap is read by a step that is not held: its gradient comes all the same
        begun = "() => { const r = stepper.runs[0]; return r.walked.every((w, n) => w < 0 || r.begun[n] >= 0); }"
        assert page.evaluate(begun)
        sentences = page.evaluate(
            """() => { const r = stepper.runs[0], out = [];
                       for (let k = r.F + 1; k <= r.F + r.B; k++) {
                         stepper.go(k);
                         out.push(document.querySelector('#say').textContent);
                       }
                       return out; }"""
        )
        assert any("a node that this page does not hold" in s for s in sentences)
        assert not [s for s in sentences if "goes no further" in s]


def test_a_constant_is_explained_as_one(browser, tmp_path):
    with ts.Tape():
        w = ts.Parameter(np.array([2.0, 3.0]), "w")
        loss = ts.sum(w * 1.5 + ts.tensor(np.array([1.0, 1.0]), "x") ** 3.0).named("L")
    with opened(browser, page_of(loss, tmp_path)) as page:
        kinds = page.evaluate("() => Array.from(stepper.runs[0].kind, (k) => stepper.runs[0].kinds[k].op)")
        assert "constant" in kinds and "input" in kinds
        for n, op in enumerate(kinds):
            inside = page.evaluate(INSIDE, n)
            assert "too many" not in inside and "another sort" not in inside and "=" in inside, (op, inside)
            text = page.evaluate(INSPECT, n)
            if op in ("constant", "input"):
                assert "It is not learned, so no gradient is kept for it" in text


def test_a_step_beyond_the_drawings_says_so_and_a_leaf_of_steps_not_held_too(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyseq.viz.stepper.inside.MOST_DRAWINGS", 1)
    loss = gated(ts.nn.LSTMCell)
    with opened(browser, page_of(loss, tmp_path)) as page:
        found = page.evaluate(
            "() => { const r = stepper.runs[0], all = [...r.part.keys()];"
            " return all.filter((n) => r.part[n] < 0 && !r.is_leaf(n)); }"
        )
        assert found
        assert "opens 1 sort" in page.evaluate(INSIDE, found[0])


def zeros_and_more():
    """h is read through a relu that is off (0), a weight meets infinity, x gets no gradient."""
    w, v = ts.Parameter(np.array([[-1.0]]), "w"), ts.Parameter(np.array([[2.0]]), "v")
    with ts.Tape():
        x = ts.tensor(np.array([[1.0]]), "x")
        dead = ts.relu(ts.linear(x, w).named("a")).named("r")
        live = ts.linear(x, v).named("b")
        return ts.sum(dead + live).named("L")


def test_white_is_not_computed_and_grey_is_exactly_zero(browser, tmp_path):
    loss = zeros_and_more()
    tape = loss.tape
    with opened(browser, page_of(loss, tmp_path)) as page:
        fill = """(name) => { const r = stepper.runs[0], n = Array.from(r.kind, (k) => r.kinds[k].name).indexOf(name);
                  const p = r.inside.parts[r.part[n]][1].indexOf(n);
                  return document.querySelector(`#inside g.v[data-v="${p}"] .s`).style.fill; }"""
        assert page.evaluate(fill, "a") == ""  # nothing has come back yet: no colour of the scale, nor that of 0
        page.evaluate("() => stepper.go(stepper.runs[0].end)")
        page.evaluate("() => { stepper.state.pinned = stepper.runs[0].backward[0]; stepper.render(); }")
        grey = "rgb(180, 184, 190)"
        assert style.EXACTLY_ZERO == "#b4b8be" and tape.executor.grad(_named(tape, "a")).item() == 0
        assert page.evaluate(fill, "a") == grey and page.evaluate(fill, "b") not in (grey, "", "rgb(255, 255, 255)")
        legend = page.text_content("#legend")
        assert "exactly 0" in legend and "not finite" not in legend
        assert "10⁻¹" in legend and "10⁰" in legend


def _named(tape, name):
    return next(i for i in range(len(tape)) if tape.node(i).name == name)


@pytest.mark.parametrize("reads", ["all", "last"])
def test_pairs_kept_by_a_mask_are_those_of_the_losses_there_are(browser, tmp_path, reads):
    T, k = 7, 3
    r = np.random.default_rng(0)
    cell = ts.nn.RNNCell(2, 3, rng=r)
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(T), r.normal(size=(T, 1, 2)).astype("f"), cell.initial_state(1))
        loss = ts.sum((net.outputs if reads == "all" else net.final) ** 2)
    losses = range(T) if reads == "all" else [T - 1]
    pairs = [(s, t) for s in losses for t in range(s + 1)]
    window = sum(s - t < k for s, t in pairs)
    chunk = sum(s // k == t // k for s, t in pairs)
    with opened(browser, page_of(loss, tmp_path)) as page:
        for kind, kept in (("window", window), ("chunk", chunk)):
            page.evaluate(
                "([m, k]) => { stepper.state.mask = m; stepper.state.width = k; stepper.render(); }", [kind, k]
            )
            note = page.text_content("#mask-note")
            assert f"of {len(pairs)} pairs" in note and f"{kept} {'are' if kept > 1 else 'is'} kept" in note, note
