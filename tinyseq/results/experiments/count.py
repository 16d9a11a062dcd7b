"""Counting (Gers and Schmidhuber 2001): aⁿbⁿ and aⁿbⁿcⁿ learned up to n = 10, and how far beyond it holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit
from tinyseq.tasks.counting import SYMBOLS, accepted, pairs

CELLS: dict[str, Any] = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "tanh": nn.RNNCell}


def count(
    seed: int, *, letters: int = 2, largest: int = 10, most: int = 60, updates: int = 1500, rate: float = 0.01
) -> dict[str, Any]:
    """For each kind of cell the largest n such that all strings of 1 … n are accepted, at most ``most``."""
    found: dict[str, Any] = {}
    curves = {}
    for name, make in CELLS.items():
        rng = np.random.default_rng([seed, letters])
        net = nn.ManyToMany(make(len(SYMBOLS), 10, rng=rng), len(SYMBOLS), rng=rng)

        x, y = pairs(range(largest, 0, -1), letters)
        together = nn.pack(x), nn.pack(y)
        curves[name] = fit(net, lambda together=together: together, updates, rate)
        outputs, n = compile(net.outputs), 0
        while n < most:
            (one,), _ = pairs([n + 1], letters)
            if not accepted(outputs(one[:, None])[:, 0].argmax(axis=-1), n + 1, letters):
                break
            n += 1
        found[name] = float(n)
    return {**found, "curves": curves}


def _counting(name: str, title: str, letters: int) -> Experiment:
    return Experiment(
        name, "others", title, "Gers and Schmidhuber 2001; Weiss, Goldberg and Yahav 2018",
        (Figure("LSTM", "largest n with all of 1 … n accepted, LSTM (asked up to 60)", "beyond 10", at_least=10.5),
         Figure("GRU", "GRU", "not far beyond 10"), Figure("tanh", "tanh", "not beyond 10")),
        lambda seed, **sizes: count(seed, **{"letters": letters, **sizes}),
        "10 units, 1,500 updates on all strings of n = 1 … 10, Adam, rate 0.01.", OWN,
        seeds=1, full=3, seconds=0.7, short={"largest": 3, "most": 3, "updates": 250}, axes=("updates", "loss"),
    )  # fmt: skip


EXPERIMENTS = (_counting("counting-2", "aⁿbⁿ", 2), _counting("counting-3", "aⁿbⁿcⁿ", 3))
