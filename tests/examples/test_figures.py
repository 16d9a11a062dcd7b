"""Every script of figures 10.3 to 10.14 in its short form: it runs, prints a figure, and writes its picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, run_short

FIGURES = range(3, 15)


@pytest.mark.parametrize("figure", FIGURES)
def test_short_form(figure: int, tmp_path: Path) -> None:
    out = run_short(f"fig_10_{figure:02d}.py", tmp_path / "new" / "folder")
    assert re.search(r"\d\.\d|\d%", out), out
    pictures = sorted((tmp_path / "new" / "folder").glob(f"fig_10_{figure:02d}*.svg"))
    assert pictures, "no picture was written"
    for picture in pictures:
        text = picture.read_text()
        assert text.lstrip().startswith("<") and "<svg" in text and len(text) > 2000


def test_there_is_a_script_for_each_figure() -> None:
    assert sorted(p.name for p in EXAMPLES.glob("fig_10_*.py")) == [f"fig_10_{n:02d}.py" for n in FIGURES]
    for script in EXAMPLES.glob("fig_10_*.py"):
        assert script.read_text().startswith(f'"""Figure 10.{int(script.stem[-2:])}: ')


def test_the_pictures_of_the_readme_are_those_that_are_drawn_today(tmp_path: Path) -> None:
    run_short("readme_pictures.py", tmp_path)
    for name in ("rnn_folded.svg", "rnn_unfolded.svg"):
        kept, made = ((folder / name).read_text("utf-8") for folder in (EXAMPLES / "pictures", tmp_path))
        for part in (r">([^<>\n]+)</tspan>", r'data-(?:node|source|target)="([^"]+)"', r'class="([^"]+)"'):
            assert re.findall(part, kept) == re.findall(part, made), (name, part)
