"""``tinyseq export``: what it writes gives the predictions of the run, in other programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data
from tinyseq.train.run_folder import reopened

SMALL = ("--hidden", 4, "--batch", 8, "--steps", 12)


@pytest.fixture
def trained(run: Any, tmp_path: Path) -> Path:
    """A run on a table of sequences of unequal lengths."""
    rng, rows = np.random.default_rng(0), ["who,t,a,b,label"]
    for g in range(24):
        rows += [f"g{g},{t},{(t if g % 2 else -t) + rng.normal():.3f},{rng.normal():.3f},{'up' if g % 2 else 'down'}"
                 for t in range(int(rng.integers(3, 6)))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    result = run("train", "t.csv", "--target", "label", "--group", "who", "--time", "t", *SMALL, "-o", "r")
    assert result.exit_code == 0, result.output
    return tmp_path / "r"


def sequences() -> list[np.ndarray]:
    return list(data.csv("t.csv", target="label", group="who", time="t").x)


def test_onnx_with_lengths_predicts_what_the_run_predicts(run: Any, trained: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    result = run("export", "r", "--to", "onnx", "-o", "m.onnx", "--lengths")
    assert result.exit_code == 0, result.output
    assert "x float32 (T, B, 2); lengths int64 (B)" in result.stdout
    session = onnxruntime.InferenceSession("m.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["down", "up"]
    x = sequences()
    padded = np.zeros((max(map(len, x)), len(x), 2), np.float32)
    for i, a in enumerate(x):
        padded[: len(a), i] = a
    found = session.run(None, {"x": padded, "lengths": np.array([len(a) for a in x])})[0]
    np.testing.assert_allclose(found, reopened(trained, best=True).model(x), atol=1e-5)
    said = [line.split("\t")[1] for line in run("predict", "r", "t.csv").stdout.splitlines()[1:]]
    assert [("down", "up")[k] for k in found.argmax(1)] == said


def test_a_script_of_numpy(run: Any, trained: Path) -> None:
    result = run("export", "r", "--to", "numpy")
    assert result.exit_code == 0 and "python r/exported.py x.npy y.npy" in result.stdout
    x = sequences()[0]
    np.save("x.npy", x[:, None].astype(np.float32))
    subprocess.run([sys.executable, "-I", "r/exported.py", "x.npy", "y.npy"], check=True)
    np.testing.assert_allclose(np.load("y.npy"), reopened(trained, best=True).model([x]), atol=1e-6)


def test_weights_for_pytorch_and_keras_equations_and_a_tape(run: Any, text: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    options = ("--model", "lstm", "--hidden", 6, "--steps", 3, "--batch", 4, "--window", 8)
    result = run("train", text, *options, "-o", "r")
    assert result.exit_code == 0, result.output
    model = ts.train.load("r").model
    for to in ("torch", "keras", "latex", "json", "onnx"):
        if to == "onnx":
            pytest.importorskip("onnx")
        result = run("export", "r", "--to", to, "-o", f"m.{to}")
        assert result.exit_code == 0, result.output
    state = load_file("m.torch")
    assert (
        state["encoder.weight_hh_l0"].shape == (24, 6)
        and "encoder, output" in run("export", "r", "--to", "torch").stdout
    )
    arrays = np.load("m.keras")
    assert arrays["layer0_1"].shape == (6, 24) and arrays["layer1_0"].shape == (6, len(state["output.bias"]))
    assert r"\odot" in Path("m.latex").read_text("utf-8")
    tape = ts.Tape.from_json(Path("m.json").read_text("utf-8"))
    x = np.zeros((3, 1), np.int64)
    np.testing.assert_array_equal(ts.exchange.tensor_of(tape, len(tape) - 1).value, model(x))


def test_what_is_wrong_is_said(run: Any, trained: Path) -> None:
    for words, said in (
        (("r", "--to", "caffe"), "--to is one of onnx, numpy"),
        (("r", "--to", "torch", "--lengths"), "--lengths is for"),
        (("none",), "no model at"),
        (("r", "--to", "latex", "-o", "/no/where/at/all.tex"), "no folder"),
    ):
        result = run("export", *words)
        assert result.exit_code == 1 and said in result.stderr, result.output
