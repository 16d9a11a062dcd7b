"""The script of what came after the chapter, in its short form."""

from __future__ import annotations

import re
from pathlib import Path

from tests.examples.running import run_short


def test_continued(tmp_path: Path) -> None:
    out = run_short("continued.py", tmp_path, "--short")
    told = {n.strip(): float(v) for n, v in re.findall(r"^  (.{52}) ([\d.]+)", out, re.M)}
    assert told["Parity, diagonal gate in [0, 1]"] < 0.6 < 0.95 < told["Parity, diagonal gate in [−1, 1]"]
    mixed, kept = (told[f"Recall of overwritten keys, {update} fast weights"] for update in ("additive", "delta"))
    assert mixed < 0.75 < 0.8 < kept
    assert len(list(tmp_path.glob("continued_*.svg"))) == 12
