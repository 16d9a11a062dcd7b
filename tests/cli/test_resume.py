"""``tinyseq train --resume``, Ctrl-C and kills: nothing is lost, and parts make the whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cli import train as command
from tinyseq.train import load, save

ROOT = str(Path(ts.__file__).parent.parent)
SIZES = ("--hidden", 8, "--window", 6, "--batch", 4)


def same(a, b):
    one, other = load(a), load(b)
    assert one.info["steps"] == other.info["steps"]
    for x, y in ((one.model.state_dict(), other.model.state_dict()), (one.optimiser_state, other.optimiser_state)):
        assert x.keys() == y.keys()
        for name in x:
            assert np.array_equal(x[name], y[name]), name


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_ten_steps_and_ten_more_are_twenty(run, text, model, optimiser):
    options = (*SIZES, "--model", model, "--optimiser", optimiser, "--held-out", 0.2, "--rate", 0.02, "--clip", 0.5)
    assert run("train", text, "-o", "whole", *options, "--steps", 20).exit_code == 0
    assert run("train", text, "-o", "a", *options, "--steps", 10).exit_code == 0
    part = run("train", "--resume", "a", "-o", "b", "--steps", 4)  # text and options are those of before
    assert part.exit_code == 0, part.output
    assert "after 14 steps" in part.stdout and "beginning" not in part.stdout
    assert run("train", text, "--resume", "b", "--steps", 6, *options).exit_code == 0  # said again; into b
    same("whole", "b")
    assert load("a").info["steps"] == 10


def test_parts_over_several_epochs_are_the_whole(run, tmp_path):
    (tmp_path / "short.txt").write_text("ab cd ef gh " * 9)  # 97 characters to train on: four windows
    for out, parts in (("whole", (13,)), ("parts", (3, 1, 9))):
        for i, steps in enumerate(parts):
            more = ("--resume", out) if i else SIZES
            assert run("train", "short.txt", "-o", out, *more, "--steps", steps).exit_code == 0
    same("whole", "parts")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "gru"), "was trained with rnn, not gru; write --model rnn, or leave it out"),
        (("--hidden", 9), "was trained with hidden units: 8, not 9; write --hidden 8"),
        (("--window", 7), "was trained with a window of 6, not 7; write --window 6"),
        (("--batch", 5), "was trained with a batch of 4, not 5; write --batch 4"),
        (("--held-out", 0.2), "was trained with a held-out of 0.1, not 0.2; write --held-out 0.1"),
        (("--optimiser", "rmsprop"), "was trained with adam, not rmsprop; write --optimiser adam"),
        (("--seed", 3), "was trained with a seed of 0, not 3; write --seed 0"),
        (("--layers", 2), "was trained with layers: 1, not 2; write --layers 1"),
        (("--dropout", 0.5), "was trained with a dropout of 0.0, not 0.5; write --dropout 0.0"),
        (("--accumulate", 2), "was trained with accumulate: 1, not 2; write --accumulate 1"),
        (("--schedule", "cosine"), "was trained with a schedule of constant, not cosine; write --schedule constant"),
        (("--weight-decay", 0.1), "was trained with a weight-decay of 0.0, not 0.1; write --weight-decay 0.0"),
    ],
)
def test_options_that_contradict_the_training_are_refused(run, text, tmp_path, options, message):
    assert run("train", text, "-o", "m", *SIZES, "--steps", 3).exit_code == 0
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    result = run("train", text, "--resume", "m", "--steps", 3, *options)
    assert result.exit_code == 1 and message in result.stderr, result.output
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "tinyseq-model").exists()


def test_rate_and_clip_may_change_and_are_kept_from_then_on(run, text):
    run("train", text, "-o", "m", *SIZES, "--steps", 3)
    assert run("train", "--resume", "m", "--steps", 3, "--rate", 0.001, "--clip", 9).exit_code == 0
    options = load("m").info["options"]
    assert (options["rate"], options["clip"]) == (0.001, 9)
    run("train", "--resume", "m", "--steps", 3)
    assert load("m").info["options"] == options


def test_another_text_starts_at_its_beginning_and_says_so(run, text, corpus, tmp_path):
    run("train", text, "-o", "m", *SIZES, "--steps", 5)
    (tmp_path / "other.txt").write_text(corpus[::-1])
    result = run("train", "other.txt", "--resume", "m", "-o", "n", "--window", 5, "--steps", 3)
    assert result.exit_code == 0, result.output
    assert "not the text that m was trained on" in result.stdout
    found = load("n")
    assert found.info["steps"] == 8 and found.info["options"]["window"] == 5
    assert found.optimiser_state["place.done"][0] == 3


def test_a_text_that_has_changed_is_not_read_in_place_of_the_old(run, text, tmp_path):
    run("train", text, "-o", "m", *SIZES, "--steps", 2)
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    (tmp_path / "text.txt").write_text((tmp_path / "text.txt").read_text() + "the cat\n")
    result = run("train", "--resume", "m", "--steps", 2)
    assert result.exit_code == 1 and "text.txt has changed since m was trained on it" in result.stderr, result.output
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    assert "read from its beginning" in run("train", text, "--resume", "m", "--steps", 2).stdout


def test_a_schedule_that_goes_over_more_steps_is_told(run, text):
    run("train", text, "-o", "m", *SIZES, "--steps", 4, "--schedule", "cosine")
    told = run("train", "--resume", "m", "--steps", 4).stdout
    assert "the cosine schedule goes over 8 steps from now on, not 4" in told


def test_dropout_goes_by_the_seed(run, text, tmp_path):
    """The same weights in the beginning would be enough for the same loss, were the units dropped the same."""
    for seed in (0, 1):
        options = (*SIZES, "--dropout", 0.5, "--steps", 1, "--seed", seed, "-o", f"s{seed}")
        assert run("train", text, *options).exit_code == 0
    masks = [load(f"s{seed}").info["fit"]["seed"] for seed in (0, 1)]
    assert masks[0] != masks[1]


def test_a_file_may_be_named_in_place_of_its_folder(run, text, tmp_path):
    assert run("train", text, "-o", "m.safetensors", *SIZES, "--steps", 4).exit_code == 0
    assert (tmp_path / "m.safetensors").is_file()
    result = run("train", "--resume", "m.safetensors", "--steps", 2)
    assert result.exit_code == 0 and load("m.safetensors").info["steps"] == 6, result.output
    run("train", text, "-o", "m", *SIZES, "--steps", 4)
    assert run("train", "--resume", "m/model.safetensors", "--steps", 2).exit_code == 0
    same("m", "m.safetensors")


def test_a_text_that_is_gone_is_named(run, text, tmp_path):
    run("train", text, "-o", "m", *SIZES, "--steps", 2)
    (tmp_path / "text.txt").unlink()
    result = run("train", "--resume", "m")
    assert result.exit_code == 1 and "the text that m was trained on is gone" in result.stderr


def test_a_model_saved_without_its_training_can_go_on(run, text, corpus):
    vocabulary = ts.tasks.Vocabulary.of(corpus)
    V = len(vocabulary)
    save("m", ts.nn.LSTM(V, 5, V, rng=np.random.default_rng(0)), vocabulary)
    result = run("train", text, "--resume", "m", "--window", 6, "--batch", 4, "--steps", 2)
    assert result.exit_code == 0, result.output
    assert load("m").info["options"]["model"] == "lstm" and load("m").info["options"]["hidden"] == 5


def test_ctrl_c_while_measuring_keeps_the_model(run, text, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "bits_per_token", interrupted)
    result = run("train", text, "-o", "m", *SIZES, "--steps", 4)
    assert result.exit_code == 130
    assert "the model, not measured" in result.stdout
    assert load("m").info["steps"] == 4 and "held_out_bits" not in load("m").info


def test_a_failed_training_makes_no_folder(run, text):
    for wrong in (("--rate", -1), ("--clip", "nan"), ("--held-out", 1), ("--window", 999999), ("--rate", "nan")):
        assert run("train", text, "-o", "m", *SIZES, *wrong).exit_code == 1
        assert not Path("m").exists(), wrong


def test_a_disk_that_is_full_on_the_way_stops_no_training(run, text, monkeypatch):
    from tinyseq.train import run_folder

    real, calls = run_folder.save, []

    def full(*arguments):
        calls.append(1)
        if len(calls) in (2, 3, 4):
            raise ts.errors.FileError("cannot write m: No space left on device")
        return real(*arguments)

    monkeypatch.setattr(run_folder, "save", full)
    result = run("train", text, "-o", "m", *SIZES, "--steps", 12)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("not saved, training goes on: cannot write m: No space left") == 1
    assert load("m").info["steps"] == 12


def start(folder, *arguments):
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tinyseq.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_kill_leaves_the_last_good_model_which_goes_on_to_the_same_end(run, text, tmp_path):
    options = (*SIZES, "--steps", 20_000)
    process = start(tmp_path, "train", text, "-o", "m", *options)
    process.stderr.readline()  # a tenth is done, and saved
    process.kill()
    process.communicate(timeout=300)
    kept = {"model.safetensors", "previous.safetensors", "best.safetensors", "metrics.jsonl"}
    assert {p.name for p in (tmp_path / "m").iterdir() if not p.name.startswith(".")} <= kept
    done = load("m").info["steps"]
    assert done > 0
    assert run("train", "--resume", "m", "--steps", 5).exit_code == 0
    assert run("train", text, "-o", "whole", *SIZES, "--steps", done + 5).exit_code == 0
    same("m", "whole")


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_ctrl_c_twice_leaves_a_model(text, tmp_path):
    process = start(tmp_path, "train", text, "-o", "m", *SIZES, "--steps", 50_000)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (0, 130), err.decode()
    assert b"Traceback" not in err
    assert load(tmp_path / "m").info["steps"] > 0
