"""Others of chapter 10: clockwork groups on a waveform, leaky units in warped time, depth on English."""

from __future__ import annotations

import pydoc_data.topics
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit
from tinyseq.tasks.memory import warped
from tinyseq.tasks.signals import nmse, waveform
from tinyseq.train.clipping import clip_global_norm
from tinyseq.train.optimisers import Adam


def waves(seed: int, *, samples: int = 320, updates: int = 2500) -> dict[str, Any]:
    """A waveform from nothing: NMSE of a tanh net, an LSTM and a clockwork net of about as many weights."""
    found: dict[str, Any] = {}
    curves = {}
    periods = (1, 2, 4, 8, 16, 32, 64, 128)
    for name, make in (
        ("tanh", lambda rng: nn.RNNCell(1, 30, rng=rng)), ("LSTM", lambda rng: nn.LSTMCell(1, 15, rng=rng)),
        ("clockwork", lambda rng: nn.ClockworkCell(1, 40, periods=periods, rng=rng)),
    ):  # fmt: skip
        rng = np.random.default_rng([seed, samples])
        x, y = waveform(np.random.default_rng([seed, 1]), samples)
        net = nn.ManyToMany(make(rng), 1, rng=rng)
        optimiser, loss, curve = Adam(net.parameters(), 0.01), compile(net.loss), []
        for step in range(updates):
            optimiser.rate = 0.01 * 0.5 * (1 + np.cos(np.pi * step / updates)) + 1e-6
            value = float(loss.backward(x, y))
            clip_global_norm(net.parameters(), 1.0)
            optimiser.step()
            if step % max(1, updates // 100) == 0:
                curve.append([step, value / samples])
        found[name], curves[name] = nmse(compile(net.outputs)(x), y), curve
    return {**found, "curves": curves}


def warp(seed: int, *, warps: tuple[int, ...] = (1, 5, 20), updates: int = 600) -> dict[str, Any]:
    """Time warped uniformly: nats a step of a tanh net, and of leaky units whose α is that of the warp."""
    curves: dict[str, list[list[float]]] = {"tanh": [], "leaky": []}
    for name in curves:
        for by in warps:
            rng = np.random.default_rng([seed, by])
            alpha = float(nn.decays(2.0 * by))
            cell = nn.RNNCell(10, 32, rng=rng) if name == "tanh" else nn.LeakyCell(10, 32, alpha=alpha, rng=rng)
            net = nn.ManyToMany(cell, 10, rng=rng)
            steps = 10 * by
            fit(net, lambda rng=rng, by=by, steps=steps: warped(rng, steps, 32, by), updates, 0.01)
            x, y = warped(rng, steps, 300, by)
            curves[name].append([by, float(compile(net.loss)(x, y)) / steps])
    return {"tanh": curves["tanh"][-1][1], "leaky": curves["leaky"][-1][1], "curves": curves}


def depth(seed: int, *, updates: int = 1500, characters: int = 466_000) -> dict[str, Any]:
    """Bits a character of a tanh net and of the three ways of figure 10.13, with about as many weights, on the part
    held out of 466 kB of English in the standard library."""
    text = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))[:characters]
    known = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens, found, curves = np.array([known[c] for c in text]), {}, {}
    cut = int(0.9 * len(tokens))
    for name, make in (
        ("shallow", lambda rng, V: nn.RNNCell(V, 180, rng=rng)),
        ("a", lambda rng, V: nn.Stack([nn.RNNCell(V, 118, rng=rng), nn.RNNCell(118, 118, rng=rng)])),
        ("b", lambda rng, V: nn.DeepTransition(V, 130, rng=rng)),
        ("c", lambda rng, V: nn.DeepTransition(V, 118, skip=True, rng=rng)),
    ):
        rng = np.random.default_rng([seed, 13])
        net = nn.ManyToMany(make(rng, len(known)), len(known), rng=rng)

        def windows(part: np.ndarray, count: int, rng: Any = rng) -> tuple[np.ndarray, np.ndarray]:
            at = rng.integers(0, len(part) - 51, count)[None] + np.arange(51)[:, None]
            return part[at[:-1]], part[at[1:]]

        curves[name] = fit(net, lambda windows=windows: windows(tokens[:cut], 32), updates, 0.003)
        found[name] = float(compile(net.loss)(*windows(tokens[cut:], 400))) / 50 / float(np.log(2))
    return {**found, "curves": curves}


EXPERIMENTS = (
    Experiment(
        "clockwork",
        "others",
        "A waveform of 320 samples",
        "Koutník et al. 2014",
        (
            Figure(
                "clockwork",
                "NMSE, clockwork",
                "0.007",
                recalled=True,
                at_most=0.05,
                why="another wave, fewer updates, Adam",
            ),
            Figure("LSTM", "NMSE, LSTM", "0.04", recalled=True),
            Figure("tanh", "NMSE, tanh", "0.46", recalled=True),
        ),
        waves,
        "About 1,000 weights each, 2,500 updates of Adam; sinusoids in place of the paper's music.",
        OWN,
        seeds=1,
        full=3,
        seconds=2.1,
        short={"samples": 64, "updates": 300},
        axes=("updates", "loss a step"),
        log="y",
    ),
    Experiment(
        "warp-leaky",
        "others",
        "Uniformly warped time",
        "Tallec and Ollivier 2018",
        (Figure("leaky", "nats a step at warp 20, leaky", "solved", at_most=0.3), Figure("tanh", "tanh", "fails")),
        warp,
        "32 units, 600 batches of 32, Adam, rate 0.01; α is that of twice the warp.",
        OWN,
        seeds=1,
        full=3,
        seconds=2.6,
        short={"warps": (1, 3), "updates": 150},
        axes=("warp", "nats a step"),
    ),
    Experiment(
        "depth",
        "others",
        "Depth at equal weights, English",
        "Pascanu et al. 2014; no figure of theirs",
        (
            Figure("shallow", "bits a character, one layer"),
            Figure("a", "10.13 (a), two layers"),
            Figure("b", "10.13 (b), MLPs"),
            Figure("c", "10.13 (c), and a skip"),
        ),
        depth,
        "About 50,000 weights each, 1,500 batches of 32 windows of 50, Adam, rate 0.003; tenth held out.",
        OWN,
        seeds=1,
        full=3,
        seconds=27.0,
        short={"updates": 20, "characters": 20_000},
        axes=("updates", "loss"),
    ),
)
