"""Copies and pickles of nets that ran: they compute the same, and are nets of their own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.tape import Tape

X = np.random.default_rng(1).standard_normal((5, 2, 3)).astype(np.float32)
TOKENS = np.random.default_rng(2).integers(0, 3, (5, 2))
TREE = ts.Tree.from_brackets("((a b) (c d))")
LEAVES = X[:4, 0]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def by_loss(*data: Any) -> Callable[[Any], np.ndarray]:
    def run(net: Any) -> np.ndarray:
        with Tape():
            loss = net.loss(*data)
            loss.backward()
            return np.array(loss.item())

    return run


def by_outputs(net: Any) -> np.ndarray:
    with Tape():
        encoded = net.encode(X)
        ts.sum(encoded.outputs).backward()
        return encoded.outputs.value.copy()


def by_steps(net: Any) -> np.ndarray:
    with Tape():
        return ts.unfold(net, ts.Chain(5), X, net.initial_state(2)).outputs.value.copy()


def by_tree(net: Any) -> np.ndarray:
    with Tape():
        return net.output(TREE, LEAVES).value.copy()


NETS: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
    "RNN": (lambda: nn.RNN(3, 4, 3, rng=rng(), learn_initial_state=True), by_loss(TOKENS, TOKENS)),
    "LSTM": (lambda: nn.LSTM(3, 4, 3, rng=rng(), projection_size=2), by_loss(TOKENS, TOKENS)),
    "GRU": (lambda: nn.GRU(3, 4, 3, rng=rng()), by_loss(TOKENS, TOKENS)),
    "Bidirectional": (
        lambda: nn.Bidirectional(nn.LSTMCell(3, 4, rng=rng()), nn.GRUCell(3, 4, rng=rng())),
        by_outputs,
    ),
    "Stack": (lambda: nn.Stack([nn.RNNCell(3, 4, rng=rng()), nn.LSTMCell(4, 4, rng=rng())]), by_outputs),
    "StackedCells": (lambda: nn.StackedCells([nn.GRUCell(3, 4, rng=rng()), nn.RNNCell(4, 4, rng=rng())]), by_outputs),
    "ClockworkCell": (lambda: nn.ClockworkCell(3, 4, rng=rng()), by_outputs),
    "LeakyCell": (lambda: nn.LeakyCell(3, 4, rng=rng()), by_outputs),
    "SkipCell": (lambda: nn.SkipCell(3, 4, rng=rng()), by_outputs),
    "DeepTransition": (lambda: nn.DeepTransition(3, 4, rng=rng()), by_outputs),
    "OutputRecurrence": (lambda: nn.OutputRecurrence(3, 4, 3, rng=rng()), by_loss(X, TOKENS)),
    "SequenceModel": (lambda: nn.SequenceModel(4, 5, rng=rng()), by_loss(TOKENS)),
    "ManyToOne": (
        lambda: nn.ManyToOne(nn.LSTMCell(3, 4, rng=rng()), 2, rng=rng()),
        by_loss(X, np.array([0, 1])),
    ),
    "ManyToMany": (lambda: nn.ManyToMany(nn.GRUCell(3, 4, rng=rng()), 3, rng=rng()), by_loss(X, TOKENS)),
    "EncoderDecoder": (
        lambda: nn.EncoderDecoder(nn.LSTMCell(3, 4, rng=rng()), 6, 5, rng=rng(), attention=True),
        by_loss(X, TOKENS),
    ),
    "Reservoir": (lambda: nn.Reservoir(3, 30, rng=rng()), by_steps),
    "RecursiveNet": (lambda: nn.RecursiveNet(3, 4, 2, rng=rng()), by_tree),
    "TreeLSTM": (lambda: nn.TreeLSTM(3, 4, 2, rng=rng()), by_tree),
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "pickle, oldest protocol": lambda net: pickle.loads(pickle.dumps(net, protocol=2)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETS)
def test_a_copy_of_a_net_that_ran_is_the_same_net_of_its_own(name: str, way: str) -> None:
    make, run = NETS[name]
    net = make()
    before = run(net)
    other = WAYS[way](net)
    assert not {id(p) for p in other.parameters()} & {id(p) for p in net.parameters()}
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert [(p.name, p.trainable) for p in other.parameters()] == [(p.name, p.trainable) for p in net.parameters()]
    np.testing.assert_array_equal(run(other), before)
    for p in other.parameters():
        p.value = p.value + 1
    assert not np.array_equal(run(other), before)
    np.testing.assert_array_equal(run(net), before)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [ts.train.SGD, ts.train.RMSprop, ts.train.Adam])
def test_a_copy_of_a_net_and_its_optimiser_learns_on_its_own(make: Any, way: str) -> None:
    def learn(net: Any, optimiser: Any) -> np.ndarray:
        by_loss(TOKENS, TOKENS)(net)
        optimiser.step()
        return np.concatenate([p.value.ravel() for p in net.parameters()])

    net = nn.LSTM(3, 4, 3, rng=rng())
    optimiser = make(net.parameters(), 0.1)
    learn(net, optimiser)
    other, others = WAYS[way]((net, optimiser))
    expected = learn(net, optimiser)
    np.testing.assert_array_equal(learn(other, others), expected)
    np.testing.assert_array_equal(np.concatenate([p.value.ravel() for p in net.parameters()]), expected)


def test_tied_weights_stay_tied_in_copies() -> None:
    net = nn.RNN(4, 4, 4, rng=rng())
    net.V = net.U
    for way in WAYS.values():
        assert way(net).V is not net.U
        other = way(net)
        assert other.V is other.U


def test_what_belongs_to_a_tape_says_that_it_is_not_copied() -> None:
    with Tape():
        unfolded = nn.RNNCell(3, 4, rng=rng()).encode(X)
    for way in WAYS.values():
        for thing in (unfolded, unfolded.outputs):
            with pytest.raises(ts.TinyseqError, match="not copied or pickled"):
                way(thing)
