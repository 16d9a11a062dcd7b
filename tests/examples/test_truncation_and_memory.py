"""The scripts on truncation and on explicit memory in their short forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.running import run_short


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("truncated_bptt", r"5,050(.|\n)* 955 (.|\n)* 550 "), ("section_10_12", r"memory +\d+\.\d%")],
)
def test_short_form(name: str, wanted: str, tmp_path: Path) -> None:
    out = run_short(f"{name}.py", tmp_path)
    assert re.search(wanted, out), out
    assert "<svg" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
