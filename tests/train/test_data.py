"""Data that are no numbers get advice about the data; a step takes its data by name; ``fit`` takes pairs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, train
from tinyseq.errors import CallError, DataError, DtypeError, TinyseqError

X = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
Y = np.array([0, 1])


def head() -> nn.ManyToOne:
    rng = np.random.default_rng(0)
    return nn.ManyToOne(nn.GRUCell(3, 4, rng=rng), 2, rng=rng)


def step(model: Any, rate: float = 0.1) -> train.TrainingStep:
    return train.TrainingStep(model.loss, train.SGD(model.parameters(), rate))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_in_the_inputs_is_named_by_place_and_no_rate_is_blamed(bad: float) -> None:
    model, x = head(), X.copy()
    x[3, 1, 2] = x[4, 0, 0] = bad
    before = [p.value.copy() for p in model.parameters()]
    with pytest.raises(train.Diverged) as caught:
        step(model)(x, Y)
    text = str(caught.value)
    assert f"x[3, 1, 2] is {bad} (time step 3, sequence 1, feature 2); 2 of the 30 numbers of x (5, 2, 3)" in text
    assert "rate than" not in text and "clip the" not in text
    assert all(np.array_equal(p.value, old) for p, old in zip(model.parameters(), before, strict=True))


def test_nan_in_the_targets_is_named() -> None:
    y = np.ones((2, 2), np.float32)
    y[1, 0] = np.nan
    with pytest.raises(train.Diverged, match=r"y\[1, 0\] is nan \(row 1, column 0\); 1 of the 4 numbers of y \(2, 2\)"):
        step(head())(X, y)


def test_finite_data_leave_the_rate_to_blame() -> None:
    model = head()
    model.V.value[...] = np.inf
    with pytest.raises(train.Diverged, match=r"Try a smaller rate than 0.1") as caught:
        step(model)(X, Y)
    assert "data are not" not in str(caught.value)


def test_a_step_takes_its_data_by_name() -> None:
    by_place, by_name = head(), head()
    losses = [float(step(by_place)(X, Y)), float(step(by_name)(y=Y, x=X))]
    assert losses[0] == losses[1]
    assert np.array_equal(by_place.V.value, by_name.V.value)


def test_a_step_says_which_data_it_takes() -> None:
    with pytest.raises(CallError, match=r"has no argument target: write y= for target=|needs y"):
        step(head())(X, target=Y)
    with pytest.raises(CallError, match="needs y"):
        step(head())(X)
    with pytest.raises(CallError, match=r"cannot be used here: .*takes 1 positional argument but 2 were given"):
        train.TrainingStep(lambda x: ts.sum(x), train.SGD(head().parameters()))(X, Y)


def tokens(seed: int) -> tuple[np.ndarray, np.ndarray]:
    text = np.random.default_rng(seed).integers(0, 4, (6, 2))
    return text[:-1], text[1:]


def net() -> nn.RNN:
    return nn.RNN(4, 5, 4, rng=np.random.default_rng(0))


def test_fit_takes_pairs_each_from_the_initial_state_and_goes_round() -> None:
    model, plain = net(), net()
    pairs = [tokens(1), tokens(2)]
    history = train.fit(model, pairs, train.SGD(model.parameters(), 0.1), 5, progress=False)
    assert len(history.bits) == 5
    optimiser = train.SGD(plain.parameters(), 0.1)
    for k in range(5):
        x, y = pairs[k % 2]
        with ts.Tape():
            loss = plain.loss(x, y) * (1 / len(x))
        loss.backward()
        assert history.bits[k] == pytest.approx(loss.value.item() / np.log(2), rel=1e-5)
        optimiser.step()
    assert np.allclose(model.W.value, plain.W.value, rtol=1e-4, atol=1e-6)


def test_fit_says_what_it_takes() -> None:
    model = net()
    optimiser = train.SGD(model.parameters(), 0.1)
    with pytest.raises(DataError, match=r"windows are \(x, y\)"):
        train.fit(model, tokens(1)[0], optimiser, 1, progress=False)
    with pytest.raises(TinyseqError, match=r"for ManyToOne write update = train.TrainingStep\(model.loss, optimiser\)"):
        train.fit(head(), [(X, Y)], optimiser, 1, progress=False)


def test_one_hot_floats_say_that_they_train_the_squared_error() -> None:
    one_hot = np.eye(2, dtype=np.float32)
    with pytest.warns(UserWarning, match=r"squared error.*y.argmax\(-1\)") as caught:
        step(head())(X, one_hot)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(head())(X, one_hot * 0.9)
        step(head())(X, one_hot.argmax(-1))


def test_one_hot_targets_of_a_cross_entropy_say_what_to_type() -> None:
    with ts.Tape(), pytest.raises(DtypeError, match=r"one-hot rows: write array.argmax\(-1\)"):
        net().loss(tokens(1)[0], np.eye(4, dtype=np.float32)[tokens(1)[1]])
    with ts.Tape(), pytest.raises(DtypeError, match=r"write array.astype\('int64'\)"):
        ts.cross_entropy(ts.tensor(X[0]), np.array([0.0, 1.0]))
