"""Rows of a step: gates of one input in one row, what is read far above near its reader; trunks are drawn once."""

from __future__ import annotations

import re

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


def test_what_is_left_of_a_line_runs_on_and_never_back():
    trunks = Trunks()
    short = curves.stepped((0, 0), (0, 90), (40, 90), (40, 120), radius=5)
    long = curves.stepped((0, 0), (0, 130), (40, 130), (40, 160), radius=5)
    trunks.rest(short)
    ys = [y for _, y in trunks.rest(long)]
    assert ys[0] == pytest.approx(85) and ys == sorted(ys)


def test_a_cut_line_begins_where_it_leaves_the_full_one():
    """The log of a forget gate is read with its gradient and without: the piece in common is full, the rest dashed."""
    picture = draw(NETS["SLSTMCell"](3), detail="units")
    pieces = {"full": set(), "dashed": set()}
    for line in re.findall(r"<path[^>]*/>", picture.svg):
        d = re.search(r' d="M([^"C]+)C([^"]+)"', line)
        if d and 'fill="none"' in line:
            points = [tuple(map(float, p.split(","))) for p in (d[1] + " " + d[2]).split()]
            kind = "dashed" if "dasharray" in line else "full"
            for a, b in zip(points[::3], points[3::3], strict=False):
                pieces[kind] |= {tuple(round((u * (9 - k) + w * k) / 9) for u, w in zip(a, b, strict=True))
                                 for k in range(1, 9)}  # fmt: skip
    assert pieces["dashed"]
    crossings = len(pieces["full"] & pieces["dashed"])
    assert crossings < 0.03 * len(pieces["dashed"]), crossings
