"""Folded graphs of tapes with several cells: each cell has its own typical step, and what joins them is drawn."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tests.viz import own_nets, package_nets
from tests.viz.geometry import problems
from tinyseq.viz import draw


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
