"""Runs that survive: killed at any moment, cut off while writing, damaged: gone on with, they end in the same bits."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data, nn, train
from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.train import run_folder

STEPS = 40


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequences(n: int = 20, seed: int = 0) -> data.Sequences:
    draw = rng(seed)
    x = [draw.normal(size=(int(draw.integers(2, 5)), 2)) for _ in range(n)]
    return data.Sequences.of(x, np.array([int(a[-1, 0] > 0) for a in x]))


CORPUS = data.Corpus.of("abcd bad cab dab. " * 30, "letters", 0.2)


def of_text(folder: Path, **options: Any) -> Any:
    V = len(CORPUS.vocabulary)
    model = nn.LSTM(V, 5, V, rng=rng())
    history = train.fit(
        model, CORPUS, "adam", STEPS, window=7, batch=4, schedule="cosine", clip=1.0, validate_every=9, progress=False,
        run=folder, vocabulary=CORPUS.vocabulary, **options,
    )  # fmt: skip
    return model, history


def of_sequences(folder: Path, **options: Any) -> Any:
    model = nn.ManyToOne(nn.recurrent("gru", 2, 4, num_layers=2, dropout=0.3, rng=rng()), 2, rng=rng(1))
    history = train.fit(
        model, sequences(), "rmsprop", STEPS, batch=6, schedule="plateau", validation=sequences(6, 9), validate_every=7,
        weight_decay=0.01, accumulate=2, progress=False, run=folder, rng=rng(4), **options,
    )  # fmt: skip
    return model, history


KINDS = {"text": of_text, "unequal lengths": of_sequences}


def bits(model: Any) -> list[bytes]:
    return [p.value.tobytes() for p in model.parameters()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Any:
    return {name: make(tmp_path_factory.mktemp("whole") / "run") for name, make in KINDS.items()}


def equal(kind: str, whole: Any, model: Any, history: Any, folder: Path) -> None:
    wanted, before = whole[kind]
    assert bits(model) == bits(wanted)
    assert history.losses == before.losses and history.rates == before.rates and history.norms == before.norms
    assert history.validation == before.validation and history.best == before.best
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["loss"] for row in rows] == list(before.losses)


def killed(make: Any, folder: Path, after: float) -> bool:
    """Train in a process of its own and kill it after so many seconds; whether it was still at work."""
    child = os.fork()
    if not child:
        try:
            make(folder, save_every=1, resume=True)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_often(kind: str, whole: Any, tmp_path: Path, times: int, seed: int) -> None:
    make, draw = KINDS[kind], rng(seed)
    started = time.perf_counter()
    make(tmp_path / "timed", save_every=1)
    span = time.perf_counter() - started
    hit = 0
    for k in range(times):
        folder = tmp_path / str(k)
        for _ in range(2):  # killed, gone on with, and killed again
            hit += killed(make, folder, draw.uniform(0.02, 1.1 * span))
        model, history = make(folder, resume=True)
        equal(kind, whole, model, history, folder)
    assert hit >= times / 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_it_ends_in_the_same_bits(kind: str, whole: Any, tmp_path: Path) -> None:
    kill_often(kind, whole, tmp_path, 3, 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_fifty_moments_it_ends_in_the_same_bits(kind: str, whole: Any, tmp_path: Path) -> None:
    kill_often(kind, whole, tmp_path, 25, 2)


class Cut(BaseException):
    """The machine is gone."""


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_at_every_call_that_writes(
    kind: str, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0, -1]

    def counting(real: Any) -> Any:
        def call(*given: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == calls[1]:
                raise Cut
            return real(*given, **options)

        return call

    for name in ("replace", "link", "fsync"):
        monkeypatch.setattr(run_folder.os, name, counting(getattr(os, name)))
    for moment in rng(3).permutation(60)[:4].tolist():
        calls[:] = [0, moment + 1]
        folder = tmp_path / str(moment)
        with pytest.raises(Cut):
            KINDS[kind](folder, save_every=1)
        calls[1] = -1
        model, history = KINDS[kind](folder, resume=True)
        equal(kind, whole, model, history, folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone", "text"])
def test_where_the_last_is_damaged_the_one_before_is_used(
    kind: str, damage: str, whole: Any, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "run"

    def stop(history: Any) -> bool:
        return history.step == 23

    KINDS[kind](folder, save_every=10, callbacks=[stop])
    state = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert state["step"] == 23
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "changed":
        content[-5] ^= 1
    file.unlink()
    if damage != "gone":
        file.write_bytes({"cut": content[:-100], "empty": b"", "text": b"hello", "changed": content}[damage])
    model, history = KINDS[kind](folder, resume=True)
    equal(kind, whole, model, history, folder)
    told = capsys.readouterr().err
    assert "used in its place" in told and "previous.safetensors, saved after step 20" in told


def test_both_damaged_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    of_text(tmp_path / "run", save_every=10)
    for name in ("model", "previous"):
        (tmp_path / "run" / f"{name}.safetensors").write_bytes(b"x")
    with pytest.raises(FileError, match=r"previous.safetensors is damaged"):
        of_text(tmp_path / "run", resume=True)


def test_metrics_that_are_lost_or_torn_lose_no_training(whole: Any, tmp_path: Path) -> None:
    for damage in ("gone", "torn", "text"):
        folder = tmp_path / damage
        of_text(folder, save_every=10, callbacks=[lambda h: h.step == 21])
        metrics = folder / "metrics.jsonl"
        if damage == "gone":
            metrics.unlink()
        else:
            metrics.write_text(metrics.read_text()[:-30] if damage == "torn" else "no JSON\n")
        model, history = of_text(folder, resume=True)
        assert bits(model) == bits(whole["text"][0]) and history.step == STEPS
        assert list(history.losses[-5:]) == list(whole["text"][1].losses[-5:])


def test_other_data_and_another_model_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    of_sequences(folder)
    model = nn.ManyToOne(nn.recurrent("gru", 2, 4, num_layers=2, dropout=0.3, rng=rng()), 2, rng=rng(1))
    with pytest.raises(DataError, match=r"was trained on other data"):
        train.fit(model, sequences(21), "rmsprop", 50, run=folder, resume=True, progress=False)
    with pytest.raises(TinyseqError, match=r"holds another training than this one: .*missing"):
        train.fit(nn.ManyToOne(nn.GRUCell(2, 4, rng=rng()), 2, rng=rng()), sequences(), "rmsprop", 9, run=folder,
                  resume=True, progress=False)  # fmt: skip
    with pytest.raises(TinyseqError, match="holds another training than this one: this state is of another optimiser"):
        train.fit(model, sequences(), "sgd", 50, run=folder, resume=True, progress=False)


def test_a_training_that_is_done_is_left_as_it_is(whole: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    of_sequences(folder)
    model, history = of_sequences(folder, resume=True)
    equal("unequal lengths", whole, model, history, folder)


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="file, not a folder"):
        of_text(tmp_path / "file")


def test_a_full_disk_stops_no_training_and_is_told_once(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real, calls = run_folder.save, []

    def full(*given: Any) -> Any:
        calls.append(1)
        if 3 < len(calls) < 9:
            raise FileError("cannot write model: No space left on device")
        return real(*given)

    monkeypatch.setattr(run_folder, "save", full)
    model, history = of_text(tmp_path / "run", save_every=2)
    equal("text", whole, model, history, tmp_path / "run")
    assert capsys.readouterr().err.count("not saved, training goes on: cannot write model: No space left") == 1


def test_what_is_in_the_folder(whole: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    of_sequences(folder, about={"mine": [1, 2]})
    assert {p.name for p in folder.iterdir()} == {
        "model.safetensors", "previous.safetensors", "best.safetensors", "metrics.jsonl", "curves.svg",
    } - ({"previous.safetensors"} if not (folder / "previous.safetensors").exists() else set())  # fmt: skip
    found = train.load(folder)
    assert found.info["mine"] == [1, 2] and found.info["versions"]["numpy"] == np.__version__
    best = train.load(folder / "best.safetensors")
    held = sequences(6, 9)
    assert best.model.evaluate(held)["loss"] == pytest.approx(found.info["fit"]["best"]["loss"], rel=1e-5)
    assert ts.train.load(folder).model.predict(held).shape == (6,)


def test_a_training_that_is_done_is_restored_whole(tmp_path: Path) -> None:
    """A new model gone on with for no further step predicts what the one that was trained does."""
    for made in (sequences(), data.Sequences.of(sequences().x, np.arange(20.0))):
        folder = tmp_path / str(made.classified)

        def fresh() -> Any:
            return nn.ManyToOne(nn.recurrent("gru", 2, 4, rng=rng()), 2 if made.classified else 1, rng=rng(1))  # noqa: B023

        model, again = fresh(), fresh()
        train.fit(model, made, "adam", 3, run=folder, progress=False)
        assert train.fit(again, made, "adam", 3, run=folder, resume=True, progress=False).step == 3
        assert again.targets == model.targets == ("classes" if made.classified else "reals")
        for other in (again, train.load(folder).model):
            np.testing.assert_array_equal(other.predict(made), model.predict(made))
