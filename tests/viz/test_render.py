"""Formats, files, errors, and what the SVG promises to web pages and notebooks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.pictures import rnn, rnn_tape
from tinyseq.errors import FileError, TinyseqError
from tinyseq.viz import Picture, draw
from tinyseq.viz.output.render import without_font_warnings

SVG = "{http://www.w3.org/2000/svg}"
HEAVY = ("graphviz", "pygraphviz", "matplotlib")
MAGIC = {"svg": b"<svg", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "dot": b"digraph"}


@pytest.mark.parametrize("format", MAGIC)
@pytest.mark.parametrize("view", ["folded", "unfolded"])
def test_formats(tmp_path, format, view):
    path = tmp_path / f"picture.{format}"
    assert isinstance(draw(rnn_tape(3), path, view=view), Picture)
    assert path.read_bytes().startswith(MAGIC[format])


def test_format_overrides_the_ending(tmp_path):
    draw(rnn_tape(3), tmp_path / "a.txt", format="png")
    assert (tmp_path / "a.txt").read_bytes().startswith(MAGIC["png"])
    saved = draw(rnn_tape(3)).save(tmp_path / "b.PDF")
    assert saved.read_bytes().startswith(MAGIC["pdf"])


def test_no_program_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw(rnn_tape(3)).png.startswith(MAGIC["png"])
    with pytest.raises(TinyseqError, match="leave it out"):
        draw(rnn_tape(3)).save(tmp_path / "a.svg", system=True)


@pytest.mark.skipif(shutil.which("neato") is None, reason="no Graphviz program")
def test_system_graphviz(tmp_path):
    draw(rnn_tape(3)).save(tmp_path / "a.svg", system=True)
    ET.parse(tmp_path / "a.svg")


@pytest.mark.parametrize("name", ["a.jpeg", "a.xyz", "a", "a.svg.gz"])
def test_unknown_ending(tmp_path, name):
    with pytest.raises(TinyseqError, match="known are svg, png, pdf, dot"):
        draw(rnn(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_unknown_format_is_named():
    with pytest.raises(TinyseqError, match="'bmp'"):
        draw(rnn(), format="bmp")
    with pytest.raises(TinyseqError, match="unknown picture format 3"):
        draw(rnn(), format=3)


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match="no folder"):
        draw(rnn(), tmp_path / "missing" / "a.svg")
    with pytest.raises(FileError, match="is a folder"):
        draw(rnn()).save(tmp_path, format="svg")
    with pytest.raises(FileError, match="cannot write"):
        draw(rnn(), tmp_path / ("x" * 300 + ".svg"))
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(FileError, match="Permission denied"):
            draw(rnn(), tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "sideways"}, "'unfolded' or 'folded' or 'tree', got 'sideways'"),
        ({"detail": "all"}, "'box' or 'cell' or 'units' or 'ops'"),
        ({"steps": 0}, "at least 1"),
        ({"steps": []}, "empty"),
        ({"steps": [2, 99]}, "has steps 0 to 2"),
        ({"steps": [-1]}, "steps 0 to 2"),
        ({"steps": "three"}, "'three'"),
        ({"steps": True}, "True"),
        ({"steps": 2.5}, "2.5"),
        ({"gradients": True}, "backward"),
    ],
)
def test_bad_words(options, message):
    with pytest.raises(TinyseqError, match=message):
        draw(rnn_tape(3), **options)


@pytest.mark.parametrize("thing", [None, 3, "tape", np.zeros(3), [1]])
def test_only_tapes_cells_and_tensors(thing):
    with pytest.raises(TinyseqError, match="a tape, a cell or a tensor"):
        draw(thing)


def test_empty_tape():
    with pytest.raises(TinyseqError, match="empty"):
        draw(ts.Tape())


def test_svg_has_a_title_dark_mode_and_selectable_text():
    root = ET.fromstring(draw(rnn_tape(3), theme="auto").svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "Unfolded graph"
    assert "3 time steps" in root.find(f"{SVG}desc").text
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    texts = ["".join(t.itertext()).replace("\u200a", "") for t in root.iter(f"{SVG}text")]
    assert {"h(0)", "x(2)", "W", "U"} <= set(texts)
    assert not any("baseline-shift" in t.attrib for t in root.iter(f"{SVG}tspan"))  # Firefox ignores it
    assert not any(element.get("id") for element in root.iter())  # several pictures share a page
    titles = [g.find(f"{SVG}title").text for g in root.iter(f"{SVG}g") if g.get("data-node", "").startswith("n")]
    assert any("tanh · 2×3 float32 · rnn[1]" in title for title in titles)


def test_rules_of_the_style_sheet_are_kept_to_the_picture():
    sheet = ET.fromstring(draw(rnn()).svg).find(f"{SVG}style").text
    rules = [line.strip() for line in sheet.splitlines() if line.strip() and not line.strip().startswith(("@", "}"))]
    selectors = [s for rule in rules for s in rule.split("{")[0].split(",") if s.strip()]
    assert selectors and all(s.strip().startswith(".tinyseq ") for s in selectors)


def test_nothing_is_clipped():
    """Every node lies within the view box."""
    for options in ({}, {"detail": "ops"}, {"view": "folded"}):
        root = ET.fromstring(draw(rnn_tape(4), **options).svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        graph = root.find(f"{SVG}g")
        dx, dy = map(float, graph.get("transform").split("translate(")[1].rstrip(")").split())
        for circle in graph.iter(f"{SVG}ellipse"):
            x, y, r = (float(circle.get(k)) for k in ("cx", "cy", "rx"))
            assert x - r + dx >= 0 and x + r + dx <= width and y - r + dy >= 0 and y + r + dy <= height


def test_notebook_bundle():
    bundle = draw(rnn_tape(3))._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    assert "overflow-x:auto" in bundle["text/html"] and "<svg" in bundle["text/html"]
    assert rnn_tape(3)._repr_mimebundle_()["text/html"].count("<svg") == 1
    assert "Folded graph" in rnn()._repr_mimebundle_()["text/html"]


def test_notebook_bundles_without_a_picture():
    class Odd(ts.nn.Cell):
        def step(self, x, h):
            return h, h

    assert set(ts.Tape()._repr_mimebundle_()) == {"text/plain"}
    assert set(Odd()._repr_mimebundle_()) == {"text/plain"}


def test_tensor_bundle():
    with ts.Tape():
        x = ts.tensor(np.arange(300.0).reshape(3, 10, 10), "<x>")
        page = (x * 2.0)._repr_mimebundle_()["text/html"]
        assert "&lt;x&gt;" in x._repr_mimebundle_()["text/html"]
        cells = [cell.split("</td>")[0] for cell in page.split("<td>")[1:]]
        assert cells[:4] == ["0", "2", "4", "6"] and cells[-1] == "198" and len(cells) == 81
        assert "of axis 0 = 0" in page
        assert "<td>3</td>" in ts.tensor(3.0)._repr_mimebundle_()["text/html"]
        assert "<td>" not in ts.tensor(np.zeros((0, 3)))._repr_mimebundle_()["text/html"]


def test_import_is_lazy():
    for module, absent in (("tinyseq", (*HEAVY, "tinyseq.viz")), ("tinyseq.viz", HEAVY)):
        code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert out.strip() == "[]"


def test_only_font_warnings_are_kept_from_the_terminal(capfd):
    with without_font_warnings():
        os.write(2, b"Fontconfig warning: unknown element\nworse: a real one\n")
    assert capfd.readouterr().err == "worse: a real one\n"
    with pytest.raises(ZeroDivisionError), without_font_warnings():
        raise ZeroDivisionError
    os.write(2, b"still there\n")
    assert capfd.readouterr().err == "still there\n"
