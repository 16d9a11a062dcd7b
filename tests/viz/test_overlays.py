"""Overlays: each number against another way to it; nothing is shown that was not measured."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.pictures import rng, rnn
from tinyseq.errors import GradientError, TinyseqError
from tinyseq.viz import draw
from tinyseq.viz.look import style

T = 6


@pytest.fixture
def run():
    """A net of whose states some are near ±1, its tape and loss."""
    r, net = rng(), rnn()
    net.W.value *= 3
    with ts.Tape() as tape:
        loss, unfolded = net.losses(r.integers(0, 4, (T, 2)), r.integers(0, 4, (T, 2)))
    return net, tape, loss, unfolded


def measures(tape, overlay, **options):
    return {v.text: v.measure for v in draw(tape, overlay=overlay, **options).diagram.vertices if v.measure is not None}


def words(picture):
    return [note.text[0].text for note in picture.diagram.notes if note.text]


@pytest.mark.parametrize("overlay", ["gradient", "share"])
def test_no_gradient_is_ever_shown_before_backward(run, overlay):
    with pytest.raises(GradientError, match=r"run loss\.backward\(\) first"):
        draw(run[1], overlay=overlay)


def test_value(run):
    _, tape, _, unfolded = run
    found = measures(tape, "value")
    for t in range(T):
        assert found[f"h({t})"] == pytest.approx(np.sqrt(np.mean(unfolded.state(t).value ** 2)))
    assert "x(0)" not in found  # integers have no size


def test_gradient(run):
    _, tape, loss, unfolded = run
    loss.backward()
    found = measures(tape, "gradient")
    for t in range(T):
        assert found[f"h({t})"] == pytest.approx(np.linalg.norm(unfolded.state(t).grad))
    picture = draw(tape, overlay="gradient")
    assert any(v.badge == f"{found['h(3)']:.2g}" for v in picture.diagram.vertices if v.text == "h(3)")


@pytest.mark.parametrize("name", ["W", "U", "V"])
def test_share_is_that_of_the_ledger(run, name):
    net, tape, loss, _ = run
    loss.backward()
    ledger = ts.ledger(loss, getattr(net, name))
    wanted = dict(zip(ledger.step.tolist(), ledger.term / ledger.term.sum(), strict=True))
    unit = "o" if name == "V" else "h"
    assert measures(tape, "share", of=name) == pytest.approx({f"{unit}({t})": s for t, s in wanted.items()})
    assert measures(tape, "share", of=getattr(net, name)) == measures(tape, "share", of=name)


def test_share_takes_the_recurrent_parameter_and_says_what_is_left_out(run):
    net, tape, loss, _ = run
    loss.backward()
    assert measures(tape, "share") == measures(tape, "share", of=net.W)
    ledger = ts.ledger(loss, net.W)
    seen = ledger.term[(ledger.step < 2) | (ledger.step > T - 3)].sum() / ledger.term.sum()
    assert f"{100 * seen:.0f} % is in the steps shown" in words(draw(tape, overlay="share", steps=4))
    with pytest.raises(TinyseqError, match=r"of=W or of='W'; its parameters are U, W, b, V, c"):
        draw(tape, overlay="share", of="Z")


def test_saturation(run):
    _, tape, _, unfolded = run
    found = measures(tape, "saturation")
    wanted = {f"h({t})": (np.abs(unfolded.state(t).value) > 0.95).mean() for t in range(T)}
    assert found == pytest.approx(wanted) and max(wanted.values()) > 0


def test_saturation_of_gates():
    r = rng()
    cell = ts.nn.LSTMCell(2, 5, rng=r, forget_bias=4.0)
    with ts.Tape() as tape:
        ts.unfold(cell, ts.Chain(2), r.normal(size=(2, 3, 2)).astype("f"), cell.initial_state(3))
    found = measures(tape, "saturation", detail="units")
    for i in range(len(tape)):
        node = tape.node(i)
        if node.name in ("f", "g", "q"):
            y = tape.executor.value(i)
            assert found[f"{node.name}({node.step})"] == pytest.approx(((y < 0.05) | (y > 0.95)).mean())
    assert found["f(0)"] > 0.5


def test_nothing_to_saturate():
    with ts.Tape() as tape:
        (ts.tensor(np.ones(3), "a") * 2.0).named("b")
    with pytest.raises(TinyseqError, match="nothing drawn here saturates"):
        draw(tape, overlay="saturation")


def test_bytes_of_primitives():
    W = ts.Parameter(np.ones((5, 3), "f"), "W")
    with ts.Tape() as tape:
        x = ts.tensor(np.ones((2, 3), "f"), "x")
        h = ts.tanh(ts.linear(x, W)).named("h")  # its vjp reads h: 2·5·4 bytes
        z = (h * h).named("z")  # reads h again
        ts.sum(ts.exp(z).named("e")).named("L")  # exp reads its own result
    assert measures(tape, "bytes", detail="ops") == {"A·Bᵀ": 0, "h = tanh": 40, "z = ⊙": 0, "e = exp": 40, "L = Σ": 0}


def test_bytes_of_a_unit_hold_what_it_is_made_of(run):
    _, tape, _, _ = run
    cell, ops = (draw(tape, overlay="bytes", detail=d, steps=T).diagram for d in ("cell", "ops"))
    assert sum(v.measure or 0 for v in cell.vertices) == sum(v.measure or 0 for v in ops.vertices) > 0
    assert len({v.measure for v in draw(tape, overlay="bytes", steps=4).diagram.vertices if v.role == "state"}) == 1


def test_where_nan_begins():
    net, r = rnn(), rng()
    x = r.normal(size=(5, 2, 4)).astype("f")
    x[3, 0, 1] = np.nan
    with ts.Tape() as tape:
        ts.sum(net.unfold(x).outputs).named("L")
    picture = draw(tape, overlay="nonfinite")
    bad = {v.text for v in picture.diagram.vertices if v.fill == style.NOT_FINITE}
    assert bad == {"x(3)", "h(3)", "h(4)", "o(3)", "o(4)", "L"}
    assert [v.text for v in picture.diagram.vertices if v.badge == "NaN begins here"] == ["x(3)"]
    assert any(w.startswith("NaN begins in the forward pass, at x") for w in words(picture))
    assert not any("/" in w.replace(" / ", "") for w in words(picture) if "begins" in w)  # no path of a machine


def test_all_is_finite(run):
    picture = draw(run[1], overlay="nonfinite")
    assert "every value and every gradient is finite" in words(picture)
    assert not any(v.fill for v in picture.diagram.vertices)


def cut_tape(where):
    net, r = rnn(), rng()
    with ts.Tape() as tape:
        x = ts.tensor(r.normal(size=(5, 2, 4)).astype("f"), "x")
        h, total = ts.zeros((2, 3)), 0.0
        for t in range(5):
            h, o = net(x[t], h.detach() if t in where else h)
            total = total + ts.sum(o * o)
    return net, tape, total


def test_cuts_have_scissors_and_the_norm_of_what_is_lost():
    _, tape, total = cut_tape((2, 4))
    before = draw(tape, overlay="cuts")
    assert [e.badge for e in before.diagram.links if e.cut] == ["", ""]
    assert "run loss.backward() to see the norms of the gradients lost there" in words(before)
    total.backward()
    picture = draw(tape, overlay="cuts")
    detached = [i for i in range(len(tape)) if tape.node(i).op == "detach"]
    lost = [np.linalg.norm(tape.executor.grad(i)) for i in detached]
    assert [e.badge for e in picture.diagram.links if e.cut] == [f"{x:.2g}" for x in lost] and min(lost) > 0
    assert "✂ 2 cuts on the tape, 2 shown: the value crosses, no gradient" in words(picture)
    assert picture.svg.count(" ✂ ") >= 2


def test_what_is_lost_is_what_the_whole_gradient_has_more():
    """∂L/∂h(1) of the uncut net, less what reaches it when cut behind it, is the gradient that the cut loses."""
    _, tape, total = cut_tape((2,))
    total.backward()
    detached = next(i for i in range(len(tape)) if tape.node(i).op == "detach")
    _, whole, all_of = cut_tape(())
    all_of.backward()
    state = next(i for i in range(len(whole)) if whole.node(i).name == "h" and whole.node(i).step == 1)
    cut_state = next(i for i in range(len(tape)) if tape.node(i).name == "h" and tape.node(i).step == 1)
    difference = whole.executor.grad(state) - tape.executor.grad(cut_state)
    np.testing.assert_allclose(tape.executor.grad(detached), difference, rtol=1e-4, atol=1e-6)


def test_bad_word(run):
    with pytest.raises(TinyseqError, match=r"overlay is 'value' or 'gradient' or .* got 'heat'"):
        draw(run[1], overlay="heat")
