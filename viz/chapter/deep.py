"""Figure 10.13: where depth can be put into a recurrent net."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel
from tinyseq.viz.placing import grid


def three_ways() -> list[ts.Tape]:
    """(a) states above one another, (b) MLPs in all three blocks, (c) a skip past one of them."""
    rng, tapes = np.random.default_rng(0), []
    stacked = nn.StackedCells([nn.RNNCell(3, 4, rng=rng), nn.RNNCell(4, 4, rng=rng)])
    stacked.cells[1].symbol = "z"
    for cell in (stacked, nn.DeepTransition(3, 4, rng=rng), nn.DeepTransition(3, 4, skip=True, rng=rng)):
        head = nn.ManyToMany(cell, 2, rng=rng)

        def step(x, state, cell=cell, head=head):
            state, features = cell.step(x, state)
            return state, head.output(features).named("y")

        with ts.Tape() as tape:
            x = ts.tensor(np.zeros((5, 1, 3), np.float32), "x")
            ts.unfold(step, ts.Chain(5), x, cell.initial_state(1))
        tapes.append(tape)
    return tapes


DEEP = {"x": (0, 0), "x̃": (0, 1), "h": (0, 2.5), "z": (1.05, 3.3), "p": (0, 4), "y": (0, 5)}

FIGURES = [
    Figure(
        "10.13",
        "Three ways to make a recurrent net deep",
        "(a) h(t) = tanh(b + W h(t−1) + U x(t)),  z(t) = tanh(b′ + W′ z(t−1) + U′ h(t))\n"
        "(b) x̃(t) = tanh(b_x + U_x x(t)),  z(t) = tanh(b_z + W_z h(t)),  h(t) = tanh(b + W z(t−1) + U x̃(t))\n"
        "(c) h(t) = tanh(b + W z(t−1) + U x̃(t) + S h(t−1))",
        three_ways,
        lambda tapes: [
            Panel(
                tapes[0],
                {"x": (0, 0.6), "h": (0, 2), "z": (0, 3.2), "y": (0, 4.6)},
                "folded",
                "a",
                "(a)",
                arrows="none",
            ),
            Panel(tapes[1], DEEP, "folded", "b", "(b)", arrows="none", retime=("z",)),
            Panel(
                tapes[2],
                DEEP,
                "folded",
                "c",
                "(c)",
                arrows="none",
                retime=("z",),
                lines=grid.Arrows(loops={"h": "left"}),
            ),
        ],
    ),
]
