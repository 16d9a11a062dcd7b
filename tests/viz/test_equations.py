"""The equation beside a figure is that of the code beside it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinyseq.diagnose.chapter import compositions
from tinyseq.viz import chapter


def tapes(number):
    recorded = chapter.FIGURES[number].record()
    return recorded if isinstance(recorded, (list, tuple)) else [recorded]


def test_10_15_is_computed_by_its_equation():
    wanted = chapter.FIGURES["10.15"].equation
    assert wanted == "h(t) = tanh(b + W h(t−1))"
    found = compositions(np.random.default_rng(1), units=6, steps=2, reach=3.0, points=11, gain=1.5, bias=0.7)
    rng = np.random.default_rng(1)
    W, b = rng.normal(0, 1.5 / np.sqrt(6), (6, 6)), rng.normal(0, 0.7, 6)
    u, p = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 6)))
    python = wanted.split(" = ")[1].replace("W h(t−1)", "h @ W.T")
    h = found.coordinate[:, None] * u
    for t in range(3):
        np.testing.assert_allclose(found.projection[t], h @ p, rtol=1e-12)
        h = eval(python, {"tanh": np.tanh, "W": W, "b": b, "h": h})


@pytest.mark.parametrize("number", ["10.3", "10.4", "10.5", "10.8", "10.9", "10.10", "10.14", "10.12"])
def test_parameters_of_an_equation_are_those_of_the_tape(number):
    """Both ways: none is missing in the equation, none is made up."""
    named = {p.name.removesuffix("_o") for tape in tapes(number) for p in tape.parameters}
    text = re.sub(r"\b(?:tanh|softmax|log|parent|leaf|left|right|at)\b", " ", chapter.FIGURES[number].equation)
    letters = set(re.findall(r"(?<!\w)[A-Z](?![\w(])|(?<![\w(])[bc](?= \+)|(?<=\()[bc](?= \+)", text))
    values = {"C"} if number == "10.12" else set()
    shown = "o(t)" in text or "o(τ)" in text or "p(y" in text  # whether the output's equation is among them
    assert letters - values == named - (set() if shown else {"V", "c"} - letters)


@pytest.mark.parametrize("number", ["10.4", "10.6"])
def test_what_is_fed_back_is_what_the_equation_says(number):
    last = tapes(number)[-1]
    ops, step = last.column("op"), last.step
    late = [i for i in range(len(last)) if ops[i] == "softmax" and step[i] > 0]
    assert late and all(step[j] == step[i] - 1 for i in late for j in last.inputs(i))
    assert "W softmax o(t−1)" in chapter.FIGURES[number].equation
