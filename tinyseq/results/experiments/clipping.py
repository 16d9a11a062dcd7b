"""On the difficulty of training recurrent nets (Pascanu, Mikolov and Bengio 2013): temporal order by a tanh net."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq import nn
from tinyseq.engine.limits import LIMITS
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.structure.chain import Chain
from tinyseq.tasks.memory import ORDER_SYMBOLS, temporal_order
from tinyseq.train.information_flow import information_flow
from tinyseq.train.optimisers import SGD
from tinyseq.train.training_step import Diverged, TrainingStep
from tinyseq.unfolding.unfold import unfold

UNITS, BATCH, LIMIT, CONNECTED, RADIUS = 50, 20, 1.0, 15, 0.95
SETTLED = 100  # updates, at least, before lengths grow again
WAYS = ("SGD", "clip", "clip and Ω")


def sparse_tanh(rng: np.random.Generator) -> nn.ManyToOne:
    """The paper's third initialisation: 15 connections a unit, spectral radius 0.95, all others N(0, 0.01²)."""
    cell = nn.RNNCell(len(ORDER_SYMBOLS), UNITS, rng=rng)
    net = nn.ManyToOne(cell, 4, rng=rng)
    W = rng.normal(0, 0.01, (UNITS, UNITS))
    for row in W:
        row[rng.permutation(UNITS)[CONNECTED:]] = 0
    cell.a.W.value[...] = RADIUS * W / np.abs(np.linalg.eigvals(W)).max()
    for p in (cell.a.U, net.V):
        p.value[...] = rng.normal(0, 0.01, p.shape)
    return net


def loss_of(net: nn.ManyToOne, weight: float) -> Any:
    """−log p of the class, and with a weight the mean over time of Ω (10.52) beside it."""

    def loss(x: Any, y: Any) -> Any:
        cell, T = net.encoder, x.shape[0]
        unfolded = unfold(cell, Chain(T), x, cell.initial_state(x.shape[1]))
        total = F.cross_entropy(net.output(unfolded.final), y)
        return total + weight / T * information_flow(total, unfolded) if weight else total

    return loss


def errors(net: nn.ManyToOne, T: int, count: int, rng: np.random.Generator, batch: int = 500) -> int:
    """How many of new sequences are classified wrong."""
    outputs, wrong = compile(net.outputs), 0
    for _ in range(count // batch):
        x, y = temporal_order(rng, T, batch)
        wrong += int((outputs(x).argmax(axis=1) != y).sum())
    return wrong


def flow(net: nn.ManyToOne, x: np.ndarray, y: np.ndarray) -> float:
    """Ω (10.52) over T, the mean over sequences, in plain NumPy: how far ∇h(t−1)L lies from ∇h(t)L in size."""
    a = net.encoder.a
    h = [np.zeros((x.shape[1], UNITS), np.float32)]
    for tokens in x:
        h.append(np.tanh(a.b.value + a.U.value.T[tokens] + h[-1] @ a.W.value.T))
    o = net.c.value + h[-1] @ net.V.value.T
    p = np.exp(o - o.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    after, total = p @ net.V.value, 0.0
    for state in reversed(h[1:]):
        before = (after * (1 - state**2)) @ a.W.value
        ratio = np.linalg.norm(before, axis=1) / np.maximum(np.linalg.norm(after, axis=1), 1e-30)
        total, after = total + float(np.square(ratio - 1).mean()), before
    return total / len(x)


def train(
    net: nn.ManyToOne,
    way: str,
    lengths: tuple[int, int],
    updates: int,
    rate: float,
    weight: float,
    rng: Any,
    grow: int = 0,
) -> tuple[int, list[list[float]]]:
    """Updates until the running loss is below 0.003, or all of them, or until it diverges; and the loss on the way.

    Each batch has one of the ``lengths`` from low to high. With ``grow`` the high one begins at the low one and grows
    by so much where the running loss is below 0.1, the rate is divided as it grows, and what is left in the end are
    the parameters of the lowest running loss over all lengths."""
    smooth, curve, since = 1.4, [], 0
    longest, lowest, kept = lengths[0] if grow else lengths[1], np.inf, None
    parameters = net.parameters()
    with LIMITS.at_least(lengths[1] - lengths[0] + 2):
        step = TrainingStep(
            loss_of(net, weight if way.endswith("Ω") else 0.0), SGD(parameters, rate),
            clip=None if way == "SGD" else LIMIT,
        )  # fmt: skip
        for count in range(1, updates + 1):
            T = int(rng.integers(lengths[0], longest + 1))
            step.optimiser.rate = rate * lengths[0] / longest if grow else rate
            try:
                loss = float(step(*temporal_order(rng, T, BATCH)))
            except Diverged:
                break
            smooth, since = smooth + 0.01 * (loss - smooth), since + 1
            if count % max(1, updates // 200) == 0:
                curve.append([count, smooth])
            if longest < lengths[1] and smooth < 0.1 and since > SETTLED:
                longest, since = min(longest + grow, lengths[1]), 0
            elif grow and longest == lengths[1] and smooth < lowest and since > SETTLED:
                lowest, kept = smooth, [p.value.copy() for p in parameters]
            if longest == lengths[1] and smooth < 0.003:
                break
    for p, value in zip(parameters, kept or (), strict=False):
        p.value[...] = value
    return count, curve


def success(
    seed: int, *, lengths: tuple[int, ...] = (20, 50, 100), updates: int = 10_000, count: int = 10_000,
    rate: float = 0.05, weight: float = 2.0,
) -> dict[str, Any]:  # fmt: skip
    """Three ways of training at each length: 1 where fewer than 1% of 10,000 new sequences are wrong; and Ω / T."""
    found: dict[str, Any] = {}
    curves: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for T in lengths:
        for way in WAYS:
            rng = np.random.default_rng([seed, T, WAYS.index(way)])
            net = sparse_tanh(rng)
            train(net, way, (T, T), updates, rate, weight, rng)
            share = errors(net, T, count, rng) / count
            found[f"{way} {T}"], found[f"flow {way} {T}"] = float(share < 0.01), flow(net, *temporal_order(rng, T, 500))
            curves[way].append([T, 1 - share])
    return {**found, "curves": curves}


def one_net(
    seed: int, *, lengths: tuple[int, int] = (50, 200), updates: int = 100_000, count: int = 10_000,
    tested: tuple[int, ...] = (50, 100, 200, 1000, 5000), rate: float = 0.05, weight: float = 2.0, way: str = WAYS[2],
    grow: int = 10,
) -> dict[str, Any]:  # fmt: skip
    """One net trained on all lengths from 50 to 200: how many of 10,000 new sequences of each length are wrong."""
    rng = np.random.default_rng([seed, 200, WAYS.index(way)])
    net = sparse_tanh(rng)
    done, curve = train(net, way, lengths, updates, rate, weight, rng, grow)
    wrong = {f"wrong {T}": errors(net, T, count, rng, 100 if T > 500 else 500) for T in tested}
    return {**wrong, "updates": done, "curves": {"running loss": curve}}


PAPER = "Pascanu, Mikolov and Bengio 2013"


CLIPPING_SETUP = (
    "50 tanh units, batches of 20, plain SGD, clipping at 1, the paper's sparse start (spectral radius 0.95). "
    "Departures: rate 0.05 (paper 0.01); Ω as in the book's 10.52, its mean over time weighed 2 (the paper weighs 4, "
    "the authors' script 2; there norms are squared, and the gradient reaches W alone, the states being constants); "
    "and far fewer updates."
)
CLIPPING_CHOSEN = "rate and weight on training losses of seed 1000 at length 50; the rest from the paper."


STUCK = (
    "after 20,000 updates the loss is still that of guessing, as after 12,000 by the authors' own form of Ω, rate 0.01 "
    "and weight 2 (seed 1000): their script goes on for up to 5,000,000"
)
GROWS = (
    "learned where it was trained, but for a few sequences, and beyond in part at best: 100,000 updates, where the "
    "authors' script goes on for up to 5,000,000 (seed 1001, its rate falling faster with the longest, had none of "
    "1,000 wrong at length 1,000 after 120,000). Trained on lengths 50, 60, … 200 alone it keeps symbols in cycles of "
    "states: seed 1000 had none of 500 wrong at length 200 and all at 195"
)


def _one_net(name: str, title: str, setup: str, chosen: str, why: str, seconds: float, **sizes: Any) -> Experiment:
    return Experiment(
        name,
        "starred",
        title,
        PAPER,
        tuple(
            Figure(f"wrong {T}", f"wrong of 10,000 at length {T}", "0", at_most=0, shown=".0f", why=why)
            for T in (50, 100, 200, 1000, 5000)
        ),
        partial(one_net, **sizes),
        CLIPPING_SETUP + setup,
        chosen,
        seeds=1,
        full=3,
        seconds=seconds,
        short={
            "lengths": (10, 14),
            "grow": min(2, sizes.get("grow", 2)),
            "updates": 1200,
            "count": 500,
            "tested": (12, 60),
        },
        axes=("updates", "running loss"),
        log="y",
    )


EXPERIMENTS = (
    Experiment(
        "clipping",
        "starred",
        "Temporal order by a tanh net at lengths 20 and 50, 5,000 updates",
        PAPER,
        tuple(
            Figure(f"{way} {T}", f"solved at length {T}, {way} (share of seeds)", paper, at_most=most, at_least=least)
            for way, T, paper, most, least in (
                ("SGD", 20, "", None, None),
                ("clip", 20, "", None, None),
                ("clip and Ω", 20, "1", None, None),
                ("SGD", 50, "fails as T grows", None, None),
                ("clip", 50, "", None, None),
                ("clip and Ω", 50, "1", None, 0.99),
            )
        ),
        partial(success, lengths=(20, 50), updates=5000),
        CLIPPING_SETUP,
        CLIPPING_CHOSEN,
        seeds=1,
        full=5,
        seconds=12.0,
        short={"lengths": (10,), "updates": 400, "count": 500},
        axes=("length", "share right"),
    ),
    _one_net(
        "clipping-one-net",
        "One tanh net trained on lengths 50 to 200, the longer ones as it masters the shorter",
        " Lengths grow from 50 by 10 as the running loss falls below 0.1, and the rate falls with the longest; at most "
        "100,000 updates, of which those parameters stay that had the lowest running loss over all lengths. Growing "
        "lengths are a departure.",
        CLIPPING_CHOSEN + " The growing lengths, the falling rate and how many updates on seeds 1000 and 1001.",
        GROWS,
        200.0,
    ),
    _one_net(
        "clipping-one-net-flat",
        "The same with all lengths from the start",
        " At most 20,000 updates.",
        CLIPPING_CHOSEN,
        STUCK,
        56.0,
        grow=0,
        updates=20_000,
    ),
)
