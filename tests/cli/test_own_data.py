"""A CSV file of one's own through every command: what is read is said, predictions are named, damage is survived."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq import data
from tinyseq.train import load

SMALL = ("--hidden", 3, "--batch", 4, "--steps", 6)
DAYS = [f"2024-01-{d + 1:02d}" for d in range(5)]


@pytest.fixture
def weather(tmp_path: Path) -> str:
    rng, rows = np.random.default_rng(0), ["station,day,sky,warm,rain"]
    for s in range(16):
        rows += [f"st{s},{day},{'blue' if s % 2 else 'grey'},{rng.normal():.3f},{rng.normal():.3f}" for day in DAYS]
    (tmp_path / "w.csv").write_text("\n".join(rows) + "\n")
    return "w.csv"


STATIONS = ("--target", "rain", "--group", "station", "--time", "day")


def test_the_columns_that_are_read_and_left_out_are_said(run: Any, weather: str) -> None:
    result = run("train", weather, *STATIONS, *SMALL, "-o", "r")
    assert "reads        warm, to say rain" in result.stdout
    assert "leaves out   sky, which hold no numbers or were not asked for" in result.stdout


def test_predictions_are_named_by_group_and_time(run: Any, weather: str) -> None:
    assert run("train", weather, *STATIONS, *SMALL, "-o", "r").exit_code == 0
    lines = [line.split("\t") for line in run("predict", "r", weather).stdout.splitlines()]
    assert lines[0] == ["sequence", "step", "prediction"]
    assert [(a, b) for a, b, _ in lines[1:]] == [(f"st{s}", day) for s in range(16) for day in DAYS]
    best = load("r/best.safetensors").model
    whole = data.csv(weather, target="rain", group="station", time="day")
    np.testing.assert_allclose(
        [float(c) for *_, c in lines[1:]], np.concatenate([np.ravel(p) for p in best.predict(whole)]), rtol=1e-5
    )
    new = "station,day,warm\nB,2024-02-01,1\nA,2024-02-01,2\nB,2024-02-02,3\n"  # groups may be mixed
    Path("new.csv").write_text(new)
    lines = [line.split("\t")[:2] for line in run("predict", "r", "new.csv").stdout.splitlines()[1:]]
    assert lines == [["B", "2024-02-01"], ["B", "2024-02-02"], ["A", "2024-02-01"]]


def test_the_next_value_of_every_group(run: Any, weather: str) -> None:
    """Windows of grouped series: each group's last window is predicted from, and a group too short is named."""
    result = run("train", weather, *STATIONS, "--window", 2, "--horizon", 1, *SMALL, "-o", "r")
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in run("predict", "r", weather).stdout.splitlines()[1:]]
    assert [name for name, _ in lines] == [f"st{s}" for s in range(16)]
    whole = data.csv(weather, target="rain", group="station", time="day")
    ends = data.Sequences.of([x[-2:] for x in whole.x], None)
    expected = load("r/best.safetensors").model.predict(ends)
    np.testing.assert_allclose([float(v) for _, v in lines], np.ravel(expected), rtol=1e-5)
    Path("short.csv").write_text("station,day,warm\nB,1,1\nB,2,1\nA,1,2\n")
    refused = run("predict", "r", "short.csv")
    assert refused.exit_code == 1 and "sequence 1 of short.csv has 1 rows, the model reads 2" in refused.stderr


def test_the_next_value_holds_the_state_where_cells_are_missing(run: Any) -> None:
    rows = [f"{t},{'' if t % 7 == 3 else np.sin(t)},{np.cos(t):.4f}" for t in range(61)]
    Path("s.csv").write_text("t,a,b\n" + "\n".join(rows))
    result = run("train", "s.csv", "--target", "b", "--features", "a", "--missing", "hold", "--window", 5, *SMALL)
    assert result.exit_code == 0, result.output
    series = data.csv("s.csv", target="b", features=["a"], missing="hold")
    assert series.masks is not None and 0 in series.masks[0][-5:]
    held = data.Sequences.of([series.x[0][-5:]], None, masks=[series.masks[0][-5:]])
    printed = run("predict", "tinyseq-model", "s.csv").stdout.splitlines()[1].split("\t")[1]
    found = load("tinyseq-model/best.safetensors").model.predict(held)
    assert float(printed) == pytest.approx(float(np.ravel(found)[0]), rel=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "station", "--group", "station"), "'station' is the group and the target"),
        ((*STATIONS, "--features", "rain"), "the target 'rain' is read as a feature too, at the same step"),
    ],
)
def test_what_would_be_known_is_not_learned(run: Any, weather: str, words: tuple, message: str) -> None:
    result = run("train", weather, *words, *SMALL)
    assert result.exit_code == 1 and message in result.stderr
    if "--features" in words:  # some steps ahead it may be read
        assert run("train", weather, *words, "--horizon", 1, *SMALL).exit_code == 0


def test_one_group_is_told_to_be_a_series(run: Any) -> None:
    Path("one.csv").write_text("g,a,y\n" + "".join(f"k,{i},{i}.5\n" for i in range(60)))
    refused = run("train", "one.csv", "--target", "y", "--group", "g", *SMALL)
    assert refused.exit_code == 1
    assert "has 1 sequence: too few" in refused.stderr and "all rows have the same 'g'" in refused.stderr
    assert "without --group" in refused.stderr
    far = run("train", "one.csv", "--target", "y", "--horizon", 100, *SMALL)
    assert far.exit_code == 1 and "the longest sequence of one.csv has 60 steps; give a horizon below 60" in far.stderr


COMMANDS = (("evaluate", "r"), ("predict", "r", "w.csv"), ("info", "r"), ("export", "r", "--to", "numpy"),
            ("compare", "r", "r"))  # fmt: skip


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone"])
def test_every_command_uses_the_last_good_weights(run: Any, weather: str, damage: str) -> None:
    assert run("train", weather, *STATIONS, *SMALL, "-o", "r").exit_code == 0
    wanted = {words: run(*words).stdout for words in COMMANDS}
    file, before = Path("r/model.safetensors"), Path("r/previous.safetensors")
    whole = file.read_bytes()
    shutil.copy(file, before)
    changed = bytearray(whole)
    changed[-5] ^= 255
    file.write_bytes({"cut": whole[: len(whole) // 2], "changed": bytes(changed), "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        file.unlink()
    for words in COMMANDS:
        result = run(*words)
        assert result.exit_code == 0 and result.stdout == wanted[words], result.output
        assert "r/model.safetensors" in result.stderr
        assert "used in its place: r/previous.safetensors, saved after step 6" in result.stderr
    before.unlink()
    for words in COMMANDS:
        result = run(*words)
        assert result.exit_code == 1 and "r/model.safetensors" in result.stderr, result.output


def test_damaged_best_weights_are_told_and_the_last_used(run: Any, weather: str) -> None:
    assert run("train", weather, *STATIONS, *SMALL, "-o", "r").exit_code == 0
    Path("r/best.safetensors").write_bytes(b"no")
    result = run("predict", "r", weather)
    assert result.exit_code == 0 and "used in their place: the last weights" in result.stderr
    whole = data.csv(weather, target="rain", group="station", time="day")
    expected = np.concatenate([np.ravel(p) for p in load("r").model.predict(whole)])
    np.testing.assert_allclose([float(v.split("\t")[2]) for v in result.stdout.splitlines()[1:]], expected, rtol=1e-5)


def test_a_run_that_is_done_stays_whole_when_it_is_gone_on_with(run: Any) -> None:
    """Nothing is left to train: weights, and whether the outputs are classes, are what they were."""
    rows = [{"x": [[k % 2, 1.0]], "y": "ab"[k % 2]} for k in range(20)]
    Path("q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("train", "q.jsonl", *SMALL, "-o", "r").exit_code == 0
    predictions = run("predict", "r", "q.jsonl").stdout
    weights = load("r").model.state_dict()
    for more in ((), ("--epochs", 1), ("--steps", 6)):
        result = run("train", "--resume", "r", *more)
        assert result.exit_code == 0 and "nothing was left to do: 6 steps are done" in result.stdout, result.output
        assert run("predict", "r", "q.jsonl").stdout == predictions
        assert all(np.array_equal(weights[name], array) for name, array in load("r").model.state_dict().items())
    assert "nothing was left" not in run("train", "--resume", "r", "--steps", 7).stdout


def test_what_a_model_cannot_read_is_said(run: Any) -> None:
    kinds = {"numbers": [[0.5, 1.0]], "words": "to be"}
    for kind, x in kinds.items():
        rows = [{"x": x, "y": "ab"[k % 2]} for k in range(20)]
        Path(f"{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert run("train", f"{kind}.jsonl", *SMALL, "-o", kind).exit_code == 0
    for kind, other in (("numbers", "words"), ("words", "numbers")):
        result = run("predict", kind, f"{other}.jsonl")
        assert result.exit_code == 1 and f"{other}.jsonl holds {other}, the model reads {kind}" in result.stderr
