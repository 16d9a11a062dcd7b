"""A cell unfolded several times on one tape: each time anew it is a strip of its own, going on it is one chain."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.geometry import problems
from tests.viz.own_nets import B, F, H, data
from tests.viz.untried_nets import NETS
from tinyseq import nn
from tinyseq.unfolding.folding import handles
from tinyseq.viz import draw


def cell() -> nn.RNNCell:
    return nn.RNNCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)


def columns(diagram) -> dict[str, set]:
    """Strip → the time steps of its states."""
    found: dict[str, set] = {}
    for v in diagram.vertices:
        if v.role == "state":
            found.setdefault(v.strip, set()).add(diagram.columns[v.column].step)
    return found


@pytest.mark.parametrize("view", ["unfolded", "folded"])
def test_two_sequences_read_by_one_cell_are_two_chains(view):
    diagram = draw(NETS["siamese"](4), view=view).diagram
    assert list(diagram.strips.values()) == ["gru 1 →", "gru 2 →"]
    data_of = {v.strip: v.name for v in diagram.vertices if v.role == "data"}
    assert data_of == {"gru 1": "x", "gru 2": "z"}
    if view == "unfolded":
        assert columns(diagram) == {"gru 1": {0, 1, 2, 3}, "gru 2": {0, 1, 2, 3}}
        starts = {v.text for v in diagram.vertices if v.role == "initial"}
        assert starts == {"h1(−1)", "h2(−1)"}
    else:
        assert diagram.repeats == 4


def test_chains_of_different_lengths_and_a_cell_opened_by_its_own_name():
    net = cell()
    with ts.Tape() as tape:
        for steps in (5, 2, 1):
            ts.unfold(net, ts.Chain(steps), data(steps), net.initial_state(B))
    diagram = draw(tape, opened="rnn", detail="box").diagram
    assert columns(diagram) == {"rnn 1": set(range(5)), "rnn 2": {0, 1}, "rnn 3": {0}}
    assert not problems(diagram, tape)
    assert {v.role for v in draw(tape, detail="box").diagram.vertices} == {"box", "data", "initial"}


@pytest.mark.parametrize("cut", [False, True])
def test_what_goes_on_from_where_it_was_is_one_chain(cut):
    net = cell()
    with ts.Tape() as tape:
        h = net.initial_state(B)
        for _ in range(3):
            h = ts.unfold(net, ts.Chain(2), data(2), h).final
            h = h.detach() if cut else h
    diagram = draw(tape).diagram
    assert columns(diagram) == {"rnn": set(range(6))} and not diagram.strips


def test_a_batch_recorded_sequence_by_sequence_stays_one_row():
    net = cell()
    with ts.Tape() as tape:
        for _ in range(9):
            ts.unfold(net, ts.Chain(2), data(2), net.initial_state(B))
    assert not draw(tape).diagram.strips


def test_overlays_and_gradients_know_the_nodes_of_every_run():
    tape = NETS["siamese"](3)
    tape.backward(handles(tape, [len(tape) - 1])[0])
    for overlay in ("value", "gradient", "bytes", "levels"):
        diagram = draw(tape, overlay=overlay).diagram
        assert all(v.measure is not None for v in diagram.vertices if v.role == "state"), overlay
    assert draw(tape, overlay="share", of="W").svg
