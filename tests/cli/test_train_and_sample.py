"""``tinyseq train`` and ``sample``: what they print, what they write, how they and all commands refuse."""

import re

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cli.train import ModelName, OptimiserName
from tinyseq.cli.training import MODELS, RATES
from tinyseq.tasks import Vocabulary
from tinyseq.train import OPTIMISERS, bits_per_token, load, save


def small(*more):
    return ("--hidden", 8, "--window", 6, "--batch", 4, "--steps", 8, *more)


def test_train_writes_a_model_whose_measure_is_the_one_it_prints(run, text, corpus, tmp_path):
    result = run("train", text, "-o", "model", *small())
    assert result.exit_code == 0, result.output
    printed = float(re.search(r"held out: ([\d.]+) bits per character after 8 steps", result.stdout).group(1))
    found = load(tmp_path / "model")
    tokens = found.vocabulary.encode(corpus)
    cut = len(tokens) - round(len(tokens) * 0.1)
    assert printed == pytest.approx(bits_per_token(found.model, tokens[cut:], tokens[:cut]), abs=1e-3)
    assert found.info["text"] == text
    assert "model/model.safetensors" in result.stdout
    assert found.model.hidden_size == 8


def test_train_with_the_same_seed_is_the_same_and_with_another_is_not(run, text, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("train", text, "-o", name, *small("--seed", seed)).exit_code == 0
    a, b, c = (load(tmp_path / name).model.W.value for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_resuming_goes_on_with_weights_and_optimiser(run, text, tmp_path):
    run("train", text, "-o", "first", *small())
    result = run("train", text, "-o", "second", "--resume", "first", *small())
    assert "after 16 steps" in result.stdout, result.output
    assert load(tmp_path / "second").optimiser_state["steps"][0] == 16
    wrong = run("train", text, "--resume", "first", *small("--optimiser", "sgd"))
    assert wrong.exit_code == 1
    assert "was trained with adam, not sgd; write --optimiser adam" in wrong.stderr


def test_resuming_on_a_text_with_other_characters(run, text, tmp_path):
    run("train", text, "-o", "first", *small())
    (tmp_path / "other.txt").write_text("Ünlike\n" * 200, "utf-8")
    result = run("train", "other.txt", "--resume", "first", *small())
    assert result.exit_code == 1
    assert "character 'Ü' (U+00DC) at line 1, column 1 is not in the vocabulary" in result.stderr


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_every_optimiser_can_be_named_and_has_a_rate(run, text, name):
    result = run("train", text, "-o", name, *small("--optimiser", name))
    assert result.exit_code == 0, result.output


def test_the_choices_offered_are_those_there_are():
    assert list(OptimiserName) == list(OPTIMISERS) == list(RATES)
    assert list(ModelName) == list(MODELS)


def test_sample_prints_prompt_and_draws_and_obeys_the_seed(run, tmp_path):
    model = ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0))
    save(tmp_path / "m", model, Vocabulary("ab\n"))
    outputs = [run("sample", "m", "--length", 30, "--prompt", "ab", "--seed", s).stdout for s in (1, 1, 2)]
    assert outputs[0] == outputs[1] != outputs[2]
    assert outputs[0].startswith("ab")
    assert len(outputs[0]) == 2 + 30 + 1
    assert len({run("sample", "m", "--temperature", 0, "--seed", s).stdout for s in range(3)}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sample", "gone"), "no model at gone"),
        (("sample", "m", "--prompt", "xyz"), "character 'x' (U+0078) at line 1, column 1 is not in the vocabulary"),
        (("sample", "m", "--temperature", -1), "temperature must be a finite number from 0"),
        (("sample", "m", "--prompt", ""), "the prompt is empty"),
        (("sample", "bare"), "bare holds no vocabulary"),
        (("sample", "text.txt"), "is not a safetensors file"),
        (("train", "gone.txt"), "no such text file: gone.txt"),
        (("train", "empty.txt"), "empty.txt is empty"),
        (("train", "latin.txt"), "latin.txt is not UTF-8 text: byte 0 is 0xe9"),
        (("train", "binary.dat"), "binary.dat is not text but binary: byte 3 is 0x00"),
        (("train", "short.txt"), "shorter than one window of 25 steps in a batch of 32: that needs 25 · 32 + 1 = 801"),
        (("train", "one.txt"), "one.txt has 1 character: too few to hold out"),
        (("train", "m"), "m is a folder; give a text file"),
        (("train", "text.txt", "-o", "text.txt"), "cannot write into text.txt: it is a file, not a folder"),
        (("train", "text.txt", "-o", "text.txt/below"), "cannot write into the folder text.txt/below"),
        (("train", "text.txt", "--rate", -1), "rate must be a finite number above 0"),
        (("train", "text.txt", "--clip", 0), "clip must be a finite number above 0"),
        (("train", "text.txt", "--held-out", 1), "the held-out part must be above 0 and below 1"),
        (("train", "text.txt", "--resume", "bare"), "bare holds no vocabulary"),
        (("train", "text.txt", "--resume", "gone"), "no model at gone"),
        (("demo", "--text", "gone.txt"), "no such text file: gone.txt"),
        (("demo", "--text", "short.txt"), "shorter than one window"),
        (("demo", "-o", "text.txt"), "it is a file, not a folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(run, text, tmp_path, arguments, message):
    model = ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0))
    save(tmp_path / "m", model, Vocabulary("ab\n"))
    save(tmp_path / "bare", model)
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "one.txt").write_bytes(b"x")
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "binary.dat").write_bytes(b"abc\0def")
    (tmp_path / "latin.txt").write_bytes("été".encode("latin-1"))
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("train", "--steps", "many"),
        ("train", "--hidden", 0),
        ("train", "--model", "perceptron"),
        ("train", "--optimiser", "newton"),
        ("sample",),
        ("draw",),
        ("draw", "rnn", "--view", "sideways"),
        ("gradcheck", "rnn", "--steps", 0),
        ("demo", "--seed", -1),
    ],
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_training_that_explodes_says_so(run, text):
    result = run("train", text, *small("--optimiser", "sgd", "--rate", 1e38, "--clip", 1e30))
    assert result.exit_code == 1
    assert "the last good weights" in result.stdout
    assert "training stopped at step" in result.stderr
    assert "Try a smaller rate than 1e+38" in result.stderr


def test_a_training_that_ran_away_is_told_in_few_digits_and_that_guessing_is_better(run, text):
    far = ("--optimiser", "sgd", "--rate", "1e30", "--clip", "1e30")
    result = run("train", text, "--steps", 8, "--window", 5, "--batch", 4, *far)
    assert result.exit_code == 0, result.output
    (held_out,) = re.findall(r"^held out: (.*) bits", result.stdout, re.MULTILINE)
    assert float(held_out) > 1e20 and len(held_out) < 10
    assert "worse than guessing" in result.stdout and "--rate" in result.stdout


@pytest.mark.parametrize("layers", [1, 2])
def test_what_reads_characters_starts_as_an_embedding_does(run, text, layers):
    """Columns of U of about N(0, 1), in the first layer alone."""
    assert run("train", text, "--hidden", 90, "--steps", 1, "--rate", 1e-9, "--layers", layers).exit_code == 0
    for name, array in load("tinyseq-model").model.state_dict().items():
        if array.ndim == 2:
            reads = name.endswith("U") and array.shape[1] == 15
            assert abs(array.std() - (1 if reads else 90**-0.5 / 3**0.5)) < 0.1 * (1 if reads else 0.1), name
