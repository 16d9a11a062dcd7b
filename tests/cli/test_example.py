"""The script of section 10.2 in a short form."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks import Corpus, embedded_text

SCRIPT = Path(__file__).parents[2] / "examples" / "vanilla_rnn.py"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # where what all examples share lies
    spec = importlib.util.spec_from_file_location("vanilla_rnn", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_trains_measures_and_draws(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["vanilla_rnn.py", "--quick", "-o", str(tmp_path)])
    script.main()
    printed = capsys.readouterr().out
    zero, ours = (
        float(re.search(rf"{name} +([\d.]+)$", printed, re.MULTILINE).group(1)) for name in ("order 0", "RNN")
    )
    assert ours < zero
    assert {p.name for p in tmp_path.iterdir()} == {
        f"vanilla_rnn_{name}.svg" for name in ("folded", "unfolded", "gradient_norms")
    }


def test_its_cell_is_the_rnn_of_the_library(script):
    rng = np.random.default_rng(0)
    corpus = Corpus.of(embedded_text(), "")
    V = len(corpus.vocabulary)
    cell = script.Vanilla(V, script.HIDDEN, rng)
    twin = ts.nn.RNN(V, script.HIDDEN, V, rng=rng)
    twin.load_state_dict({name: getattr(cell, name).value for name in "UWbVc"})
    x, y = (corpus.train[k : k + 12].reshape(6, 2) for k in (0, 1))
    with ts.Tape():
        loss, _ = script.window_loss(cell, x, y, np.zeros((2, script.HIDDEN), np.float32))
        loss.backward()
        ours = loss.item()
    with ts.Tape():
        other = twin.loss(x, y)
        other.backward()
        np.testing.assert_allclose(ours, other.item(), rtol=1e-6)
    for name in "UWbVc":
        np.testing.assert_allclose(getattr(cell, name).grad, getattr(twin, name).grad, rtol=1e-4, atol=1e-6)
