"""Scripts of NumPy alone: run by a Python that imports nothing else, they give the values of the reference."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange.nets import CELLS, NETS, case
from tinyseq import nn
from tinyseq.errors import OpError, TinyseqError
from tinyseq.exchange import forms, to_numpy

DRIVER = """
import pathlib, runpy, sys
import numpy as np
for folder in map(pathlib.Path, sys.argv[1:]):
    run = runpy.run_path(str(folder / "model.py"))["run"]
    given = [np.load(path) for path in sorted(folder.glob("in*.npy"))]
    expected = [np.load(path) for path in sorted(folder.glob("out*.npy"))]
    found = run(*given)
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected), folder
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype and a.shape == b.shape, (folder, a.dtype, b.dtype, a.shape, b.shape)
        tolerance = 1e-6 if a.dtype == np.float32 else 1e-12
        assert np.allclose(a, b, rtol=10 * tolerance, atol=tolerance), (folder, np.abs(a - b).max())
foreign = {"tinyseq", "numba", "scipy", "torch", "onnx"} & set(sys.modules)
assert not foreign, foreign
print("equal")
"""


def stored(folder: Path, text: str, given: list[np.ndarray], expected: list[np.ndarray]) -> Path:
    folder.mkdir()
    (folder / "model.py").write_text(text, encoding="utf-8")
    for name, arrays in (("in", given), ("out", expected)):
        for i, array in enumerate(arrays):
            np.save(folder / f"{name}{i}.npy", array)
    return folder


def drive(*folders: Path) -> str:
    """Run the scripts in these folders by a Python of its own, away from the sources."""
    command = [sys.executable, "-I", "-c", DRIVER, *map(str, folders)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folders[0])
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_net(dtype: str, tmp_path: Path) -> None:
    folders = []
    for kind in [*CELLS, *NETS]:
        made = case(kind, np.random.default_rng(3), np.dtype(dtype))
        text = to_numpy(made.model, **made.options)
        imported = {a.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for a in node.names}
        assert imported == {"base64", "sys", "numpy"}
        folders.append(stored(tmp_path / kind, text, list(made.given.values()), made.expected))
    assert drive(*folders) == "equal"


def test_lengths(tmp_path: Path) -> None:
    folders = []
    for kind in ("many to one", "scaled"):
        made = case(kind, np.random.default_rng(3), np.float64)
        lengths = np.array([9, 0, 5, 2])
        apart = [made.given["x"][:n, i] for i, n in enumerate(lengths)]
        text = to_numpy(made.model, lengths=True)
        folders.append(stored(tmp_path / kind, text, [made.given["x"], lengths], [made.model(apart)]))
    assert drive(*folders) == "equal"


def test_from_the_command_line(tmp_path: Path, rng: np.random.Generator) -> None:
    model = nn.GRU(3, 4, 2, rng=rng)
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    model.to_numpy(tmp_path / "model.py")
    np.save(tmp_path / "x.npy", x)
    result = subprocess.run([sys.executable, "-I", "model.py", "x.npy", "y.npy"], cwd=tmp_path, capture_output=True)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), atol=1e-6)


def test_the_script_says_the_equations(rng: np.random.Generator) -> None:
    text = nn.RNNCell(3, 4, rng=rng).to_numpy()
    assert "a = (a_b + (h_before @ a_W.T)) + (x_t @ a_U.T)" in text
    assert "h = np.tanh(a)" in text and "for t in range(T):  # rnn" in text


def test_numbers_that_are_no_literals_of_python(rng: np.random.Generator, tmp_path: Path) -> None:
    from tinyseq import functions as F
    from tinyseq.exchange import Input

    def run(x: Any) -> Any:
        return F.minimum(x * 2.0 + 1.0, float("inf")) - F.maximum(x, -float("inf")) * -1.0

    x = rng.normal(size=(4, 3))
    text = to_numpy(run, inputs=[Input("x", ("B", 3), "float64")])
    assert drive(stored(tmp_path / "own", text, [x], [2 * x + 1 + x])) == "equal"


def test_names_of_ones_own_are_made_python(rng: np.random.Generator, tmp_path: Path) -> None:
    import tinyseq as ts
    from tinyseq.exchange import Input

    W = ts.Parameter(np.eye(3), "W {0} class")
    twin = ts.Parameter(2 * np.eye(3), "W {0} class")

    def run(x: Any) -> Any:
        x_hat = ts.tanh(x @ W).named("x̂ if")
        return (x_hat @ twin).named("np")

    x = rng.normal(size=(4, 3))
    text = to_numpy(run, inputs=[Input("x", ("B", 3), "float64")])
    assert drive(stored(tmp_path / "own", text, [x], [2 * np.tanh(x)])) == "equal"


def test_refusals(rng: np.random.Generator, monkeypatch: Any) -> None:
    with pytest.raises(TinyseqError, match="trees"):
        to_numpy(nn.RecursiveNet(3, 4, 2, rng=rng))
    monkeypatch.setitem(forms.FORMS, "tanh", forms.Form(onnx="Tanh"))
    with pytest.raises(OpError, match=r"'tanh'.*has no form in NumPy"):
        to_numpy(nn.RNNCell(3, 4, rng=rng))
