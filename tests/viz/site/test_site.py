# ruff: noqa: E501  (scripts of the page)
"""The site: formulas, documents whose code is run, links that are checked; slowly, the whole of it in a browser."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import pytest

from tinyseq.errors import TinyseqError

pytest.importorskip("pdoc", reason="the site is made with the extra: pip install 'tinyseq[site]'")
pytest.importorskip("latex2mathml", reason="the site is made with the extra: pip install 'tinyseq[site]'")

from tinyseq.viz.site import build as site
from tinyseq.viz.site.build import PARTS
from tinyseq.viz.site.document import Document, inside, titled
from tinyseq.viz.site.formulas import with_formulas
from tinyseq.viz.site.links import broken


def test_lists_of_pages_tell_them_by_a_sentence_not_by_code() -> None:
    lead = import_module("tinyseq.viz.site.build")._lead
    assert lead("# T\n\n```python\nimport numpy\n\nx = 1\n```\n\n`f` makes it. Then more.") == "`f` makes it."
    assert lead("# T\n\nIs it so?") == "Is it so?"
    for page in resources.files("tinyseq.viz.site").joinpath("content", "guides").iterdir():
        found = lead(page.read_text("utf-8"))
        assert "import" not in found and "=" not in found and len(found) > 20, page.name


def test_formulas_become_mathml_and_code_stays() -> None:
    text = with_formulas("of $h^{(t)}$ and `$x$`:\n\n$$ a = b + W h $$\n\n```python\ncost = '$5 and $6'\n```")
    assert text.count("<math") == 2 and 'display="block"' in text
    assert "`$x$`" in text and "'$5 and $6'" in text
    with pytest.raises(TinyseqError, match=r"has \\arg, which becomes no MathML"):
        with_formulas("$\\arg x$")


def made(folder: Path, text: str) -> str:
    with inside(folder):
        return Document(folder / "out", "guides/x.html").html(text)


def test_names_of_functions_stand_apart_from_what_they_are_of() -> None:
    made = with_formulas(r"$h = \tanh a^{(t)}$, $\log p$, $\log(p)$")
    assert made.count("<mspace") == 2 and '<mi>tanh</mi><mspace width="0.17em"></mspace><msup>' in made


def test_code_is_run_and_what_it_prints_stands_below(tmp_path: Path) -> None:
    body = made(
        tmp_path, "# T\n\n```python\nx = 6 * 7\nprint(x)\n```\n\nthen\n\n```python\nprint(x < 50 and '<b>')\n```"
    )
    assert "<samp>42</samp>" in body and "&lt;b&gt;" in body
    assert '<h1 id="t">' in body


def test_a_block_that_fails_ends_it_and_one_that_has_to_raise_says_what(tmp_path: Path) -> None:
    with pytest.raises(TinyseqError, match=r"guides/x.html: block 2 raised ZeroDivisionError"):
        made(tmp_path, "```python\n1\n```\n\n```python\n1 / 0\n```")
    with pytest.raises(TinyseqError, match="raised nothing"):
        made(tmp_path, "```python raises\n1\n```")
    with pytest.raises(TinyseqError, match=r"a block of 'bash'; blocks are python, figure"):
        made(tmp_path, "```bash\nls\n```")
    assert "ShapeError: " in made(
        tmp_path, "```python raises\nimport tinyseq as ts\nraise ts.errors.ShapeError('no')\n```"
    )


LIVE = """```python live small #k=3
import numpy as np
import tinyseq as ts
w = ts.Parameter(np.array([[0.5]]), "w")
with ts.Tape():
    loss = ts.sum(ts.tanh(ts.linear(ts.tensor(np.ones((1, 1)), "x"), w)) ** 2).named("L")
```"""


def test_a_loss_becomes_a_live_page_and_sources_and_figures_are_those_of_the_library(tmp_path: Path) -> None:
    body = made(tmp_path, LIVE)
    assert '"../live/small.html#embed=true&k=3"' in body and '"../live/small.html#k=3"' in body
    page = (tmp_path / "out" / "live" / "small.html").read_text("utf-8")
    assert "<title>Small" in page and titled("rnn_and_lstm") == "RNN and LSTM" and titled("own_cell") == "Own cell"
    assert "x, block 1:5" in page and "loss = ts.sum(ts.tanh(ts.linear(" in page  # the line that recorded a node
    body = made(tmp_path, "```source tinyseq.train.clipping:clip_global_norm\n```\n\n```figure 10.2\n```")
    assert "clip_global_norm" in body and "<svg" in body and "Figure 10.2" in body


def test_figures_with_one_loss_can_be_walked_through(tmp_path: Path) -> None:
    body = made(tmp_path, "```figure 10.3 live\n```\n\n```figure 10.2 live\n```\n\n```figure 10.15 live\n```")
    assert "../live/figure_10_3.html" in body and "figure_10_2.html" not in body and "figure_10_15.html" not in body
    assert (tmp_path / "out" / "live" / "figure_10_3.html").exists()


def test_broken_links_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<a href="a/b.html#here">x</a><a href="https://example.org">y</a><p id="top">')
    (tmp_path / "a" / "b.html").write_text(
        '<h1 id="here">b</h1><a href="../index.html#top">up</a><a href="#here">h</a>'
    )
    assert broken(tmp_path) == []
    (tmp_path / "index.html").write_text(
        '<a href="a/b.html#gone">x</a><a href="c.html">y</a><img src="https://example.org/i.png">'
    )
    assert broken(tmp_path) == [
        "a/b.html: ../index.html#top: no such place in that page",
        "index.html: https://example.org/i.png: a page asks no network for anything",
        "index.html: a/b.html#gone: no such place in that page",
        "index.html: c.html: no such file",
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    site(out, benchmark="| row | ms |\n|---|---|\n| rnn | 1 |", guarantees="| bits | the same |\n|---|---|")
    return out


@pytest.mark.slow
def test_the_whole_site_is_there_links_hold_and_it_asks_no_network(whole: Path, browser: Any) -> None:
    assert len(list((whole / "chapter").glob("10_*.html"))) == 12
    assert len(list((whole / "lessons").glob("[01]*.html"))) == 12
    assert broken(whole) == []
    assert sum(path.stat().st_size for path in whole.rglob("*") if path.is_file()) <= 30 * 1024 * 1024
    wrong: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    for path in sorted(whole.rglob("*.html")):
        if path.parts[-2] != "api" and "tinyseq" not in path.relative_to(whole).parts:
            page.goto(path.as_uri())
            assert page.title(), path
    for path in sorted((whole / "live").glob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("() => stepper.runs.every((run) => run.computes)"), path
    page.close()
    assert wrong == []


@pytest.mark.slow
def test_the_search_finds_pages_by_all_words(whole: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto((whole / "guides" / "trees.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("gradient vanish")
    found = page.locator("#found a").all_text_contents()
    assert any("Why did the gradient vanish" in text for text in found)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "trees.html" not in url)
    page.close()


@pytest.mark.slow
def test_the_reference_has_the_head_and_the_search_of_all_pages(whole: Path, browser: Any) -> None:
    page = browser.new_page()
    for name in ("tinyseq.html", "tinyseq/nn.html", "tinyseq/tasks/reber.html"):
        path = whole / "api" / name
        if not path.exists():
            continue
        page.goto(path.as_uri())
        assert page.locator("header.site nav a").all_text_contents()[:3] == ["Start", "Chapter 10", "Lessons"]
        assert page.locator("header.site nav a[aria-current]").all_text_contents() == ["API"]
        page.fill("#find", "long short-term memory")
        assert page.locator("#found a").count() > 0
        page.locator("#found a").first.click()
        page.wait_for_url(lambda url, name=name: name not in url)
    page.close()


def test_every_part_has_documents() -> None:
    for part in PARTS:
        assert [
            p for p in resources.files("tinyseq.viz.site").joinpath("content", part).iterdir() if p.name.endswith(".md")
        ]


def test_results_of_a_section_are_those_that_are_kept_and_where_there_are_none_it_says_so(tmp_path: Path) -> None:
    def kept(names: Any) -> str:
        return "| experiment | ours |\n|---|---|\n| memory | 1.7e-14 |" if "memory" in names else ""

    with inside(tmp_path):
        document = Document(tmp_path / "out", "chapter/x.html", results=kept)
        body = document.html("```results memory\n```\n\n```results bptt mackey\n```")
    assert "<td>1.7e-14</td>" in body and 'href="../results.html"' in body
    assert "No results are kept" in body and "tinyseq results bptt mackey" in body


def test_the_command_hands_over_the_results_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tinyseq.cli import site as command

    row = {"experiment": "memory", "seed": 0, "results": {"closed": 2e-9, "total": 1e-9, "measured": 0.02}}
    monkeypatch.setattr(command, "RESULTS", tmp_path / "none")
    assert command._results([]) == ""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    (tmp_path / "memory.json").write_text(json.dumps({"experiment": "memory", "rows": [row]}))
    assert "| memory |" in command._results(["mem"]) and command._results(["bptt"]) == ""
    assert "- memory: " in command._results([])


def test_what_an_example_printed_is_kept_for_each_that_a_page_shows(tmp_path: Path) -> None:
    content = resources.files("tinyseq.viz.site").joinpath("content")
    shown = [
        name
        for page in content.joinpath("chapter").iterdir()
        for name in re.findall(r"^```example (\w+)$", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(shown) == 11
    for name in shown:
        printed = content.joinpath("printed", f"{name}.txt").read_text("utf-8")
        script = Path(__file__).parents[3] / "examples" / f"{name}.py"
        first = ast.get_docstring(ast.parse(script.read_text("utf-8"))).splitlines()[0]  # type: ignore[union-attr]
        assert printed.startswith(first), name
    with pytest.raises(TinyseqError, match=r"nothing is kept of what examples/gone\.py prints"):
        made(tmp_path, "```example gone\n```")


def test_plots_take_the_colours_of_the_page_and_graphs_follow_its_theme(tmp_path: Path, browser: Any) -> None:
    body = made(tmp_path, "```lesson 7\n```\n\n```figure 10.15\n```")
    style = "".join(Path(str(resources.files("tinyseq.viz.site").joinpath("assets", name))).read_text("utf-8") for name in ("header.css", "site.css"))  # fmt: skip
    (tmp_path / "p.html").write_text(f"<!doctype html><meta charset='utf-8'><style>{style}</style>{body}", "utf-8")
    found = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((tmp_path / "p.html").as_uri())
        found[scheme] = page.evaluate(
            """() => {
              const colour = (part, of) => getComputedStyle(part)[of], all = [...document.querySelectorAll("figure.plot svg *")];
              const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
              const bright = (text) => { const [r, g, b] = numbers(text); return (r + g + b) / 765; };
              return {
                texts: all.filter((e) => e.tagName === "text").map((e) => bright(colour(e, "fill"))),
                papers: all.map((e) => colour(e, "fill")).filter((fill) => fill === "rgb(255, 255, 255)").length,
                plates: document.querySelectorAll("figure.light").length,
                page: bright(colour(document.documentElement, "backgroundColor")),
              };
            }"""
        )
        page.close()
    assert found["light"]["page"] == 1 and found["dark"]["page"] < 0.15
    assert len(found["dark"]["texts"]) > 10 and min(found["dark"]["texts"]) > 0.5 > max(found["light"]["texts"])
    assert found["dark"]["papers"] == 0 and found["dark"]["plates"] == 0


def test_long_cells_of_tables_are_wide_enough_to_be_read(tmp_path: Path) -> None:
    words = "a sentence that says at some length what was found and why it is short"
    body = made(tmp_path, f"| a | b |\n|---|---|\n| 1 | {words} |")
    assert f'<td class="told">{words}</td>' in body and "<td>1</td>" in body


def test_constructors_of_nets_are_documented_by_their_own_arguments(tmp_path: Path) -> None:
    import pdoc.doc

    from tinyseq import nn

    for kind in (nn.RNNCell, nn.LSTMCell, nn.EncoderDecoder):
        found = pdoc.doc.Class(kind.__module__, kind.__name__, kind, (kind.__module__, kind.__name__))
        assert "rng" in str(found.members["__init__"].signature), kind  # type: ignore[attr-defined]
