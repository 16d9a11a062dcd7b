"""The scripts on truncation and on explicit memory in their short forms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("truncated_bptt", r"5,050(.|\n)* 955 (.|\n)* 550 "), ("section_10_12", r"memory +\d+\.\d%")],
)
def test_short_form(name: str, wanted: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick", "-o", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(wanted, done.stdout), done.stdout
    assert "<svg" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
