"""``tinyseq demo``: what it prints and writes, in short and in full."""

import re
from math import log2

import pytest

from tinyseq.cli import demo as demo_module
from tinyseq.tasks import Markov
from tinyseq.train import bits_per_token, load


def test_demo_prints_and_writes_what_it_promises(run, text, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "BATCH", 4)
    result = run("demo", "--text", text, "-o", "out", "--steps", 4, "--hidden", 6)
    assert result.exit_code == 0, result.output
    found = load(tmp_path / "out")
    tokens = found.vocabulary.encode(corpus)
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
