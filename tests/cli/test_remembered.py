"""Every option that says how data are read is kept with a run, and holds for what it evaluates and predicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq import data
from tinyseq.cli.reading import OPTIONS
from tinyseq.train import load

SMALL = ("--hidden", 3, "--steps", 3, "--batch", 4)
HOW = ("held_out", "window")  # how they are parted, and cut: told from the run


def rows(gaps: str, seed: int = 0, target: str = "{:.2f}") -> str:
    """A table of six stations, its days in no order; one cell of the column named is empty."""
    draw = np.random.default_rng(seed)
    lines = [
        [s, d, *draw.normal(size=2).round(2), target.format(draw.normal() ** 2 * 3)] for s in "abcdef" for d in range(4)
    ]
    lines = [lines[i] for i in draw.permutation(len(lines))]
    if gaps:
        lines[1][["station", "day", "p", "q", "rain"].index(gaps)] = ""
    return "station,day,p,q,rain\n" + "".join(",".join(map(str, line)) + "\n" for line in lines)


TRAINED = ("--target", "rain", "--features", "p", "--features", "q", "--group", "station", "--time", "day", "--sort",
           "--missing", "mask")  # fmt: skip


@pytest.fixture
def trained(run: Any) -> str:
    Path("t.csv").write_text(rows("q"))
    result = run("train", "t.csv", *TRAINED, *SMALL, "-o", "r")
    assert result.exit_code == 0, result.output
    return "r"


def test_a_run_keeps_and_shows_every_option_of_reading(run: Any, trained: str) -> None:
    config = load(trained).info["config"]
    assert config | {"target": "rain", "features": ["p", "q"], "group": "station", "time": "day", "sort": True,
                     "missing": "mask"} == config  # fmt: skip
    told = run("info", trained).stdout
    for name in set(OPTIONS["csv"]) - {*HOW, "horizon"}:
        assert f"  {name} " in told, name


@pytest.mark.parametrize("gaps", ["", "q"])
def test_another_table_is_sorted_and_has_the_same_features(gaps: str, run: Any, trained: str) -> None:
    Path("new.csv").write_text(rows(gaps, 1))
    result = run("predict", trained, "new.csv")
    assert result.exit_code == 0, result.output
    read = data.csv("new.csv", target="rain", group="station", time="day", sort=True, missing="mask", flagged=["q"])
    assert read.features == ("p", "q", "q is missing")
    expected = np.concatenate([np.ravel(p) for p in load(trained).model.predict(read)])
    lines = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    np.testing.assert_allclose([float(line[2]) for line in lines], expected, rtol=1e-5)
    assert [line[1] for line in lines] == list("0123") * 6


def test_a_gap_where_none_was_learned_is_named(run: Any, trained: str) -> None:
    Path("new.csv").write_text(rows("p", 1))
    result = run("predict", trained, "new.csv")
    assert result.exit_code == 1 and "new.csv, line 3, column 'p' is missing" in result.stderr, result.output


def test_whole_targets_of_another_table_are_the_reals_that_were_learned(run: Any, trained: str) -> None:
    Path("whole.csv").write_text(rows("", 2, "{:.0f}"))
    read = data.csv("whole.csv", target="rain", group="station", time="day", sort=True, missing="mask", flagged=["q"],
                    reals=True)  # fmt: skip
    assert data.csv("whole.csv", target="rain", group="station", time="day", sort=True).classified  # by itself
    measured = json.loads(run("evaluate", trained, "whole.csv", "--json").stdout)
    assert measured["rmse"] == pytest.approx(load(trained).model.evaluate(read)["rmse"], rel=1e-6)


def test_what_was_held_out_of_a_file_that_changed_is_not_guessed(run: Any, trained: str) -> None:
    assert run("evaluate", trained).exit_code == 0
    Path("t.csv").write_text(rows("q", 5))
    result = run("evaluate", trained)
    assert result.exit_code == 1 and "t.csv has changed since r was trained on it" in result.stderr, result.output
    assert run("evaluate", trained, "t.csv").exit_code == 0


def test_what_was_held_out_of_a_text_that_changed_is_not_guessed(run: Any, text: str) -> None:
    assert run("train", text, "--hidden", 4, "--window", 6, "--batch", 4, "--steps", 2, "-o", "m").exit_code == 0
    assert run("evaluate", "m").exit_code == 0
    Path(text).write_text(Path(text).read_text() + "the cat\n")
    result = run("evaluate", "m")
    assert result.exit_code == 1 and "has changed since m was trained on it" in result.stderr, result.output
