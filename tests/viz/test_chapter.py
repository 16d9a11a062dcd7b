"""The figures of chapter 10 against a table of what they show: which nodes, which arrows, which of them late."""

from __future__ import annotations

import html
import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tinyseq.errors import TinyseqError
from tinyseq.viz import chapter
from tinyseq.viz.chapter.gallery import equation_html
from tinyseq.viz.output.render import fingerprint

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = [n for n, f in chapter.FIGURES.items() if isinstance(f, chapter.Figure)]
T = ("t−1", "t", "t+1")


def read(number, by="label"):
    """{panel: (labels of nodes, {(source, target, delay): label of the arrow})} from the figure's JSON."""
    data = json.loads(chapter.figure(number).picture().json)
    panels = {}
    names = {n["id"]: n[by] for n in data["nodes"]}
    panel = {n["id"]: n["panel"] for n in data["nodes"]}
    for n in data["nodes"]:
        panels.setdefault(n["panel"], ([], {}))[0].append(n[by])
    for e in data["edges"]:
        assert panel[e["source"]] == panel[e["target"]]
        key = names[e["source"]], names[e["target"]], e["delay"]
        known = panels[panel[e["source"]]][1]
        assert key not in known, f"{key} is drawn twice"
        known[key] = e["label"]
    return {name: (sorted(nodes), edges) for name, (nodes, edges) in panels.items()}


def same(panel, wanted):
    """The panel has exactly the wanted arrows {(source, target[, delay]): label or None for any}, and their nodes."""
    nodes, edges = panel
    wanted = {(*key, 0) if len(key) == 2 else key: label for key, label in wanted.items()}
    assert edges.keys() == wanted.keys()
    assert {key: edges[key] for key, label in wanted.items() if label is not None} == {
        key: label for key, label in wanted.items() if label is not None
    }
    ends = {end for key in wanted for end in key[:2]}
    dots = [n for n in nodes if "…" in n]
    assert sorted(ends - set(dots)) == [n for n in nodes if "…" not in n]
    assert set(dots) == {e for e in ends if "…" in e}


def chain(name, label, steps=("…", *T, "…")):
    return {(f"{name}({a})", f"{name}({b})"): label for a, b in itertools.pairwise(steps)}


def column(t, **arrows):
    """x–U→h–V→o→L←y at one step."""
    wanted = {(f"x({t})", f"h({t})"): "U", (f"h({t})", f"o({t})"): "V"}
    return wanted | {(f"o({t})", f"L({t})"): "", (f"y({t})", f"L({t})"): ""}


def test_10_1():
    same(read("10.1")["unfolded"], chain("s", "f"))


def test_10_2():
    found = read("10.2")
    same(found["folded"], {("x", "h"): None, ("h", "h", 1): "f"})
    same(found["unfolded"], chain("h", "f") | {(f"x({t})", f"h({t})"): None for t in T})
    assert chapter.FIGURES["10.2"].between == "unfold"


FOLDED = {("x", "h"): "U", ("h", "o"): "V", ("o", "L"): "", ("y", "L"): ""}


def test_10_3():
    found = read("10.3")
    same(found["folded"], FOLDED | {("h", "h", 1): "W"})
    same(found["unfolded"], chain("h", "W") | column("t−1") | column("t") | column("t+1"))


def test_10_4():
    found = read("10.4")
    same(found["folded"], FOLDED | {("o", "h", 1): "W"})
    steps = ("…", *T, "…")
    late = {(f"o({a})", f"h({b})"): "W" for a, b in itertools.pairwise(steps)}
    same(found["unfolded"], late | column("t−1") | column("t") | column("t+1"))


def test_10_5():
    wanted = chain("h", "W", ("…", "t−1", "t", "…", "τ")) | {(f"x({t})", f"h({t})"): "U" for t in ("t−1", "t", "τ")}
    wanted |= {("h(τ)", "o(τ)"): "V", ("o(τ)", "L(τ)"): None, ("y(τ)", "L(τ)"): None}
    same(read("10.5")["unfolded"], wanted)


def test_10_6():
    found = read("10.6")
    same(found["train"], column("t−1") | column("t") | {("y(t−1)", "h(t)"): "W"})
    test = {(f"x({t})", f"h({t})"): "U" for t in T[:2]} | {(f"h({t})", f"o({t})"): "V" for t in T[:2]}
    same(found["test"], test | {("o(t−1)", "h(t)"): "W"})


def test_10_7():
    y = [f"y({t})" for t in (1, 2, 3, 4, 5, "…")]
    same(read("10.7")["unfolded"], {(y[i], y[j]): None for j in range(6) for i in range(j)})


def test_10_8():
    wanted = {}
    for t, after in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, "…")):
        wanted |= {(f"h({t})", f"h({after})"): None, (f"h({t})", f"y({after})"): None}
        wanted |= {(f"y({t})", f"h({t})"): None} if t else {}
    same(read("10.8")["unfolded"], wanted)


def test_10_9():
    wanted = chain("h", "W") | {("x", f"h({t})"): "R" for t in T} | {(f"h({t})", f"o({t})"): "V" for t in T}
    wanted |= {(f"o({t})", f"L({t})"): None for t in T}
    wanted |= {("y(t)", "L(t−1)"): None, ("y(t+1)", "L(t)"): None, ("y(t+2)", "L(t+1)"): None}
    wanted |= {("x", "h(…)"): "R"}
    wanted |= {("y(…)", "h(t−1)"): "U", ("y(t)", "h(t)"): "U", ("y(t+1)", "h(t+1)"): "U", ("y(t+2)", "h(…)"): "U"}
    same(read("10.9")["unfolded"], wanted)


def test_10_10():
    steps = ("…", *T, "…")
    wanted = chain("h", "W") | column("t−1") | column("t") | column("t+1")
    wanted |= {(f"y({a})", f"h({b})"): "R" for a, b in itertools.pairwise(steps)}
    same(read("10.10")["unfolded"], wanted)


def test_10_11():
    wanted = chain("h", None) | {(b, a): None for a, b in chain("g", None)}
    for t in T:
        wanted |= {(f"x({t})", f"h({t})"): None, (f"x({t})", f"g({t})"): None}
        wanted |= {(f"h({t})", f"o({t})"): None, (f"g({t})", f"o({t})"): None}
        wanted |= {(f"o({t})", f"L({t})"): None, (f"y({t})", f"L({t})"): None}
    same(read("10.11")["unfolded"], wanted)


def test_10_12():
    read_in, written = ("1", "2", "…", "m"), ("1", "2", "…", "n")
    wanted = chain("h", None, read_in) | {(f"x({t})", f"h({t})"): None for t in read_in} | {("h(m)", "C"): None}
    wanted |= chain("s", None, written)
    for i in written:
        wanted |= {("C", f"s({i})"): None, ("C", f"y({i})"): None, (f"s({i})", f"y({i})"): None}
    wanted |= {(f"y({a})", f"s({b})"): None for a, b in itertools.pairwise(written)}
    same(read("10.12")["encoder and decoder"], wanted)
    assert json.loads(chapter.figure("10.12").picture().json)["frames"] == ["encoder", "decoder"]


def test_10_13():
    found = read("10.13")
    same(found["a"], dict.fromkeys([("x", "h"), ("h", "z"), ("z", "y"), ("h", "h", 1), ("z", "z", 1)]))
    deep = dict.fromkeys([("x", "x̃"), ("x̃", "h"), ("h", "p"), ("p", "y"), ("h", "z"), ("z", "h", 1)])
    same(found["b"], deep)
    same(found["c"], deep | {("h", "h", 1): None})


def test_10_14():
    wanted = {(f"x({i})", f"h({i})"): "V" for i in (1, 2, 3, 4)}
    for left, right, parent in ((1, 2, 5), (3, 4, 6), (5, 6, 7)):
        wanted |= {(f"h({left})", f"h({parent})"): "U", (f"h({right})", f"h({parent})"): "W"}
    same(read("10.14")["tree"], wanted | {("h(7)", "o"): None, ("o", "L"): None, ("y", "L"): None})


def test_10_16():
    wanted = [("σ(h, x)", "×(g, σ)"), ("g", "×(g, σ)"), ("×(g, σ)", "s")]  # input × input gate → (+) state
    wanted += [("s", "×(f, s)", 1), ("f", "×(f, s)"), ("×(f, s)", "s")]  # state ⟨■⟩ → × (forget) → state
    wanted += [("s", "×(h)"), ("q", "×(h)"), ("×(h)", "h")]  # state → × (output gate) → output
    wanted += [("s", gate, 1) for gate in "fgq"]  # state ⟨■⟩ → three gates
    same(read("10.16", "name")["folded"], dict.fromkeys(wanted))
    labels = {n["name"]: n["label"] for n in json.loads(chapter.figure("10.16").picture().json)["nodes"]}
    assert [labels[n] for n in ("σ(h, x)", "×(g, σ)", "s", "×(h)")] == ["σ", "×", "+", "×"]


def test_10_18():
    wanted = [("h", "h", 1), ("x", "h"), ("r", "h", 1)]  # the task network: a recurrent net that is told what was read
    wanted += [("h", "w"), ("w", "M"), ("h", "M")]  # writing: where, and what
    wanted += [("h", "w′"), ("M", "w′"), ("w′", "r"), ("M", "r")]  # reading
    wanted += [("w", "w", 1), ("w′", "w′", 1), ("M", "w", 1)]  # addresses move on from where they were
    same(read("10.18")["folded"], dict.fromkeys(wanted))
    figure = chapter.figure("10.18")
    picture = figure.picture()
    ovals = [v for v in picture.diagram.vertices if v.round and v.width > 1.5 * v.height]
    assert [v.text for v in ovals] == ["h"] and "shape=ellipse" in picture.dot
    assert "nn.MemoryCell" in figure.code
    (tape,) = {panel.tape for panel in figure.panels(figure.record())}
    (memory,) = [v for v in picture.diagram.vertices if v.name == "M"]
    cells = tape.shape(memory.node)[1]
    assert memory.cells[0] * memory.cells[1] == cells == picture.dot.count('<TD BORDER="1"')  # a grid, one for each
    (drawn,) = [g for g in ET.fromstring(picture.svg).iter(f"{SVG}g") if g.get("data-node") == memory.id]
    assert len(drawn.findall(f"{SVG}polygon")) >= cells
    xs = [float(x) for x in re.findall(r"[\d.-]+(?=,)", drawn.find(f"{SVG}path").get("d"))]
    assert float(drawn.find(f"{SVG}text").get("x")) == pytest.approx((min(xs) + max(xs)) / 2, abs=0.5)  # in its middle


def test_dashed_are_those_that_stand_for_many():
    for number in DRAWN:
        data = json.loads(chapter.figure(number).picture().json)
        dashed = {n["id"] for n in data["nodes"] if n["dashed"]}
        assert dashed == {n["id"] for n in data["nodes"] if n["label"].endswith("(…)")}
        for e in data["edges"]:
            assert e["dashed"] == bool({e["source"], e["target"]} & dashed)


@pytest.mark.parametrize("number", DRAWN)
def test_nothing_overlaps_and_recurrence_is_straight(number):
    picture = chapter.figure(number).picture().diagram
    shown = [v for v in picture.vertices if v.role != "anchor"]
    for i, v in enumerate(shown):
        for w in shown[:i]:
            apart = abs(v.x - w.x) >= (v.width + w.width) / 2 or abs(v.y - w.y) >= (v.height + w.height) / 2
            assert apart, (v.text, w.text)
    at = {v.id: v for v in picture.vertices}
    for e in picture.links:
        a, b = at[e.source], at[e.target]
        if e.recurrent and a.name == b.name and a is not b and abs(a.column - b.column) == 1 and a.panel != "tree":
            assert {round(y, 2) for _, y in [*e.path, e.tip]} == {round(a.y, 2)}
        if not e.delay:  # no arrow runs through a node that it does not belong to
            for v in shown:
                if v is not a and v is not b:
                    assert all(abs(x - v.x) > v.width / 2 - 3 or abs(y - v.y) > v.height / 2 - 3 for x, y in e.path)


@pytest.mark.parametrize("number", DRAWN)
def test_svg_is_for_all_readers(number):
    picture = chapter.figure(number).picture()
    root = ET.fromstring(picture.svg)
    assert root.find(f"{SVG}title").text == f"Figure {number}: {chapter.FIGURES[number].title}"
    assert " to " in root.find(f"{SVG}desc").text
    _, _, width, height = map(float, root.get("viewBox").split())
    graph = root.find(f"{SVG}g")
    dx, dy = map(float, graph.get("transform").split("translate(")[1].rstrip(")").split())
    for mark in graph.iter(f"{SVG}ellipse"):
        x, y, r = (float(mark.get(k)) for k in ("cx", "cy", "rx"))
        assert x - r + dx >= 0 and x + r + dx <= width and y - r + dy >= 0 and y + r + dy <= height
    for line in graph.iter(f"{SVG}path"):
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", line.get("d")):
            assert 0 <= float(x) + dx <= width and 0 <= float(y) + dy <= height


def test_drawing_twice_gives_the_same_text():
    for number in DRAWN:
        assert chapter.figure(number).picture().svg == chapter.figure(number).picture().svg


def test_figures_by_several_names():
    assert chapter.figure("3") is chapter.figure("10.3") is chapter.figure("Figure 10.3") is chapter.figure("fig 10.3")
    with pytest.raises(TinyseqError, match=r"no figure '11\.1'; figures are 10\.1, 10\.2"):
        chapter.figure("11.1")


PICTURES = Path(__file__).parents[2] / "examples" / "figures"


def test_committed_pictures_are_current():
    """An SVG holds the fingerprint of its DOT text; ``tinyseq figures -o examples/figures`` renews them."""
    assert {f"{chapter.file_name(n)}.svg" for n in DRAWN} | {"index.html"} <= {p.name for p in PICTURES.iterdir()}
    for number in DRAWN:
        text = (PICTURES / f"{chapter.file_name(number)}.svg").read_text(encoding="utf-8")
        assert f'data-dot="{fingerprint(chapter.figure(number).picture().dot)}"' in text, number


def test_gallery_shows_equation_code_and_picture_of_all():
    text = (PICTURES / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text) and "<script" not in text
    for number, figure in chapter.FIGURES.items():
        part = text.split(f'id="figure-{number}"')[1].split("</section>")[0]
        assert equation_html(figure.equation) in part
        assert html.escape(figure.code, quote=False) in part
        assert part.count("<svg") + part.count('<img src="data:image/png;base64,') == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("h(t) = tanh a(t)", "h<sup>(t)</sup> = tanh a<sup>(t)</sup>"),
        ("W h(t−1) + U x(t)", "W h<sup>(t−1)</sup> + U x<sup>(t)</sup>"),
        ("softmax(c + V h(τ))", "softmax(c + V h<sup>(τ)</sup>)"),
        ("m_i(t) = Σ_i b_f", "m<sub>i</sub><sup>(t)</sup> = Σ<sub>i</sub> b<sub>f</sub>"),
        ("x̃(t) < C", "x̃<sup>(t)</sup> &lt; C"),
        ("f(s(t−1); θ)", "f(s<sup>(t−1)</sup>; θ)"),
    ],
)
def test_equations_are_set_as_in_the_book(text, wanted):
    assert equation_html(text) == wanted


@pytest.mark.parametrize("number", ["10.2", "10.6", "10.13"])
def test_circles_are_of_one_size_in_all_panels(number):
    vertices = chapter.figure(number).picture().diagram.vertices
    assert len({v.panel for v in vertices}) > 1
    assert len({round(v.height, 6) for v in vertices if v.round and v.role != "anchor"}) == 1
