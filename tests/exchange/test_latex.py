"""Equations read off the graph: those of the book for the book's cells, right ones for cells of one's own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.exchange.nets import CELLS, NETS, case
from tinyseq import nn
from tinyseq.errors import OpError
from tinyseq.exchange import Input, forms, to_latex
from tinyseq.exchange.latex import symbol


def lines(text: str) -> list[str]:
    return [line.removesuffix(r" \\").replace("&=", "=") for line in text.splitlines() if "&=" in line]


def test_the_lstm_of_the_book(rng: np.random.Generator) -> None:
    """Equations 10.40 to 10.44."""
    assert lines(to_latex(nn.LSTMCell(3, 4, rng=rng))) == [
        r"f^{(t)} = \sigma\left(b_{f} + W_{f} h^{(t - 1)} + U_{f} x^{(t)}\right)",
        r"g^{(t)} = \sigma\left(b_{g} + W_{g} h^{(t - 1)} + U_{g} x^{(t)}\right)",
        r"q^{(t)} = \sigma\left(b_{o} + W_{o} h^{(t - 1)} + U_{o} x^{(t)}\right)",
        r"s^{(t)} = f^{(t)} \odot s^{(t - 1)} + g^{(t)} \odot \tanh\left(b + W h^{(t - 1)} + U x^{(t)}\right)",
        r"h^{(t)} = \tanh(s^{(t)}) \odot q^{(t)}",
    ]


def test_the_gru_of_the_book(rng: np.random.Generator) -> None:
    """Equation 10.45, with the product inside the brackets that the reset gate multiplies."""
    *_, h = lines(nn.GRUCell(3, 4, rng=rng, reset_after=False).to_latex())
    new = r"b + W \left(r^{(t)} \odot h^{(t - 1)}\right) + U x^{(t)}"
    assert h == rf"h^{{(t)}} = u^{{(t)}} \odot h^{{(t - 1)}} + \left(1 - u^{{(t)}}\right) \odot \tanh\left({new}\right)"


def test_a_net_with_its_initial_state_and_tokens(rng: np.random.Generator) -> None:
    assert lines(to_latex(nn.RNN(3, 4, 2, rng=rng), tokens=True)) == [
        "h^{(0)} = 0",
        r"a^{(t)} = b + W h^{(t - 1)} + U_{:,\,x^{(t)}}",
        r"h^{(t)} = \tanh(a^{(t)})",
        "o^{(t)} = c + V h^{(t)}",
    ]


def test_delays_and_states_that_are_handed_on(rng: np.random.Generator) -> None:
    assert lines(to_latex(nn.SkipCell(3, 4, delays=(1, 3), rng=rng)))[0] == (
        "a^{(t)} = b + W_{1} h^{(t - 1)} + W_{3} h^{(t - 3)} + U x^{(t)}"
    )


def test_both_directions(rng: np.random.Generator) -> None:
    model = nn.ManyToOne(nn.Bidirectional(nn.RNNCell(3, 4, rng=rng), nn.RNNCell(3, 4, rng=rng)), 2, rng=rng)
    found = lines(to_latex(model))
    assert "a^{(t)} = b + W g^{(t + 1)} + U x^{(t)}" in found
    assert found[-1] == r"o = c + V \left[h^{(\tau)};\, g^{(1)}\right]"


def test_a_step_of_ones_own() -> None:
    W, U = (ts.Parameter(np.eye(3, dtype=np.float32), name) for name in ("W_hh", "W_xh"))

    def step(x: Any, h: Any) -> Any:
        h = (ts.tanh(ts.linear(h, W) - (x - ts.linear(x, U) * 2 - 1e-5)) / (1 + ts.exp(-x))).named("h̃")
        return h, h

    def run(x: Any) -> Any:
        return ts.unfold(step, ts.Chain(x.shape[0]), x, ts.zeros((x.shape[1], 3))).outputs

    assert lines(to_latex(run, inputs=[Input("x", ("T", "B", 3))]))[-1] == (
        r"\tilde{h}^{(t)} = \frac{\tanh\left(W_{\mathrm{hh}} \tilde{h}^{(t - 1)} - "
        r"\left(x^{(t)} - 2 W_{\mathrm{xh}} x^{(t)} - 10^{-5}\right)\right)}{\exp\left(-x^{(t)}\right) + 1}"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("h", "h"), ("W_f", "W_{f}"), ("W_xh", r"W_{\mathrm{xh}}"), ("x̃", r"\tilde{x}"), ("α", r"\alpha"),
        ("w′", "w'"), ("loss", r"\mathrm{loss}"), ("50 %", r"\text{50 \%}"), ("W_1", "W_{1}"), ("σ_h", r"\sigma_{h}"),
    ],
)  # fmt: skip
def test_names(name: str, written: str) -> None:
    assert symbol(name) == written


@pytest.mark.parametrize("kind", [*CELLS, *NETS])
def test_every_net_gives_formulas_that_tex_can_read(kind: str, rng: np.random.Generator) -> None:
    made = case(kind, rng, np.float32)
    inputs = {"inputs": made.options["inputs"]} if "inputs" in made.options else {}
    if "sizes" in made.options:
        pytest.skip("its graph depends on T")
    text = to_latex(made.model, **inputs, tokens=made.options.get("tokens"))
    assert text.count(r"\left") == text.count(r"\right") and text.count("{") == text.count("}")
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") > 0
    converter = pytest.importorskip("latex2mathml.converter")
    for line in lines(text):
        assert converter.convert(line).startswith("<math")
    assert all(ord(c) < 128 for c in re.sub(r"\\text\{[^}]*\}", "", text))


def test_an_op_without_a_formula(rng: np.random.Generator, monkeypatch: Any) -> None:
    monkeypatch.setitem(forms.FORMS, "tanh", forms.Form(onnx="Tanh"))
    with pytest.raises(OpError, match=r"'tanh'.* of the cell 'rnn'.*has no form in LaTeX"):
        to_latex(nn.RNNCell(3, 4, rng=rng))
