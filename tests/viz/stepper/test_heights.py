"""Panels do not jump: through all steps of a run every card of the page stays where it is, and as large as it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.viz.stepper.pages import opened

MOVED = """() => {
  const cards = [...document.querySelectorAll("section.strip, #editor, main .card, #training, footer.memory")].filter((c) => c.offsetParent);
  const boxes = () => cards.map((c) => { const b = c.getBoundingClientRect(); return [b.top + scrollY, b.height].map((v) => Math.round(v * 2) / 2); });
  const first = boxes(), moved = [];
  for (let k = 0; k <= stepper.runs[0].end; k++) {
    stepper.go(k);
    boxes().forEach((b, i) => { if (b.join() !== first[i].join()) moved.push(`${k} ${cards[i].id || cards[i].className}: ${first[i]} → ${b}`); });
  }
  return [cards.length, moved];
}"""  # noqa: E501
SIZES = {"wide": (1300, 900), "narrow": (900, 700), "phone": (390, 800)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["rnn", "lstm", "tree", "loop"])
def test_no_card_moves_through_all_steps(browser: Any, exported: Any, name: str, size: str) -> None:
    path, _ = exported(name)
    with opened(browser, path) as page:
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        cards, moved = page.evaluate(MOVED)
        assert cards >= 7
        assert moved == [], moved[:12]
