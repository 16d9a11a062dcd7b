"""The LSTM of 1997 against a twin in plain loops, its cut gradient, the paper's counts of weights, its picture."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.nn.lstm_1997 import LSTM1997Cell
from tinyseq.results.experiments.nets_1997 import long_short_term
from tinyseq.viz import draw

T, B, F = 6, 2, 3


def cell(truncate: bool = False, **options) -> LSTM1997Cell:
    made = LSTM1997Cell(F, 2, 2, rng=np.random.default_rng(0), dtype=np.float64, truncate=truncate, **options)
    rng = np.random.default_rng(1)
    for p in made.parameters():
        p.value[...] = rng.normal(0, 0.7, p.shape)
    return made


def twin(made: LSTM1997Cell, x: np.ndarray) -> np.ndarray:
    """One sequence, logistic functions as the paper writes them."""

    def logistic(a):
        return 1 / (1 + np.exp(-a))

    def affine(part, x, z):
        return part.b.value + part.U.value @ x + part.W.value @ z

    z, s, outputs = np.zeros(made.hidden_size + 2 * made.blocks), np.zeros(made.hidden_size), []
    for row in x:
        gate_in, gate_out = logistic(affine(made.gate_in, row, z)), logistic(affine(made.gate_out, row, z))
        g, y = 4 * logistic(affine(made.a, row, z)) - 2, np.zeros(made.hidden_size)
        for k in range(made.hidden_size):
            block = k // made.block_size
            s[k] += gate_in[block] * g[k]
            y[k] = gate_out[block] * (2 * logistic(s[k]) - 1)
        z = np.concatenate([y, gate_in, gate_out])
        outputs.append(y)
    return np.array(outputs)


@pytest.mark.usefixtures("executor")
def test_values_are_those_of_a_plain_loop(rng) -> None:
    made, x = cell(), rng.normal(size=(T, B, F))
    with ts.Tape():
        y = made.encode(x).outputs.value
    for b in range(B):
        np.testing.assert_allclose(y[:, b], twin(made, x[:, b]), rtol=1e-12)


def test_gradients(rng) -> None:
    made, x = cell(), rng.normal(size=(T, B, F))
    assert ts.gradcheck(lambda: ts.sum(made.encode(x).outputs ** 2), *made.parameters())


def test_cut_gradients_reach_back_through_the_carousel_alone(rng) -> None:
    """∂s_k(τ)/∂s_k(1) = 1 and nothing else; without the cut, gates that read y(t) carry more."""
    x = rng.normal(size=(T, B, F))
    for truncate in (True, False):
        made = cell(truncate)
        with ts.Tape():
            unfolded = ts.unfold(made, ts.Chain(T), x, made.initial_state(B))
            ts.sum(unfolded.state(T - 1)[1]).backward()
            back = unfolded.state(0)[1].grad
        assert np.allclose(back, 1, atol=1e-14) is truncate


def test_the_papers_counts_of_weights() -> None:
    rng = np.random.default_rng(0)
    for inputs, blocks, outputs, weights in ((2, 2, 1, 93), (8, 2, 4, 156), (8, 3, 8, 308)):
        net = long_short_term(rng, inputs, blocks, outputs, (-3, -6, -9))
        assert sum(p.value.size for p in net.parameters()) == weights
    gates_alone = LSTM1997Cell(7, 3, 2, rng=rng, cell_bias=False)
    assert sum(p.value.size for p in gates_alone.parameters() if p.trainable) + 7 * 6 == 276  # table 1, 3 blocks of 2


def test_picture(tmp_path) -> None:
    made = nn.ManyToOne(cell(), 2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        made.loss(np.zeros((3, 1, F)), np.zeros(1, np.int64))
    for view in ("folded", "unfolded"):
        assert draw(tape, tmp_path / f"{view}.svg", view=view)
