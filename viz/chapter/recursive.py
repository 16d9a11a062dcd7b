"""Figure 10.14: a recursive net over a tree."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz.chapter.figure import Figure
from tinyseq.viz.chapter.panel import Panel, counted


def balanced_tree() -> ts.Tape:
    """Four leaves, merged two by two, a loss at the root."""
    net = nn.RecursiveNet(3, 4, 2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        net.loss(ts.Tree.balanced(4), np.zeros((4, 1, 3), np.float32), np.array([0]))
    return tape


FIGURES = [
    Figure(
        "10.14",
        "A recursive net: the computation is a tree, not a chain",
        "h(leaf) = tanh(b + V x)\nh(parent) = tanh(b + U h(left) + W h(right))",
        balanced_tree,
        lambda tape: [Panel(tape, {}, name="tree", time=counted)],
    ),
]
