"""The scripts of sections 10.9 and 10.10 and the comparison of long-term dependencies, in their short forms."""

from __future__ import annotations

import re
from pathlib import Path

from tests.examples.running import run_short


def test_section_10_09(tmp_path: Path) -> None:
    out = run_short("section_10_09.py", tmp_path, "--short")
    errors = {n.strip(): float(e) for n, e in re.findall(r"^  (.+?) +\d+ weights +([\d.]+)", out, re.M)}
    assert len(errors) == 7
    assert errors["leaky, τ = 1 … 100"] < errors["RNN"] and errors["clockwork"] < errors["RNN"]
    assert (tmp_path / "section_10_09.svg").exists() and (tmp_path / "section_10_09_cell.svg").exists()


def test_section_10_10(tmp_path: Path) -> None:
    out = run_short("section_10_10.py", tmp_path, "--short")
    left = {n.strip(): float(v) for n, v in re.findall(r"^  (.+?) +[\d.]+ +(\S+) before training", out, re.M)}
    assert left["RNN"] < 1e-6 < 0.1 < left["LSTM, chrono"] < 1
    assert "always 1          0.1667" in out and (tmp_path / "section_10_10.svg").exists()


def test_long_term_dependencies(tmp_path: Path) -> None:
    out = run_short("long_term_dependencies.py", tmp_path, "--short")
    rows = {
        n.strip(): (float(a), float(b))
        for n, a, b in re.findall(r"^  (.{13}).{28} +([\d.]+) \(\d/1\) +([\d.]+)", out, re.M)
    }
    assert {"RNN", "IRNN", "leaky", "skip", "clockwork", "LSTM", "LSTM, chrono", "GRU"} <= rows.keys()
    assert rows["LSTM"][0] > 0.9 and all(0.15 < share <= 1 for pair in rows.values() for share in pair)
    assert (tmp_path / "long_term_dependencies.svg").exists()
