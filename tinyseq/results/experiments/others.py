"""Others of chapter 10: output recurrence, directions, encoder and decoder, adding, copying, longer delays."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.nn.initialisation import chrono
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit
from tinyseq.tasks.bits import delayed_bits, parity
from tinyseq.tasks.memory import copy_memory, copy_memory_baseline, latching
from tinyseq.tasks.signals import ADDING_BASELINE, adding, filtered, unseen_variance


def output_recurrence(seed: int, *, updates: int = 600, steps: int = 30) -> dict[str, Any]:
    """y(t) = x(t−1) of fair bits: the net of figure 10.4 under teacher forcing, that of 10.3; and the parity of all
    bits, which that of 10.4 learns from y(t−1)."""
    found: dict[str, Any] = {}
    for name, make, task in (
        ("10.4", nn.OutputRecurrence, delayed_bits),
        ("10.3", nn.RNN, delayed_bits),
        ("10.4 parity", nn.OutputRecurrence, parity),
    ):
        rng = np.random.default_rng([seed, 4])
        net = make(2, 16, 2, rng=rng)
        fit(net, partial(task, rng, steps, 32), updates, 0.01)
        x, y = task(rng, steps, 1000)
        found[name] = float(compile(net.loss)(x, y)) / steps
    return found


def directions(
    seed: int, *, delays: tuple[int, ...] = (0, 5, 10, 20), updates: int = 800, steps: int = 60
) -> dict[str, Any]:
    """y(t) = Σ w_k x(t + k), k = −10 … 20: the mean squared error of a net in one direction that answers m steps late,
    beside Σ_{k > m} w_k², below which none of them comes, and of a net in both directions."""
    weights = np.cos(np.arange(31) / 3.0) * np.exp(-np.abs(np.arange(-10, 21)) / 8.0)
    weights /= np.sqrt(np.square(weights).sum())
    points, bounds = [], []
    for m in (*delays, None):
        rng = np.random.default_rng([seed, 31])
        cells = [nn.LSTMCell(1, 32, rng=rng) for _ in range(2)]
        net = nn.ManyToMany(nn.Bidirectional(cells[0], cells[1]) if m is None else cells[0], 1, rng=rng)

        def batch(count: int = 32, rng: Any = rng, late: int = m or 0) -> tuple[np.ndarray, np.ndarray]:
            x, y = filtered(rng, weights, 10, steps, count)
            return x, np.concatenate([np.zeros((late, count, 1), np.float32), y[: steps - late]])

        fit(net, batch, updates, 0.005, 5.0)
        x, y = batch(300)
        error = float(np.square(compile(net.outputs)(x) - y)[10 + (m or 0) : steps - 20 + (m or 0)].mean())
        if m is None:
            both = error
        else:
            points.append([m, error])
            bounds.append([m, unseen_variance(weights, 10, m)])
    over = [p[1] / b[1] for p, b in zip(points, bounds, strict=True) if b[1] > 0]
    return {
        "least": float(min(over)), "late": points[-1][1], "both": both,
        "curves": {"one direction": points, "bound": bounds, "both directions": [[m, both] for m in delays]},
    }  # fmt: skip


SIGN = 10  # the token of + in sums of digits


def sums(rng: np.random.Generator, digits: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of so many digits, written as a+b and read from the end, and their sum: x, y of tokens (T, B)."""
    a, b = rng.integers(0, 10**digits, (2, batch))
    powers = 10 ** np.arange(digits)[:, None]
    first, second = a // powers % 10, b // powers % 10
    total = (a + b) // 10 ** np.arange(digits, -1, -1)[:, None] % 10
    return np.concatenate([second, np.full((1, batch), SIGN), first]), total


def addition(
    seed: int, *, digits: int = 2, updates: int = 5000, hidden: int = 128, rate: float = 0.003
) -> dict[str, Any]:
    """Sums by an encoder and a decoder: the share of new sums of which every digit is right."""
    rng = np.random.default_rng([seed, digits])
    net = nn.EncoderDecoder(nn.LSTMCell(11, hidden, rng=rng), 10, hidden, rng=rng, cell="lstm")

    def batch() -> tuple[np.ndarray, Any]:
        x, y = sums(rng, digits, 64)
        return x, net.pack(list(y.T))

    curve = fit(net, batch, updates, rate, cosine=True)
    x, y = sums(rng, digits, 500)
    found = net.predict(x, max_length=digits + 3)
    right = float(np.mean([np.array_equal(a, b) for a, b in zip(found, y.T, strict=True)]))
    return {"right": right, "curves": {f"{digits} digits": curve}}


def adding_modern(seed: int, *, steps: int = 100, updates: int = 4000) -> dict[str, Any]:
    """Numbers U[0, 1], one marked in each half: mean squared error of an LSTM and of a tanh net; 1/6 without memory."""
    found: dict[str, Any] = {"baseline": ADDING_BASELINE}
    curves = {}
    for name, cell in (("LSTM", nn.LSTMCell), ("tanh", nn.RNNCell)):
        rng = np.random.default_rng([seed, steps])
        net = nn.ManyToOne(cell(2, 32, rng=rng), 1, rng=rng)
        curves[name] = fit(net, lambda rng=rng: adding(rng, steps, 32), updates, 0.01, cosine=True)
        x, y = adding(rng, steps, 1000)
        found[name] = float(np.square(compile(net.outputs)(x) - y).mean())
    return {**found, "curves": curves}


def chrono_copy(seed: int, *, delay: int = 60, updates: int = 3500) -> dict[str, Any]:
    """Copy memory: nats a step of an LSTM with forget biases of 1 and with chrono initialisation, over the baseline of
    a net without memory, 10 ln 8/(T + 20)."""
    found: dict[str, Any] = {"baseline": copy_memory_baseline(delay)}
    curves = {}
    for name in ("plain", "chrono"):
        rng = np.random.default_rng([seed, delay])
        cell = nn.LSTMCell(10, 64, rng=rng)
        net = nn.ManyToMany(chrono(cell, delay + 20, rng=rng) if name == "chrono" else cell, 9, rng=rng)
        curves[name] = fit(net, lambda rng=rng: copy_memory(rng, delay, 32), updates, 0.01, cosine=True)
        x, y = copy_memory(rng, delay, 300)
        found[name] = float(compile(net.loss)(x, y)) / (delay + 20)
    return {**found, "curves": curves}


def delays_against_lag(seed: int, *, lags: tuple[int, ...] = (20, 50, 100), updates: int = 600) -> dict[str, Any]:
    """Latching a sign amid noise: the longest lag at which 99% are right, with the delays 1 and with 1 and 10."""
    found: dict[str, Any] = {}
    curves: dict[str, list[list[float]]] = {}
    for name, delays in (("delay 1", (1,)), ("delays 1, 10", (1, 10))):
        curves[name] = []
        for steps in lags:
            rng = np.random.default_rng([seed, steps])
            net = nn.ManyToOne(nn.SkipCell(1, 16, delays=delays, rng=rng), 2, rng=rng)
            fit(net, lambda rng=rng, steps=steps: latching(rng, steps, 32), updates, 0.003)
            x, y = latching(rng, steps, 1000)
            curves[name].append([steps, float((compile(net.outputs)(x).argmax(-1) == y).mean())])
        found[name] = float(max((t for t, right in curves[name] if right > 0.99), default=0))
    return {**found, "curves": curves}


SUMS = "after Sutskever et al. 2014, Zaremba and Sutskever 2014"
EXPERIMENTS = (
    Experiment(
        "output-recurrence",
        "others",
        "What y(t−1) alone can carry",
        "section 10.2.1",
        (
            Figure(
                "10.4",
                "nats a bit of y(t) = x(t−1), figure 10.4, forced",
                "0.693, all but the first 0.670",
                at_least=0.669,
            ),
            Figure("10.3", "the same, figure 10.3", "0", at_most=0.01),
            Figure("10.4 parity", "nats a bit of parity, figure 10.4", "0", at_most=0.01),
        ),
        output_recurrence,
        "16 units, 600 batches of 32, Adam, rate 0.01.",
        OWN,
        seeds=5,
        full=5,
        seconds=0.3,
        short={"updates": 250, "steps": 15},
    ),
    Experiment(
        "directions",
        "others",
        "What comes later",
        "Schuster and Paliwal 1997; the bound is exact",
        (
            Figure("least", "smallest error over the bound, one direction", "≥ 1 exactly", at_least=0.9),
            Figure("late", "error when it answers 20 steps late", "", at_most=0.1),
            Figure("both", "error of both directions", "0", at_most=0.05),
        ),
        directions,
        "LSTM of 32 units a direction, 800 batches of 32, Adam, rate 0.005.",
        OWN,
        seeds=1,
        full=3,
        seconds=3.9,
        short={"updates": 150, "delays": (0, 20), "steps": 40},
        axes=("steps late", "error"),
    ),
    Experiment(
        "addition-2",
        "others",
        "Sums of two digits, encoder and decoder",
        SUMS,
        (Figure("right", "sums right in every digit", "99%", at_least=0.99, why="fewer updates"),),
        addition,
        "LSTM-128, 5,000 batches of 64 new sums (5,000 examples × 55 epochs there), read from the end, Adam.",
        OWN,
        seeds=1,
        full=3,
        seconds=14.0,
        short={"digits": 1, "updates": 400, "hidden": 32},
        axes=("updates", "loss"),
    ),
    Experiment(
        "adding-modern",
        "others",
        "Adding as usual now, T = 100",
        "Arjovsky et al. 2016",
        (
            Figure("LSTM", "mean squared error, LSTM", "→ 0", at_most=0.01, why="a seed that is late"),
            Figure("tanh", "tanh", "1/6", at_least=0.15),
            Figure("baseline", "always 1"),
        ),
        adding_modern,
        "32 units, 4,000 batches of 32, Adam, rate 0.01 falling on a cosine.",
        "rate and batches on seeds 1000 and 1001, not reported here.",
        seeds=1,
        full=3,
        seconds=5.1,
        short={"steps": 20, "updates": 500},
        axes=("updates", "loss"),
        log="y",
    ),
    Experiment(
        "copy-chrono",
        "others",
        "Copy memory, T = 60, chrono initialisation",
        "Tallec and Ollivier 2018",
        (
            Figure(
                "chrono", "nats a step, chrono", "below the baseline", at_most=0.13, why="3,500 batches are too few"
            ),
            Figure("plain", "nats a step, forget bias 1"),
            Figure("baseline", "10 ln 8/(T + 20)"),
        ),
        chrono_copy,
        "LSTM of 64 units, 3,500 batches of 32, Adam, rate 0.01 falling on a cosine (paper T = 500, 2000).",
        "rate and batches on seed 1000, not reported here.",
        seeds=1,
        full=3,
        seconds=28.0,
        short={"delay": 10, "updates": 500},
        axes=("updates", "loss"),
    ),
    Experiment(
        "skips-latching",
        "others",
        "Success against lag with longer delays",
        "Lin et al. 1996 (NARX)",
        (
            Figure("delays 1, 10", "longest lag solved, delays 1 and 10", "longer", at_least=50),
            Figure("delay 1", "delay 1"),
        ),
        delays_against_lag,
        "16 units, 600 batches of 32, Adam, rate 0.003.",
        OWN,
        seeds=1,
        full=3,
        seconds=0.6,
        short={"lags": (20,), "updates": 150},
        axes=("lag", "share right"),
    ),
)
