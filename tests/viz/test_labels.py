"""Labels: the book's typography, and names that try to break DOT, HTML-like labels, SVG or XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.viz import draw
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import ITALIC, SUB, UPRIGHT, Run

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    '<>&"|{}',
    "two\nlines",
    "\\N",
    "\\",
    'quote"\\',
    "\\\\G\\n",
    "<b>bold</b>",
    "<<TABLE>>",
    "&amp;&#60;",
    "a]]>b",
    "--><!--",
    "nul\x00 bell\x07 esc\x1b",
    "\ud800 lone",
    "\uffff",
    "日本語 ∂ℒ",
    "{a|b}",
    "; } digraph { x",
    "%1",
    " ",
    "x" * 300,
]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("h", [("h", ITALIC)]),
        ("W_hh", [("W", ITALIC), ("hh", SUB)]),
        ("h0", [("h", ITALIC), ("0", SUB)]),
        ("b_1", [("b", ITALIC), ("1", SUB)]),
        ("W'", [("W", ITALIC), ("′", UPRIGHT)]),
        ("w′", [("w", ITALIC), ("′", UPRIGHT)]),
        ("τ", [("τ", ITALIC)]),
        ("loss", [("loss", UPRIGHT)]),
        ("my_state", [("my_state", UPRIGHT)]),
        ("", [("", UPRIGHT)]),
    ],
)
def test_names_are_set_as_in_the_book(name, runs):
    assert labels.name(name) == tuple(Run(*run) for run in runs)


def test_subscripts_reach_the_picture():
    with ts.Tape() as tape:
        ts.linear(ts.tensor(np.ones((2, 3), "f"), "x"), ts.Parameter(np.ones((4, 3), "f"), "W_hh")).named("h")
    picture = draw(tape)
    assert re.search(r"<I>W</I><SUB><FONT[^>]*>hh</FONT></SUB>", picture.dot)
    texts = ["".join(t.itertext()) for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]
    assert "Whh" in texts  # one text, so that it is selected and found as one


def hostile_tape(name):
    with ts.Tape() as tape:
        a = ts.tensor(np.ones((2, 3)), name)
        w = ts.Parameter(np.ones((4, 3)), name)
        ts.sum(ts.tanh(ts.linear(a, w)).named(name)).named(name)
    return tape


def shown(name):
    return labels.shorten(labels.clean(name))


@pytest.mark.parametrize("detail", ["cell", "ops"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name, detail):
    picture = draw(hostile_tape(name), detail=detail)
    root = ET.fromstring(picture.svg)
    texts = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
    want = shown(name)
    named = [t for t in texts if t == want or t.startswith(f"{want} = ")]
    assert len(named) >= 3, texts
    assert len([g for g in root.iter(f"{SVG}g") if g.get("data-node", "").startswith("n")]) >= 3
    assert not root.findall(f".//{SVG}a") and not root.findall(f".//{SVG}script")
    assert picture.png.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_in_cells(name):
    class Cell(ts.nn.Cell):
        input_size, hidden_size = 2, 3

        def __init__(self):
            self.name = name
            self.W = ts.Parameter(np.ones((3, 3)), name)
            self.U = ts.Parameter(np.ones((3, 2)), name)

        def step(self, x, h):
            h = ts.tanh(ts.linear(h, self.W) + ts.linear(x, self.U)).named(name)
            return h, h

    for view in ("folded", "unfolded"):
        for detail in ("cell", "ops"):
            ET.fromstring(draw(Cell(), view=view, detail=detail).svg)


@pytest.mark.parametrize("name", HOSTILE)
def test_dot_reads_back_as_written(name):
    """Graphviz itself parses the text again: same nodes, and the tooltip is the name."""
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = pygraphviz.AGraph(string=draw(hostile_tape(name), detail="ops").dot)
    tips = [graph.get_node(n).attr["tooltip"].replace("\\\\", "\\") for n in graph.nodes() if n.startswith("n")]
    assert sum(tip.startswith(labels.clean(name)) for tip in tips if not tip.isspace()) >= 3


def test_clean_leaves_nothing_that_xml_forbids():
    text = labels.clean("".join(map(chr, [*range(0x300), 0xD800, 0xFFFE, 0xFFFF])))
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 and not 0xD800 <= ord(c) < 0xE000 for c in text)
    ET.fromstring("<a>" + text.replace("&", "&amp;").replace("<", "&lt;") + "</a>")
