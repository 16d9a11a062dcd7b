"""Figures that are plots: by the same command, in the formats of a plot."""

from __future__ import annotations

import json

import pytest

from tinyseq.errors import TinyseqError
from tinyseq.viz.chapter.plotted import PlottedFigure


@pytest.fixture
def figure():
    def run(path):
        """Writes what it was asked for."""
        path.write_text(f"<svg>{path.suffix}</svg>")

    return PlottedFigure("10.0", "A plot", "y = x", run)


def test_a_plot_is_written_in_the_format_of_the_ending(figure, tmp_path):
    assert figure.picture().save(tmp_path / "a.svg").read_text() == "<svg>.svg</svg>"
    assert figure.picture().save(tmp_path / "a.png").read_text() == "<svg>.png</svg>"


def test_a_plot_has_no_dot(figure, tmp_path):
    with pytest.raises(TinyseqError, match=r"figure 10\.0 is a plot: svg, png, pdf, not dot"):
        figure.picture().save(tmp_path / "a.dot")


def test_its_json_and_code(figure):
    assert json.loads(figure.picture().json) == {"title": "Figure 10.0: A plot", "plot": True}
    assert "path.write_text(" in figure.code and figure.code.endswith('run("fig_10_00.svg")')
