"""``tinyseq train`` for data of one's own, and what runs are asked: guesses, configs, resumption, measures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data
from tinyseq.cli.reading import guess
from tinyseq.train import load

ROOT = str(Path(ts.__file__).parent.parent)
SMALL = ("--hidden", 4, "--batch", 8, "--steps", 12)


@pytest.fixture
def table(tmp_path: Path) -> str:
    rng, rows = np.random.default_rng(0), ["who,t,a,b,label"]
    for g in range(30):
        up = g % 2
        rows += [f"g{g},{t},{(t if up else -t) + rng.normal():.3f},{rng.normal():.3f},{'up' if up else 'down'}"
                 for t in range(int(rng.integers(3, 6)))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return "t.csv"


GROUPED = ("--target", "label", "--group", "who", "--time", "t")


def test_a_table_is_trained_measured_and_predicted(run: Any, table: str, tmp_path: Path) -> None:
    result = run("train", table, *GROUPED, *SMALL, "-o", "r")
    assert result.exit_code == 0, result.output
    assert "t.csv is taken for csv" in result.stdout and "always the most frequent class: accuracy" in result.stdout
    assert {p.name for p in (tmp_path / "r").iterdir()} >= {"model.safetensors", "metrics.jsonl", "curves.svg"}
    printed = re.search(r"^held out: loss ([\d.]+).*accuracy ([\d.]+)%", result.stdout, re.MULTILINE)
    measured = json.loads(run("evaluate", "r", "--json").stdout)
    assert printed is not None and float(printed[1]) == pytest.approx(measured["loss"], rel=1e-3)
    assert float(printed[2]) == pytest.approx(100 * measured["accuracy"], abs=0.06)
    whole = data.csv(table, target="label", group="who", time="t")
    predictions = [line.split("\t")[1] for line in run("predict", "r", table).stdout.splitlines()[1:]]
    best = load(tmp_path / "r" / "best.safetensors").model
    assert predictions == [whole.classes[k] for k in best.predict(whole)]
    other = json.loads(run("evaluate", "r", table, "--json").stdout)
    assert other["accuracy"] == pytest.approx(
        np.mean([p == whole.classes[k] for p, k in zip(predictions, whole.y, strict=True)])
    )
    Path("new.csv").write_text("who,t,a,b\nz,1,2.0,1\nz,2,3.0,0\n")
    assert run("predict", "r", "new.csv", "-o", "p.csv").exit_code == 0
    assert Path("p.csv").read_text().splitlines()[0] == "sequence,prediction"
    Path("wrong.csv").write_text("who,t,a\nz,1,2.0\n")
    wrong = run("predict", "r", "wrong.csv")
    assert wrong.exit_code == 1 and "wrong.csv has no column 'b' for the features" in wrong.stderr


def test_a_run_goes_on_to_the_same_weights(run: Any, table: str, tmp_path: Path) -> None:
    assert run("train", table, *GROUPED, *SMALL, "-o", "whole").exit_code == 0
    half = [*SMALL[:-1], 5]
    assert run("train", table, *GROUPED, *half, "-o", "part").exit_code == 0
    refused = run("train", "--resume", "part", "--hidden", 9)
    assert refused.exit_code == 1 and "part was trained with --hidden 4, not 9; leave it out" in refused.stderr
    for more in (("--target", "b"), ("--horizon", 2), ("--label-smoothing", 0.1), ("--embedding", 3)):
        refused = run("train", "--resume", "part", *more)
        assert refused.exit_code == 1 and more[0] in refused.stderr and "leave it out" in refused.stderr, refused.output
    for name, value in {"bidirectional": None, "batch": 3, "accumulate": 2, "clip": 9, "rate": 0.5, "seed": 8,
                        "schedule": "constant", "weight-decay": 0.5, "dropout": 0.5}.items():  # fmt: skip
        refused = run("train", "--resume", "part", f"--{name}", *([] if value is None else [value]))
        assert refused.exit_code == 1 and f"part was trained with --{name} " in refused.stderr, refused.output
    other = run("train", "--resume", "part", "--steps", 12, "-o", "rest")
    assert other.exit_code == 0, other.output
    assert load("rest").info["fit"]["step"] == 12


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("kind", ["table", "text"])
def test_kill_9_and_resume_is_the_run_that_was_not_killed(
    kind: str, run: Any, table: str, text: str, tmp_path: Path
) -> None:
    options = (table, *GROUPED, "--hidden", 4, "--steps", 600) if kind == "table" else (
        text, "--hidden", 8, "--window", 6, "--batch", 4, "--steps", 900, "--schedule", "cosine")  # fmt: skip
    assert run("train", *options, "-o", "whole").exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", "from tinyseq.cli import main; main()", "train", *map(str, options), "-o", "killed"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)
    result = run("train", "--resume", "killed")
    assert result.exit_code == 0, result.output
    one, other = load("whole"), load("killed")
    assert one.info["fit"]["step"] == other.info["fit"]["step"]
    for name, array in one.model.state_dict().items():
        assert np.array_equal(array, other.model.state_dict()[name]), name


def test_a_config_is_written_read_and_checked(run: Any, table: str, tmp_path: Path) -> None:
    assert run("train", table, *GROUPED, *SMALL, "--save-config", "c.toml", "-o", "a").exit_code == 0
    saved = tomllib.loads(Path("c.toml").read_text())
    assert saved["group"] == "who" and saved["hidden"] == 4 and saved["task"] == "csv" and saved["data"] == "t.csv"
    assert run("train", "--config", "c.toml", "-o", "b").exit_code == 0
    for name, array in load("a").model.state_dict().items():
        assert np.array_equal(array, load("b").model.state_dict()[name])
    for content, message in {
        "hiden = 3": "c2.toml: unknown key 'hiden'; did you mean 'hidden'?",
        "hidden = 'x'": "the value of 'hidden' is 'x', expected a whole number",
        "hidden = true": "expected a whole number",
        "hidden = ": "c2.toml is not TOML",
        "task = 'poem'": "--task is text, csv",
        "schedule = 'cosin'": "did you mean cosine?",
    }.items():
        Path("c2.toml").write_text(content)
        result = run("train", table, "--config", "c2.toml")
        assert result.exit_code == 1 and message in result.stderr, result.output


def test_series_sequences_trees_and_tags(run: Any, tmp_path: Path) -> None:
    t = np.arange(80)
    Path("s.csv").write_text("t,v\n" + "".join(f"{a},{np.sin(a / 4):.4f}\n" for a in t))
    Path("q.jsonl").write_text("\n".join(json.dumps({"x": [k % 2, 1.0], "y": "ab"[k % 2]}) for k in range(20)))
    Path("b.txt").write_text("(1 (0 a) (1 b))\n" * 10 + "(0 (0 a) (0 a))\n" * 10)
    for name, options, said in (
        ("s.csv", ("--target", "v", "--features", "v", "--window", 8), "always the mean: rmse"),
        ("q.jsonl", (), "taken for sequences"),
        ("b.txt", (), "root accuracy"),
    ):
        result = run("train", name, *options, *SMALL, "-o", name + ".run")
        assert result.exit_code == 0 and said in result.stdout, result.output
        assert run("evaluate", name + ".run").exit_code == 0
        predicted = run("predict", name + ".run", name)
        assert predicted.exit_code == 0, predicted.output
    assert len(run("predict", "s.csv.run", "s.csv").stdout.splitlines()) == 2  # the next value


def test_info_and_compare_tell_what_a_run_is(run: Any, table: str, text: str) -> None:
    run("train", table, *GROUPED, *SMALL, "-o", "r")
    run("train", text, "--hidden", 8, "--window", 6, "--batch", 4, "--steps", 9, "-o", "m")
    told = run("info", "r", "--csv", "m.csv").stdout
    assert "ManyToOne" in told and "12 steps of 12" in told and "▁" in told and "versions" in told and "group" in told
    rows = Path("m.csv").read_text().splitlines()
    assert rows[0].startswith("step,loss,norm,rate,validation_") and len(rows) == 13
    both = run("compare", "r", "m")
    assert both.exit_code == 0 and "hidden" in both.stdout and "held-out bits" in both.stdout
    assert run("compare", "r").exit_code == 1
    assert "RNN" in run("info", "m").stdout


def test_texts_with_layers_and_characters_it_does_not_know(run: Any, text: str) -> None:
    options = ("--hidden", 6, "--window", 6, "--batch", 4, "--steps", 8)
    result = run("train", text, *options, "--layers", 2, "--dropout", 0.2, "--model", "gru", "--schedule", "one-cycle")
    assert result.exit_code == 0, result.output
    assert type(load("tinyseq-model").model).__name__ == "CellNet"
    assert run("train", "--resume", "tinyseq-model", "--steps", 3).exit_code == 0
    assert load("tinyseq-model").info["steps"] == 11
    printed = json.loads(run("evaluate", "tinyseq-model", "--json").stdout)
    assert printed["bits"] == pytest.approx(load("tinyseq-model").info["held_out_bits"], rel=1e-5)
    Path("other.txt").write_text("THE CAT! ü the cat")
    assert "is not in the vocabulary" in run("evaluate", "tinyseq-model", "other.txt").stderr
    for unknown in ("skip", "replace"):
        assert run("evaluate", "tinyseq-model", "other.txt", "--unknown", unknown).exit_code == 0
    assert run("sample", "tinyseq-model", "--prompt", "THE!", "--unknown", "replace").exit_code == 0
    assert (
        "--unknown is error, skip, replace" in run("sample", "tinyseq-model", "--prompt", "x", "--unknown", "no").stderr
    )
    refused = run("train", text, "--group", "who")
    assert refused.exit_code == 1 and "a text has no --group" in refused.stderr


def test_guesses(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("(3 (2 a) (4 (4 b) (2 c)))\n" * 4)
    (tmp_path / "b.txt").write_text("Once (upon) a time.\n" * 9)
    (tmp_path / "f" / "pos").mkdir(parents=True)
    (tmp_path / "f" / "pos" / "1.txt").write_text("x")
    found = {
        name: guess(tmp_path / name)[0] for name in ("a.txt", "b.txt", "f", "x.csv", "x.jsonl", "x.conllu", "gone")
    }
    assert found == {"a.txt": "trees", "b.txt": "text", "f": "texts", "x.csv": "csv", "x.jsonl": "sequences",
                     "x.conllu": "tags", "gone": "text"}  # fmt: skip
    assert guess(Path("vowels"))[0] == "vowels"


@pytest.mark.parametrize("name", ["sunspots", "co2"])
def test_real_data_beside_a_baseline(name: str, run: Any) -> None:
    try:
        getattr(data, name)()
    except ts.errors.FileError as error:
        pytest.skip(str(error))
    result = run("train", name, "--steps", 8, "--hidden", 3, "-o", name)
    assert result.exit_code == 0, result.output
    assert "the last value: rmse" in result.stdout
    assert ("published: relative variance 0.086" in result.stdout) == (name == "sunspots")
    assert run("evaluate", name).exit_code == 0
