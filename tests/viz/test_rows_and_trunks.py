"""Rows of a step: gates of one input in one row, what is read far above near its reader; trunks are drawn once."""

from __future__ import annotations

import pytest

from tests.viz import own_nets, package_nets
from tinyseq.viz import draw
from tinyseq.viz.output.trunks import Trunks
from tinyseq.viz.placing import curves

NETS = {**package_nets.NETS, **own_nets.NETS}


@pytest.mark.parametrize("name", ["LSTM", "Stack"])
def test_gates_stand_in_one_row_and_their_input_under_their_middle(name):
    at = {v.name: v for v in draw(NETS[name](3), view="folded").diagram.vertices}
    gates = [at[n] for n in "fgq"]
    assert len({round(v.y, 3) for v in gates}) == 1
    source = at["x" if name == "LSTM" else "h1"]
    assert min(v.x for v in gates) < source.x < max(v.x for v in gates)


def test_what_is_read_far_above_stands_near_its_reader():
    found = draw(NETS["MemoryCell"](3), view="folded", detail="units").diagram
    at = {v.id: v for v in found.vertices}
    rows = sorted({round(v.y) for v in found.vertices})
    far = [e for e in found.links if not e.delay and at[e.source].text in ("softmax", "σ", "ζ")]
    assert max(rows.index(round(at[e.target].y)) - rows.index(round(at[e.source].y)) for e in far) <= 6


def test_a_piece_in_common_is_drawn_once():
    trunks = Trunks()
    one = curves.stepped((0, 0), (0, 50), (40, 50), (40, 80), radius=5)
    two = curves.stepped((0, 0), (0, 50), (90, 50), (90, 80), radius=5)
    assert trunks.rest(one) == one
    assert trunks.rest(two)[0] == pytest.approx((35, 50))
    assert trunks.rest(one) == []
    assert trunks.rest(two, "another look") == two
