"""Every script of figures 10.3 to 10.14 in its short form: it runs, prints a figure, and writes its picture."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FIGURES = range(3, 15)


@pytest.mark.parametrize("figure", FIGURES)
def test_short_form(figure: int, tmp_path: Path) -> None:
    script = EXAMPLES / f"fig_10_{figure:02d}.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "-o", str(tmp_path / "new" / "folder")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in re.sub("Fontconfig warning", "", done.stderr)
    assert re.search(r"\d\.\d|\d%", done.stdout), done.stdout
    pictures = sorted((tmp_path / "new" / "folder").glob(f"fig_10_{figure:02d}*.svg"))
    assert pictures, "no picture was written"
    for picture in pictures:
        text = picture.read_text()
        assert text.lstrip().startswith("<") and "<svg" in text and len(text) > 2000
        assert str(picture) in done.stdout or picture.stem[:9] in done.stdout


def test_there_is_a_script_for_each_figure() -> None:
    assert sorted(p.name for p in EXAMPLES.glob("fig_10_*.py")) == [f"fig_10_{n:02d}.py" for n in FIGURES]
    for script in EXAMPLES.glob("fig_10_*.py"):
        assert script.read_text().startswith(f'"""Figure 10.{int(script.stem[-2:])}: ')
