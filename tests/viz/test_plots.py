"""The plot of gradient norms: right numbers on a log axis, honest about zeros and NaN."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.viz import gradient_norms

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    return ["".join(t.itertext()) for t in ET.parse(path).iter(f"{SVG}text")]


def curves(path):
    """Vertices of the lines drawn, in user units."""
    lines = []
    for group in ET.parse(path).iter(f"{SVG}g"):
        if group.get("id", "").startswith("line2d"):
            for p in group.findall(f"{SVG}path"):
                numbers = [float(n) for n in p.get("d").replace("M", "").replace("L", "").split()]
                lines.append(np.array(numbers).reshape(-1, 2))
    return [line for line in lines if len(line) > 10]


def test_a_straight_line_for_exponential_decay(tmp_path):
    path = gradient_norms(10.0 ** np.linspace(-8, 0, 70), tmp_path / "a.svg")
    (line,) = curves(path)
    assert len(line) == 70
    slopes = np.diff(line[:, 1]) / np.diff(line[:, 0])
    assert slopes == pytest.approx(slopes[0], rel=1e-3)
    assert slopes[0] < 0  # SVG counts downwards: the norm grows with t


def test_several_curves_have_names(tmp_path):
    path = gradient_norms({"RNN": [1e-3, 1e-2], "<LSTM> $x\\": [0.5, 1.0]}, tmp_path / "a.svg", title="A & B")
    assert {"RNN", "<LSTM> $x\\", "A & B"} <= set(texts(path))


def test_zeros_and_nan_are_told(tmp_path):
    path = gradient_norms({"h": [0.0, np.nan, np.inf, 1e-3, 1.0]}, tmp_path / "a.svg")
    assert {"h (2 not finite)", "h exactly 0"} <= set(texts(path))
    gradient_norms([0.0, 0.0], tmp_path / "b.svg")


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_formats(tmp_path, name, magic):
    assert gradient_norms([1.0, 2.0], tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize("bad", [[], np.zeros((2, 2)), 3.0, {}, {"h": []}])
def test_bad_arrays(tmp_path, bad):
    with pytest.raises(DataError):
        gradient_norms(bad, tmp_path / "a.svg")


def test_bad_paths(tmp_path):
    with pytest.raises(TinyseqError, match="known are svg, png, pdf"):
        gradient_norms([1.0], tmp_path / "a.bmp")
    with pytest.raises(FileError, match="no folder"):
        gradient_norms([1.0], tmp_path / "no" / "a.svg")
