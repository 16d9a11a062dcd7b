"""Pictures of nets that nobody has seen: every node a node, every arrow from border to border, no two things in one
place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyseq as ts
from tests.viz import own_nets, package_nets
from tests.viz.geometry import problems
from tests.viz.random_nets import tape_of
from tinyseq.viz import draw

VIEWS = [(view, detail) for view in ("unfolded", "folded") for detail in ("cell", "units", "ops", "box")]
NETS = {**package_nets.NETS, **own_nets.NETS}


def check(tape, view, detail, **options):
    found = problems(draw(tape, view=view, detail=detail, **options).diagram, tape)
    assert not found, found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(VIEWS))
def test_random_nets(seed, how):
    check(tape_of(seed), *how)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    how=st.sampled_from(VIEWS),
    longest=st.sampled_from([12, 40, 200]),
    steps=st.sampled_from([None, 3, 6]),
)
def test_random_nets_over_many_steps(seed, how, longest, steps):
    check(tape_of(seed, longest), *how, steps=None if how[0] == "folded" else steps)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(20))
def test_two_thousand_random_nets(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        check(tape_of(seed, (5, 30)[hundred % 2]), *VIEWS[seed % len(VIEWS)])


@pytest.mark.parametrize(("view", "detail"), VIEWS)
@pytest.mark.parametrize("name", NETS)
def test_every_net(name, view, detail):
    check(NETS[name](7 if name == "delay_line" else 3), view, detail)


def test_layers_directions_encoder_and_decoder_stand_in_strips_of_their_own():
    for name, titles in {
        "Bidirectional": ["rnn →", "← rnn"],
        "EncoderDecoder": ["rnn →", "decoder →"],
        "three_layers_with_skips": ["layer_1 →", "layer_2 →", "layer_3 →", "output →"],
    }.items():
        diagram = draw(NETS[name](3)).diagram
        notes = {"".join(run.text for run in note.text): note.y for note in diagram.notes}
        assert list(diagram.strips.values()) == titles
        heights = [notes[title] for title in titles]
        assert heights == sorted(heights)
        states = [v for v in diagram.vertices if v.column is not None and v.role == "state"]
        spans = [[v.y for v in states if v.strip == strip] for strip in diagram.strips]
        assert all(max(low) < min(high) for low, high in pairwise([ys for ys in spans if ys]))


def test_states_of_several_layers_are_numbered():
    names = {v.text for v in draw(NETS["three_layers_with_skips"](3)).diagram.vertices if v.role == "state"}
    assert names == {f"h{n}({t})" for n in (1, 2, 3) for t in range(3)}


def test_every_step_looks_the_same():
    for name in ("LSTM", "memory_with_two_heads", "peephole_lstm_with_projection"):
        diagram = draw(NETS[name](4), detail="units").diagram
        middle = {n: c.x for n, c in enumerate(diagram.columns)}
        at = {}
        for v in diagram.vertices:
            if v.column is not None and diagram.columns[v.column].step is not None:
                at.setdefault(v.key, set()).add((round(v.x - middle[v.column], 6), round(v.y, 6)))
        assert all(len(places) == 1 for places in at.values())


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SLSTMCell", "MinGRUCell"])
def test_steps_look_the_same_whether_others_are_left_out_or_not(name):
    """The rows of a short chain are those of a long one, and what is said of it stands over its middle."""
    heights = []
    for T in (3, 40):
        diagram = draw(NETS[name](T), detail="units").diagram
        rows = {}
        for v in diagram.vertices:
            if v.column is not None and v.time is not None and v.role != "ellipsis":
                rows.setdefault(v.key, set()).add(round(v.y, 3))
        heights.append(rows)
    assert heights[0] == heights[1]
    note = next(n for n in diagram.notes if "left out" in n.text[0].text)
    xs = [v.x for v in diagram.vertices]
    assert abs(note.x - (min(xs) + max(xs)) / 2) < 0.2 * (max(xs) - min(xs))


def test_a_state_runs_level_from_step_to_step():
    diagram = draw(NETS["LSTM"](4), detail="units").diagram
    at = {v.id: v for v in diagram.vertices}
    level = [e for e in diagram.links if e.recurrent and at[e.source].name == "s"]
    assert len(level) == 4
    for e in level:
        assert len({round(y, 6) for _, y in [*e.path, e.tip]}) == 1


def test_a_context_is_drawn_once_and_read_by_every_step():
    diagram = draw(NETS["EncoderDecoder"](3)).diagram
    at = {v.id: v for v in diagram.vertices}
    read = [at[e.target].text for e in diagram.links if at[e.source].text == "C(2)"]
    assert sorted(read) == sorted([*(f"h2({t})" for t in range(4)), *(f"o({t})" for t in range(4))])
    assert sum(v.text == "x(2)" for v in diagram.vertices) == 1


@pytest.mark.parametrize("make", ["balanced", "chain"])
def test_a_tree_of_two_leaves_is_a_tree(make):
    net = ts.nn.RecursiveNet(3, 4, 2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        net.unfold(getattr(ts.Tree, make)(2), np.zeros((2, 3), np.float32))
    wanted = {("x(0)", "h(0)", "V", 0), ("x(1)", "h(1)", "V", 0), ("h(0)", "h(2)", "U", 0), ("h(1)", "h(2)", "W", 0)}
    assert draw(tape).diagram.edges() == wanted


@pytest.mark.parametrize("leaves", [2, 4, 8, 16, 32, 64, 200])
def test_a_picture_is_as_symmetric_as_its_tree(leaves):
    """Of a large one the levels nearest the root are shown, each whole; subtrees left out are each an ellipsis."""
    net = ts.nn.RecursiveNet(3, 4, 2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        net.unfold(ts.Tree.balanced(leaves), np.zeros((leaves, 3), np.float32))
    diagram = draw(tape, notes=False).diagram
    states = [v for v in diagram.vertices if v.role in ("state", "ellipsis")]
    top = max(states, key=lambda v: v.y)
    if leaves & (leaves - 1) == 0:
        there = sorted((round(v.y), v.x - top.x) for v in states)
        mirrored = sorted((round(v.y), top.x - v.x) for v in states)
        np.testing.assert_allclose(there, mirrored, atol=0.01)
    ids = {v.id: v for v in diagram.vertices}
    for v in states:
        under = [ids[e.source] for e in diagram.links if e.target == v.id and ids[e.source] in states]
        if under:
            assert len(under) == 2 and v.x == pytest.approx(sum(u.x for u in under) / 2, abs=0.01)
    assert not problems(diagram, tape)


def test_folded_trees_show_leaf_inner_node_and_root():
    edges = draw(NETS["RecursiveNet"](3), view="folded").diagram.edges()
    wanted = {("x", "h", "V", 0), ("h", "h", "U", 1), ("h", "h", "W", 1), ("h", "o", "V_o", 0), ("o", "L", "", 0)}
    assert edges == wanted | {("y", "L", "", 0)}
    words = ["".join(r.text for r in n.text) for n in draw(NETS["RecursiveNet"](3), view="folded").diagram.notes]
    assert "×9 positions" in words and not any("time step" in w for w in words)


def test_products_of_one_cell_have_names_of_their_own():
    diagram = draw(NETS["GRU"](3), view="folded", detail="units").diagram
    products = [v.name for v in diagram.vertices if v.text == "×"]
    assert len(products) == 3 and len(set(products)) == 3
