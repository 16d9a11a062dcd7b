"""Figure 10.16: the LSTM cell."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel
from tinyseq.viz.placing import grid


def lstm() -> ts.Tape:
    """The book's cell: the input squashed by a sigmoid, the gates told of the state by peepholes."""
    cell = nn.LSTMCell(3, 4, squash="sigmoid", peepholes="book", rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        x = ts.tensor(np.zeros((5, 1, 3), np.float32), "x")
        ts.unfold(cell, ts.Chain(5), x, cell.initial_state(1))
    return tape


PLACES = {
    "σ(h, x)": (0, 0), "g": (1.15, 0), "f": (2.3, 0), "q": (3.45, 0),
    "×(g, σ)": (0, 1.2), "s": (0, 2.5), "×(f, s)": (2.3, 2.5), "×(h)": (0, 3.75), "h": (0, 4.75),
}  # fmt: skip

FIGURES = [
    Figure(
        "10.16",
        "The LSTM cell",
        "f(t) = σ(b_f + U_f x(t) + W_f h(t−1) + p_f ⊙ s(t−1))\n"
        "s(t) = f(t) ⊙ s(t−1) + g(t) ⊙ σ(b + U x(t) + W h(t−1))\n"
        "h(t) = tanh(s(t)) ⊙ q(t),  g and q like f",
        lstm,
        lambda tape: [
            Panel(
                tape,
                PLACES,
                "folded",
                detail="units",
                arrows="none",
                through=("tanh",),
                outside=("x", "h"),
                apart=("h",),
                as_op=("s",),
                captions={
                    "σ(h, x)": "input",
                    "g": "input gate",
                    "f": "forget gate",
                    "q": "output gate",
                    "s": "state",
                    "h": "output",
                },
                lines=grid.Arrows(
                    bows={("s", "×(f, s)"): 0.22, ("s", "g"): 0, ("s", "f"): 0, ("s", "q"): 0.03, ("q", "×(h)"): -0.3},
                ),
                pitch=(104.0, 76.0),
            )
        ],
    ),
]
