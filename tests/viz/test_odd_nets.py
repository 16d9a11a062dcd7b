"""Nets that nobody would draw by hand come out whole: in every view, detail and format, beside others, as pages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.geometry import problems
from tests.viz.odd_nets import NETS
from tinyseq.viz import draw

VIEWS = [(view, detail) for view in ("unfolded", "folded") for detail in ("cell", "units", "ops", "box")]


@pytest.mark.parametrize("name", NETS)
def test_every_view_and_detail(name):
    tape = NETS[name](5)
    for view, detail in VIEWS:
        found = problems(draw(tape, view=view, detail=detail).diagram, tape)
        assert not found, (view, detail, found)


@pytest.mark.parametrize("name", NETS)
def test_every_format_and_page(name, tmp_path):
    tape = NETS[name](4)
    picture = draw(tape, title=f"{name} <&>")
    ET.fromstring(picture.svg)
    assert picture.png.startswith(b"\x89PNG") and picture.pdf.startswith(b"%PDF")
    assert picture.dot.startswith("digraph") and picture.dot.count("{") == picture.dot.count("}")
    for ending in ("tex", "dot", "svg", "png", "pdf"):
        draw(tape, tmp_path / f"a.{ending}")
    assert r"\end{tikzpicture}" in (tmp_path / "a.tex").read_text()
    tape.to_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") >= 1 and not re.search(r"(?:src|href)=\"https?:", text)


@pytest.mark.parametrize("name", NETS)
def test_print_has_no_dark_fills(name):
    for detail in ("cell", "ops"):
        svg = draw(NETS[name](3), detail=detail, theme="print").svg
        fills = set(re.findall(r'<(?:polygon|ellipse|path)[^>]* fill="(#[0-9a-f]{6})"', svg))
        delays = set(re.findall(r'class="node delay".*?fill="(#[0-9a-f]{6})"', svg, re.DOTALL))
        heads = set(re.findall(r'<polygon fill="(#[0-9a-f]{6})" stroke="\1"', svg))
        for fill in fills - delays - heads:
            assert min(int(fill[k : k + 2], 16) for k in (1, 3, 5)) > 150, fill


def test_two_odd_nets_side_by_side():
    names = list(NETS)
    for one, two in pairwise(names):
        pair = {"left": NETS[one](3), "right": NETS[two](3)}
        diagram = draw(pair).diagram
        boxes = {}
        for v in diagram.vertices:
            left, right = v.x - v.width / 2, v.x + v.width / 2
            low, high = boxes.get(v.id[:3], (np.inf, -np.inf))
            boxes[v.id[:3]] = min(low, left), max(high, right)
        (_, end), (start, _) = sorted(boxes.values())
        assert end < start, (one, two)


@pytest.mark.parametrize("detail", ["cell", "units", "box"])
@pytest.mark.parametrize("view", ["unfolded", "folded"])
def test_data_that_more_ways_lead_to_than_can_be_walked_is_drawn(view, detail):
    """2⁶⁴ ways lead from a step back to the array that its input was made of; each node is looked at once."""
    rng = np.random.default_rng(0)
    W = ts.Parameter(rng.normal(size=(3, 3)), "W")
    with ts.Tape() as tape:
        x = ts.tensor(rng.normal(size=(4, 1, 3)))
        for _ in range(64):
            x = x + x
        u = ts.unfold(lambda x, h: (ts.tanh(x + h @ W),) * 2, ts.Chain(4), x, np.zeros((1, 3)))
        ts.sum(u.outputs**2)
    assert draw(tape, view=view, detail=detail).svg.count("<title>") > 3
