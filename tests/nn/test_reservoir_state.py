"""A saved echo state network is the same net when it is loaded, wherever the elements of its W stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.train.checkpoints import load, save

X = np.random.default_rng(5).uniform(-1, 1, (150, 2, 1)).astype(np.float32)


def made(seed: int, density: float, hidden: int = 30) -> nn.EchoStateNetwork:
    reservoir = nn.Reservoir(1, hidden, rng=np.random.default_rng(seed), density=density, leak=0.5, bias_scaling=0.2)
    assert (reservoir.places is None) == (density > 0.2)
    return nn.EchoStateNetwork(reservoir, 1)


def fitted(seed: int, density: float) -> nn.EchoStateNetwork:
    return made(seed, density).fit(X, np.roll(X, 1, axis=0), washout=20)


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_save_and_load_give_the_same_outputs_bit_for_bit(density: float, tmp_path: Path) -> None:
    net = fitted(3, density)
    again = load(save(tmp_path, net)).model
    np.testing.assert_array_equal(again.reservoir.matrix, net.reservoir.matrix)
    np.testing.assert_array_equal(again.run(X)[0], net.run(X)[0])
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


@pytest.mark.parametrize("given", [1.0, 0.1], ids=["from dense", "from sparse"])
@pytest.mark.parametrize("own", [1.0, 0.1], ids=["into dense", "into sparse"])
def test_a_net_that_ran_takes_over_another_ones_state(given: float, own: float) -> None:
    net, other = fitted(3, given), fitted(4, own)
    before = other.predict(X)
    other.load_state_dict(net.state_dict())
    assert not np.array_equal(before, net.predict(X))
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert other.state_dict().keys() == net.state_dict().keys()
    assert not other.reservoir.W.trainable


def test_a_reservoir_alone_may_be_loaded_inside_its_net() -> None:
    net, other = fitted(3, 0.1), fitted(4, 0.1)
    other.run(X)
    other.reservoir.load_state_dict(net.reservoir.state_dict())
    np.testing.assert_array_equal(other.run(X)[0], net.run(X)[0])
    np.testing.assert_array_equal(other.free_run(5, other.warm_up(X)).shape, (5, 2, 1))


def test_the_state_holds_copies_of_the_places() -> None:
    net = made(3, 0.1)
    state = net.state_dict()
    assert state["reservoir.W.columns"].dtype == np.int64 and state["reservoir.W.starts"].shape == (31,)
    state["reservoir.W.columns"][:] = 0
    assert net.reservoir.places.columns.any()


def test_a_state_that_does_not_fit_leaves_the_net_as_it_was() -> None:
    net, other = fitted(3, 0.1), fitted(4, 0.1)
    before, places = other.predict(X), other.reservoir.places
    state = net.state_dict()
    state["V"] = state["V"][:, 1:]
    with pytest.raises(TinyseqError, match=r"weights for V have shape \(1, 29\), the model needs \(1, 30\)"):
        other.load_state_dict(state)
    assert other.reservoir.places is places
    np.testing.assert_array_equal(other.predict(X), before)


def test_places_of_another_size_or_none_are_refused() -> None:
    net = made(3, 0.1)
    with pytest.raises(ShapeError, match=r"W is \(30, 30\) in this reservoir, the places are for one of \(20, 30\)"):
        net.load_state_dict(made(3, 0.1, hidden=20).state_dict())
    state = {name: a for name, a in net.state_dict().items() if not name.endswith((".columns", ".starts"))}
    with pytest.raises(TinyseqError, match=r"where the elements of the sparse W stand \(W.columns, W.starts\)"):
        net.load_state_dict(state)
