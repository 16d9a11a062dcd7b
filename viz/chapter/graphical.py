"""Figures 10.7 to 10.10: recurrent nets as graphical models of sequences, and conditioned on a context."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel, around, counted
from tinyseq.viz.chapter.symbols import largest
from tinyseq.viz.placing import grid

SYMBOLS = 3


def fully_visible() -> ts.Tape:
    """Each y(t) is drawn given all y before it; one more weight matrix for each step of distance."""
    rng, T = np.random.default_rng(0), 6
    V = [ts.Parameter(rng.normal(size=(SYMBOLS, SYMBOLS)), f"V_{i}") for i in range(1, T)]
    gumbel = nn.gumbel(rng, (T, 1, SYMBOLS), np.float64)

    class Draw(nn.Cell):
        def step(self, noise, *past):
            o = noise  # the largest of logits plus Gumbel noise is a draw from their softmax
            for V_i, y in zip(V, past, strict=False):
                o = o + ts.linear(y, V_i)
            return None, largest(o).named("y")

    with ts.Tape() as tape:
        ys: list[ts.Tensor] = []
        draw, noise = Draw(), ts.tensor(gumbel, "ε")
        for t in range(T):
            ys.append(draw(noise[t], *ys[::-1])[1])
    return tape


def with_state() -> ts.Tape:
    """The state stands between the past and the next symbol: as many parameters for every length."""
    rng, T = np.random.default_rng(0), 7
    net = nn.SequenceModel(SYMBOLS, 4, rng=rng)
    gumbel = nn.gumbel(rng, (T, 1, SYMBOLS), np.float32)

    def sample(noise, h):
        y = largest(net.c + ts.linear(h, net.V) + noise).named("y")
        h, _ = net.cell.step(y, h)
        return h, y

    with ts.Tape() as tape:
        ts.unfold(sample, ts.Chain(T), ts.tensor(gumbel, "ε"), net.cell.initial_state(1))
    return tape


def in_context() -> ts.Tape:
    """One vector x, the same at each step; y(t) is input of one step and target of the step before."""
    net = nn.SequenceModel(SYMBOLS, 4, context_size=2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        net.loss(np.zeros((6, 1), int), np.zeros((1, 2), np.float32))
    return tape


def fed_back() -> ts.Tape:
    """A sequence x and the outputs before: any distribution over y given x."""
    net = nn.FeedbackRNN(3, 4, SYMBOLS, rng=np.random.default_rng(0))
    x, y = np.zeros((5, 1, 3), np.float32), np.zeros((5, 1), int)
    with ts.Tape() as tape:
        net.loss(x, y)
    return tape


COLUMN = {"x": (0, 0), "h": (0, 1), "o": (0, 2), "L": (0, 3), "y": (0, 4)}


def _and_so_on(t: int) -> str:
    """Steps 1 to 5; the one after stands for all that follow."""
    return counted(t) if t < 5 else "…"


FIGURES = [
    Figure(
        "10.7",
        "The fully connected graphical model of a sequence",
        "p(y(1), …, y(τ)) = Π p(y(t) | y(t−1), …, y(1))",
        fully_visible,
        lambda tape: [
            Panel(
                tape,
                {"y": (0, 0)},
                steps=range(6),
                time=_and_so_on,
                leave_out=("ε",),
                arrows="none",
                lines=grid.Arrows(arcs=True),
            ),
        ],
    ),
    Figure(
        "10.8",
        "With a state the graph is sparse, and its parameters are shared by all steps",
        "h(t) = tanh(b + W h(t−1) + U y(t))\np(y(t+1) | y(1), …, y(t)) = softmax(c + V h(t))",
        with_state,
        lambda tape: [
            Panel(tape, {"h": (0, 1), "y": (0, 0)}, steps=range(5), time=counted, leave_out=("ε",), arrows="none"),
        ],
    ),
    Figure(
        "10.9",
        "A vector x as context of a sequence y",
        "h(t) = tanh(b + W h(t−1) + U y(t) + R x)\no(t) = c + V h(t)\nL(t) = −log softmax(o(t)) at y(t+1)",
        in_context,
        lambda tape: [
            Panel(tape, {**COLUMN, "x": (2, -0.25)}, steps=range(2, 5), time=around(3), shift={"y": 1}),
        ],
    ),
    Figure(
        "10.10",
        "A sequence x as context, with the outputs fed back",
        "h(t) = tanh(b + W h(t−1) + U x(t) + R y(t−1))\no(t) = c + V h(t)",
        fed_back,
        lambda tape: [Panel(tape, COLUMN, steps=range(1, 4), time=around(2))],
    ),
]
