"""Chapter 10, continued: state tracking by gates and sLSTM, selective copying by minGRU, recall by the delta rule."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit
from tinyseq.tasks.bits import parity
from tinyseq.tasks.recall import overwritten, selective_copying
from tinyseq.train.clipping import clip_global_norm
from tinyseq.train.optimisers import Adam

PARITY_CELLS: dict[str, Any] = {
    "[0, 1]": partial(nn.DiagonalCell, gate="[0, 1]"),
    "[-1, 1]": partial(nn.DiagonalCell, gate="[-1, 1]"),
    "tanh": nn.RNNCell,
    "sLSTM": nn.SLSTMCell,
    "sLSTM, no mixing": partial(nn.SLSTMCell, mixing=False),
}


def track(
    seed: int,
    *,
    kind: str,
    steps: int = 40,
    tested: int = 256,
    hidden: int = 16,
    updates: int = 3000,
    rate: float = 0.01,
) -> dict[str, Any]:
    """Parity of the bits so far, at each step: the share right at the last of ``tested`` steps."""
    rng = np.random.default_rng([seed, 40])
    net = nn.ManyToMany(PARITY_CELLS[kind](2, hidden, rng=rng), 2, rng=rng)
    curve = fit(net, lambda: parity(rng, steps, 64), updates, rate, cosine=True)
    x, y = parity(rng, tested, 1000)
    good = compile(net.outputs)(x).argmax(-1) == y
    return {
        "last": float(good[-1].mean()),
        "trained": float(good[:steps].mean()),
        "curves": {kind: [[t + 1, float(v)] for t, v in enumerate(good.mean(1))][::4]},
        "loss": curve[-1][1],
    }


def selective(
    seed: int,
    *,
    kind: str,
    layers: int,
    length: int = 64,
    symbols: int = 8,
    kept: int = 6,
    hidden: int = 48,
    updates: int = 3000,
    rate: float = 0.004,
) -> dict[str, Any]:
    """Selective copying: the tokens that are no noise, in their order, after a signal; the share of tokens right."""
    rng = np.random.default_rng([seed, layers])
    make = {"minGRU": nn.MinGRUCell, "minLSTM": nn.MinLSTMCell}[kind]
    cells = [make(symbols + 2 if k == 0 else hidden, hidden, rng=rng) for k in range(layers)]
    net = nn.ManyToMany(nn.Stack(cells) if layers > 1 else cells[0], symbols, rng=rng)
    when = np.concatenate([np.zeros(length), np.ones(kept)])[:, None].repeat(32, 1).astype(np.float32)

    def batch(count: int = 32) -> tuple[np.ndarray, np.ndarray]:
        return selective_copying(rng, length, count, kept, symbols)

    loss = compile(lambda x, y: net.loss(x, y, counts=when))
    optimiser, curve, smooth = Adam(net.parameters(), rate), [], 0.0
    for step in range(1, updates + 1):
        value = float(loss.backward(*batch())) / kept
        clip_global_norm(net.parameters(), 1.0)
        optimiser.step()
        smooth = value if step == 1 else smooth + 0.03 * (value - smooth)
        if step % max(1, updates // 100) == 0:
            curve.append([step, smooth])
    x, y = batch(1000)
    good = compile(net.outputs)(x)[-kept:].argmax(-1) == y[-kept:]
    return {"right": float(good.mean()), "curves": {f"{kind}, {layers}": curve}}


def recall(
    seed: int, *, update: str, pairs: int = 12, keys: int = 6, updates: int = 800, tested: int = 1000
) -> dict[str, Any]:
    """Keys that are overwritten: which value came last with the key that is asked for; the share right."""
    rng = np.random.default_rng([seed, 6])
    values = 8
    net = nn.ManyToOne(nn.FastWeightsCell(2 * keys + values, 24, keys=16, update=update, rng=rng), values, rng=rng)
    curve = fit(net, lambda: overwritten(rng, pairs, 64, keys, values), updates, 0.01)
    x, y = overwritten(rng, pairs, tested, keys, values)
    return {"right": float((compile(net.outputs)(x).argmax(-1) == y).mean()), "curves": {update: curve}}


SEED = "a seed that has not come there when the batches end"
GRAZZI, FENG, BECK = "Grazzi et al. 2024, arXiv 2411.12537", "Feng et al. 2024, arXiv 2410.01201", "Beck et al. 2024"


def _track(
    name: str, title: str, paper: str, kind: str, figure: Figure, seconds: float = 2.5, updates: int = 6000
) -> Experiment:
    return Experiment(
        name,
        "continued",
        title,
        paper,
        (figure, Figure("trained", "right within the trained length")),
        partial(track, kind=kind, updates=updates),
        f"16 units, {updates:,} batches of 64 at T = 40, Adam, rate 0.01 falling on a cosine, tested at T = 256.",
        "batches and the fall of the rate on seeds 1000 to 1003, not reported here.",
        seeds=3,
        full=5,
        seconds=seconds,
        short={"steps": 8, "tested": 12, "updates": 600},
        axes=("step", "share right"),
    )


def _selective(kind: str, layers: int, paper: str, least: float | None, seconds: float) -> Experiment:
    why = "a smaller net, a shorter sequence and far fewer updates than the paper's" if least else ""
    return Experiment(
        f"selective-{kind}-{layers}",
        "continued",
        f"Selective copying, {kind}, layers: {layers}",
        FENG,
        (Figure("right", "tokens right", f"{paper} (read second-hand)", at_least=least, why=why),),
        partial(selective, kind=kind, layers=layers),
        "64 tokens, 6 kept (paper 4096, 16), 48 units, 3,000 batches of 32, Adam, rate 0.004.",
        OWN,
        seeds=1,
        full=3,
        seconds=seconds,
        short={"length": 12, "kept": 2, "updates": 200},
        axes=("updates", "nats a token"),
    )


EXPERIMENTS = (
    _track(
        "parity-gate-01",
        "Parity, diagonal gate in [0, 1]",
        GRAZZI,
        "[0, 1]",
        Figure("last", "right at the last of 256 bits", "chance", at_most=0.6),
    ),
    _track(
        "parity-gate-11",
        "Parity, diagonal gate in [−1, 1]",
        GRAZZI,
        "[-1, 1]",
        Figure("last", "right at the last of 256 bits", "solved", at_least=0.99, why=SEED),
    ),
    _track(
        "parity-tanh",
        "Parity, tanh RNN",
        GRAZZI,
        "tanh",
        Figure("last", "right at the last of 256 bits", "solved", at_least=0.99, why=SEED),
    ),
    _track(
        "parity-slstm",
        "Parity, sLSTM",
        BECK,
        "sLSTM",
        Figure("last", "right at the last of 256 bits", "solved", at_least=0.99, why=SEED),
        2.8,
        3000,
    ),
    _track(
        "parity-slstm-unmixed",
        "Parity, sLSTM without recurrent mixing",
        BECK,
        "sLSTM, no mixing",
        Figure("last", "right at the last of 256 bits", "chance", at_most=0.6),
        2.8,
        3000,
    ),
    *(
        _selective(kind, layers, paper, least, 2.8 * layers)
        for kind, row in (("minGRU", ("37.0%", "96.8%", "99.5%")), ("minLSTM", ("37.6%", "85.7%", "96.0%")))
        for layers, paper, least in ((1, row[0], None), (2, row[1], None), (3, row[2], float(row[2][:-1]) / 100))
    ),
    *(
        Experiment(
            f"recall-{update}",
            "continued",
            f"Recall of overwritten keys, {update} fast weights",
            "Schlag et al. 2021",
            (Figure("right", "right of 1,000", paper, at_least=least, at_most=most),),
            partial(recall, update=update),
            "6 keys, 12 pairs, 8 values; 16 × 24 fast weights, 800 batches of 64, Adam, rate 0.01.",
            OWN,
            seeds=5,
            full=5,
            seconds=0.35,
            short={"pairs": 4, "keys": 2, "updates": 200},
            axes=("updates", "loss"),
        )
        for update, paper, least, most in (
            ("delta", "last value kept", 0.95, None),
            ("additive", "values mixed", None, 0.9),
        )
    ),
)
