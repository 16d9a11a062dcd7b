"""The commands in one process: what they print, what they write, how they refuse."""

import re
from math import log2

import numpy as np
import pytest
from typer.testing import CliRunner

import tinyseq as ts
from tinyseq.cli import app
from tinyseq.cli import demo as demo_module
from tinyseq.cli.text import MODELS, RATES, ModelName, OptimiserName
from tinyseq.tasks import Markov, Vocabulary
from tinyseq.train import OPTIMISERS, bits_per_token, load, save

TEXT = "the cat sat on the mat; the dog ate the hat.\n" * 40
CELL = '''
import numpy as np
import tinyseq as ts


class Leaky(ts.nn.Cell):
    """h(t) = ½ h(t−1) + ½ tanh(W h(t−1) + U x(t)), o = h."""

    name = "leaky"

    def __init__(self, input_size, hidden_size, *, rng):
        self.input_size, self.hidden_size = input_size, hidden_size
        self.U = ts.Parameter(rng.standard_normal((hidden_size, input_size)).astype("float32"), "U")
        self.W = ts.Parameter(rng.standard_normal((hidden_size, hidden_size)).astype("float32"), "W")

    def initial_state(self, batch):
        return ts.zeros((batch, self.hidden_size), self.W.dtype)

    def step(self, x, h):
        h = (0.5 * h + 0.5 * ts.tanh(ts.linear(h, self.W) + ts.linear(x, self.U))).named("h")
        return h, h


class Blocked(Leaky):
    """A gradient that is wrong: the recurrence is cut, the value is not."""

    def step(self, x, h):
        h = ts.tanh(ts.linear(h, self.W).detach() + ts.linear(x, self.U))
        return h, h


class Broken(Leaky):
    def step(self, x, h):
        return h.nonsense, h


class Stateless(ts.nn.Cell):
    input_size = 2

    def __init__(self):
        self.W = ts.Parameter(np.ones((2, 2)), "W")


class Greedy(Leaky):
    def __init__(self, wings):
        pass


class Empty(Leaky):
    def __init__(self, input_size):
        self.input_size = self.hidden_size = input_size


class Factor:
    pass
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return call


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    return "text.txt"


@pytest.fixture
def cell(tmp_path):
    (tmp_path / "mine.py").write_text(CELL, "utf-8")
    return "mine.py"


def small(*more):
    return ("--hidden", 8, "--window", 6, "--batch", 4, "--steps", 8, *more)


# -- train and sample ------------------------------------------------------------------------------------------------
def test_train_writes_a_model_whose_measure_is_the_one_it_prints(run, text, tmp_path):
    result = run("train", text, "-o", "model", *small())
    assert result.exit_code == 0, result.output
    printed = float(re.search(r"held out: ([\d.]+) bits per character after 8 steps", result.stdout).group(1))
    found = load(tmp_path / "model")
    tokens = found.vocabulary.encode(TEXT)
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
        (("train", "short.txt"), "shorter than one window of 25 steps in a batch of 32: that needs 25 · 32 + 1 = 801"),
        (("train", "one.txt"), "one.txt has 1 characters: too few to hold out"),
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
    assert "training stopped at step" in result.stderr
    assert "Try a smaller rate than 1e+38" in result.stderr


# -- gradcheck and draw ----------------------------------------------------------------------------------------------
def test_gradcheck_of_the_built_in_cell_passes(run):
    result = run("gradcheck", "rnn", "--steps", 3)
    assert result.exit_code == 0, result.output
    assert "all 5 gradients agree" in result.stdout
    assert "rnn, 3 steps, batch 2, its own loss on random tokens" in result.stdout


def test_gradcheck_of_a_users_cell_passes_and_of_a_wrong_one_fails(run, cell):
    right = run("gradcheck", f"{cell}:Leaky")
    assert right.exit_code == 0, right.output
    assert "all 2 gradients agree" in right.stdout
    wrong = run("gradcheck", f"{cell}:Blocked")
    assert wrong.exit_code == 1
    assert "wrong gradient" in wrong.stdout
    assert wrong.stderr == ""


def test_gradcheck_of_a_saved_model(run, tmp_path):
    save(tmp_path / "m", ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0)), Vocabulary("ab\n"))
    result = run("gradcheck", "m")
    assert result.exit_code == 0, result.output
    assert "U (4, 3)" in result.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lstn", "'lstn' is neither a built-in cell (rnn"),
        ("mine.py", "which class of mine.py? Write mine.py:Class"),
        ("gone.py:Cell", "no such file: gone.py"),
        ("mine.py:Gone", "mine.py has no ts.nn.Cell or ts.nn.Module named 'Gone'; its own are: Leaky, Blocked, Broken"),
        ("mine.py:Factor", "has no ts.nn.Cell or ts.nn.Module named 'Factor'"),
        ("mine.py:Broken", "AttributeError: 'Tensor' object has no attribute 'nonsense'"),
        ("mine.py:Stateless", "Stateless cannot be run from here: it has no initial_state"),
        ("mine.py:Greedy", "Greedy needs an argument 'wings' that the command line cannot give"),
        ("mine.py:Empty", "Empty has no parameters"),
        ("syntax.py:Cell", "syntax.py:2: SyntaxError"),
        ("raises.py:Cell", "raises.py:3: ZeroDivisionError: division by zero"),
    ],
)
def test_targets_that_cannot_be_checked(run, cell, tmp_path, target, message):
    (tmp_path / "syntax.py").write_text("x = 1\ndef broken(:\n")
    (tmp_path / "raises.py").write_text("x = 1\n\ny = x / 0\n")
    result = run("gradcheck", target)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_users_error_names_the_users_line(run, cell):
    line = next(i for i, text in enumerate(CELL.splitlines(), 1) if "nonsense" in text)
    assert f"mine.py:{line}: AttributeError" in run("gradcheck", f"{cell}:Broken").stderr


@pytest.mark.parametrize("view", ["folded", "unfolded"])
@pytest.mark.parametrize("target", ["rnn", "mine.py:Leaky", "m"])
def test_draw_writes_the_picture_of_each_kind_of_target(run, cell, tmp_path, view, target):
    save(tmp_path / "m", ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0)), Vocabulary("ab\n"))
    result = run("draw", target, "--view", view, "-o", "new/picture.svg", "--steps", 3)
    assert result.exit_code == 0, result.output
    svg = (tmp_path / "new" / "picture.svg").read_text("utf-8")
    assert "<svg" in svg
    assert "h" in re.findall(r">([a-zL])<", svg) or "h(" in svg
    assert "new/picture.svg" in result.stdout


def test_draw_names_its_file_after_the_view_and_knows_gradients(run, tmp_path):
    assert run("draw", "rnn", "--view", "folded").exit_code == 0
    assert (tmp_path / "folded.svg").exists()
    assert run("draw", "rnn", "-o", "plain.svg", "--steps", 3).exit_code == 0
    assert run("draw", "rnn", "-o", "heat.svg", "--steps", 3, "--gradients").exit_code == 0
    assert (tmp_path / "plain.svg").read_bytes() != (tmp_path / "heat.svg").read_bytes()


def test_draw_of_a_cell_without_a_loss_invents_none_unless_gradients_are_asked_for(run, cell, tmp_path):
    for name, more in (("plain.dot", ()), ("heat.dot", ("--gradients",))):
        result = run("draw", f"{cell}:Leaky", "-o", name, *more)
        assert result.exit_code == 0, result.output
    plain, heat = ((tmp_path / name).read_text("utf-8") for name in ("plain.dot", "heat.dot"))
    assert "<I>L" not in plain
    assert "<I>L" in heat
    assert "gradients of ½ Σ outputs² on random inputs" in result.stdout


def test_draw_in_detail_shows_every_operation(run, tmp_path):
    for detail in ("cell", "ops"):
        assert run("draw", "rnn", "--detail", detail, "--steps", 2, "-o", f"{detail}.dot").exit_code == 0
    cell, ops = ((tmp_path / f"{name}.dot").read_text("utf-8") for name in ("cell", "ops"))
    assert ops.count("pos=") > 2 * cell.count("pos=")


@pytest.mark.parametrize(
    ("out", "message"),
    [("picture.jpeg2000", "jpeg2000"), ("blocked/x.svg", "cannot write into")],
)
def test_draw_to_where_it_cannot(run, tmp_path, out, message):
    (tmp_path / "blocked").write_text("a file")
    result = run("draw", "rnn", "-o", out, "--steps", 2)
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


# -- demo ------------------------------------------------------------------------------------------------------------
def test_demo_prints_and_writes_what_it_promises(run, text, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "BATCH", 4)
    result = run("demo", "--text", text, "-o", "out", "--steps", 4, "--hidden", 6)
    assert result.exit_code == 0, result.output
    found = load(tmp_path / "out")
    tokens = found.vocabulary.encode(TEXT)
    cut = len(tokens) - round(len(tokens) * 0.1)
    V = len(found.vocabulary)
    expected = [
        log2(V),
        *(Markov(tokens[:cut], V, k).bits_per_token(tokens[cut:], tokens[:cut]) for k in range(3)),
        bits_per_token(found.model, tokens[cut:], tokens[:cut]),
    ]
    table = result.stdout.split("Held-out text, bits per character")[1].split("Where dL/dW")[0]
    assert [float(x) for x in re.findall(r"(\d+\.\d{3})$", table, re.MULTILINE)] == [round(x, 3) for x in expected]
    assert result.stdout.count("  │ ") >= 2
    assert "residual" in result.stdout
    names = {"folded.svg", "unfolded.svg", "gradient_norms.svg", "model.safetensors"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    ending = result.stdout.split("Written")[1]
    assert all(f"out/{name}" in ending for name in names)


@pytest.mark.slow
def test_demo_in_full_is_clearly_below_the_first_order_baseline(run, tmp_path):
    result = run("demo", "-o", "out")
    assert result.exit_code == 0, result.output
    first = float(re.search(r"order 1.* (\d+\.\d{3})$", result.stdout, re.MULTILINE).group(1))
    ours = float(re.search(r"this RNN.* (\d+\.\d{3})$", result.stdout, re.MULTILINE).group(1))
    assert ours < first - 0.5
