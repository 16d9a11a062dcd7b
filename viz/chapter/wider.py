"""Figures 10.11 and 10.12: both directions of time, and one sequence to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel, around
from tinyseq.viz.chapter.symbols import largest


def both_directions() -> ts.Tape:
    """h reads what came, g what comes; the output reads both."""
    rng = np.random.default_rng(0)
    net = nn.ManyToMany(nn.Bidirectional(nn.RNNCell(3, 4, rng=rng), nn.RNNCell(3, 4, rng=rng)), 2, rng=rng)
    x, y = np.zeros((5, 1, 3), np.float32), np.zeros((5, 1), int)
    with ts.Tape() as tape:
        net.loss(x, y)
    return tape


def sequence_to_sequence() -> ts.Tape:
    """x is read into C = tanh(K h(m)); y is written given C, each symbol read again by the next state."""
    rng = np.random.default_rng(0)
    K = ts.Parameter(rng.normal(size=(4, 4)).astype(np.float32), "K")

    class Summary(nn.RNNCell):
        def encode(self, x, lengths=None, state=None):
            encoded = super().encode(x, lengths, state)
            return replace(encoded, last=ts.tanh(ts.linear(encoded.last, K)))

    net = nn.EncoderDecoder(Summary(3, 4, rng=rng), 3, 4, rng=rng)
    net.cell.symbol = "s"

    def write(state):
        inner, o = net.advance(state)
        y = largest(o).named("y")  # the likeliest symbol
        return (inner, y, state[2]), y

    with ts.Tape() as tape:
        C = net.encode(np.zeros((4, 1, 3), np.float32))
        ts.unfold(write, ts.Chain(4), (), net.start(C), name="decoder")
    return tape


def _up_to(last: str) -> Callable[[int], str]:
    """Four steps written 1, 2, …, last."""
    return lambda t: ("1", "2", "…", last)[t]


FIGURES = [
    Figure(
        "10.11",
        "A bidirectional net",
        "h(t) = tanh(b + W h(t−1) + U x(t))\ng(t) = tanh(b′ + W′ g(t+1) + U′ x(t))\no(t) = c + V [h(t); g(t)]",
        both_directions,
        lambda tape: [
            Panel(
                tape,
                {"x": (0, 0), "h": (-0.24, 1), "g": (0.24, 2), "o": (0, 3), "L": (0, 4), "y": (0, 5)},
                steps=range(1, 4),
                time=around(2),
                arrows="none",
                pitch=(118.0, 76.0),
            )
        ],
    ),
    Figure(
        "10.12",
        "Encoder and decoder: from one sequence to another of another length",
        "C = tanh(K h(m))\ns(i) = tanh(b + W s(i−1) + U y(i−1) + R C)\np(y(i) | …) = softmax(c + V s(i) + Q C)",
        sequence_to_sequence,
        lambda tape: [
            Panel(
                tape,
                {"x": (0, 0), "h": (0, 1), "C": (-1.5, 2.2), "s": (0, 4.0), "y": (0.5, 5.3)},
                name="encoder and decoder",
                times={"x": _up_to("m"), "h": _up_to("m"), "s": _up_to("n"), "y": _up_to("n"), "C": None},
                arrows="none",
                through=("o",),
                ends=False,
                frames={"encoder": ("x", "h"), "decoder": ("s", "y")},
            )
        ],
    ),
]
