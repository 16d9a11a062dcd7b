"""Echo state networks over lists of sequences, and copies of networks that have run."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.errors import DataError, ShapeError


def network(feedback: bool = False) -> nn.EchoStateNetwork:
    reservoir = nn.Reservoir(1, 20, rng=np.random.default_rng(0), dtype=np.float64, feedback_size=int(feedback))
    return nn.EchoStateNetwork(reservoir, 1)


def sequences() -> list[np.ndarray]:
    return [np.random.default_rng(i).standard_normal((n, 1)) for i, n in enumerate((30, 41, 7))]


@pytest.mark.parametrize("feedback", [False, True])
def test_each_of_a_list_is_what_it_is_alone(feedback: bool) -> None:
    xs = sequences()
    net = network(feedback).fit(xs, xs)
    for together, alone in zip(net.predict(xs, xs), xs, strict=True):
        np.testing.assert_array_equal(together, net.predict(alone[:, None], alone[:, None])[:, 0])
        assert together.shape == alone.shape
    states, ends = net.run(xs, xs)
    warm = net.warm_up(xs, xs)
    for h, end, started, alone in zip(states, ends, warm, xs, strict=True):
        wanted, last = net.run(alone[:, None], alone[:, None])
        np.testing.assert_array_equal(h, wanted[:, 0])
        np.testing.assert_array_equal(end.h, last.h)
        np.testing.assert_array_equal(started.h, last.h)
    follows = net.predict(xs, xs, ends)
    np.testing.assert_array_equal(follows[1], net.predict(xs[1][:, None], xs[1][:, None], ends[1])[:, 0])


def test_learning_a_list_is_learning_one_after_the_other() -> None:
    xs = sequences()
    together, apart = network(), network()
    told, _ = together.learn(xs, xs)
    for prediction, x in zip(told, xs, strict=True):
        np.testing.assert_allclose(prediction, apart.learn(x[:, None], x[:, None])[0][:, 0], rtol=1e-12)
    np.testing.assert_array_equal(together.V.value, apart.V.value)


def test_lists_that_do_not_fit_and_masked_arrays() -> None:
    xs = sequences()
    net = network().fit(xs, xs)
    with pytest.raises(ShapeError, match="3 sequences x, y is a list of as many; got 2"):
        net.run(xs, xs[:2])
    with pytest.raises(ShapeError, match="state is a list"):
        net.predict(xs, state=net.warm_up(xs[0][:, None]))
    for masked in (np.ma.masked_greater(xs[0][:, None], 1.0), [np.ma.masked_greater(xs[0], 1.0)]):
        with pytest.raises(DataError, match="mask"):
            net.predict(masked)


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_of_one_that_ran_predicts_the_same_and_learns_alone(again) -> None:
    x = np.sin(np.arange(60.0))[:, None, None]
    net = network().fit(x, x)
    wanted = net.predict(x)
    other = again(net)
    np.testing.assert_array_equal(other.predict(x), wanted)
    if again is not copy.copy:
        other.fit(x, -x)
        np.testing.assert_allclose(other.predict(x), -wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(net.predict(x), wanted)
