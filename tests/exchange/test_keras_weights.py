"""Weights of Keras layers: the equations that Keras documents, in plain NumPy, give what our nets give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.exchange import from_keras, to_keras

T, B, F, H = 6, 3, 4, 5
Array = np.ndarray


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def simple_rnn(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    h, found = np.zeros((x.shape[1], len(recurrent))), []
    for x_t in x:
        h = np.tanh(x_t @ kernel + h @ recurrent + bias)
        found.append(h)
    return np.array(found)


def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """i, f, c, o, side by side."""
    h = c = np.zeros((x.shape[1], len(recurrent)))
    found = []
    for x_t in x:
        i, f, new, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.array(found)


def gru(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """z, r, h, side by side; a bias of two rows is that of reset_after."""
    units = len(recurrent)
    h, found = np.zeros((x.shape[1], units)), []
    for x_t in x:
        if bias.ndim == 2:
            xz, xr, xh = np.split(x_t @ kernel + bias[0], 3, 1)
            hz, hr, hh = np.split(h @ recurrent + bias[1], 3, 1)
            z, r = sigmoid(xz + hz), sigmoid(xr + hr)
            new = np.tanh(xh + r * hh)
        else:
            xz, xr, xh = np.split(x_t @ kernel + bias, 3, 1)
            z = sigmoid(xz + h @ recurrent[:, :units])
            r = sigmoid(xr + h @ recurrent[:, units : 2 * units])
            new = np.tanh(xh + (r * h) @ recurrent[:, 2 * units :])
        h = z * h + (1 - z) * new
        found.append(h)
    return np.array(found)


LAYERS: dict[str, tuple[Any, int, tuple[int, ...]]] = {
    "SimpleRNN": (simple_rnn, 1, (H,)),
    "LSTM": (lstm, 4, (4 * H,)),
    "GRU": (gru, 3, (2, 3 * H)),
    "GRU, reset before": (gru, 3, (3 * H,)),
}


def weights(kind: str, rng: np.random.Generator, inputs: int = F) -> list[Array]:
    _, n, bias = LAYERS[kind]
    return [rng.normal(0, 0.5, shape) for shape in ((inputs, n * H), (H, n * H), bias)]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_both_ways(kind: str, rng: np.random.Generator) -> None:
    arrays, x = weights(kind, rng), rng.normal(size=(T, B, F))
    cell = from_keras(arrays)
    np.testing.assert_allclose(cell(x), LAYERS[kind][0](x, *arrays), atol=1e-12)
    back = to_keras(cell)
    assert [a.shape for a in back] == [a.shape for a in arrays]
    np.testing.assert_allclose(LAYERS[kind][0](x, *back), LAYERS[kind][0](x, *arrays), atol=1e-12)
    for a, b in zip(to_keras(from_keras(back)), back, strict=True):
        assert np.array_equal(a, b)
    assert not from_keras(arrays[:2]).a.b.value.any()


@pytest.mark.parametrize(("said", "bias"), [(None, (2, 3 * H)), (True, (2, 3 * H)), (False, (3 * H,))])
def test_a_gru_without_bias_resets_where_it_is_said(said: Any, bias: Any, rng: np.random.Generator) -> None:
    """Its arrays are of one shape either way."""
    arrays, x = weights("GRU", rng)[:2], rng.normal(size=(T, B, F))
    np.testing.assert_allclose(from_keras(arrays, reset_after=said)(x), gru(x, *arrays, np.zeros(bias)), atol=1e-12)
    with pytest.raises(TinyseqError, match=r"bias \(2, 15\) is that of reset_after=True, not False"):
        from_keras(weights("GRU", rng), reset_after=False)


@pytest.mark.parametrize("kind", LAYERS)
def test_both_directions_and_layers(kind: str, rng: np.random.Generator) -> None:
    run = LAYERS[kind][0]
    first = [*weights(kind, rng), *weights(kind, rng)]
    second = weights(kind, rng, 2 * H)
    x = rng.normal(size=(T, B, F))
    below = np.concatenate([run(x, *first[:3]), run(x[::-1], *first[3:])[::-1]], 2)
    net = from_keras([first, second])
    np.testing.assert_allclose(net(x), run(below, *second), atol=1e-12)
    assert [len(layer) for layer in to_keras(net)] == [6, 3]


def test_a_model_with_embedding_and_dense(rng: np.random.Generator) -> None:
    model = nn.ManyToOne(nn.recurrent("lstm", 7, H, embedding=F, rng=rng, dtype=np.float64), 2, rng=rng)
    (table,), layer, (kernel, bias) = to_keras(model)
    tokens = rng.integers(0, 7, (T, B))
    np.testing.assert_allclose(model(tokens), lstm(table[tokens], *layer)[-1] @ kernel + bias, atol=1e-12)


def test_a_cell_of_ours_as_keras(rng: np.random.Generator) -> None:
    x = rng.normal(size=(T, B, F))
    for cell, run in (
        (nn.RNNCell(F, H, rng=rng, dtype=np.float64), simple_rnn),
        (nn.LSTMCell(F, H, rng=rng, dtype=np.float64), lstm),
        (nn.GRUCell(F, H, rng=rng, dtype=np.float64), gru),
        (nn.GRUCell(F, H, reset_after=False, rng=rng, dtype=np.float64), gru),
    ):
        np.testing.assert_allclose(cell(x), run(x, *to_keras(cell)), atol=1e-12)


def test_what_does_not_fit_is_named(rng: np.random.Generator) -> None:
    kernel, recurrent, bias = weights("LSTM", rng)
    for wrong, said in (
        ([kernel.T, recurrent.T, bias], "look transposed.*from_torch"),
        ([kernel], "2 or 3 arrays"),
        ([kernel, recurrent, bias[:-1]], r"bias has shape \(19,\), expected \(20,\)"),
        ([kernel[:, :-1], recurrent, bias], "do not fit"),
        ([kernel, recurrent, bias, kernel], "do not fit"),
        ([[kernel, recurrent], [kernel]], "layer 1: a recurrent Keras layer"),
        ([], "layer.get_weights|list of arrays"),
        ("kernel", "a list of arrays"),
    ):
        with pytest.raises(TinyseqError, match=said):
            from_keras(wrong)
    for model, said in (
        (nn.LSTMCell(3, 4, peepholes="gers", rng=rng), "no peepholes"),
        (nn.LSTMCell(3, 4, projection_size=2, rng=rng), "no projection"),
        (nn.RNNCell(3, 4, context_size=2, rng=rng), "no context"),
        (nn.LeakyCell(3, 4, rng=rng), "no counterpart of LeakyCell"),
    ):
        with pytest.raises(TinyseqError, match=said):
            to_keras(model)
