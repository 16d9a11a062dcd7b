"""Layers a habit expects, alone and in Sequential: beside PyTorch and loops, on both executors, gradients checked."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DtypeError, ShapeError, TinyseqError
from tinyseq.nn.torch_weights import to_torch

pytestmark = pytest.mark.usefixtures("executor")
F64 = np.float64
X = np.random.default_rng(9).normal(size=(4, 2, 3))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_linear_embedding_and_layer_norm_are_those_of_pytorch(torch: Any) -> None:
    linear, norm = nn.Linear(3, 5, rng=rng(), dtype=F64), nn.LayerNorm(3, dtype=F64)
    table = nn.Embedding(7, 4, rng=rng(), dtype=F64)
    norm.gain.value, norm.b.value = rng(1).normal(size=3), rng(2).normal(size=3)
    F = torch.nn.functional
    as_torch = {p: torch.tensor(p.value) for m in (linear, norm, table) for p in m.parameters()}
    x = torch.tensor(X)
    np.testing.assert_allclose(linear(X), F.linear(x, as_torch[linear.W], as_torch[linear.b]), rtol=1e-12)
    np.testing.assert_allclose(norm(X), F.layer_norm(x, (3,), as_torch[norm.gain], as_torch[norm.b]), rtol=1e-10)
    tokens = np.array([[0, 6], [3, 3]])
    np.testing.assert_array_equal(table(tokens), table.E.value[tokens])
    assert nn.Linear(3, 5, rng=rng(), bias=False).b is None
    for layer, given in ((linear, X), (norm, X), (table, tokens)):
        assert ts.gradcheck(lambda layer=layer, given=given: ts.sum(layer(given) ** 2), *layer.parameters())


def test_standardise_takes_mean_and_deviation_and_keeps_them() -> None:
    data = ts.data.Sequences.of([X[:, 0] * 5 + 2, X[:2, 1]], dtype=F64)
    rows = np.concatenate(data.x)
    layer = nn.Standardise(3, dtype=F64).fit(data)
    np.testing.assert_allclose(layer(rows), (rows - rows.mean(0)) / rows.std(0), rtol=1e-12)
    with ts.Tape():
        np.testing.assert_allclose(layer.undone(layer(rows)).value, rows, rtol=1e-12, atol=1e-12)
    constant = nn.Standardise(2, dtype=F64).fit(np.array([[3.0, 1.0], [3.0, 2.0]]))
    assert constant.scale.value.tolist() == [1.0, 0.5] and not any(p.trainable for p in constant.parameters())
    masked = ts.data.Sequences.of([np.array([[1.0], [99.0]])], masks=[np.array([1.0, 0.0])], dtype=F64)
    assert nn.Standardise(1, dtype=F64).fit(masked).mean.value.tolist() == [1.0]


def test_dropout_by_argument() -> None:
    layer, each = nn.Dropout(0.5), nn.Dropout(0.5, over_time=False)
    x = np.ones((50, 4, 6))
    np.testing.assert_array_equal(layer(x), x)
    dropped = layer(x, rng=rng())
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[0]).all()  # the same units at every step
    assert not (each(x, rng=rng()) == each(x, rng=rng())[0]).all()
    mask = np.array([[1.0, 0, 2, 0, 1, 1]] * 4)
    np.testing.assert_array_equal(layer(x, mask=mask), x * mask)
    with pytest.raises(TinyseqError, match="dropout rate is at least 0 and below 1"):
        nn.Dropout(1.0)


def net(over_time: bool = True) -> nn.Sequential:
    draw = rng(4)
    return nn.Sequential(
        [
            nn.Linear(3, 4, rng=draw, dtype=F64), ts.tanh, nn.GRUCell(4, 5, rng=draw, dtype=F64),
            nn.LayerNorm(5, dtype=F64), nn.Dropout(0.4, over_time=over_time), nn.LSTMCell(5, 3, rng=draw, dtype=F64),
            nn.Dropout(0.4, over_time=over_time),
        ]
    )  # fmt: skip


def by_hand(model: nn.Sequential, x: np.ndarray, masks: Any = None) -> np.ndarray:
    """One sequence (T, 3), layer after layer, step after step; masks (T, F) each, or (F,)."""
    linear, _, gru, norm, _, lstm, _ = model.layers
    with ts.Tape():
        h, state, out = gru.initial_state(1), lstm.initial_state(1), []
        for t, row in enumerate(x):
            z = ts.tanh(linear(ts.tensor(row[None])))
            h, _ = gru(z, h)
            y = norm(h)
            y = y if masks is None else y * np.broadcast_to(masks[0], (len(x), 5))[t][None]
            state, o = lstm(y, state)
            o = o if masks is None else o * np.broadcast_to(masks[1], (len(x), 3))[t][None]
            out.append(o.value[0])
    return np.array(out)


@pytest.mark.parametrize(("over_time", "unequal"), list(product([True, False], [True, False])))
def test_sequential_is_layer_after_layer(over_time: bool, unequal: bool) -> None:
    model = net(over_time)
    x = [X[:, 0], X[:2, 1], X[:3, 0] * 2] if unequal else X
    parts = x if unequal else list(X.swapaxes(0, 1))
    for out, part in zip(model(x) if unequal else model(x).swapaxes(0, 1), parts, strict=True):
        np.testing.assert_allclose(out, by_hand(model, part), rtol=1e-11)
    masks = model.masks(rng(5), x)
    assert masks is not None
    with ts.Tape():
        encoded = model.encode(x, masks=masks)
        rows = encoded.chain.unpack_rows() if unequal else None
        start = 0
        for i, (out, part) in enumerate(zip(encoded.unpacked(), parts, strict=True)):
            mine = [m[i] for m in masks]
            if not over_time:
                mine = [m[rows[start : start + len(part)]] if unequal else m[:, i] for m in masks]
            start += len(part)
            np.testing.assert_allclose(out, by_hand(model, part, mine), rtol=1e-11)
            np.testing.assert_allclose(encoded.last.value[i], out[-1], rtol=1e-12)


def test_gradients_of_a_whole_stack_with_masks_and_dropout() -> None:
    head = nn.ManyToOne(net(), 2, rng=rng(1), class_weights=[1.0, 3.0], label_smoothing=0.1)
    masks, held = head.masks(rng(2), X), (rng(3).random((4, 2)) < 0.7).astype(F64)
    assert ts.gradcheck(lambda: head.loss(X, np.array([0, 1]), masks=masks, mask=held), *head.parameters())
    f = ts.compile(lambda x, y, masks: head.loss(x, y, masks=masks))
    for seed in (1, 2):
        drawn = head.masks(rng(seed), X)
        with ts.Tape():
            wanted = head.loss(X, np.array([0, 1]), masks=drawn)
            assert f.backward(X, np.array([0, 1]), drawn) == pytest.approx(wanted.item(), rel=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_recurrent_with_layers_both_ways_is_that_of_pytorch(torch: Any, cell: str) -> None:
    model = nn.recurrent(cell, 3, 4, num_layers=2, bidirectional=True, rng=rng(), dtype=F64)
    module = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    theirs = module(3, 4, 2, bidirectional=True).double()
    weights = to_torch(nn.Stack(model.layers))
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    wanted = theirs(torch.tensor(X))[0].detach().numpy()
    np.testing.assert_allclose(model(X), wanted, rtol=1e-10, atol=1e-12)


def test_a_text_net_of_layers_with_dropout() -> None:
    draw = rng()
    cells = [nn.LSTMCell(5, 4, rng=draw, dtype=F64), nn.GRUCell(4, 3, rng=draw, dtype=F64)]
    model = nn.CellNet(nn.StackedCells(cells), 5, rng=draw, dropout=0.5)
    x, y = rng(1).integers(0, 5, (4, 2)), rng(2).integers(0, 5, (4, 2))
    masks = model.masks(rng(3), x)
    with ts.Tape():
        loss = model.losses(x, y, None, masks)[0]
        state, total = model.initial_state(2), 0.0
        for t in range(4):
            (a, h) = cells[0](ts.tensor(x[t]), state[0])
            (b, k) = cells[1](h * masks[0], state[1])
            state = (a, b)
            o = model.c + ts.linear(k * masks[1], model.V)
            total = total + ts.cross_entropy(o, y[t])
        assert loss.item() == pytest.approx(total.item(), rel=1e-12)
        assert model.loss(x, y).item() != pytest.approx(total.item(), rel=1e-6)
    assert ts.gradcheck(lambda: model.losses(x, y, None, masks)[0], *model.parameters())


def test_what_does_not_fit_is_said() -> None:
    cases: dict[str, Any] = {
        "Sequential needs a recurrent layer": lambda: nn.Sequential([nn.Linear(3, 4, rng=rng())]),
        "layer 1, GRUCell, takes 5 features, but gets 4": lambda: nn.Sequential(
            [nn.Linear(3, 4, rng=rng()), nn.GRUCell(5, 4, rng=rng())]
        ),
        "2 layers of Dropout need a mask each, got 1": lambda: net().encode(X, masks=[np.ones((2, 5))]),
        r"a layer of 3 features reads floats \(…, 3\), got float64 \(4, 2\)": lambda: nn.Linear(
            3, 4, rng=rng(), dtype=F64
        )(X[..., 0]),
        "tokens are embedded, floats are standardised": lambda: nn.recurrent(
            "gru", 3, 4, rng=rng(), standardise=True, embedding=2
        ),
        "class_weights are 2 numbers from 0": lambda: nn.ManyToOne(
            nn.GRUCell(3, 4, rng=rng()), 2, rng=rng(), class_weights=[1.0, -1.0]
        ),
    }
    for message, call in cases.items():
        with ts.Tape(), pytest.raises((TinyseqError, ShapeError), match=message):
            call()
    with ts.Tape(), pytest.raises(DtypeError, match="an embedding reads tokens"):
        nn.Embedding(3, 4, rng=rng())(X)


def test_summary_and_saving_keep_layers(tmp_path: Any) -> None:
    draw = rng()
    model = nn.ManyToOne(nn.recurrent("gru", 3, 4, dropout=0.1, standardise=True, rng=draw), 2, rng=draw, scaled=True)
    model.encoder.layers[0].fit(X.astype(np.float32))
    x = X.astype(np.float32)
    with ts.Tape():
        model.loss(x, np.zeros((2, 2), np.float32))
    ts.train.save(tmp_path, model)
    again = ts.train.load(tmp_path).model
    np.testing.assert_array_equal(again.predict(x), model(x))
    text = model.summary(x)
    assert "layers.0: Standardise" in text and "mean (3,), fixed" in text
    assert "(4, 2, 3) → (2, 2)" in text and "FLOPs forward" in text
    m, k, n = 2, 4, 2  # the head's product on top of 4 steps of 6 products of the cell
    assert f"{4 * 3 * 2 * 2 * 4 * (3 + 4) + 2 * m * k * n:,} of the first in products" in text


def test_a_beam_with_a_length_penalty_orders_as_the_whole_list_does() -> None:
    table = np.log(rng(7).dirichlet([0.6] * 4, size=4))

    def advance(state: Any, last: Any) -> Any:
        rows = np.zeros(len(state), int) if last is None else last + 1
        return table[rows % 4], state

    complete = {}
    for n in range(4):
        for s in product(range(3), repeat=n):
            before = [0, *[(c + 1) % 4 for c in s]]
            complete[s] = sum(table[b, c] for b, c in zip(before, (*s, 3), strict=True))
    for penalty in (0.0, 0.6, 2.0):
        wanted = max(complete, key=lambda s: complete[s] / ((6 + len(s)) / 6) ** penalty)
        found = nn.beam_search(advance, np.zeros((1, 1)), 81, 3, 3, length_penalty=penalty)[0]
        assert tuple(found.tokens.tolist()) == wanted
        assert found.log_prob == pytest.approx(complete[wanted])
