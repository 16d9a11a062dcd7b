"""Every net of ``nn`` on a tape of its own: what the contact sheets of pictures show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq import nn

B, F, H, V = 1, 3, 4, 3
WORDS = ts.Tree.from_brackets("((the cat) ((sat on) mats))", labelled=False)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _x(T: int, features: int = F) -> np.ndarray:
    return rng().normal(size=(T, B, features)).astype(np.float32)


def _tokens(T: int) -> np.ndarray:
    return rng().integers(0, V, (T, B))


def by_loss(make: Callable[[], Any], *data: Callable[[int], Any]) -> Callable[[int], ts.Tape]:
    def record(T: int) -> ts.Tape:
        net = make()
        with ts.Tape() as tape:
            net.loss(*(d(T) for d in data))
        return tape

    return record


def by_steps(make: Callable[[], Any]) -> Callable[[int], ts.Tape]:
    def record(T: int) -> ts.Tape:
        cell = make()
        with ts.Tape() as tape:
            ts.unfold(cell, ts.Chain(T), ts.tensor(_x(T), "x"), cell.initial_state(B))
        return tape

    return record


def by_outputs(make: Callable[[], Any]) -> Callable[[int], ts.Tape]:
    def record(T: int) -> ts.Tape:
        net = make()
        with ts.Tape() as tape:
            net.encode(_x(T))
        return tape

    return record


def by_tree(make: Callable[[], Any]) -> Callable[[int], ts.Tape]:
    def record(T: int) -> ts.Tape:
        net = make()
        with ts.Tape() as tape:
            net.loss(WORDS, _x(WORDS.n_leaves)[:, 0], np.zeros(1, np.int64))
        return tape

    return record


def _rnn() -> nn.RNNCell:
    return nn.RNNCell(F, H, rng=rng())


def _memory() -> nn.MemoryCell:
    return nn.MemoryCell(nn.RNNCell(F + 2, H, rng=rng()), slots=3, width=2, rng=rng())


def _one(T: int) -> np.ndarray:
    return np.zeros(B, np.int64)


NETS: dict[str, Callable[[int], ts.Tape]] = {
    "RNN": by_loss(lambda: nn.RNN(F, H, V, rng=rng()), _tokens, _tokens),
    "LSTM": by_loss(lambda: nn.LSTM(F, H, V, rng=rng()), _tokens, _tokens),
    "GRU": by_loss(lambda: nn.GRU(F, H, V, rng=rng()), _tokens, _tokens),
    "RNNCell": by_steps(_rnn),
    "LSTMCell": by_steps(lambda: nn.LSTMCell(F, H, rng=rng())),
    "LSTMCell, peepholes": by_steps(lambda: nn.LSTMCell(F, H, peepholes="book", squash="sigmoid", rng=rng())),
    "GRUCell": by_steps(lambda: nn.GRUCell(F, H, rng=rng())),
    "LeakyCell": by_steps(lambda: nn.LeakyCell(F, H, rng=rng())),
    "SkipCell": by_steps(lambda: nn.SkipCell(F, H, rng=rng())),
    "ClockworkCell": by_steps(lambda: nn.ClockworkCell(F, H, rng=rng())),
    "DeepTransition": by_steps(lambda: nn.DeepTransition(F, H, skip=True, rng=rng())),
    "StackedCells": by_steps(lambda: nn.StackedCells([nn.GRUCell(F, H, rng=rng()), nn.LSTMCell(H, H, rng=rng())])),
    "MemoryCell": by_steps(_memory),
    "DiagonalCell": by_steps(lambda: nn.DiagonalCell(F, H, rng=rng())),
    "MinGRUCell": by_steps(lambda: nn.MinGRUCell(F, H, rng=rng())),
    "MinLSTMCell": by_steps(lambda: nn.MinLSTMCell(F, H, rng=rng())),
    "SLSTMCell": by_steps(lambda: nn.SLSTMCell(F, H, rng=rng())),
    "FastWeightsCell": by_steps(lambda: nn.FastWeightsCell(F, H, rng=rng())),
    "LRUCell": by_steps(lambda: nn.LRUCell(F, H, rng=rng())),
    "LSTM1997Cell": by_steps(lambda: nn.LSTM1997Cell(F, 2, 2, rng=rng())),
    "Reservoir": by_steps(lambda: nn.Reservoir(F, 20, rng=rng())),
    "Stack": by_outputs(lambda: nn.Stack([nn.RNNCell(F, H, rng=rng()), nn.LSTMCell(H, H, rng=rng())])),
    "Bidirectional": by_outputs(lambda: nn.Bidirectional(_rnn(), _rnn())),
    "Bidirectional tagger": by_loss(
        lambda: nn.ManyToMany(nn.Bidirectional(_rnn(), nn.GRUCell(F, H, rng=rng())), V, rng=rng()), _x, _tokens
    ),
    "ManyToOne": by_loss(lambda: nn.ManyToOne(nn.LSTMCell(F, H, rng=rng()), 2, rng=rng()), _x, _one),
    "ManyToMany": by_loss(lambda: nn.ManyToMany(nn.GRUCell(F, H, rng=rng()), V, rng=rng()), _x, _tokens),
    "OutputRecurrence": by_loss(lambda: nn.OutputRecurrence(F, H, V, rng=rng()), _x, _tokens),
    "FeedbackRNN": by_loss(lambda: nn.FeedbackRNN(F, H, V, rng=rng()), _x, _tokens),
    "SequenceModel": by_loss(lambda: nn.SequenceModel(V, H, rng=rng()), _tokens),
    "SequenceModel, context": by_loss(
        lambda: nn.SequenceModel(V, H, context_size=2, rng=rng()), _tokens, lambda T: np.zeros((B, 2), np.float32)
    ),
    "EncoderDecoder": by_loss(lambda: nn.EncoderDecoder(_rnn(), V, H, rng=rng()), _x, _tokens),
    "EncoderDecoder, attention": by_loss(
        lambda: nn.EncoderDecoder(nn.LSTMCell(F, H, rng=rng()), V, H, attention=True, rng=rng()), _x, _tokens
    ),
    "RecursiveNet": by_tree(lambda: nn.RecursiveNet(F, H, 2, rng=rng())),
    "RNTN": by_tree(lambda: nn.RNTN(F, H, 2, rng=rng())),
    "TreeLSTM": by_tree(lambda: nn.TreeLSTM(F, H, 2, rng=rng())),
    "ChildSumTreeLSTM": by_tree(lambda: nn.ChildSumTreeLSTM(F, H, 2, rng=rng())),
}
