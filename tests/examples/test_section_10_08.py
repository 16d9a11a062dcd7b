"""The script of section 10.8 in its short form: it prints its figures and writes its picture."""

import re
from pathlib import Path

from tests.examples.running import run_short


def test_short_form(tmp_path: Path) -> None:
    out = run_short("section_10_08.py", tmp_path, "--short")
    figures = re.findall(r"NRMSE84 (\S+)|staircase (\S+)|units: NRMSE (\S+)", out)
    free, distance, narma = (float("".join(found)) for found in figures)
    assert free < 0.01 and distance < 0.15 and narma < 0.7
    assert "<svg" in (tmp_path / "section_10_08.svg").read_text()
