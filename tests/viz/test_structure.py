"""Which nodes and arrows a picture has, against the book's figures."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.pictures import delayed_tape, edges, loop_tape, rng, rnn, rnn_tape, texts
from tinyseq.viz import draw

# Figure 10.3, left: x –U→ h –V→ o → L ← y, and h ⟨■⟩ h labelled W.
FOLDED = {("x", "h", "U", 0), ("h", "o", "V", 0), ("o", "L", "", 0), ("y", "L", "", 0), ("h", "h", "W", 1)}


def column(t):
    return {
        (f"x({t})", f"h({t})", "U", 0),
        (f"h({t})", f"o({t})", "V", 0),
        (f"o({t})", f"L({t})", "", 0),
        (f"y({t})", f"L({t})", "", 0),
    }


def recurrent(a, b):
    return (f"h({a})", f"h({b})", "W", 0)


@pytest.mark.parametrize("thing", [rnn(), rnn_tape(5), rnn_tape(2), loop_tape(5)], ids=["cell", "tape", "two", "loop"])
def test_folded_is_figure_10_3(thing):
    assert edges(thing, view="folded") == FOLDED
    assert texts(thing, view="folded") == ["L", "h", "o", "x", "y"]


def test_unfolded_cell_is_figure_10_3():
    wanted = column("t−1") | column("t") | column("t+1")
    wanted |= {recurrent("…", "t−1"), recurrent("t−1", "t"), recurrent("t", "t+1"), recurrent("t+1", "…")}
    picture = draw(rnn()).diagram
    assert picture.edges() == wanted
    dashed = [v for v in picture.vertices if v.dashed]
    assert [v.text for v in dashed] == ["h(…)", "h(…)"]
    assert all(
        e.dashed == (e.source in {v.id for v in dashed} or e.target in {v.id for v in dashed}) for e in picture.links
    )


@pytest.mark.parametrize("make", [rnn_tape, loop_tape])
def test_unfolded_tape(make):
    wanted = set().union(*[column(t) for t in range(4)])
    wanted |= {recurrent("−1", 0), *[recurrent(t, t + 1) for t in range(3)]}
    wanted |= {(f"L({t})", "L", "", 0) for t in range(4)}
    assert edges(make(4)) == wanted


@pytest.mark.parametrize("make", [rnn_tape, loop_tape])
def test_rows_and_columns_are_straight(make):
    picture = draw(make(12), steps=6).diagram
    places = {v.text: v for v in picture.vertices if v.column is not None}
    rows = {name: {round(v.y, 3) for text, v in places.items() if text.startswith(f"{name}(")} for name in "xhoLy"}
    assert all(len(ys) == 1 for ys in rows.values())
    heights = [next(iter(rows[name])) for name in "xhoLy"]
    assert heights == sorted(heights) and len(set(heights)) == 5
    for t in (0, 1, 2, 9, 10, 11):
        assert len({round(places[f"{name}({t})"].x, 3) for name in "xhoLy"}) == 1
    for e in picture.links:  # the recurrent arrows are level
        if e.recurrent:
            assert len({round(y, 3) for _, y in [*e.path, e.tip]}) == 1


def test_elided_middle():
    picture = draw(rnn_tape(30), steps=4).diagram
    assert [(c.step, c.elided) for c in picture.columns] == [(None, 0), (0, 0), (1, 0), (None, 26), (28, 0), (29, 0)]
    assert {recurrent(1, "…"), recurrent("…", 28)} <= picture.edges()
    assert "… 26 steps …" in [n.text[0].text for n in picture.notes]


def test_window_of_steps():
    picture = draw(rnn_tape(30), steps=range(5, 8)).diagram
    assert {recurrent("…", 5), recurrent(5, 6), recurrent(6, 7), recurrent(7, "…")} <= picture.edges()
    assert [c.elided for c in picture.columns] == [5, 0, 0, 0, 22]


def test_user_cell_with_two_delays_on_a_ragged_chain():
    tape = delayed_tape()
    assert edges(tape, view="folded") == {("x", "h", "U", 0), ("h", "h", "W_1", 1), ("h", "h", "W_3", 3)}
    found = edges(tape)
    for t in range(9):
        assert (f"x({t})", f"h({t})", "U", 0) in found
        if t >= 1:
            assert (f"h({t - 1})", f"h({t})", "W_1", 0) in found
        if t >= 3:
            assert (f"h({t - 3})", f"h({t})", "W_3", 0) in found
    assert {("h", "h(0)", "W_1, W_3", 0), ("h", "h(1)", "W_3", 0), ("h", "h(2)", "W_3", 0)} <= found
    assert len(found) == 9 + 8 + 6 + 3


def test_delay_square_says_how_long():
    dot = draw(delayed_tape(), view="folded").dot
    assert dot.count("class=delay") == 2
    assert ">3</FONT>" in dot


def test_two_delays_into_a_gap():
    found = edges(delayed_tape(ts.Chain(20), steps=20), steps=8)
    assert {(f"h({t})", "h(…)", "W_3", 0) for t in (1, 2)} <= found  # read by steps 4 and 5, which are left out
    assert ("h(3)", "h(…)", "W_1, W_3", 0) in found


def test_pre_activations_are_part_of_their_unit():
    assert not any(v.text.startswith("a") for v in draw(rnn_tape(3)).diagram.vertices)
    assert sum(v.text == "a = +" for v in draw(rnn_tape(3), detail="ops").diagram.vertices) == 3


def test_ops_shows_every_primitive_with_its_shape():
    tape = rnn_tape(3)
    picture = draw(tape, detail="ops").diagram
    drawn = {v.node for v in picture.vertices}
    assert drawn == set(range(len(tape)))
    assert all(v.note == "×".join(map(str, tape.shape(v.node))) or v.note == "scalar" for v in picture.vertices)
    readers = {v.id: v.node for v in picture.vertices}
    pairs = sorted((readers[e.source], readers[e.target]) for e in picture.links)
    assert pairs == sorted((j, i) for i in range(len(tape)) for j in tape.inputs(i))
    aliases = [v for v in picture.vertices if v.text == "W"]
    assert [v.column for v in aliases] == sorted({v.column for v in picture.vertices if v.text == "h = tanh"})


def test_folded_ops_hold_no_number_of_a_step():
    picture = draw(rnn(), view="folded", detail="ops").diagram
    assert [v.text for v in picture.vertices].count("[t]") == 2
    assert sum(e.delay for e in picture.links) == 1


def test_up_to_a_tensor():
    r, net = rng(), rnn()
    with ts.Tape() as tape:
        x = ts.tensor(r.normal(size=(4, 2, 4)).astype("f"), "x")
        unfolded = net.unfold(x)
        middle = unfolded.state(1)
    assert len(draw(middle).diagram.columns) == 3  # the initial state and steps 0, 1
    assert texts(middle) == ["h(0)", "h(1)", "h(−1)", "x(0)", "x(1)"]
    assert "o(3)" in texts(tape)


def test_many_to_one_with_context_and_learned_start():
    r = rng()
    W, U = ts.Parameter(r.normal(size=(3, 3)), "W"), ts.Parameter(r.normal(size=(3, 4)), "U")
    R, V = ts.Parameter(r.normal(size=(3, 2)), "R"), ts.Parameter(r.normal(size=(2, 3)), "V")
    with ts.Tape() as tape:
        x, c = ts.tensor(r.normal(size=(3, 2, 4)), "x"), ts.tensor(r.normal(size=(2, 2)), "c")

        def step(x_t, h):
            h = ts.tanh(ts.linear(h, W) + ts.linear(x_t, U) + ts.linear(c, R))
            return h, h

        last = ts.unfold(step, ts.Chain(3), x, ts.Parameter(np.zeros((2, 3)), "h0")).final
        ts.cross_entropy(ts.linear(last, V).named("o"), ts.tensor(np.array([0, 1]))).named("L")
    found = edges(tape)
    assert {("c", f"h({t})", "R", 0) for t in range(3)} <= found
    assert {("h0", "h(0)", "W", 0), ("h(2)", "o(2)", "V", 0), ("o(2)", "L(2)", "", 0), ("y(2)", "L(2)", "", 0)} <= found
    assert len(found) == 3 + 3 + 3 + 3


def test_bidirectional_shares_its_inputs():
    r = rng()
    W, U = ts.Parameter(r.normal(size=(3, 3)), "W"), ts.Parameter(r.normal(size=(3, 4)), "U")

    def forwards(x, h):
        h = ts.tanh(ts.linear(h, W) + ts.linear(x, U)).named("h")
        return h, h

    def backwards(x, g):
        g = ts.tanh(ts.linear(g, W) + ts.linear(x, U)).named("g")
        return g, g

    with ts.Tape() as tape:
        x, start = ts.tensor(r.normal(size=(3, 2, 4)), "x"), np.zeros((2, 3))
        a = ts.unfold(forwards, ts.Chain(3), x, start)
        b = ts.unfold(backwards, ts.Chain(3).reversed(), x, start)
        for t in range(3):
            (a.output(t) + b.output(t)).named("o")
    found = edges(tape)
    wanted = {(f"x({t})", f"{s}({t})", "U", 0) for t in range(3) for s in "hg"}
    wanted |= {(f"{s}({t})", f"o({t})", "", 0) for t in range(3) for s in "hg"}
    wanted |= {(f"h({a})", f"h({b})", "W", 0) for a, b in (("−1", 0), (0, 1), (1, 2))}
    wanted |= {(f"g({a})", f"g({b})", "W", 0) for a, b in ((3, 2), (2, 1), (1, 0))}
    assert found == wanted
    assert {("h", "h", "W", 1), ("g", "g", "W", -1)} <= edges(tape, view="folded")
    starts = {v.text: v.column for v in draw(tape).diagram.vertices if v.role == "initial"}
    assert starts == {"h(−1)": 0, "g(3)": 4}


def test_detach_is_a_cut():
    net, r = rnn(), rng()
    with ts.Tape() as tape:
        x = ts.tensor(r.normal(size=(4, 2, 4)).astype("f"), "x")
        h = ts.zeros((2, 3))
        for t in range(4):
            h, _ = net(x[t], h.detach() if t == 2 else h)
    picture = draw(tape).diagram
    texts_of = {v.id: v.text for v in picture.vertices}
    assert [(texts_of[e.source], texts_of[e.target]) for e in picture.links if e.cut] == [("h(1)", "h(2)")]


def test_tree_is_figure_10_14():
    net = ts.nn.RecursiveNet(4, 3, 2, rng=rng())
    with ts.Tape() as tape:
        net.loss(ts.Tree.from_brackets("((a b) (c d))"), rng().normal(size=(4, 1, 4)).astype("f"), np.array([1]))
    wanted = {(f"x({i})", f"h({i})", "V", 0) for i in range(4)}
    wanted |= {("h(0)", "h(4)", "U", 0), ("h(1)", "h(4)", "W", 0), ("h(2)", "h(5)", "U", 0), ("h(3)", "h(5)", "W", 0)}
    wanted |= {
        ("h(4)", "h(6)", "U", 0),
        ("h(5)", "h(6)", "W", 0),
        ("h(6)", "o", "V_o", 0),
        ("o", "L", "", 0),
        ("y", "L", "", 0),
    }
    assert edges(tape) == wanted
    leaves = [v.x for t in range(4) for v in draw(tape).diagram.vertices if v.text == f"h({t})"]
    assert leaves == sorted(leaves)  # left to right


def test_bare_tape_without_cells():
    with ts.Tape() as tape:
        a = ts.tensor(np.ones((2, 3), "f"), "a")
        z = ts.tanh(ts.linear(a, ts.Parameter(np.ones((4, 3), "f"), "W"))).named("z")
        ts.sum(z * z)
    assert edges(tape) == {("a", "z", "W", 0), ("z", "Σ", "", 0)}
    assert edges(tape, detail="ops") >= {("A·Bᵀ", "z = tanh", "", 0), ("⊙", "Σ", "", 0), ("W", "A·Bᵀ", "", 0)}


def test_cell_whose_sizes_cannot_be_guessed():
    class Odd(ts.nn.Cell):
        name = "odd"

        def step(self, x, h):
            h = ts.tanh(x + h)
            return h, h

    with pytest.raises(ts.TinyseqError, match=r"initial_state\(batch\)"):
        draw(Odd())
    with pytest.raises(ts.TinyseqError, match=r"inputs=array"):
        draw(Odd(), state=np.zeros((2, 3)))
    assert edges(Odd(), view="folded", inputs=np.zeros((2, 3)), state=np.zeros((2, 3))) == {
        ("x", "h", "", 0), ("h", "h", "", 1),
    }  # fmt: skip
