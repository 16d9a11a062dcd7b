# ruff: noqa: E501  (scripts of the page)
"""The page folded, on paper, and with parameters that are fixed."""

from __future__ import annotations

import pytest

import tinyseq as ts
from tests.viz.stepper.pages import gated, opened, rnn


def test_the_folded_view_says_what_its_black_squares_mean(browser, exported, tmp_path):
    path, _ = exported("rnn")
    with opened(browser, path) as page:
        assert not page.is_visible("#graph-note")
        page.keyboard.press("f")
        assert page.text_content("#graph-note").startswith("■ delay of 1 step: ")
    loss = gated(lambda *sizes, **options: ts.nn.SkipCell(*sizes, delays=(1, 3), **options))
    with opened(browser, loss.tape.to_html(tmp_path / "skip.html", loss=loss)) as page:
        page.keyboard.press("f")
        assert "■ delay of 1 step, delay of 3 steps: " in page.text_content("#graph-note")


def test_no_arrow_of_a_folded_lstm_runs_through_the_delay_of_another(browser, exported):
    path, _ = exported("lstm")
    with opened(browser, path) as page:
        page.keyboard.press("f")
        crossed = page.evaluate("""() => {
          const squares = [...document.querySelectorAll("#graph .q")], through = [];
          document.querySelectorAll("#graph g.e").forEach((g) => g.querySelectorAll("path:not(.h)").forEach((path) => {
            for (const q of squares) {
              if (g.contains(q)) continue;
              const b = q.getBBox();
              for (let at = 0; at <= path.getTotalLength(); at += 2) {
                const p = path.getPointAtLength(at);
                if (p.x > b.x && p.x < b.x + b.width && p.y > b.y && p.y < b.y + b.height) through.push(g.dataset.e);
              }
            }
          }));
          return [squares.length, through];
        }""")
        assert crossed[0] == 3 and crossed[1] == []


def printed(page):
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 794, "height": 1123})


def test_paper_has_the_title_the_sentence_the_bars_and_no_controls(browser, exported):
    path, _ = exported("rnn")
    with opened(browser, path) as page:
        page.keyboard.press("End")
        printed(page)
        for shown in ("#title", "#say", "#ledger td .bar >> nth=0", "#graph svg"):
            assert page.is_visible(shown), shown
        for hidden in ("#play", "#position", "#mask", "#strip .reach", "#guide", "#paper svg"):
            assert not page.is_visible(hidden), hidden
        assert page.locator("#title").bounding_box()["y"] < page.locator("#say").bounding_box()["y"] < 60
        box, svg = page.locator("#graph").bounding_box(), page.locator("#graph svg").bounding_box()
        assert svg["width"] <= box["width"]


@pytest.mark.parametrize(("T", "lines", "said"), [(14, 0, 0), (40, 4, 0), (200, 12, 1)])
def test_a_long_chain_is_printed_in_lines(browser, tmp_path, T, lines, said):
    loss = rnn(T=T, hidden=1, batch=1)
    with opened(browser, loss.tape.to_html(tmp_path / "long.html", loss=loss)) as page:
        printed(page)
        assert page.locator("#paper svg").count() == lines and page.locator("#paper p").count() == said
        assert page.is_visible("#graph") == (lines == 0)
        if lines:
            texts = page.evaluate(
                "() => [...document.querySelectorAll('#paper svg')].map((s) => [...s.querySelectorAll('g.v text.l')].map((t) => t.textContent))"
            )
            states = [t for line in texts for t in line if t.startswith("h(") and "−" not in t]
            left_out = range(60, T - 60) if said else ()
            assert states == [f"h({t})" for t in range(T) if t not in left_out]


def test_fixed_parameters_are_marked_and_neither_walked_into_nor_updated(browser, exported):
    path, _ = exported("reservoir")
    with opened(browser, path) as page:
        assert "fixed parameters" in page.text_content("#graph-note")
        names = "(sort) => [...new Set([...document.querySelectorAll(`#graph g.e${sort} text`)].map((t) => t.textContent))].sort()"
        assert page.evaluate(names, ".fixed") == ["U", "W"]
        assert page.evaluate(names, ":not(.fixed)") == ["V"]
        page.keyboard.press("f")
        assert page.evaluate(names, ".fixed") == ["U", "W"]
        ledgers = page.evaluate("() => stepper.runs[0].ledgers.map((l) => l.name)")
        tracks = page.evaluate("() => stepper.runs[0].tracks.map((t) => t.name)")
        assert (ledgers, tracks) == (["V", "c"], ["o"])
        walked = page.evaluate(
            "() => { const r = stepper.runs[0]; return [...r.backward].map((n) => r.of_kind(n).name); }"
        )
        assert walked and "h" not in walked and "a" not in walked
        page.evaluate(
            "() => { const r = stepper.runs[0]; stepper.go([...r.forward].findIndex((n) => r.of_kind(n).name === 'a') + 1); }"
        )
        boxes = page.evaluate(
            """() => [...document.querySelectorAll("#inside g.v.parameter")].map((g) => [g.querySelector(".l").textContent, g.classList.contains("dashed"), g.querySelector(".n")?.textContent ?? ""])"""
        )
        assert {(name, dashed, note) for name, dashed, note in boxes} == {
            ("W", True, "fixed"), ("U", True, "fixed"), ("b", True, "fixed"), ("V", False, ""), ("c", False, ""),
        }  # fmt: skip
    with opened(browser, path, java_script_enabled=False) as page:
        assert "fixed parameters" in page.text_content("#still")
        assert page.locator("#still .e.fixed").count() == 12
