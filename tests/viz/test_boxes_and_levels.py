"""Large graphs: cells as boxes, opened on request; trees by level; what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.package_nets import NETS
from tests.viz.pictures import edges, rng, rnn_tape
from tinyseq.errors import TinyseqError
from tinyseq.viz import draw
from tinyseq.viz.views.levels import heights


def lstm_tape(steps=12):
    r = rng()
    net = ts.nn.ManyToMany(ts.nn.LSTMCell(3, 4, rng=r), 2, rng=r)
    with ts.Tape() as tape:
        net.loss(np.zeros((steps, 1, 3), "f"), np.zeros((steps, 1), int))
    return tape


def words(picture):
    return [note.text[0].text for note in picture.diagram.notes if note.text]


def test_a_cell_is_one_box():
    tape = lstm_tape(3)
    wanted = {(f"x({t})", f"lstm({t})", "", 0) for t in range(3)} | {
        (f"{a}({t})", f"{b}({t})", "", 0) for a, b in (("lstm", "output"), ("y", "output")) for t in range(3)
    }
    wanted |= {("lstm(0)", "lstm(1)", "", 0), ("lstm(1)", "lstm(2)", "", 0), ("h, s", "lstm(0)", "", 0)}
    assert edges(tape, detail="box") == wanted | {(f"output({t})", "L", "", 0) for t in range(3)}
    folded = {("x", "lstm", "", 0), ("lstm", "lstm", "", 1), ("lstm", "output", "", 0), ("y", "output", "", 0)}
    assert edges(tape, detail="box", view="folded") == folded


def test_initial_states_called_alike_are_numbered_before_their_box_as_in_it():
    r = rng()
    layers = ts.nn.StackedCells([ts.nn.GRUCell(3, 4, rng=r), ts.nn.LSTMCell(4, 4, rng=r), ts.nn.GRUCell(4, 4, rng=r)])
    with ts.Tape() as tape:
        ts.unfold(layers, ts.Chain(3), ts.tensor(np.zeros((3, 1, 3), "f"), "x"), layers.initial_state(1))
    inside = {v.text.removesuffix("(−1)") for v in draw(tape).diagram.vertices if v.role == "initial"}
    assert inside == {"h1", "h2", "h3", "s"}
    boxed = [v.text for v in draw(tape, detail="box").diagram.vertices if v.role == "initial"]
    assert [set(text.split(", ")) for text in boxed] == [inside] and len(boxed[0].split(", ")) == 4


def test_a_box_says_how_many_nodes_are_in_it():
    tape = lstm_tape(3)
    box = next(v for v in draw(tape, detail="box").diagram.vertices if v.text == "lstm(1)")
    assert box.note == f"{sum(n.cell == 'lstm' and n.step == 1 for n in tape.nodes())} nodes"
    assert "opened='lstm'" in box.tooltip


def test_a_box_opens_into_what_is_in_it():
    tape = lstm_tape(3)
    opened = edges(tape, detail="box", view="folded", opened="lstm")
    closed = edges(tape, view="folded")
    inside = {e for e in closed if not {"o", "L"} & set(e[:2])}
    assert opened == inside | {("h", "output", "", 0), ("y", "output", "", 0)}
    with pytest.raises(TinyseqError, match=r"'gru' that is not on this tape; its cells are \['lstm', 'output'\]"):
        draw(tape, detail="box", opened="gru")


def test_how_often_a_folded_step_repeats():
    assert "×12 time steps" in words(draw(lstm_tape(12), view="folded"))
    assert not any("time steps" in w for w in words(draw(lstm_tape(12))))
    cell = ts.nn.LSTMCell(3, 4, rng=rng())
    assert not any("×" in w and "time steps" in w for w in words(draw(cell, view="folded")))  # a cell has no length


@pytest.mark.parametrize("detail", ["box", "cell", "units", "ops"])
def test_a_banner_says_what_is_left_out(detail):
    tape = rnn_tape(5000)
    picture = draw(tape, steps=4, detail=detail)
    shown, there = picture.diagram.counts
    line = f"{shown:,} of the tape's {there:,} nodes are in this picture, {there - shown:,} are left out"
    assert line in words(picture) and there == len(tape)
    per_step = sum(tape.step == 7) + 2  # and x[t], y[t]
    assert 4 * per_step <= shown <= 4 * per_step + 12
    assert not any("left out" in w for w in words(draw(rnn_tape(4), detail=detail, steps=4)))


@pytest.mark.parametrize("name", ["LRUCell", "FastWeightsCell", "Bidirectional tagger", "TreeLSTM", "ChildSumTreeLSTM"])
def test_of_a_whole_graph_nothing_is_said_to_be_left_out(name):
    """Each of these tapes has a node that nothing reads: a final state, a parameter of leaves, a spare start."""
    for detail in ("cell", "units", "ops", "box"):
        assert not any("left out" in w for w in words(draw(NETS[name](3), detail=detail)))


@pytest.mark.slow
def test_a_million_nodes():
    tape = rnn_tape(80_000)
    assert len(tape) > 1_000_000
    for options in ({}, {"detail": "ops"}, {"detail": "box"}, {"view": "folded"}, {"overlay": "bytes"}):
        picture = draw(tape, **options)
        assert len(picture.diagram.vertices) < 200 and "<svg" in picture.svg


def tree_tape(tree):
    net = ts.nn.RecursiveNet(2, 3, 2, rng=rng())
    with ts.Tape() as tape:
        net.loss(tree, np.zeros((tree.n_leaves, 1, 2), "f"), np.array([0]))
    return tape


@pytest.mark.parametrize("brackets", ["((a b) (c d))", "(((a b) c) (d e))", "(a (b (c (d (e f)))))"])
def test_levels_are_the_heights_of_the_tree(brackets):
    tree = ts.Tree.from_brackets(brackets)
    tape = tree_tape(tree)
    assert heights(tape).tolist() == tree.heights.tolist()
    picture = draw(tape, overlay="levels")
    shown = {v.text: v.badge for v in picture.diagram.vertices if v.badge and v.text.startswith("h(")}
    assert shown == {f"h({p})": f"level {h}" for p, h in enumerate(tree.heights.tolist())}
    fills = {v.badge: v.fill for v in picture.diagram.vertices if v.badge}
    assert len(set(fills.values())) == tree.depth + 1


def test_the_schedule_in_words():
    lines = words(draw(tree_tape(ts.Tree.balanced(300)), overlay="levels", steps=15))
    assert "599 positions in 10 batches, one after the other:" in lines
    assert "level 0: 300 positions in one GEMM for each weight" in lines
    assert "level 9: 1 position in one GEMM for each weight" in lines
    sizes = np.bincount(ts.Tree.balanced(300).heights)
    assert f"levels 5 to 8: {sizes[5:9].sum()} positions" in lines


def test_levels_of_what_has_none():
    with ts.Tape() as tape:
        ts.tanh(ts.tensor(np.ones(3), "a"))
    with pytest.raises(TinyseqError, match="schedule of a tree"):
        draw(tape, overlay="levels")
    with pytest.raises(TinyseqError, match="more than 512 levels"):
        draw(rnn_tape(600), overlay="levels")
