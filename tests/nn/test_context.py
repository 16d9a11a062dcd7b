"""Outputs fed back beside an input sequence (figure 10.10): enumeration over all y for one x, a loop, sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H, K, T = 2, 3, 2, 3


@pytest.fixture(params=["rnn", "lstm", "gru"])
def net(request: pytest.FixtureRequest, rng: np.random.Generator) -> nn.FeedbackRNN:
    return twins.randomise(nn.FeedbackRNN(F, H, K, cell=request.param, rng=rng, dtype=np.float64), rng)


def scores(net: nn.FeedbackRNN, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log p of every symbol at every step, given y before it."""
    state, before, rows = twins.zero_state(net.cell), np.zeros(K), []
    for x_t, symbol in zip(x, y, strict=True):
        state, h = twins.TWINS[type(net.cell).__name__](net.cell, x_t, state, before)
        rows.append(twins.log_softmax(net.c.value + net.V.value @ h))
        before = np.eye(K)[symbol]
    return np.array(rows)


def log_prob(net: nn.FeedbackRNN, x: np.ndarray, y: np.ndarray) -> float:
    return float(scores(net, x, y)[np.arange(len(y)), y].sum())


def test_equations_and_gradients(net: nn.FeedbackRNN, rng: np.random.Generator) -> None:
    xs, ys = [rng.standard_normal((n, F)) for n in (2, 4)], [rng.integers(0, K, n) for n in (2, 4)]
    wanted = [log_prob(net, x, y) for x, y in zip(xs, ys, strict=True)]
    with Tape():
        np.testing.assert_allclose(net.log_prob(xs, ys).value, wanted, rtol=1e-12)
        np.testing.assert_allclose(net.loss(xs, ys).value, -np.mean(wanted), rtol=1e-12)
    report = ts.gradcheck(lambda: net.loss(xs, ys), *net.parameters())
    assert report, report


def test_probabilities_of_all_y_sum_to_one_and_samples_follow(net: nn.FeedbackRNN, rng: np.random.Generator) -> None:
    x = rng.standard_normal((T, 1, F))
    ys = np.array(list(itertools.product(range(K), repeat=T))).T
    with Tape():
        p = np.exp(net.log_prob(np.tile(x, (1, K**T, 1)), ys).value)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    drawn = net.sample(np.tile(x, (1, 20_000, 1)), rng=np.random.default_rng(1))
    np.testing.assert_allclose([(drawn == y[:, None]).all(0).mean() for y in ys.T], p, atol=0.012)
    written = net.generate(x)[:, 0]
    np.testing.assert_array_equal(written, scores(net, x[:, 0], written).argmax(1))


def test_planned_equals_reference(net: nn.FeedbackRNN, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((5, 4, F)), rng.integers(0, K, (5, 4))
    step = ts.compile(net.loss)
    value = step.backward(x, y)
    assert not isinstance(step.program(x, y), str), step.program(x, y)
    ours = [p.grad.copy() for p in net.parameters()]
    with Tape(executor=ts.Reference):
        wanted = net.loss(x, y)
    wanted.backward()
    np.testing.assert_allclose(value, wanted.value, rtol=1e-12)
    for g, p in zip(ours, net.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_errors_name_the_item(net: nn.FeedbackRNN) -> None:
    x = np.zeros((T, 2, F))
    for message, act in {
        r"target y: class 4 is out of range": lambda: net.loss(x, np.full((T, 2), 4)),
        r"x has 2 sequences of 3 steps, y 2 of 4": lambda: net.loss(x, np.zeros((4, 2), int)),
        r"sequences of one length": lambda: net.generate([x[:, 0], x[:2, 0]]),
    }.items():
        with Tape(), pytest.raises(ts.TinyseqError, match=message):
            act()
