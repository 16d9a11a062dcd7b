"""Figure 10.18: a net with an explicit memory that it reads and writes by addresses."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel
from tinyseq.viz.placing import grid

ROWS, COLUMNS = 3, 6


def explicit_memory() -> ts.Tape:
    """``nn.MemoryCell``: a task network writes at addresses w and reads at addresses w′ of its memory cells."""
    rng, width = np.random.default_rng(0), 4
    task = nn.RNNCell(3 + width, 4, rng=rng)  # a recurrent net that reads x(t) and r(t−1)
    net = nn.MemoryCell(task, slots=ROWS * COLUMNS, width=width, rng=rng)
    with ts.Tape() as tape:
        x = ts.tensor(np.zeros((5, 1, 3), np.float32), "x")
        ts.unfold(net, ts.Chain(5), x, net.initial_state(1))
    return tape


FIGURES = [
    Figure(
        "10.18",
        "A net with an explicit memory: a task network that addresses, reads and writes memory cells",
        "h(t) = tanh(b + W h(t−1) + U [x(t); r(t−1)])\n"
        "M(t) = M(t−1) ⊙ (1 − w(t) e(t)ᵀ) + w(t) a(t)ᵀ\n"
        "r(t) = Σ_i w′_i(t) M_i(t)",
        explicit_memory,
        lambda tape: [
            Panel(
                tape,
                {"M": (2, 3.4), "w": (0.2, 1.55), "w′": (3.8, 1.55), "h": (2, 0), "r": (5.0, 0), "x": (2, -1.2)},
                "folded",
                arrows="none",
                keeping=("M",),
                ovals={"h": 2.6},
                cells={"M": (ROWS, COLUMNS)},
                captions={
                    "M": "memory cells",
                    "h": "task network",
                    "r": "what is read",
                    "w": "writing addresses",
                    "w′": "reading addresses",
                },
                lines=grid.Arrows(
                    bows={("M", "w"): -0.42, ("r", "h"): 0.0, ("M", "r"): 0.28}, loops={"h": "left", "w": "left"}
                ),
                pitch=(84.0, 76.0),
            )
        ],
    ),
]
