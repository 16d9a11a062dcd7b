"""Figure 10.18: a net with an explicit memory that it reads and writes by addresses."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq.viz import grid
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel

CELLS = 5


def explicit_memory() -> ts.Tape:
    """A task network h whose address w says how much of each memory cell is read, and how much is written there."""
    rng, size = np.random.default_rng(0), 4

    def matrix(name, rows, columns):
        return ts.Parameter(rng.normal(size=(rows, columns)).astype(np.float32), name)

    W, U, R = matrix("W", size, size), matrix("U", size, 3), matrix("R", size, size)
    K, V = matrix("K", CELLS, size), matrix("V", size, size)

    def memory(x, state):
        h, r, *cells = state
        h = ts.tanh(ts.linear(h, W) + ts.linear(x, U) + ts.linear(r, R)).named("h")
        w = ts.softmax(ts.linear(h, K)).named("w")
        shares = ts.split(w, CELLS, axis=1)
        cells = [
            (m + s * ts.linear(h, V)).named(f"m_{i + 1}") for i, (m, s) in enumerate(zip(cells, shares, strict=True))
        ]
        r = shares[0] * cells[0]
        for s, m in zip(shares[1:], cells[1:], strict=True):
            r = r + s * m
        return (h, r.named("r"), *cells), h

    with ts.Tape() as tape:
        x = ts.tensor(np.zeros((5, 1, 3), np.float32), "x")
        ts.unfold(memory, ts.Chain(5), x, tuple(ts.zeros((1, size)) for _ in range(CELLS + 2)))
    return tape


PLACES = {f"m{i + 1}": (float(i), 3.5) for i in range(CELLS)}

FIGURES = [
    Figure(
        "10.18",
        "A net with an explicit memory: a task network that addresses, reads and writes memory cells",
        "h(t) = tanh(W h(t−1) + U x(t) + R r(t−1))\n"
        "w(t) = softmax(K h(t))\n"
        "m_i(t) = m_i(t−1) + w_i(t) V h(t)\n"
        "r(t) = Σ_i w_i(t) m_i(t)",
        explicit_memory,
        lambda tape: [
            Panel(
                tape,
                {**PLACES, "h": (2, 0), "w": (5.0, 1.2), "r": (-1.0, 1.2), "x": (2, -1.2)},
                "folded",
                arrows="none",
                keeping=PLACES,
                ovals={"h": 2.6},
                frames={"memory cells": tuple(PLACES)},
                captions={"h": "task network", "w": "address", "r": "what is read"},
                lines=grid.Arrows(bows={("r", "h"): 0.0}),
                pitch=(84.0, 76.0),
            )
        ],
    ),
]
