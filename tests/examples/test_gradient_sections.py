"""Sections 10.7 and 10.11 in their short form: what they print is what they say they show, and pictures are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.running import run_short


def test_vanishing_and_exploding(tmp_path: Path) -> None:
    out = run_short("section_10_07.py", tmp_path)
    rows = re.findall(r"ρ = (\S+) +(\S+) +(\S+)$", out, re.MULTILINE)
    assert len(rows) == 5
    for rho, measured, expected in rows:
        assert float(measured) == pytest.approx(float(expected), rel=1e-6)
        assert float(expected) == pytest.approx(float(rho) ** 10, rel=1e-6)
    hump = re.search(r"= ([\d.]+) at k = 4, then ([\d.]+) at 10", out)
    assert hump and float(hump[1]) > float(hump[2]) > 1  # 10 k 0.8ᵏ⁻¹ is largest at 4
    verdicts = dict(re.findall(r"^  ((?:RNN|LSTM)[^:]*): .*×(\S+) a step", out, re.MULTILINE))
    assert float(verdicts["RNN, W as drawn"]) < float(verdicts["LSTM, forget bias 1"]) < 1
    assert float(verdicts["RNN, W × 4"]) > 1
    for name in ("section_10_07.svg", "fig_10_15.svg"):
        assert "<svg" in (tmp_path / name).read_text()


def test_temporal_order_and_the_cliff(tmp_path: Path) -> None:
    out = run_short("section_10_11.py", tmp_path)
    ways = re.findall(r"T = 10 +(\S.*?) +\d of 1   \(([\d.]+)% (\d+)\)", out)
    assert [way for way, _, _ in ways] == ["SGD", "clip element", "clip norm", "clip norm + Ω"]
    assert all(int(done) == 40 for _, _, done in ways)
    assert all(float(wrong) < 50 for _, wrong, _ in ways)  # guessing is wrong in 75%
    assert re.search(r"‖g‖ = 91\.8 throws the descent to J = 0\.49", out)
    assert "<svg" in (tmp_path / "fig_10_17.svg").read_text()
