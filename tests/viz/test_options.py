"""What an author asks of a picture: themes, words or none, fonts, sizes, several side by side, TikZ, movement."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import tinyseq as ts
from tests.viz import own_nets, package_nets
from tests.viz.pictures import rnn_tape
from tinyseq.errors import TinyseqError
from tinyseq.viz import chapter, draw
from tinyseq.viz.look import labels

SVG = "{http://www.w3.org/2000/svg}"
NETS = {**package_nets.NETS, **own_nets.NETS}


def corner(picture):
    return Image.open(io.BytesIO(picture.png)).convert("RGB").getpixel((1, 1))


def test_only_auto_follows_the_page_of_its_reader():
    for theme in ("light", "dark", "print"):
        assert "prefers-color-scheme" not in draw(rnn_tape(3), theme=theme).svg
    assert "prefers-color-scheme" in draw(rnn_tape(3), theme="auto").svg


def test_themes_have_their_paper_in_every_format():
    assert corner(draw(rnn_tape(2))) == corner(draw(rnn_tape(2), theme="print")) == (255, 255, 255)
    assert corner(draw(rnn_tape(2), theme="dark")) == (0x14, 0x17, 0x1C)
    assert 'fill="#14171c"' in draw(rnn_tape(2), theme="dark").svg
    assert "\\pagecolor{paper}" in draw(rnn_tape(2), theme="dark").tex


def test_print_is_grey():
    data = np.asarray(Image.open(io.BytesIO(draw(rnn_tape(3), detail="ops", theme="print").png)).convert("RGB"), int)
    assert np.ptp(data, axis=2).max() <= 2


def test_words_can_be_left_out():
    with_all, bare = draw(rnn_tape(3)).diagram, draw(rnn_tape(3), notes=False).diagram
    assert with_all.notes and not bare.notes
    texts = ["".join(r.text for r in n.text) for n in draw(rnn_tape(30), shapes=False).diagram.notes]
    assert not any("×4" in t for t in texts) and any("steps" in t for t in texts)
    tape = rnn_tape(3)
    with_legend = draw(tape, overlay="value").diagram.notes
    assert len(draw(tape, overlay="value", legend=False).diagram.notes) < len(with_legend)
    assert all(not v.note for v in draw(tape, detail="ops", shapes=False).diagram.vertices)


def test_font_size_and_dpi():
    plain, large = draw(rnn_tape(2)), draw(rnn_tape(2), size=30, font="Georgia")
    width = [float(ET.fromstring(p.svg).get("width").removesuffix("pt")) for p in (plain, large)]
    assert width[1] == pytest.approx(2 * width[0], rel=0.01)
    assert "Georgia" in large.svg
    one, two = (Image.open(io.BytesIO(draw(rnn_tape(2), dpi=dpi).png)).width for dpi in (96, 192))
    assert two == pytest.approx(2 * one, abs=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"theme": "blue"}, "theme is"),
        ({"size": 0}, "size is"),
        ({"dpi": True}, "dpi is"),
        ({"font": "<x>"}, "font is"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(TinyseqError, match=words):
        draw(rnn_tape(2), **options)


def test_png_and_pdf_are_cropped_to_what_is_drawn():
    image = np.asarray(Image.open(io.BytesIO(draw(rnn_tape(3)).png)).convert("L"))
    rows, columns = np.nonzero(image < 250)
    margin = 8 * 192 / 72
    for space in (rows.min(), columns.min(), image.shape[0] - rows.max(), image.shape[1] - columns.max()):
        assert space < 2.2 * margin
    pdf = draw(rnn_tape(3)).pdf
    box = [float(x) for x in re.search(rb"/MediaBox \[ ?([\d. ]+) ?\]", pdf).group(1).split()]
    assert box[2] / box[3] == pytest.approx(image.shape[1] / image.shape[0], rel=0.02)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (r"W_{xh}", [("W", "italic"), ("xh", "sub")]),
        (r"\tilde h", [("h\u0303", "italic")]),
        (r"\hat{y}_t", [("y\u0302", "italic"), ("t", "sub")]),
        (r"\alpha", [("α", "italic")]),
        (r"\Gamma_2''", [("Γ", "italic"), ("2", "sub"), ("′′", "upright")]),
        ("x\u0303", [("x\u0303", "italic")]),
        (r"C:\new", [(r"C:\new", "upright")]),
    ],
)
def test_names_are_set_as_in_tex(text, runs):
    assert [tuple(run) for run in labels.name(text)] == runs


def test_several_tapes_stand_side_by_side_with_their_rows_level():
    short, long = rnn_tape(3), rnn_tape(5)
    diagram = draw({"short": short, "long": long}, notes=False).diagram
    rows = {}
    for v in diagram.vertices:
        if v.column is not None:
            rows.setdefault(v.name, set()).add(round(v.y, 3))
    assert all(len(ys) == 1 for ys in rows.values())
    ends = (
        max(v.x for v in diagram.vertices if v.id.startswith("p0_")),
        min(v.x for v in diagram.vertices if v.id.startswith("p1_")),
    )
    assert ends[0] < ends[1]
    assert {"short", "long"} <= {n.text[0].text for n in diagram.notes}
    assert draw([short, long], title="Both").diagram.notes[-1].text[0].text == "Both"
    with pytest.raises(TinyseqError, match="empty"):
        draw([])


def test_words_of_a_tree_stand_under_its_leaves():
    diagram = draw(NETS["RecursiveNet"](3)).diagram
    assert sorted(diagram.words.values()) == ["cat", "mats", "on", "sat", "the"]
    at = {v.id: v for v in diagram.vertices}
    for id, word in diagram.words.items():
        (note,) = [n for n in diagram.notes if n.text[0].text == word]
        assert note.x == at[id].x and note.y < at[id].y - at[id].height / 2
    order = sorted(diagram.words, key=lambda i: at[i].x)
    assert [diagram.words[i] for i in order] == ["the", "cat", "sat", "on", "mats"]


@pytest.mark.parametrize("what", ["unfolding", "backward"])
def test_animations_move_every_part_once_around(what):
    picture = draw(rnn_tape(4))
    root = ET.fromstring(picture.animation(what, seconds=3))
    moves = list(root.iter(f"{SVG}animate"))
    assert len(moves) > len(picture.diagram.vertices) / 2
    for move in moves:
        times = [float(t) for t in move.get("keyTimes").split(";")]
        assert times == sorted(times) and times[0] == 0 and times[-1] == 1 and move.get("dur") == "3s"
        assert len(times) == len(move.get("values").split(";"))
    starts = {}
    for group in root.iter(f"{SVG}g"):
        found = [m for m in group.findall(f"{SVG}animate") if m.get("attributeName") == "opacity"]
        if found and group.get("data-node"):
            starts[picture.diagram.vertex(group.get("data-node")).text] = float(found[0].get("keyTimes").split(";")[1])
    assert (starts["h(3)"] > starts["h(1)"]) == (what == "unfolding")
    with pytest.raises(TinyseqError, match="animation is"):
        picture.animation("sideways")


def test_a_title_stands_over_the_picture_and_is_read_aloud():
    picture = draw(rnn_tape(3), title="A net & its steps")
    top = max(v.y + v.height / 2 for v in picture.diagram.vertices)
    assert picture.diagram.notes[-1].y > top
    assert ET.fromstring(picture.svg).find(f"{SVG}title").text == "A net & its steps"


def test_dot_text_lays_out_right_in_plain_dot():
    """Rows stay rows, and time runs to the right, in the program that knows no positions."""
    from pygraphviz import AGraph

    picture = draw(rnn_tape(4))
    graph = AGraph(string=picture.dot)
    graph.layout("dot")
    at = {v.text: [float(x) for x in graph.get_node(v.id).attr["pos"].split(",")] for v in picture.diagram.vertices}
    for name in "xh":
        assert [at[f"{name}({t})"][0] for t in range(4)] == sorted(at[f"{name}({t})"][0] for t in range(4))
        assert len({at[f"{name}({t})"][1] for t in range(4)}) == 1
    assert at["x(0)"][1] < at["h(0)"][1] < at["o(0)"][1] < at["L(0)"][1]
    graph.close()


SHOWN = ["RNN", "LSTM", "TreeLSTM", "peephole_lstm_with_projection", "attention_loop", "memory_with_two_heads"]


@pytest.mark.parametrize("name", SHOWN)
def test_tikz_is_a_whole_document(name, tmp_path):
    picture = draw(NETS[name](3), title="50 % of {x_1} & ~ \\ # $")
    text = picture.tex
    assert text.startswith(r"\documentclass[tikz") and text.count("{") == text.count("}")
    assert text.isascii() or not re.search("[^\\x00-\\x7f]", re.sub(r"\\(text|other)\{[^}]*\}", "", text))
    assert text.count(" -- (") >= len(picture.diagram.links)
    assert picture.save(tmp_path / "net.tex").read_text() == text


NEEDS_LATEX = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no LaTeX; tried with the one of Debian's texlive"
)


def compiles(text, folder):
    (folder / "net.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"], cwd=folder,
                          capture_output=True, text=True, errors="replace", timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "net.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@NEEDS_LATEX
@pytest.mark.parametrize("number", [*SHOWN, "10.3", "10.16", "10.18"])
def test_tikz_compiles(number, tmp_path):
    if number[0].isdigit():
        compiles(chapter.figure(number).picture().tex, tmp_path)
        return
    for view in ("folded", "unfolded"):
        for detail in ("cell", "units", "ops", "box"):
            compiles(draw(NETS[number](3), view=view, detail=detail, title="σ & ∂L/∂W, 50 %").tex, tmp_path)


HOSTILE = [
    '"q"', "a&b", "<b>", "two\nlines", "🙂", "ñandú", "α_β", "h′", "x_{ij}", r"\tilde h", "名前", "%100", "#1", "$x$",
    "{y}", "~", "^", "back\\slash", "a" * 60, "ᵢ", "x²", "x̃y", "ħ",
]  # fmt: skip


def hostile_tape():
    W, V = (ts.Parameter(np.eye(2), name) for name in ('W<&>"', r"V_{\alpha}"))

    def step(x, s):
        h = (ts.linear(x, W) + s).named("h")
        for name in HOSTILE:
            h = (h * 1.5).named(name)
        return h, ts.linear(h, V).named('out <&> "')

    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(3), ts.tensor(np.zeros((3, 1, 2)), "x"), ts.tensor(np.zeros((1, 2)), "<s>&"))
    return tape


@pytest.mark.parametrize("view", ["folded", "unfolded"])
def test_names_of_all_kinds_are_drawn_in_every_format(view):
    picture = draw(hostile_tape(), view=view, title="A & B_1 <\\x> 50% #1 {y} ~^ 名 🙂")
    ET.fromstring(picture.svg)
    ET.fromstring(picture.animation())
    assert picture.png.startswith(b"\x89PNG") and picture.pdf.startswith(b"%PDF")
    assert picture.tex.count("{") == picture.tex.count("}")


@pytest.mark.slow
@NEEDS_LATEX
def test_names_of_all_kinds_compile(tmp_path):
    for view in ("folded", "unfolded"):
        compiles(draw(hostile_tape(), view=view, title="50% #1 {y} ~^ 名 🙂").tex, tmp_path)


def test_view_tree_is_for_trees():
    assert draw(NETS["TreeLSTM"](3), view="tree").diagram.tree
    with pytest.raises(TinyseqError, match="view='unfolded'"):
        draw(rnn_tape(3), view="tree")


def test_a_tree_cell_is_drawn_over_four_leaves():
    rng = np.random.default_rng(0)
    edges = draw(ts.nn.RecursiveNet(3, 4, 2, rng=rng)).diagram.edges()
    assert {(a, b) for a, b, names, _ in edges if names in ("U", "W")} == {
        ("h(0)", "h(4)"), ("h(1)", "h(4)"), ("h(2)", "h(5)"), ("h(3)", "h(5)"), ("h(4)", "h(6)"), ("h(5)", "h(6)")
    }  # fmt: skip
    assert draw(ts.nn.TreeLSTM(3, 4, 2, rng=rng), view="folded", inputs=np.zeros((2, 3), np.float32)).svg


def test_a_net_that_is_no_cell_says_how_to_record_it():
    rng = np.random.default_rng(0)
    net = ts.nn.Bidirectional(ts.nn.RNNCell(3, 4, rng=rng), ts.nn.RNNCell(3, 4, rng=rng))
    with pytest.raises(TinyseqError, match=r"with ts\.Tape\(\) as tape"):
        draw(net)


def test_one_step_has_its_initial_state():
    """With a single step nothing is read late: the state before it is known all the same."""
    with ts.Tape() as tape:
        ts.unfold(ts.nn.RNNCell(3, 4, rng=np.random.default_rng(0)), ts.Chain(1), np.zeros((1, 1, 3), np.float32),
                  np.zeros((1, 4), np.float32))  # fmt: skip
    assert draw(tape).diagram.edges() == {("h(−1)", "h(0)", "W", 0), ("x(0)", "h(0)", "U", 0)}
