"""Reversal by an encoder and a decoder, with and without attention, at lengths beyond those of training."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit


def reversal(
    seed: int, *, lengths: tuple[int, ...] = (4, 6, 8, 10), tested: tuple[int, ...] = (10, 15, 20), symbols: int = 8,
    hidden: int = 48, updates: int = 1500, rate: float = 0.004, count: int = 200,
) -> dict[str, Any]:  # fmt: skip
    """Symbols written down in reverse: the share of symbols right by length, both nets trained on short sequences."""
    found: dict[str, Any] = {}
    curves: dict[str, list[list[float]]] = {}
    for name in ("attention", "plain"):
        rng = np.random.default_rng([seed, 8])
        net = nn.EncoderDecoder(
            nn.LSTMCell(symbols, hidden, rng=rng), symbols, hidden, rng=rng, cell="lstm", attention=name == "attention"
        )

        def batch(rng: Any = rng, net: Any = net) -> tuple[np.ndarray, Any]:
            x = rng.integers(0, symbols, (int(rng.choice(lengths)), 32))
            return x, net.pack(list(x[::-1].T))

        fit(net, batch, updates, rate)
        curves[name] = []
        for length in tested:
            x = rng.integers(0, symbols, (length, count))
            told = net.predict(x, max_length=length + 5)
            shares = [np.mean([a == b for a, b in zip(t, y, strict=False)] or [0]) * min(len(t), length) / length
                      for t, y in zip(told, x[::-1].T, strict=True)]  # fmt: skip
            curves[name].append([length, float(np.mean(shares))])
        found[f"{name} {tested[0]}"], found[f"{name} {tested[-1]}"] = curves[name][0][1], curves[name][-1][1]
    return {**found, "curves": curves}


EXPERIMENTS = (
    Experiment(
        "reversal-attention",
        "others",
        "Reversal beyond the trained lengths",
        "after Bahdanau, Cho and Bengio 2015",
        (
            Figure("attention 10", "symbols right at length 10, attention", at_least=0.95, why="1,500 batches"),
            Figure("plain 10", "at length 10, without"),
            Figure(
                "attention 20",
                "at length 20, twice the longest trained, attention",
                "falls more slowly",
                at_least=0.5,
                why="it does not learn to point beyond the places it was trained on",
            ),
            Figure("plain 20", "at length 20, without", "falls"),
        ),
        reversal,
        "LSTMs of 48 units, 1,500 batches of 32 of lengths 4, 6, 8, 10, Adam, rate 0.004; greedy decoding.",
        OWN,
        seeds=1,
        full=3,
        seconds=3.3,
        short={"lengths": (3,), "tested": (3, 6), "updates": 700, "hidden": 32},
        axes=("length", "symbols right"),
    ),
)
