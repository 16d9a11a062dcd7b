"""Initialisations: the matrices are what their names say, the biases have the distributions of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.nn import initialisation
from tinyseq.nn.initialisation import token_columns
from tinyseq.nn.kinds import make_cell
from tinyseq.tape import Tape


def cell_of(kind: Any = nn.RNNCell, hidden: int = 30, **options: Any) -> Any:
    return kind(4, hidden, rng=np.random.default_rng(0), dtype=np.float64, **options)


def test_orthogonal_keeps_every_length(rng: np.random.Generator) -> None:
    W = initialisation.orthogonal(cell_of().a.W, rng=rng, gain=1.5)
    np.testing.assert_allclose(W.value.T @ W.value, 2.25 * np.eye(30), atol=1e-12)
    tall, wide = ts.Parameter(np.zeros((7, 3))), ts.Parameter(np.zeros((3, 7), np.float32))
    tall, wide = initialisation.orthogonal(tall, rng=rng), initialisation.orthogonal(wide, rng=rng)
    np.testing.assert_allclose(tall.value.T @ tall.value, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(wide.value @ wide.value.T, np.eye(3), atol=1e-6)
    assert wide.dtype == np.float32


def test_orthogonal_is_uniform(rng: np.random.Generator) -> None:
    """Haar: each entry has mean 0 and E[trace²] = 1; without the signs the diagonal would lean to one side."""
    p = ts.Parameter(np.zeros((4, 4)))
    drawn = np.array([initialisation.orthogonal(p, rng=rng).value.copy() for _ in range(4000)])
    traces = np.trace(drawn, axis1=1, axis2=2)
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.04)
    assert np.square(traces).mean() == pytest.approx(1, abs=0.08)


def test_irnn_keeps_and_sums_what_is_positive(rng: np.random.Generator) -> None:
    """h(t) = max(0, h(t−1) + U x(t)); ∂h(T)/∂h(0) = I while units stay positive."""
    cell = initialisation.irnn(cell_of(hidden=6, squash="relu"), rng=rng)
    np.testing.assert_array_equal(cell.a.W.value, np.eye(6))
    x = rng.standard_normal((50, 1, 4))
    with Tape():
        h0 = ts.tensor(np.full((1, 6), 5.0))
        last = cell.encode(x, state=h0).last
        np.testing.assert_allclose(last.value[0], 5 + cell.a.U.value @ x[:, 0].sum(0), rtol=1e-10)
        ts.sum(last).backward()
    np.testing.assert_array_equal(h0.grad, 1)
    wide = initialisation.irnn(cell_of(hidden=400, squash="relu"), rng=rng, scale=0.9, spread=0.02)
    assert wide.a.U.value.std() == pytest.approx(0.02, rel=0.05) and wide.a.W.value.sum() == pytest.approx(360)


@pytest.mark.parametrize("kind", ["lstm", "gru", "leaky"])
def test_chrono_biases_are_logarithms_of_uniform_times(kind: str, rng: np.random.Generator) -> None:
    makers: dict[str, Any] = {
        "lstm": lambda: cell_of(nn.LSTMCell, 2000),
        "gru": lambda: cell_of(nn.GRUCell, 2000),
        "leaky": lambda: cell_of(nn.LeakyCell, 2000, learn_alpha=True),
    }
    cell = initialisation.chrono(makers[kind](), 101, rng=rng)
    bias = {"lstm": lambda: cell.f.b, "gru": lambda: cell.u.b, "leaky": lambda: cell.logit}[kind]()
    times = np.exp(bias.value)
    assert 1 <= times.min() < 1.3 and 99.5 < times.max() <= 100
    assert times.mean() == pytest.approx(50.5, abs=2) and np.median(times) == pytest.approx(50.5, abs=4)
    if kind == "lstm":
        np.testing.assert_array_equal(cell.g.b.value, -cell.f.b.value)
    else:
        assert kind == "leaky" or not cell.r.b.value.any()


def test_errors(rng: np.random.Generator) -> None:
    for message, act in {
        r"this sets a matrix, b has shape \(30,\)": lambda: initialisation.orthogonal(cell_of().a.b, rng=rng),
        r"square matrix, U is 30 by 4": lambda: initialisation.identity(cell_of().a.U),
        r"give the parameter to set, such as cell.a.W; got RNNCell": lambda: initialisation.identity(cell_of()),  # type: ignore[arg-type]
        r"nn.RNNCell\(..., squash='relu'\)": lambda: initialisation.irnn(cell_of(), rng=rng),
        r"more than 2; got 2": lambda: initialisation.chrono(cell_of(nn.LSTMCell), 2, rng=rng),
        r"LeakyCell\(..., learn_alpha=True\), got RNNCell": lambda: initialisation.chrono(cell_of(), 9, rng=rng),
        r"learn_alpha=True\), got LeakyCell": lambda: initialisation.chrono(cell_of(nn.LeakyCell), 9, rng=rng),
        r"write rng=np.random.default_rng": lambda: initialisation.orthogonal(cell_of().a.W, rng=0),  # type: ignore[arg-type]
    }.items():
        with pytest.raises(ts.TinyseqError, match=message):
            act()


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "leaky", "deep"])
def test_token_columns_start_as_rows_of_an_embedding(kind: str) -> None:
    """What a token adds to a unit has the mean 0 and the given spread; all else stays as it was."""
    made, twin = (make_cell(kind, 300, 40, rng=np.random.default_rng(2)) for _ in range(2))
    assert token_columns(made, rng=np.random.default_rng(3), spread=0.7) is made
    changed = []
    for (name, p), (_, q) in zip(made.named_parameters(), twin.named_parameters(), strict=True):
        if not np.array_equal(p.value, q.value):
            changed.append(name)
            assert p.shape == (40, 300) and abs(p.value.mean()) < 0.03 and abs(p.value.std() - 0.7) < 0.02
    assert changed == {"lstm": ["a.U", "f.U", "g.U", "q.U"], "gru": ["a.U", "u.U", "r.U"], "deep": ["U_x"]}.get(
        kind, ["a.U"]
    )
    with pytest.raises(TinyseqError, match="has no U that reads tokens"):
        token_columns(nn.Linear(3, 4, rng=np.random.default_rng(0)), rng=np.random.default_rng(0))
