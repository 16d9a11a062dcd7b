"""Legends are true at the ends of a scale, and bytes are those of the arrays that the backward pass reads."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyseq as ts
from tinyseq.ops import OPS
from tinyseq.viz import draw
from tinyseq.viz.look import style
from tinyseq.viz.overlays.bytes_held import held_bytes


def words(picture):
    return ["".join(run.text for run in note.text) for note in picture.diagram.notes if note.text]


def chain(factors, dtype=np.float64):
    """h(t) = f(t) h(t−1): the gradient at each h is the product of the factors behind it."""
    w = ts.Parameter(np.array([1.0], dtype), "w")
    with ts.Tape() as tape:
        h = (w * 1.0).named("s")
        for i, f in enumerate(factors):
            h = (h * f).named(f"h_{i}")
        ts.sum(h).named("L")
    return tape


def run_backward(tape):
    loss = next(i for i in range(len(tape)) if tape.node(i).name == "L")
    ts.Tensor.at(tape, loss).backward()
    return tape


@pytest.mark.parametrize("how", [{"gradients": True}, {"overlay": "gradient"}])
def test_zero_none_and_not_finite_have_colours_of_their_own(how):
    tape = run_backward(chain([2.0, 0.0, 3.0]))
    picture = draw(tape, detail="ops", **how)
    for v in picture.diagram.vertices:
        if v.role == "op":
            gradient = tape.executor.grad(v.node)
            assert (v.fill == style.EXACTLY_ZERO) == (gradient is not None and not gradient.any()), v.text
            assert v.fill != style.PAPER
    assert "grey: exactly 0" in words(picture) and not any("white" in w for w in words(picture))
    with np.errstate(all="ignore"):
        bad = draw(run_backward(chain([2.0, np.inf, 3.0])), detail="ops", **how)
    assert "orange: not finite" in words(bad) and "grey: exactly 0" not in words(bad)


@pytest.mark.parametrize("how", [{"gradients": True}, {"overlay": "gradient"}])
def test_a_scale_that_is_cut_off_says_so(how):
    picture = draw(run_backward(chain([1e-9, 1e-9])), detail="ops", **how)
    assert any(w.startswith("≤ 10") for w in words(picture))
    picture = draw(run_backward(chain([0.5, 0.5])), detail="ops", **how)
    assert not any(w.startswith("≤") for w in words(picture))


@pytest.mark.parametrize("how", [{"gradients": True}, {"overlay": "gradient"}])
def test_no_scale_where_nothing_stands_on_it(how):
    with ts.Tape() as tape:
        w = ts.Parameter(np.array([-1.0]), "w")
        ts.sum(ts.relu(w) * 0.0).named("L")
    run_backward(tape)
    picture = draw(tape, detail="ops", **how)
    zero = [v for v in picture.diagram.vertices if v.fill == style.EXACTLY_ZERO]
    assert zero and "grey: exactly 0" in words(picture)


def test_shares_and_saturation_that_are_not_numbers():
    w = ts.Parameter(np.array([[1.0]]), "w")
    with ts.Tape() as tape:
        h = ts.tensor(np.array([[np.nan], [9.0], [0.0]]), "x")
        ts.sum(ts.tanh(ts.linear(h, w)).named("h")).named("L")
    picture = draw(tape, detail="units", overlay="saturation")
    (unit,) = [v for v in picture.diagram.vertices if v.measure is not None]
    assert np.isnan(unit.measure) and unit.fill == style.NOT_FINITE and unit.badge == "nan"
    assert "orange: not finite" in words(picture)
    run_backward(tape)
    picture = draw(tape, overlay="share", of=w)
    assert all(v.fill == style.NOT_FINITE for v in picture.diagram.vertices if v.measure is not None)


def held_by_hand(tape, among):
    """Sum of nbytes of what the vjps read: asked of each op's record, the arrays of the executor themselves."""
    held = {}
    for i in range(len(tape)):
        node = tape.node(i)
        op = OPS[node.op]
        if tape.executor.grad(i) is None or op.joins:
            continue
        for place, roles in op.reads.items():
            if (
                place < len(node.inputs)
                and place in op.vjp
                and tape.executor.value(node.inputs[place]).dtype.kind == "f"
            ):
                for role in roles:
                    j = i if role == "y" else node.inputs[int(role[1:])]
                    if j in among and tape.node(j).op not in ("parameter", "input", "constant"):
                        held[j] = tape.executor.value(j).nbytes
    return held


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), T=st.integers(2, 6), batch=st.integers(1, 3), kind=st.sampled_from(["rnn", "lstm"]))
def test_bytes_shown_are_those_of_the_arrays(seed, T, batch, kind):
    r = np.random.default_rng(seed)
    cell = (ts.nn.RNNCell if kind == "rnn" else ts.nn.LSTMCell)(2, int(r.integers(1, 5)), rng=r)
    cut = int(r.integers(1, T)) if r.random() < 0.5 else None
    with ts.Tape() as tape:
        state = cell.initial_state(batch)
        for t in range(T):
            if t == cut:
                state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            state, out = cell(ts.tensor(r.normal(size=(batch, 2)).astype("f")), state, at=t)
            if r.random() < 0.5:
                ts.sum(ts.exp(out))  # measured, and no part of the loss
        ts.sum(out * out).named("L")
    run_backward(tape)
    some = set(r.choice(len(tape), len(tape) // 2, replace=False).tolist())
    assert held_bytes(tape, np.array(sorted(some))) == held_by_hand(tape, some)
    whole = held_by_hand(tape, set(range(len(tape))))
    picture = draw(tape, detail="ops", overlay="bytes", steps=T)
    drawn = {v.node for v in picture.diagram.vertices if v.node >= 0}
    shown = sum(v.measure for v in picture.diagram.vertices if v.measure is not None)
    assert shown == sum(size for i, size in whole.items() if i in drawn)
    if shown:
        (line,) = [w for w in words(picture) if "in the nodes shown" in w]
        number, unit = re.match(r"([\d.e+]+) (B|kB|MB)", line).groups()
        assert float(number) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit] == pytest.approx(shown, rel=5e-3)


def test_bytes_of_a_state_do_not_depend_on_which_steps_are_drawn():
    r = np.random.default_rng(0)
    cell = ts.nn.LSTMCell(2, 3, rng=r)
    with ts.Tape() as tape:
        net = ts.unfold(cell, ts.Chain(9), r.normal(size=(9, 1, 2)).astype("f"), cell.initial_state(1))
        ts.sum(cell.hidden(net.final)).named("L")
    run_backward(tape)

    def of_step(steps):
        picture = draw(tape, detail="ops", overlay="bytes", steps=steps).diagram
        return {v.node: v.measure for v in picture.vertices if v.measure is not None and tape.step[v.node] == 4}

    assert of_step(range(3, 7)) == of_step(range(4, 5)) and sum(of_step(range(4, 5)).values()) > 0
