"""Figures 10.3 to 10.6: recurrence between hidden units, through the output, one output at the end, teacher forcing."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel, around

COLUMN = {"x": (0, 0), "h": (0, 1), "o": (0, 2), "L": (0, 3), "y": (0, 4)}
THREE = range(1, 4)


def vanilla() -> ts.Tape:
    """The net of equations 10.8 to 10.11 and its loss at each step."""
    net = nn.RNN(3, 4, 2, rng=np.random.default_rng(0))
    x, y = np.zeros((5, 1, 3), np.float32), np.zeros((5, 1), int)
    with ts.Tape() as tape:
        net.loss(x, y)
    return tape


def through_the_output() -> ts.Tape:
    """What is handed on is the output alone."""
    net = nn.OutputRecurrence(3, 4, 2, rng=np.random.default_rng(0))
    x, y = np.zeros((5, 1, 3), np.float32), np.zeros((5, 1), int)
    with ts.Tape() as tape:
        net.loss(x, y, teacher=False)
    return tape


def one_output() -> ts.Tape:
    """A sequence is read, one output is given at its end."""
    rng = np.random.default_rng(0)
    net = nn.ManyToOne(nn.RNNCell(3, 4, rng=rng), 2, rng=rng)
    x = np.zeros((8, 1, 3), np.float32)
    with ts.Tape() as tape:
        y = ts.tensor(np.zeros(1, int), "y")
        ts.cross_entropy(net.outputs(x), y).named("L")
    return tape


def teacher_forcing() -> tuple[ts.Tape, ts.Tape]:
    """The same net in training, where the target is fed back, and in use, where its own output is."""
    net = nn.OutputRecurrence(3, 4, 2, rng=np.random.default_rng(0))
    x, y = np.zeros((4, 1, 3), np.float32), np.zeros((4, 1), int)
    with ts.Tape() as training:
        net.loss(x, y)
    with ts.Tape() as testing:
        net.outputs(x)
    return training, testing


def _at_the_end(t: int) -> str:
    """Steps of ``one_output`` that are shown: two in the middle, and the last."""
    return "τ" if t == 7 else around(4)(t)


def _previous(t: int) -> str:
    return around(2)(t)


FIGURES = [
    Figure(
        "10.3",
        "Recurrence between hidden units, a loss at each step",
        "a(t) = b + W h(t−1) + U x(t)\nh(t) = tanh a(t)\no(t) = c + V h(t)\nŷ(t) = softmax o(t)",
        vanilla,
        lambda tape: [Panel(tape, COLUMN, "folded"), Panel(tape, COLUMN, steps=THREE, time=around(2))],
        between="unfold",
    ),
    Figure(
        "10.4",
        "Recurrence from the output to the hidden units only",
        "h(t) = tanh(b + W softmax o(t−1) + U x(t))\no(t) = c + V h(t)",
        through_the_output,
        lambda tape: [Panel(tape, COLUMN, "folded"), Panel(tape, COLUMN, steps=THREE, time=around(2))],
        between="unfold",
    ),
    Figure(
        "10.5",
        "One output at the end of the sequence",
        "h(t) = tanh(b + W h(t−1) + U x(t))\no(τ) = c + V h(τ)",
        one_output,
        lambda tape: [Panel(tape, COLUMN, steps=(3, 4, 7), time=_at_the_end)],
    ),
    Figure(
        "10.6",
        "Teacher forcing: the target is fed back in training, the output in use",
        "training: h(t) = tanh(b + W y(t−1) + U x(t))\nin use:   h(t) = tanh(b + W softmax o(t−1) + U x(t))",
        teacher_forcing,
        lambda tapes: [
            Panel(tapes[0], COLUMN, name="train", title="Train time", steps=(1, 2), time=_previous, ends=False),
            Panel(tapes[1], COLUMN, name="test", title="Test time", steps=(1, 2), time=_previous, ends=False),
        ],
    ),
]
