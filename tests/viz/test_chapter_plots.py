"""Figures 10.15 and 10.17: numbers against NumPy twins, and what the figures are to show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq.diagnose.chapter import OneUnit, compositions, descend
from tinyseq.errors import TinyseqError
from tinyseq.viz.plots.chapter_plots import figure_10_15, figure_10_17


def texts(path: Path) -> str:
    return " ".join("".join(t.itertext()) for t in ET.parse(path).iter("{http://www.w3.org/2000/svg}text"))


def test_compositions_are_those_of_the_equations() -> None:
    found = compositions(np.random.default_rng(0), units=7, steps=3, reach=2.0, points=401, gain=1.5, bias=0.5)
    rng = np.random.default_rng(0)
    W, b = rng.normal(0, 1.5 / np.sqrt(7), (7, 7)), rng.normal(0, 0.5, 7)
    u, p = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 7)))
    h = found.coordinate[:, None] * u
    for t in range(4):
        np.testing.assert_allclose(found.projection[t], h @ p, rtol=1e-12, atol=1e-14)
        difference = np.gradient(h @ p, found.coordinate)[1:-1]
        np.testing.assert_allclose(found.slope[t][1:-1], difference, atol=2e-3)
        h = np.tanh(b + h @ W.T)


def test_figure_10_15(tmp_path: Path) -> None:
    found = figure_10_15(tmp_path / "a.svg")
    assert found.projection.shape == (6, 2001) and found.coordinate[[0, -1]].tolist() == [-50, 50]
    assert np.ptp(found.slope[0]) < 1e-12 and found.alternations[0] == 0  # no composition: a straight line
    assert found.alternations[5] > found.alternations[1]
    assert (
        found.alternations[5] >= 30
        and found.flat[5] > 0.2
        and np.abs(found.slope[5]).max() > 10 * np.abs(found.slope[0]).max()
    )
    assert "coordinate of the initial state" in texts(tmp_path / "a.svg")


def twin(w: float, b: float, steps: int = 50) -> float:
    h = 0.5
    for _ in range(steps):
        h = 1 / (1 + np.exp(-(w * h + b)))
    return (h - 0.7) ** 2


def test_the_surface_and_its_slope_are_those_of_the_unit() -> None:
    w, b = np.array([3.0, 5.5, 4.0]), np.array([-1.2, -2.4, -1.5])
    J, dw, db = OneUnit(50, 0.5, 0.7)(w, b)
    for i in range(3):
        assert J[i] == pytest.approx(twin(w[i], b[i]), rel=1e-10)
        e = 1e-6
        slope = (twin(w[i] + e, b[i]) - twin(w[i] - e, b[i])) / (2 * e)
        assert dw[i] == pytest.approx(slope, rel=1e-4, abs=1e-9)
        slope = (twin(w[i], b[i] + e) - twin(w[i], b[i] - e)) / (2 * e)
        assert db[i] == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_a_clipped_step_has_the_gradients_direction_and_the_limits_length() -> None:
    J = OneUnit(50, 0.5, 0.7)
    run = descend(J, (4.0, -2.0), rate=0.5, steps=1, limit=0.01)
    _, dw, db = J(np.array([4.0]), np.array([-2.0]))
    g = np.array([dw[0], db[0]])
    assert run.norm[0] == pytest.approx(np.hypot(*g)) and run.norm[0] > 0.01
    np.testing.assert_allclose(run.place[1] - run.place[0], -0.5 * 0.01 * g / np.hypot(*g), rtol=1e-12)
    free = descend(J, (4.0, -2.0), rate=0.5, steps=1)
    np.testing.assert_allclose(free.place[1] - free.place[0], -0.5 * g, rtol=1e-12)


def test_figure_10_17(tmp_path: Path) -> None:
    """Without clipping the cliff throws the descent out of the picture; with it, it stays and comes close."""
    found: Any = figure_10_17(tmp_path / "a.svg", points=41)
    i, j = 12, 30
    assert found.surface[i, j] == pytest.approx(twin(found.w[j], found.b[i]), rel=1e-9)
    assert np.array_equal(found.without.place[0], found.clipped.place[0])
    thrown = int(found.without.norm.argmax())
    assert found.without.norm[thrown] > 20 and found.without.loss[-1] > 0.4
    assert np.linalg.norm(found.without.place[thrown + 1] - found.without.place[thrown]) > 10
    moved = np.linalg.norm(np.diff(found.clipped.place, axis=0), axis=1)
    assert moved.max() <= found.rate * found.limit * (1 + 1e-9)
    assert found.clipped.loss.min() < 1e-3
    shown = texts(tmp_path / "a.svg")
    assert "without clipping" in shown and "thrown to" in shown
    with pytest.raises(TinyseqError, match="unknown plot format"):
        figure_10_17(tmp_path / "a.bmp", points=5)
