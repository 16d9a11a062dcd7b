"""The scripts of sections 10.9 and 10.10 and the comparison of long-term dependencies, in their short forms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), "--short", "-o", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for picture in re.findall(r"\S+\.svg", done.stdout.splitlines()[-1]):
        text = Path(picture).read_text()
        assert "<svg" in text and len(text) > 2000
    return done.stdout


def test_section_10_09(tmp_path: Path) -> None:
    out = run("section_10_09.py", tmp_path)
    errors = {n.strip(): float(e) for n, e in re.findall(r"^  (.+?) +\d+ weights +([\d.]+)", out, re.M)}
    assert len(errors) == 7
    assert errors["leaky, τ = 1 … 100"] < errors["RNN"] and errors["clockwork"] < errors["RNN"]
    assert (tmp_path / "section_10_09.svg").exists() and (tmp_path / "section_10_09_cell.svg").exists()


def test_section_10_10(tmp_path: Path) -> None:
    out = run("section_10_10.py", tmp_path)
    left = {n.strip(): float(v) for n, v in re.findall(r"^  (.+?) +[\d.]+ +(\S+) before training", out, re.M)}
    assert left["RNN"] < 1e-6 < 0.1 < left["LSTM, chrono"] < 1
    assert "always 1          0.1667" in out and (tmp_path / "section_10_10.svg").exists()


def test_long_term_dependencies(tmp_path: Path) -> None:
    out = run("long_term_dependencies.py", tmp_path)
    rows = {
        n.strip(): (float(a), float(b))
        for n, a, b in re.findall(r"^  (.{13}).{28} +([\d.]+) \(\d/1\) +([\d.]+)", out, re.M)
    }
    assert {"RNN", "IRNN", "leaky", "skip", "clockwork", "LSTM", "LSTM, chrono", "GRU"} <= rows.keys()
    assert rows["LSTM"][0] > 0.9 and all(0.15 < share <= 1 for pair in rows.values() for share in pair)
    assert (tmp_path / "long_term_dependencies.svg").exists()
