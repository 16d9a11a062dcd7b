"""Options from a TOML file: each flag has its key, in the same bounds; what reads other data is refused."""

from __future__ import annotations

import inspect
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import tinyseq.cli.train as module
from tinyseq.cli.app import app
from tinyseq.cli.train import KEYS, NO_KEYS
from tinyseq.train import load
from tinyseq.train.ranks import Ranks

VALUES: dict[str, Any] = {
    "data": "q.jsonl", "out": "r", "task": "csv", "target": "b", "features": ["a", "b"], "group": "g", "time": "t",
    "sort": True, "missing": "hold", "horizon": 2, "labels": "root", "binary": "left", "least": 2, "held_out": 0.3,
    "model": "lstm", "hidden": 5, "layers": 2, "bidirectional": True, "dropout": 0.25, "layer_norm": True,
    "embedding": 6, "window": 7, "batch": 3, "steps": 4, "epochs": 2.5, "optimiser": "rmsprop", "rate": 0.01,
    "schedule": "cosine", "clip": 0.5, "weight_decay": 0.125, "accumulate": 2, "label_smoothing": 0.1, "patience": 3,
    "seed": 8, "mpi": True,
}  # fmt: skip


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``train`` would have begun with, and by how many ranks."""
    seen: list[Any] = []

    def start(given: dict[str, Any], *rest: Any) -> None:
        seen.append((given, rest))

    monkeypatch.setattr(module, "start", start)
    monkeypatch.setattr(module, "mpi_ranks", lambda: Pair())
    return seen


class Pair(Ranks):
    size = 2


def options_of_train() -> dict[str, Any]:
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    return {p.name: p for p in command.params if p.name != "help"}


def test_every_flag_has_a_key_but_for_those_that_handle_files() -> None:
    """The folder to go on with and the files of options belong to one call, not to how a model is trained."""
    assert set(options_of_train()) == {*KEYS, *NO_KEYS} and set(NO_KEYS) == {"resume", "config", "save_options"}
    assert set(inspect.signature(module.train).parameters) == {*KEYS, *NO_KEYS}
    assert set(VALUES) == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_says_what_its_flag_says(run: Any, started: list[Any], name: str, tmp_path: Path) -> None:
    value, option = VALUES[name], options_of_train()[name]
    flag = () if name == "data" else (option.opts[0],)
    words = [(*flag, v) if value is not True else flag for v in (value if isinstance(value, list) else [value])]
    assert run("train", *[word for pair in words for word in pair]).exit_code == 0
    for key in (name, name.replace("_", "-")):
        told = json.dumps(value)
        Path("c.toml").write_text(f"{key} = {told}")
        result = run("train", "--config", "c.toml")
        assert result.exit_code == 0, result.output
    by_flag, *by_key = started
    assert [given for given, _ in by_key] == [by_flag[0]] * 2
    assert all(rest[2].size == (2 if name == "mpi" else 1) for _, rest in started)
    assert name == "mpi" or by_flag[0] == {name: value}


def test_a_flag_goes_before_its_key_also_where_it_says_no(run: Any, started: list[Any], tmp_path: Path) -> None:
    Path("c.toml").write_text("bidirectional = true\nlayer-norm = true\nsort = true\nmpi = true\nhidden = 3")
    off = ("--no-bidirectional", "--no-layer-norm", "--no-sort", "--no-mpi")
    assert run("train", "--config", "c.toml", *off, "--hidden", 4).exit_code == 0
    given, rest = started[0]
    assert given == {"bidirectional": False, "layer_norm": False, "sort": False, "hidden": 4} and rest[2].size == 1


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.least is not None])
def test_bounds_of_flags_hold_for_keys(run: Any, started: list[Any], name: str, tmp_path: Path) -> None:
    least = KEYS[name].least
    assert least is not None
    Path("c.toml").write_text(f"{name} = {int(least) - 1}")
    result = run("train", "--config", "c.toml")
    assert result.exit_code == 1 and not started
    assert f"c.toml: the value of {name!r} is {int(least) - 1}, expected at least {least}" in result.stderr
    assert run("train", f"--{name.replace('_', '-')}", int(least) - 1).exit_code == 2


@pytest.fixture
def rows(tmp_path: Path) -> str:
    rows = [{"x": [k % 2, 1.0, 0.5], "y": "ab"[k % 2]} for k in range(20)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "q.jsonl"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--horizon", 2), "sequences, JSON lines: one labelled sequence on each, has no --horizon, which is of csv"),
        (("--window", 2), "has no --window, which is of csv, sunspots, co2"),
        (("--sort",), "has no --sort"),
        (("--binary", "left"), "has no --binary, which is of trees"),
        (("--features", "a"), "has no --features"),
        (("--steps", 2, "--epochs", 2), "--steps and --epochs both say how long to train"),
        (("--epochs", -1), "--epochs is a number above 0, got -1"),
    ],
)
def test_what_these_data_have_not_is_refused(run: Any, rows: str, words: tuple, message: str) -> None:
    result = run("train", rows, *words)
    assert result.exit_code == 1 and message in result.stderr, result.output
    assert not Path("tinyseq-model").exists() or not any(Path("tinyseq-model").iterdir())


def test_a_text_is_trained_for_steps_or_epochs(run: Any, text: str) -> None:
    result = run("train", text, "--steps", 2, "--epochs", 1)
    assert result.exit_code == 1 and "both say how long" in result.stderr
    result = run("train", text, "--epochs", "inf")
    assert result.exit_code == 1 and "--epochs is a number above 0" in result.stderr


def test_a_training_by_epochs_goes_on_for_steps(run: Any, rows: str) -> None:
    small = ("--hidden", 3, "--batch", 8)
    assert run("train", rows, *small, "--epochs", 2, "-o", "a").exit_code == 0
    done = load("a").info["fit"]["step"]
    result = run("train", "--resume", "a", "--steps", done + 3)
    assert result.exit_code == 0, result.output
    assert load("a").info["fit"]["step"] == done + 3
    assert run("train", "--resume", "a", "--epochs", 8).exit_code == 0
    assert load("a").info["fit"]["step"] == 4 * done


def test_options_written_under_mpi_say_so(run: Any, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mpi_ranks", Ranks)
    result = run("train", rows, "--hidden", 3, "--steps", 2, "--mpi", "--save-config", "c.toml", "-o", "a")
    assert result.exit_code == 0, result.output
    saved = tomllib.loads(Path("c.toml").read_text())
    assert saved["mpi"] is True
    assert run("train", "--config", "c.toml", "-o", "b", "--no-mpi").exit_code == 0
    for name, array in load("a").model.state_dict().items():
        assert np.array_equal(array, load("b").model.state_dict()[name])
