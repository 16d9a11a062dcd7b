"""The graph of each lesson as a page that computes: small enough to follow every number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.tensor.handles import Tensor

Recorded = tuple[Tensor, dict[str, Tensor]]


class Live(NamedTuple):
    """How a graph is recorded: its loss, and others to switch to; the page's state at first; the title of its run."""

    record: Callable[[], Recorded]
    hash: str = ""
    title: str = ""


def terms() -> Recorded:
    """A chain of eight steps, its loss at the end."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 3, rng=rng, dtype=np.float64)
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(8, 1, 3)), "x")
        net = ts.unfold(cell, ts.Chain(8), x, cell.initial_state(1))
        loss = ts.sum(net.final**2).named("L")
    return loss, {}


def two_readers() -> Recorded:
    """h is read by o and by h′."""
    w, v = ts.Parameter(np.array([[0.8]]), "w"), ts.Parameter(np.array([[1.5]]), "v")
    with ts.Tape():
        h = ts.tanh(ts.linear(ts.tensor(np.array([[0.6]]), "x"), w)).named("h")
        o = ts.linear(h, v).named("o")
        loss = ts.sum(o**2 + ts.tanh(ts.linear(h, w)).named("h′") ** 2).named("L")
    return loss, {}


def one_step() -> Recorded:
    """Three steps of two units."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(2, 2, rng=rng, dtype=np.float64)
    cell.a.W.value *= 1.5
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(3, 1, 2)), "x")
        net = ts.unfold(cell, ts.Chain(3), x, cell.initial_state(1))
        loss = ts.sum(net.final**2).named("L")
    return loss, {}


def vanishing() -> Recorded:
    """A chain of 24 steps, its loss at the end."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 6, rng=rng, dtype=np.float64)
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(24, 1, 3)), "x")
        net = ts.unfold(cell, ts.Chain(24), x, cell.initial_state(1))
        loss = ts.sum(net.final**2).named("L")
    return loss, {}


def shared() -> Recorded:
    """A loss at each of 16 steps."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 6, rng=rng, dtype=np.float64)
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(16, 1, 3)), "x")
        net = ts.unfold(cell, ts.Chain(16), x, cell.initial_state(1))
        loss = ts.sum(ts.stack([ts.sum(net.outputs[t] ** 2) for t in range(16)])).named("L")
    return loss, {}


def truncated() -> Recorded:
    """A net with a loss at each of 20 steps."""
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(4, 4, 4, rng=rng, dtype=np.float64)
    x, y = rng.integers(0, 4, (20, 1)), rng.integers(0, 4, (20, 1))
    with ts.Tape():
        loss = net.loss(x, y)
    return loss, {}


def detached() -> Recorded:
    """Six steps of two sequences."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 4, rng=rng, dtype=np.float64)
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(6, 2, 3)), "x")
        net = ts.unfold(cell, ts.Chain(6), x, cell.initial_state(2))
        loss = ts.sum(net.final**2).named("L")
    return loss, {}


def stored() -> Recorded:
    """Eight steps of an LSTM."""
    rng = np.random.default_rng(0)
    cell = ts.nn.LSTMCell(3, 4, rng=rng, dtype=np.float64)
    with ts.Tape():
        x = ts.tensor(rng.normal(size=(8, 1, 3)), "x")
        net = ts.unfold(cell, ts.Chain(8), x, cell.initial_state(1))
        loss = ts.sum(net.outputs[7] ** 2).named("L")
    return loss, {}


def second_chunk() -> Recorded:
    """The second chunk: it starts from the number that the first has left."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(3, 4, rng=rng, dtype=np.float64)
    x = rng.normal(size=(6, 1, 3))
    with ts.Tape():
        h = ts.unfold(cell, ts.Chain(3), x[:3], cell.initial_state(1)).final
        carried = h.value
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(3), ts.tensor(x[3:], "x"), ts.tensor(carried, "h"))
        loss = ts.sum(net.final**2).named("L")
    return loss, {}


def forced_and_free() -> Recorded:
    """One net with its targets fed back, and with its own outputs."""
    rng = np.random.default_rng(0)
    net = ts.nn.OutputRecurrence(2, 4, 2, rng=rng, dtype=np.float64)
    x, y = rng.normal(size=(5, 1, 2)), rng.integers(0, 2, (5, 1))
    with ts.Tape():
        loss = net.loss(x, y)
    with ts.Tape():
        compare = {"free running": net.loss(x, y, teacher=False)}
    return loss, compare


def rnn_and_lstm() -> Recorded:
    """An RNN and an LSTM over the same inputs, a loss at each step."""
    x = np.random.default_rng(0).normal(size=(14, 1, 3))

    def recorded(cell):
        with ts.Tape():
            net = ts.unfold(cell, ts.Chain(14), ts.tensor(x, "x"), cell.initial_state(1))
            return ts.sum(ts.stack([ts.sum(net.outputs[t] ** 2) for t in range(14)])).named("L")

    loss = recorded(nn.RNNCell(3, 4, rng=np.random.default_rng(1), dtype=np.float64))
    compare = {"LSTM": recorded(nn.LSTMCell(3, 4, rng=np.random.default_rng(1), dtype=np.float64, forget_bias=3.0))}
    return loss, compare


def tree_and_chain() -> Recorded:
    """Eight leaves under a balanced tree, and under a chain."""
    rng = np.random.default_rng(0)
    net = ts.nn.RecursiveNet(3, 3, 2, rng=rng, dtype=np.float64)
    leaves = rng.normal(size=(8, 3))
    with ts.Tape():
        loss = net.loss(ts.Tree.balanced(8), leaves, np.array([1]))
    with ts.Tape():
        compare = {"chain": net.loss(ts.Tree.chain(8), leaves, np.array([1]))}
    return loss, compare


LIVE = {
    1: Live(terms),
    2: Live(two_readers),
    3: Live(one_step),
    4: Live(vanishing),
    5: Live(shared, "#bands=sum"),
    6: Live(truncated, "#mask=window&w=4"),
    7: Live(detached),
    8: Live(stored),
    9: Live(second_chunk),
    10: Live(forced_and_free, title="teacher forcing"),
    11: Live(rnn_and_lstm, "#bands=sum", "RNN"),
    12: Live(tree_and_chain, title="balanced tree"),
}


def live_name(number: int) -> str:
    """The file of a lesson's page, beside its pictures."""
    return f"lesson_{number:02d}_live.html"


def live_page(number: int, path: Path) -> Path:
    """Write the page of a lesson; returns its path."""
    from tinyseq.viz.stepper import to_html

    loss, others = LIVE[number].record()
    title = LIVE[number].title or f"Lesson {number}"
    return to_html(loss.tape, path, loss=loss, title=title, compare=others or None)
