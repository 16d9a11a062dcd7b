"""Folded graphs of tapes with several cells: each cell has its own typical step, and what joins them is drawn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import tinyseq as ts
from tests.viz import own_nets, package_nets
from tests.viz.geometry import problems
from tests.viz.untried_nets import NETS
from tinyseq.viz import draw
from tinyseq.viz.placing import arrow_names


def edges(tape, **options):
    return draw(tape, view="folded", **options).diagram.edges()


def encoder_decoder(source, target):
    rng = np.random.default_rng(0)
    net = ts.nn.EncoderDecoder(ts.nn.RNNCell(3, 4, rng=rng), 3, 4, rng=rng)
    with ts.Tape() as tape:
        net.loss(rng.normal(size=(source, 1, 3)).astype(np.float32), rng.integers(0, 3, (target, 1)))
    return tape


def test_a_context_joins_encoder_and_decoder():
    wanted = {("h1", "h2", "R", 0), ("h1", "o", "Q", 0)}
    wanted |= {("h1", "h1", "W", 1), ("h2", "h2", "W", 1), ("y", "h2", "U", 1)}
    for lengths in ((3, 3), (3, 9), (9, 2), (30, 4)):
        assert edges(encoder_decoder(*lengths)) >= wanted, lengths
    short = {("C", "h", "R", 0), ("C", "o", "Q", 0), ("h", "h", "W", 1), ("y", "h", "U", 1)}
    assert edges(encoder_decoder(1, 5)) >= short  # the only state of the encoder is the context


def test_what_gathers_all_steps_is_drawn_with_what_it_gathers():
    assert edges(own_nets.NETS["attention_loop"](3)) >= {("h", "K", "", 0), ("K", "α", "", 0), ("K", "C", "", 0)}
    boxes = edges(own_nets.NETS["attention_loop"](3), detail="box")
    assert boxes >= {("rnn", "K", "", 0), ("K", "decoder", "", 0)}
    assert ("lstm", "decoder", "", 0) in edges(package_nets.NETS["EncoderDecoder, attention"](3), detail="box")


def test_cells_of_one_tape_are_chains_and_trees_each_for_itself():
    found = edges(own_nets.NETS["two_directions_into_a_tree"](3))
    assert found >= {("h1", "h1", "W", 1), ("g", "g", "W", -1), ("h2", "h2", "U", 1), ("h2", "h2", "W", 1)}
    assert found >= {("h1", "x", "", 0), ("g", "x", "", 0), ("x", "h2", "V", 0)}


def test_a_layer_that_reads_the_layer_below_one_step_late():
    rng = np.random.default_rng(0)
    lower, upper = (ts.nn.RNNCell(3, 3, rng=rng) for _ in range(2))
    lower.name, upper.name = "lower", "upper"
    with ts.Tape() as tape:
        below = above = ts.tensor(np.zeros((1, 3), np.float32), "h")
        for x in rng.normal(size=(5, 1, 3)).astype(np.float32):
            before = below
            below, _ = lower(ts.tensor(x, "x"), below)
            above, _ = upper(before, above)
    assert ("h1", "h2", "U", 1) in edges(tape)
    assert not problems(draw(tape, view="folded").diagram, tape)


def test_among_primitives_leaves_and_inner_nodes_stand_for_themselves():
    """No op seems to read more than it does: a child's state comes from a leaf below or, late, from an inner node."""
    trees = ["RecursiveNet", "RNTN", "TreeLSTM", "ChildSumTreeLSTM"]
    for name in [*trees, "two_directions_into_a_tree"]:
        tape = {**package_nets.NETS, **own_nets.NETS}[name](3)
        diagram = draw(tape, view="folded", detail="ops").diagram
        assert not problems(diagram, tape)
        at = {v.id: v for v in diagram.vertices}
        for v in diagram.vertices:
            read = {(tape.node(at[e.source].node).name or e.source) for e in diagram.links if e.target == v.id}
            assert len(read) <= len(tape.inputs(v.node)) or v.text == "[t]", (name, v.text, read)
        assert {"leaf", "inner node"} <= {"".join(r.text for r in n.text) for n in diagram.notes}
    edges_of = edges(package_nets.NETS["RecursiveNet"](3), detail="ops")
    for product in ("U", "W"):
        assert (product, "A·Bᵀ", "", 0) in edges_of
    late = {e for e in edges_of if e[3]}
    assert late == {("h = tanh", "A·Bᵀ", "", 1)} and ("h = tanh", "A·Bᵀ", "", 0) in edges_of


def test_a_loss_of_a_batch_and_its_mean_under_one_name_are_one():
    tape = package_nets.NETS["ManyToOne"](3)
    for view in ("folded", "unfolded"):
        found = draw(tape, view=view).diagram
        assert sum(v.name == "L" for v in found.vertices) == 1
        loss = next(v for v in found.vertices if v.name == "L")
        assert {v.name for v in found.vertices for e in found.links if (e.source, e.target) == (v.id, loss.id)} == {
            "o", "y"}  # fmt: skip
        assert next(v for v in found.vertices if v.name == "y").y > loss.y  # as in the book


def test_late_states_rise_past_each_other_without_a_detour():
    """r₁ and r₂ are read by h alone: each comes along its own height and turns up into h once."""
    diagram = draw(own_nets.NETS["memory_with_two_heads"](3)).diagram
    at = {v.id: v for v in diagram.vertices}
    late = [e for e in diagram.links if at[e.source].role == "initial" and at[e.source].name in ("r1", "r2")]
    assert len(late) == 2
    for e in late:
        ys = [y for _, y in e.path]
        assert min(np.diff(ys)) > -0.5 and abs(min(ys) - at[e.source].y) < 0.5


def test_a_chain_that_starts_from_another_says_so():
    """The root of a tree, the last state of an encoder: what the first step alone reads is an arrow of its own."""
    tree = NETS["tree_into_chain"](3)
    assert edges(tree) >= {("h", "d", "start", 0), ("d", "d", "W_d", 1), ("h", "h", "U", 1)}
    assert ("recursive", "writer", "start", 0) in edges(tree, detail="box")
    beams = edges(NETS["beam"](3))
    assert {("h1", f"h{n}", "start", 0) for n in (2, 3, 4)} <= beams
    assert sum(label == "start" for *_, label, _ in beams) == 3
    for name in ("tree_into_chain", "beam", "translator"):
        tape = NETS[name](4)
        for detail in ("cell", "units", "ops", "box"):
            assert not problems(draw(tape, view="folded", detail=detail).diagram, tape)


def test_a_folded_tree_names_the_weights_of_each_child():
    for view in ("folded", "unfolded"):
        found = draw(package_nets.NETS["TreeLSTM"](3), view=view).diagram
        assert {"f1", "f2"} <= {v.name for v in found.vertices} and "f" not in {v.name for v in found.vertices}
        at = {v.id: v for v in found.vertices}
        read = {(",".join(e.label), at[e.target].name) for e in found.links if at[e.source].name == "z"}
        assert {("W_f1", "f1"), ("W_f2", "f2")} <= read
        assert {v.name for v in found.vertices if v.name[0] in "hs"} == {"h", "s"}  # leaves and inner nodes alike


def test_encoder_of_two_directions_and_decoder_are_strips_of_their_own():
    """What gathers both directions joins the decoder to them: none stands among the rows of another."""
    for detail in ("cell", "box"):
        diagram = draw(NETS["translator"](3), view="folded", detail=detail).diagram
        spans = {}
        for v in diagram.vertices:
            low, high = spans.get(v.strip, (v.y, v.y))
            spans[v.strip] = min(low, v.y), max(high, v.y)
        order = sorted(spans, key=lambda strip: spans[strip])
        assert order[-1] == "decoder" and len(order) == 3
        for a, b in pairwise(order):
            assert spans[a][1] < spans[b][0]


def test_a_total_needs_no_number_beside_what_it_is_the_total_of():
    diagram = draw(NETS["variational"](3)).diagram
    assert {v.text for v in diagram.vertices if v.name == "L"} == {"L", "L(0)", "L(1)", "L(2)"}


def test_words_stand_under_what_the_tree_reads_alone():
    diagram = draw(NETS["tree_into_chain"](3)).diagram
    assert {diagram.vertex(i).name for i in diagram.words} == {"x"}
    assert sorted(diagram.words.values()) == ["cat", "on", "sat", "the"]


def test_the_name_of_a_late_arrow_stands_clear_of_the_number_in_its_square():
    for make, view in ((package_nets.NETS["SkipCell"], "folded"), (package_nets.NETS["Bidirectional"], "folded")):
        numbered = [e for e in draw(make(3), view=view).diagram.links if e.lateness]
        assert numbered
        for e in numbered:
            apart = abs(e.label_at[0] - e.square[0]) - arrow_names.width(e) / 2 - e.side / 2
            assert apart > 3.0


def test_the_mask_of_an_attention_is_no_second_input():
    for view in ("folded", "unfolded"):
        found = draw(package_nets.NETS["EncoderDecoder, attention"](3), view=view).diagram
        assert {v.name for v in found.vertices if v.role == "data"} == {"x", "y", "m"}
