"""Trees over the outputs of chains: strips of columns below, the tree over them, lines from one to the other."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.geometry import problems
from tests.viz.own_nets import NETS
from tests.viz.untried_nets import NETS as UNTRIED
from tinyseq.viz import draw

DETAILS = ("cell", "units", "ops", "box")


def direct(T, backwards=False):
    """A loop that joins neighbours: positions read states of the chain at once, without anything between."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 3, rng=rng)
    U, W = (ts.Parameter(rng.normal(size=(3, 3)).astype(np.float32), name) for name in "UW")

    class Merge(ts.nn.Cell):
        name = "merge"

        def step(self, left, right):
            return ts.tanh(ts.linear(left, U) + ts.linear(right, W)).named("m"), None

    merge = Merge()
    with ts.Tape() as tape:
        x = ts.tensor(rng.normal(size=(T, 1, 3)).astype(np.float32), "x")
        states = ts.unfold(cell, ts.Chain(T, backwards=backwards), x, cell.initial_state(1)).outputs
        level = [states[t] for t in range(T)]
        while len(level) > 1:
            rest = level[len(level) // 2 * 2 :]
            level = [merge(a, b)[0] for a, b in zip(level[::2], level[1::2], strict=False)] + rest
    return tape


@pytest.mark.parametrize("T", [2, 3, 5, 8])
def test_every_edge_of_the_graph_is_drawn(T):
    found = draw(NETS["two_directions_into_a_tree"](T)).diagram
    edges = {(a, b, names) for a, b, names, _ in found.edges()}
    for t in range(T):
        assert {(f"x({t})", f"h1({t})", "U"), (f"x({t})", f"g({t})", "U")} <= edges
        assert {(f"h1({t})", "x", ""), (f"g({t})", "x", ""), ("x", f"h2({t})", "V")} <= edges
    tree = ts.Tree.balanced(T)
    inner = {(a, b) for a, b, names in edges if names in ("U", "W") and a.startswith("h2") and b.startswith("h2")}
    assert len(inner) == 2 * (T - 1) == len(tree) - 1


def test_the_tree_stands_over_the_chains_and_is_named():
    found = draw(NETS["two_directions_into_a_tree"](4)).diagram
    assert list(found.strips.values()) == ["rnn →", "← rnn", "recursive"]
    below = [v.y for v in found.vertices if v.column is not None]
    over = [v.y for v in found.vertices if v.position is not None]
    assert max(below) < min(over)
    titles = {"".join(r.text for r in n.text): n.y for n in found.notes}
    assert titles["rnn →"] < titles["← rnn"] < titles["recursive"]


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("make", [NETS["two_directions_into_a_tree"], direct, lambda T: direct(T, backwards=True)])
def test_nothing_lies_on_anything(make, detail):
    for T in (3, 4, 7, 40):
        tape = make(T)
        assert not problems(draw(tape, detail=detail).diagram, tape), T


def test_leaves_that_read_states_at_once_have_lines_of_their_own():
    found = draw(direct(4)).diagram
    edges = {(a, b, names) for a, b, names, _ in found.edges()}
    assert {("h(0)", "m(0)", "U"), ("h(1)", "m(0)", "W"), ("h(2)", "m(1)", "U"), ("h(3)", "m(1)", "W")} <= edges
    assert {("m(0)", "m(2)", "U"), ("m(1)", "m(2)", "W")} <= edges


def test_a_chain_over_a_tree_is_drawn_too():
    """What a tree has made is the first state of a chain: the tree does not stand over it."""
    rng = np.random.default_rng(0)
    tree, cell = ts.nn.RecursiveNet(3, 3, 2, rng=rng), ts.nn.RNNCell(3, 3, rng=rng)
    with ts.Tape() as tape:
        root = tree.unfold(ts.Tree.balanced(3), rng.normal(size=(3, 3)).astype(np.float32)).roots
        x = ts.tensor(rng.normal(size=(4, 1, 3)).astype(np.float32), "x")
        ts.unfold(cell, ts.Chain(4), x, root)
    for detail in DETAILS:
        for view in ("folded", "unfolded"):
            assert draw(tape, view=view, detail=detail).svg


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize(
    "name", ["tree_into_chain", "tree_over_directions_with_readout", "tree_lstm_into_lstm", "tree_as_context"]
)
def test_a_tree_that_chains_start_from_stands_in_a_strip_of_its_own(name, detail):
    for T in (1, 2, 3, 40):
        tape = UNTRIED[name](T)
        diagram = draw(tape, detail=detail).diagram
        assert not problems(diagram, tape), T
        assert T == 1 or (diagram.columns and diagram.tree and len(diagram.strips) > 1)


def test_a_tree_hangs_under_the_first_state_of_the_chain_that_it_starts():
    diagram = draw(UNTRIED["tree_into_chain"](3)).diagram
    at = {v.text: v for v in diagram.vertices}
    root, first = at["h(6)"], at["d(0)"]
    into = next(e for e in diagram.links if (e.source, e.target) == (root.id, first.id))
    assert into.label == ("W_d",) and abs(into.tip[1] - first.y) < 0.5 and into.tip[0] < first.x  # level, as any state
    assert root.y < min(v.y for v in diagram.vertices if v.strip == "writer") and root.x < first.x
    context = draw(UNTRIED["tree_as_context"](3)).diagram
    into = [e for e in context.links if context.vertex(e.source).text == "h(6)"]
    assert {context.vertex(e.target).text for e in into} == {"d(0)", "d(1)", "d(2)"}
