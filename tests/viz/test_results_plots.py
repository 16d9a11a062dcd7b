"""The plot of an experiment: curves of all seeds with a legend, points where there are no curves."""

from __future__ import annotations

import re
from pathlib import Path

from tinyseq.viz.plots.results_plots import results_plot


def texts(path: Path) -> list[str]:
    return [found.strip() for found in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8"))]


def test_curves_have_a_legend_with_each_name_once(tmp_path: Path) -> None:
    curves = [{"LSTM": [[1, 3.0], [2, 2.0]], "tanh": [[1, 3.0], [2, 2.9]]}] * 3
    seen = texts(results_plot(tmp_path / "a.svg", "Counting", curves, {}, ("updates", "loss")))
    assert seen.count("LSTM") == seen.count("tanh") == 1 and {"Counting", "updates", "loss"} <= set(seen)


def test_a_single_curve_is_named_by_its_axis_alone(tmp_path: Path) -> None:
    curves = [{"loss": [[1, 3.0], [2, 2.0]]}]
    assert texts(results_plot(tmp_path / "a.svg", "One", curves, {}, ("updates", "loss"))).count("loss") == 1


def test_without_curves_each_figure_has_its_points(tmp_path: Path) -> None:
    path = results_plot(tmp_path / "a.svg", "Gradients", [], {"by hand": [1e-15, 2e-15], "printed": [1.0], "none": []})
    assert {"by hand", "printed"} <= set(texts(path)) and "none" not in texts(path)


def test_a_log_scale_of_plain_numbers_is_labelled_by_them(tmp_path: Path) -> None:
    curves = [{"loss": [[1, 40.0], [2, 7.0]]}]
    seen = texts(results_plot(tmp_path / "a.svg", "One", curves, {}, ("updates", "loss"), "y"))
    assert {"10", "20"} <= set(seen)
