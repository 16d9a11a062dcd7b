"""The script of section 10.8 in its short form: it prints its figures and writes its picture."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "section_10_08.py"


def test_short_form(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--short", "-o", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = re.findall(r"NRMSE84 (\S+)|staircase (\S+)|units: NRMSE (\S+)", done.stdout)
    free, distance, narma = (float("".join(found)) for found in figures)
    assert free < 0.01 and distance < 0.15 and narma < 0.7
    assert "<svg" in (tmp_path / "section_10_08.svg").read_text()
