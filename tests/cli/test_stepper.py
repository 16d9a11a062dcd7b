"""``tinyseq step``: the page of a built-in cell, a saved model, two nets; and what cannot be stepped through."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks import Vocabulary
from tinyseq.train import save


@pytest.mark.parametrize("target", ["rnn", "saved"])
def test_step_writes_one_offline_page(run, tmp_path, target):
    save(tmp_path / "saved", ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0)), Vocabulary("ab\n"))
    result = run("step", target, "-o", "new/bptt.html", "--steps", 3)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "new" / "bptt.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and f"<title>{target}, step by step</title>" in page
    assert "http" not in page.replace("http://www.w3.org/", "").replace("http-equiv", "")
    assert f"{target}, 3 steps, its own loss on random tokens" in result.stdout


def test_step_compares_two_nets(run, tmp_path):
    result = run("step", "rnncell", "--compare", "lstmcell", "--steps", 3)
    assert result.exit_code == 0, result.output
    assert "rnncell and lstmcell, 3 steps, ½ Σ outputs² on random inputs" in result.stdout
    assert '"title":"lstmcell"' in (tmp_path / "bptt.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lstn"], "'lstn' is neither a built-in cell"),
        (["rnn", "--compare", "grv"], "'grv' is neither a built-in cell"),
        (["rnn", "-o", "blocked/x.html"], "cannot write into"),
        (["rnn", "-o", "page.png"], "the page is HTML: write a file name that ends in .html"),
        (["rnn", "--learning-rate", "nan"], "learning_rate is a finite number"),
    ],
)
def test_step_says_what_is_wrong(run, tmp_path, arguments, message):
    (tmp_path / "blocked").write_text("a file")
    result = run("step", *arguments, "--steps" if len(arguments) > 1 else "--batch", 2)
    assert result.exit_code == 1
    assert message in result.stderr and "Traceback" not in result.output
