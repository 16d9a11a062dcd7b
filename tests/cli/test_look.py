"""``tinyseq gradcheck`` and ``draw``: built-in cells, saved models, cells of the user's own."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cli.targets import BUILT_IN
from tinyseq.tasks import Vocabulary
from tinyseq.train import save

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
def cell(tmp_path):
    (tmp_path / "mine.py").write_text(CELL, "utf-8")
    return "mine.py"


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
        ("lstn", "'lstn' is neither a built-in cell (clockworkcell, deeptransition, diagonalcell, fast"),
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


OVERLAID = {
    "value": "root mean square",
    "gradient": "gradient norm",
    "share": "share of the terms of ∂L/∂W",
    "saturation": "that are saturated",
    "bytes": "bytes held",
    "nonfinite": "is finite",
    "cuts": "0 cuts",
}


@pytest.mark.parametrize(("overlay", "words"), OVERLAID.items())
def test_draw_with_an_overlay(run, tmp_path, overlay, words):
    done = run("draw", "rnn", "--overlay", overlay, "-o", "o.svg")
    assert done.exit_code == 0, done.output
    assert words in (tmp_path / "o.svg").read_text("utf-8")


def test_draw_into_a_folder_says_so(run):
    done = run("draw", "rnn", "-o", ".")
    assert done.exit_code == 1 and ". is a folder; give the name of a file in it, e.g. picture.svg" in done.stderr


def test_draw_levels_of_a_chain_is_an_error(run):
    done = run("draw", "rnn", "--overlay", "levels", "--steps", "600")
    assert done.exit_code == 1 and "each step is a level of its own" in done.output


def test_draw_folded_shows_every_delay_of_a_skip_cell(run, tmp_path):
    assert run("draw", "skipcell", "--view", "folded", "-o", "skip.svg").exit_code == 0
    text = (tmp_path / "skip.svg").read_text()
    assert "delay of 1 time step" in text and "delay of 10 time steps" in text


MODELS = {
    "lstm": lambda rng: ts.nn.LSTM(3, 4, 3, rng=rng),
    "gru": lambda rng: ts.nn.GRU(3, 4, 3, rng=rng),
    "peepholes": lambda rng: ts.nn.LSTMCell(3, 4, rng=rng, peepholes="gers"),
    "clockwork": lambda rng: ts.nn.ClockworkCell(3, 4, rng=rng),
    "leaky": lambda rng: ts.nn.LeakyCell(3, 4, rng=rng),
    "stacked": lambda rng: ts.nn.StackedCells([ts.nn.GRUCell(3, 4, rng=rng), ts.nn.LSTMCell(4, 4, rng=rng)]),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradcheck_of_saved_float32_models(run, tmp_path, name):
    save(tmp_path / "m", MODELS[name](np.random.default_rng(0)))
    result = run("gradcheck", "m", "--steps", 3)
    assert result.exit_code == 0, result.output
    assert "gradients agree" in result.stdout


@pytest.mark.parametrize("command", [("draw",), ("draw", "--gradients"), ("gradcheck",), ("step", "--steps", 3)])
@pytest.mark.parametrize("target", list(BUILT_IN))
def test_every_name_that_is_listed_runs_with_default_options(run, target, command):
    result = run(command[0], target, *command[1:])
    assert result.exit_code == 0, result.output


def test_sizes_that_are_given_hold(run):
    assert "multiple of 4, got 3" in run("draw", "clockworkcell", "--hidden", 3).stderr


@pytest.mark.parametrize("command", [("draw", "rnn"), ("step", "rnn"), ("figure", "10.3"), ("bench", "--row", "rnn")])
def test_files_make_folders_below_here_or_one_elsewhere_and_none_where_the_command_fails(run, tmp_path, command):
    ending, option = ("html", "-o") if command[0] == "step" else ("svg", "-o")
    option = "--svg" if command[0] == "bench" else option
    result = run(*command, option, f"../deep/below/x.{ending}")
    assert result.exit_code == 1
    assert "there is no folder ../deep; make it first: mkdir -p ../deep/below" in result.stderr
    result = run(*command, option, f"/nowhere/at/all/x.{ending}")
    assert result.exit_code == 1 and "there is no folder /nowhere/at" in result.stderr
    (tmp_path / "taken").mkdir()
    result = run(*command, option, "taken")
    assert result.exit_code == 1 and ("taken is a folder" in result.stderr or "HTML" in result.stderr)
    for failing in (
        ("draw", "gone", "-o", "new/x.svg"),
        ("step", "gone", "-o", "new/x.html"),
        ("draw", "rnn", "-o", "new/x.y"),
    ):
        assert run(*failing).exit_code == 1
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_folders_make_one_level_at_most_elsewhere(run, tmp_path):
    for command in (("figures",), ("lesson", 1), ("demo",), ("train",)):
        result = run(*command, "-o", "../deep/below/c")
        assert result.exit_code == 1 and "there is no folder ../deep/below" in result.stderr, result.output
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_leaves_the_old_one(run, tmp_path, monkeypatch):
    import os

    assert run("draw", "rnn", "-o", "x.svg", "--steps", 2).exit_code == 0
    before = (tmp_path / "x.svg").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("draw", "lstm", "-o", "x.svg", "--steps", 2)
    assert result.exit_code == 1 and "No space left on device" in result.stderr
    assert (tmp_path / "x.svg").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.svg"]


@pytest.mark.parametrize("sizes", [("--hidden", 10**12), ("--inputs", 10**14), ("--batch", 10**13)])
def test_sizes_beyond_memory_are_an_error_message(run, sizes):
    result = run("gradcheck", "rnn", *sizes)
    assert result.exit_code == 1 and result.stderr.startswith("error: "), result.output
    assert isinstance(result.exception, SystemExit)


def test_sample_help_says_what_temperatures_do(run):
    words = " ".join(run("sample", "--help").stdout.replace("│", " ").split())
    assert "more cautious" in words and "bolder" not in words


def test_several_nets_are_drawn_side_by_side(run, tmp_path):
    assert run("draw", "rnn", "lstm", "rnn", "--view", "folded", "-o", "nets.svg").exit_code == 0
    texts = ET.parse(tmp_path / "nets.svg").iter("{http://www.w3.org/2000/svg}text")
    assert {"rnn", "lstm", "rnn (2)"} <= {"".join(text.itertext()).replace("\xa0", " ") for text in texts}
    lone = run("draw", "lstm", "-o", "one.svg")
    assert lone.exit_code == 0 and "lstm, unfolded, 5 steps" in lone.stdout


@pytest.mark.parametrize("moving", ["unfolding", "backward"])
def test_draw_writes_pictures_that_move(run, tmp_path, moving):
    done = run("draw", "rnn", "--animate", moving, "--seconds", 3, "-o", "moves.svg")
    assert done.exit_code == 0, done.output
    svg = (tmp_path / "moves.svg").read_text("utf-8")
    assert 'dur="3s"' in svg and "animate" in svg
    refused = run("draw", "rnn", "--animate", moving, "-o", "moves.png")
    assert refused.exit_code != 0 and "write -o moves.svg" in refused.stderr


def test_draw_helps_with_examples(run):
    words = " ".join(run("draw", "--help").stdout.split())
    assert "tinyseq draw rnn lstm gru --view folded" in words and "--animate" in words
