"""Figures 10.1 and 10.2: a dynamical system unfolded, a recurrent circuit folded and unfolded."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel, around


def dynamical_system() -> ts.Tape:
    """A state that depends on nothing but the state before it."""
    W = ts.Parameter(np.eye(3, dtype=np.float32), "W")

    def f(s):
        s = ts.tanh(ts.linear(s, W)).named("s")
        return s, s

    with ts.Tape() as tape:
        ts.unfold(f, ts.Chain(5), (), ts.zeros((1, 3)))
    return tape


def without_outputs() -> ts.Tape:
    """A net that only puts x into its state h."""
    cell = nn.RNNCell(3, 4, rng=np.random.default_rng(0))
    cell.name = "f"
    x = np.zeros((5, 1, 3), np.float32)
    with ts.Tape() as tape:
        ts.unfold(cell, ts.Chain(5), ts.tensor(x, "x"), cell.initial_state(1))
    return tape


FIGURES = [
    Figure(
        "10.1",
        "A dynamical system as an unfolded graph",
        "s(t) = f(s(t−1); θ)",
        dynamical_system,
        lambda tape: [Panel(tape, {"s": (0, 0)}, steps=range(1, 4), time=around(2), arrows="cell")],
    ),
    Figure(
        "10.2",
        "A recurrent net without outputs: as a circuit with a delay, and unfolded",
        "h(t) = f(h(t−1), x(t); θ)",
        without_outputs,
        lambda tape: [
            Panel(tape, {"x": (0, 0), "h": (0, 1)}, "folded", arrows="cell"),
            Panel(tape, {"x": (0, 0), "h": (0, 1)}, steps=range(1, 4), time=around(2), arrows="cell"),
        ],
        between="unfold",
    ),
]
