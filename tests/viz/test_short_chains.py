"""Chains shorter than a delay: the folded graph is that of a longer one, what stands before the first step is apart."""

from __future__ import annotations

import json

import pytest

import tinyseq as ts
from tests.viz import own_nets, package_nets, untried_nets
from tests.viz.geometry import problems
from tinyseq.viz import draw

NETS = {**package_nets.NETS, **own_nets.NETS, **untried_nets.NETS}
SHORT = {"SkipCell": 12, "delay_line": 6, "late_states_and_two_outputs": 5, "history_window": 5, "Bidirectional": 3}


@pytest.mark.parametrize("detail", ["cell", "units", "ops", "box"])
@pytest.mark.parametrize("name", SHORT)
def test_a_folded_graph_has_every_delayed_arrow_at_any_length(name, detail):
    def late(steps):
        tape = NETS[name](steps)
        diagram = draw(tape, view="folded", detail=detail).diagram
        assert not problems(diagram, tape)
        return {edge for edge in diagram.edges() if edge[3]}

    whole = late(SHORT[name])
    assert whole
    for steps in range(1, SHORT[name]):
        assert late(steps) == whole, steps


def test_every_weight_of_a_cell_is_named_at_one_step():
    found = draw(NETS["SkipCell"](1), view="folded").diagram.edges()
    assert {("h", "h", "W_1", 1), ("h", "h", "W_10", 10)} <= found
    found = draw(NETS["delay_line"](2), view="folded").diagram.edges()
    assert {("h", "h", f"W_{n}", n) for n in (1, 2, 4)} <= found


def test_time_that_runs_back_has_delays_below_zero():
    def step(x, states):
        near, far = states
        h = ts.tanh(x + near * own_nets.weight("a", 4) + far * own_nets.weight("b", 4)).named("h")
        return h, h

    for steps in (1, 2, 3, 5):
        with ts.Tape() as tape:
            x = own_nets.data(steps, 4)
            chain = ts.Chain(steps).reversed()
            ts.unfold(step, chain, x, own_nets.zeros("h")[0], delays=(1, 3))
        late = {e for e in draw(tape, view="folded").diagram.edges() if e[3]}
        assert late == {("h", "h", "a", -1), ("h", "h", "b", -3)}, steps


def test_a_state_read_in_place_of_several_bears_no_time_and_several_stand_apart():
    first = next(v for v in draw(NETS["SkipCell"](3)).diagram.vertices if v.role == "initial")
    assert first.text == "h"  # h(−1) for W_1, h(−10) for W_10
    tape = NETS["history_window"](3)
    for detail in ("cell", "units", "ops"):
        diagram = draw(tape, detail=detail).diagram
        assert not problems(diagram, tape)
        starts = sorted((v for v in diagram.vertices if v.role == "initial"), key=lambda v: v.x)
        assert [v.name for v in starts] == ["h2", "h1", "h"]  # the longest ago comes first
        assert len({v.y for v in starts}) == 1


def test_reads_that_come_too_early_are_kept_with_a_tape():
    tape = NETS["delay_line"](3)
    delays = {tape.step[reader] - time for _, _, time, reader in tape.starts}
    assert delays == {4} and len(tape.starts) == 3
    again = ts.Tape.from_json(tape.to_json())
    assert again.starts == tape.starts
    old = json.loads(tape.to_json())
    old["starts"] = [start[:3] for start in old["starts"]]  # written before readers were named
    assert {start[3] for start in ts.Tape.from_json(json.dumps(old)).starts} == {-1}
