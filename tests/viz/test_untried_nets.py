"""Nets that mix trees, chains, rates, directions and attention come out whole; what joins their parts is drawn once."""

from __future__ import annotations

import pytest

from tests.viz.geometry import problems
from tests.viz.package_nets import NETS as PACKAGE
from tests.viz.random_nets import tape_of
from tests.viz.untried_nets import NETS
from tinyseq.viz import draw

VIEWS = [(view, detail) for view in ("unfolded", "folded") for detail in ("cell", "units", "ops", "box")]


@pytest.mark.parametrize("steps", [3, 30])
@pytest.mark.parametrize("name", NETS)
def test_every_view_and_detail(name, steps):
    tape = NETS[name](steps)
    for view, detail in VIEWS:
        found = problems(draw(tape, view=view, detail=detail).diagram, tape)
        assert not found, (view, detail, found)


@pytest.mark.parametrize("make", [PACKAGE["EncoderDecoder, attention"], NETS["both_directions_and_attention"]])
def test_attention_reads_each_state_of_the_encoder_at_once_and_none_late(make):
    """It looks at all steps of the encoder in each of its own: no delay lies between."""
    tape = make(4)
    diagram = draw(tape, view="folded").diagram
    at = {v.id: v for v in diagram.vertices}
    into = [
        (at[e.source].text, e.delay)
        for e in diagram.links
        if at[e.target].text == "α" and at[e.source].strip not in (at[e.target].strip, "")
    ]
    assert into and len(set(into)) == len(into) and {late for _, late in into} == {0}
    late = [(at[e.source].strip, at[e.target].strip) for e in diagram.links if e.delay]
    assert late and all(a == b for a, b in late)
    assert [title for title in diagram.strips.values() if "decoder" in title] == ["decoder → ×5"]


def test_a_box_says_that_its_cell_runs_back_and_how_it_is_opened():
    diagram = draw(PACKAGE["Bidirectional"](3), view="folded", detail="box").diagram
    boxes = {v.text: v.tooltip for v in diagram.vertices if v.role == "box"}
    assert set(boxes) == {"rnn", "← rnn"} and "opened='rnn_backward'" in boxes["← rnn"]


def test_what_is_left_out_is_said_over_the_names_of_arrows_too():
    tape = tape_of(1136, 30)
    assert not problems(draw(tape).diagram, tape)


def test_of_two_outputs_both_go_up_to_the_lines_of_their_total_and_never_down():
    diagram = draw(NETS["late_states_and_two_outputs"](4)).diagram
    at = {v.id: v for v in diagram.vertices}
    total = next(v for v in diagram.vertices if v.text == "L")
    into = [e for e in diagram.links if e.target == total.id]
    assert {at[e.source].name or at[e.source].text[0] for e in into} == {"m", "s"}
    for e in into:
        rises = [y for x, y in e.path if x < total.x - total.width / 2 - 40]  # before it turns into L
        assert rises == sorted(rises)
