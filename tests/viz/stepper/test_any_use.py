# ruff: noqa: E501  (scripts of the page)
"""A page in the hands of anybody: whatever is clicked, dragged and typed, in any order, nothing breaks and nothing is
stale: a page opened anew at the address shows the same."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import gated, opened, rng, rnn, tree
from tinyseq import nn

TYPED = [
    "",
    "1e999",
    "-1e999",
    "NaN",
    "abc",
    "-3",
    "0",
    "0,5",
    "−0.25",
    "1e-320",
    "9" * 400,
    "2.5",
    "1e30",
    "∞",
    " 7 ",
    "1_000",
]
KEYS = [
    "ArrowRight",
    "ArrowLeft",
    "Shift+ArrowRight",
    "Home",
    "End",
    "f",
    "g",
    "l",
    "n",
    "p",
    "Escape",
    "Control+z",
    "Control+y",
]
PARTS = "button, input, select, #graph g.pick, #graph g.can-cut"
SHOWN = """() => [...document.querySelectorAll("body *")]
  .filter((e) => !e.children.length && !e.closest("dialog, svg, #say, #task-hint, #task-answer, script, style, #data, #guide") && e.tagName !== "OPTION" && e.checkVisibility())
  .map((e) => `${e.closest("[id]")?.id}: ${e.matches("input, select") ? e.value : e.textContent}`)"""


def translation() -> ts.Tensor:
    net = nn.EncoderDecoder(nn.LSTMCell(3, 2, rng=rng()), 3, 2, rng=rng(), attention=True)
    with ts.Tape():
        return net.loss(rng().normal(size=(5, 3, 3)).astype("f"), rng().integers(0, 3, (4, 3)), np.array([5, 2, 4]))


CHOOSE = """([of, at]) => {
  for (const e of document.querySelectorAll("[data-chosen]")) e.removeAttribute("data-chosen"); // copies have it too
  const parts = [...document.querySelectorAll(of)].filter((e) => e.checkVisibility() && !e.disabled && !e.closest("dialog"));
  const part = parts[Math.floor(at * parts.length)];
  part.setAttribute("data-chosen", "");
  return [part.tagName === "INPUT" ? part.type : part.tagName, part.id || part.textContent.slice(0, 20)];
}"""
DRAG = """(at) => {
  const e = document.querySelector("[data-chosen]");
  e.value = Number(e.min) + at * (Number(e.max) - Number(e.min));
  e.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def use(page: Any, dice: random.Random) -> str:
    """Do one thing to the page at random; what it was."""
    if dice.random() < 0.2:
        page.evaluate("() => document.activeElement.blur()")
        page.keyboard.press(key := dice.choice(KEYS))
        return f"key {key}"
    kind, name = page.evaluate(CHOOSE, [PARTS, dice.random()])
    part, what = page.locator("[data-chosen]").first, dice.random()
    if kind == "range":
        page.evaluate(DRAG, what)
    elif kind in ("number", "text"):
        part.focus()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.insert_text(TYPED[int(what * len(TYPED))])
        page.keyboard.press("Tab")
    elif kind == "SELECT":
        values = part.evaluate("(e) => [...e.options].map((o) => o.value)")
        if values:
            part.select_option(values[int(what * len(values))])
    elif name not in ("play", "train-run"):  # what goes on by itself is another matter
        part.dispatch_event("click")
        page.evaluate("() => document.querySelector('dialog[open]')?.close()")
    return f"{kind} {name} {what:.2f}"


def shown(page: Any) -> list[str]:
    """All that the page shows; a card of questions is worked out when it is on the screen."""
    page.evaluate("() => { document.activeElement.blur(); document.getElementById('tasks')?.scrollIntoView(); }")
    page.wait_for_timeout(250)  # the address waits while a slider is dragged
    page.wait_for_function(
        "() => { const [box, at] = [document.getElementById('tasks'), stepper.state.run]; return box.hidden || box.dataset.key.startsWith(`${at}|${stepper.runs[at].version}|`); }"
    )
    return page.evaluate(SHOWN)


@pytest.mark.parametrize(
    "make", [rnn, lambda: gated(nn.LSTMCell), tree, translation], ids=["rnn", "lstm", "tree", "translation"]
)
def test_whatever_is_done_the_address_says_all_of_it(browser: Any, tmp_path: Any, make: Any) -> None:
    path = make().tape.to_html(tmp_path / "p.html")
    for seed in (8, 9):
        dice, done = random.Random(seed), []
        with opened(browser, path) as page:
            for _ in range(40):
                done.append(use(page, dice))
                assert not page.evaluate("() => /undefined|null|\\[object/.test(document.body.innerText)"), done
            mine, hash = shown(page), page.evaluate("() => location.hash")
        with opened(browser, path, hash) as page:
            theirs = shown(page)
            assert theirs == mine, (
                hash,
                done,
                [m for m in mine if m not in theirs],
                [t for t in theirs if t not in mine],
            )


ADDRESSES = [
    "#k=1e999", "#k=-5&w=NaN&p=abc&of=99&run=7", "#do=s_5_999999_1", "#do=S_5_2~S_1_-3~S_0_1~T_-3~T_1.5~T_0~T_1e999",
    "#do=t_99999_0_0.1_0_0_0", "#do=t_5_9_0.1_0_0_0~t_-1_0_1_1_1_1", "#do=t_5_0_1e300_0_0_0", "#do=l_9_1~l_2_-4~l_1",
    "#n=99999&u=99999&leaf=-3&at=-9", "#mask=xx&by=zz&bands=qq&beside=none&task=99", "#clip=-1&rate=abc&rule=77",
    "#do=r_0_-1~g_NaN~b_3_1e999~a_2~c_1_1~r", "#do=x~~_~s~constructor_1", "#%E0%A4%A", "#ok=1.2.99.a&ok1=zz", "#do=g_1e308~g_0",
]  # fmt: skip


def test_addresses_that_say_nonsense_open_the_page(browser: Any, tmp_path: Any) -> None:
    path = translation().tape.to_html(tmp_path / "p.html")
    for hash in ADDRESSES:
        with opened(browser, path, hash) as page:
            for key in ("End", "Home", "n", "f", "f", "Shift+ArrowRight"):
                page.keyboard.press(key)
            assert "undefined" not in page.inner_text("body"), hash


def test_rates_and_clips_are_numbers_as_they_are_typed_or_stay(browser: Any, tmp_path: Any) -> None:
    with opened(browser, rnn().tape.to_html(tmp_path / "p.html")) as page:
        for typed, rate, clip in (
            ("0,5", "0.5", "0.5"), ("", "0.5", ""), ("-3", "0.5", ""), ("1e999", "0.5", ""), ("abc", "0.5", ""),
            ("0.25", "0.25", "0.25"), ("0", "0", ""),
        ):  # fmt: skip
            for name, wanted in (("#rate", rate), ("#clip", clip)):
                page.fill(name, typed)
                page.keyboard.press("Tab")
                assert page.input_value(name) == wanted, (name, typed)
        assert page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('rate')") == "0"


def test_training_stops_where_the_reader_goes_back_or_elsewhere(browser: Any, tmp_path: Any) -> None:
    one, other = rnn(), gated(nn.LSTMCell)
    with opened(browser, one.tape.to_html(tmp_path / "p.html", title="a", compare={"b": other})) as page:
        for leave in ("#undo", "#reset", "#runs button >> nth=1"):
            page.click("#train-run")
            page.wait_for_function("() => stepper.runs[0].history.length > 1")
            page.click(leave)
            assert page.text_content("#train-run") == "Run"
            at = page.text_content("#train-now")
            page.wait_for_timeout(200)
            assert page.text_content("#train-now") == at
        assert page.evaluate("() => stepper.runs[1].history.length") == 0


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_the_page_without_moving_it_sideways(browser: Any, tmp_path: Any, width: int) -> None:
    """By itself and in the frame of another page, with what is widest: two runs, the losses' colours, changes made."""
    path = gated(nn.LSTMCell, T=14).tape.to_html(tmp_path / "p.html", title="a", compare={"b": translation()})
    for hash in ("", "#embed=true&bands=sum&k=40", "#run=1&bands=share&beside=untrained&do1=S_1_3~T_2&embed=true"):
        with opened(browser, path, hash) as page:
            page.set_viewport_size({"width": width, "height": 700})
            page.wait_for_timeout(100)
            wide = page.evaluate(
                "() => [...document.querySelectorAll('body *')].filter((e) => !e.closest('svg, .scroll, dialog') && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.outerHTML.slice(0, 80))"
            )
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, (hash, wide)
