"""Arrows over many columns: clear of the nodes they pass, and names that overlap nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.viz import draw
from tinyseq.viz.placing import arrow_names, curves


def picture(T, delays=(1, 10)):
    cell = ts.nn.SkipCell(2, 3, delays=delays, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        cell.encode(np.zeros((T, 1, 2), np.float32))
    return draw(tape).diagram


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5


def box(v):
    return v.x - v.width / 2, v.y - v.height / 2, v.x + v.width / 2, v.y + v.height / 2


LENGTHS = [(5, (1, 10)), (12, (1, 10)), (40, (1, 10)), (40, (2, 3)), (13, (11,)), (60, (1, 2, 4, 8, 16))]


@pytest.mark.parametrize(("T", "delays"), LENGTHS)
def test_no_arrow_runs_through_a_node(T, delays):
    diagram = picture(T, delays)
    for link in diagram.links:
        ends = {link.source, link.target}
        points = [curves.bezier(link.path[:4], k / 200) for k in range(201)]
        for v in diagram.vertices:
            if v.id in ends:
                continue
            inside = [p for p in points if np.hypot(p[0] - v.x, p[1] - v.y) < v.width / 2]
            assert not inside, (diagram.vertex(link.source).text, diagram.vertex(link.target).text, v.text)


@pytest.mark.parametrize(("T", "delays"), LENGTHS)
def test_names_of_arrows_overlap_neither_each_other_nor_nodes(T, delays):
    diagram = picture(T, delays)
    named = [(e.label, arrow_names._box(e.label_at, arrow_names.width(e))) for e in diagram.links if e.label_at]
    assert len(named) > 4
    assert not [(a, b) for (a, one), (b, two) in combinations(named, 2) if overlap(one, two)]
    assert not [(a, v.text) for a, one in named for v in diagram.vertices if overlap(one, box(v))]


def test_every_long_arrow_into_a_step_is_named_where_it_ends():
    diagram = picture(40)
    at = {v.id: v for v in diagram.vertices}
    long = [e for e in diagram.links if e.label == ("W_10",) and at[e.target].role != "ellipsis"]
    assert ("h(…)", "h(39)") in {(at[e.source].text, at[e.target].text) for e in long}
    for e in long:
        b = at[e.target]
        assert abs(e.label_at[0] - b.x) < 60 and 0 < b.y - e.label_at[1] < b.height
    assert all(e.label_at for e in diagram.links if "W_1" in e.label or "U" in e.label)
    edges = [(e.source, e.target) for e in diagram.links]
    assert len(set(edges)) == len(edges)  # two delays out of one gap are one arrow with two names
    assert ("h(…)", "h(35)", "W_1, W_10", 0) in diagram.edges()
