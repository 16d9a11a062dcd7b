"""Chapter 10, continued: online gradients beyond RTRL, HiPPO-LegS, the LRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq import nn
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.experiments.fitting import OWN, fit
from tinyseq.train.online import UORO, SparseRTRL
from tinyseq.train.optimisers import Adam
from tinyseq.train.rtrl import RTRL


def online(
    seed: int, *, hidden: int = 32, steps: int = 1500, paths: float = 0.06, rate: float = 0.003, delay: int = 5
) -> dict[str, Any]:
    """A tanh net learned online on a task of memory: the output is the input of ``delay`` steps ago. The loss at the
    end by RTRL, by a part of the paths, by none (one step back), and how much of RTRL's gain the part recovers.
    """
    losses = {}
    for kind, share in (("RTRL", 1.0), ("sparse", paths), ("SnAp-1", 0.0), ("none", None)):
        rng = np.random.default_rng([seed, 64])
        cell = nn.RNNCell(1, hidden, rng=rng, dtype=np.float64)
        head = nn.Linear(hidden, 1, rng=rng, dtype=np.float64)
        for p, size in ((cell.a.W, hidden**-0.5), (cell.a.U, 1.0), (head.W, hidden**-0.5)):
            p.value[...] = rng.uniform(-size, size, p.shape)
        parameters = [*cell.parameters(), *head.parameters()]
        x = rng.uniform(-1, 1, (steps + delay, 1, 1))

        def step(x_t: Any, y_t: Any, state: Any, cell: Any = cell, head: Any = head) -> Any:
            state, h = cell.step(x_t, state)
            return state, F.sum((head.outputs(h) - y_t) ** 2)

        start, given = np.zeros((1, hidden)), np.random.default_rng([seed, 1])
        learner = (
            RTRL(step, parameters, start)
            if kind == "RTRL"
            else SparseRTRL(step, parameters, start, paths=share or 0.0, rng=given)
        )
        optimiser, found = Adam(parameters, rate), []
        for t in range(delay, steps + delay):
            if kind == "none":
                learner.influence[:] = 0
            found.append(learner.advance(x[t], x[t - delay]))
            learner.publish()
            optimiser.step()
        losses[kind] = float(np.mean(found[-steps // 5 :]))
    gain = losses["none"] - losses["RTRL"]
    return {
        **losses,
        "recovered": (losses["none"] - losses["sparse"]) / gain,
        "recovered_snap": (losses["none"] - losses["SnAp-1"]) / gain,
    }


def unbiased(seed: int, *, draws: int = 2000, steps: int = 4, hidden: int = 3) -> dict[str, Any]:
    """UORO's gradient, the mean over draws, against RTRL's: the largest distance in standard errors, and the relative
    noise of one draw."""
    rng = np.random.default_rng([seed, 3])
    cell = nn.RNNCell(2, hidden, rng=rng, dtype=np.float64)
    x, start = rng.normal(size=(steps, 1, 2)), np.zeros((1, hidden))

    def step(x_t: Any, state: Any) -> Any:
        state, h = cell.step(x_t, state)
        return state, F.sum(h * h)

    def gradient(learner: Any) -> np.ndarray:
        for row in x:
            learner.advance(row)
        return np.concatenate([g.reshape(-1) for g in learner.gradients()])

    exact, found = gradient(RTRL(step, cell.parameters(), start)), []
    learner = UORO(step, cell.parameters(), start, rng=rng)
    for _ in range(draws):
        learner.restart([start])
        found.append(gradient(learner))
    error = np.std(found, axis=0) / np.sqrt(draws)
    far = np.abs(np.mean(found, axis=0) - exact) / np.maximum(error, 1e-12 + 1e-9 * np.abs(exact).max())
    noise = np.sqrt(np.sum(np.var(found, axis=0))) / np.linalg.norm(exact)
    return {"standard_errors": float(far.max()), "noise": float(noise)}


def legs(seed: int, *, lengths: tuple[int, ...] = (500, 2000), hidden: int = 32) -> dict[str, Any]:
    """A random band-limited signal of two lengths in time: how well its whole past is rebuilt, and how far apart the
    coefficients of the two lengths are."""
    rng = np.random.default_rng([seed, 32])
    phases, sizes = rng.uniform(0, 2 * np.pi, 8), rng.normal(size=8)
    cell = nn.LegSCell(hidden)
    last, errors, curves = [], [], {}
    for length in lengths:
        s = (np.arange(length) + 0.5) / length
        f = (sizes[:, None] * np.sin(np.pi * np.arange(1, 9)[:, None] * s + phases[:, None])).sum(0)
        c = compile(lambda x: cell.encode(x).last)(f[:, None, None])[0]
        again = cell.reconstruct(c, length)
        errors.append(float(np.sqrt(np.mean((again - f) ** 2)) / f.std()))
        last.append(c)
        keep = slice(None, None, max(1, length // 100))
        curves[f"{length} steps"] = [[float(a), float(b)] for a, b in zip(s[keep], again[keep], strict=True)]
    curves["signal"] = [[float(a), float(b)] for a, b in zip(s[keep], f[keep], strict=True)]
    apart = float(np.linalg.norm(last[0] - last[-1]) / np.linalg.norm(last[-1]))
    return {"error": errors[-1], "error_short": errors[0], "apart": apart, "curves": curves}


def lru_memory(
    seed: int, *, delay: int = 50, steps: int = 150, hidden: int = 32, updates: int = 600, rate: float = 0.005
) -> dict[str, Any]:
    """White noise to be given back after a delay by one LRU layer: the mean squared error over the variance, and that
    of a tanh net."""
    found: dict[str, Any] = {}
    curves = {}
    for name in ("LRU", "tanh"):
        rng = np.random.default_rng([seed, delay])
        cell = nn.LRUCell(1, hidden, rng=rng, radius=(0.95, 0.999)) if name == "LRU" else nn.RNNCell(1, hidden, rng=rng)
        net = nn.ManyToMany(cell, 1, rng=rng)

        def batch(count: int = 32, rng: Any = rng) -> tuple[np.ndarray, np.ndarray]:
            x = rng.standard_normal((steps, count, 1)).astype(np.float32)
            return x, np.concatenate([np.zeros((delay, count, 1), np.float32), x[:-delay]])

        curves[name] = fit(net, batch, updates, rate, 10.0)
        x, y = batch(200)
        found[name] = float(np.square(compile(net.outputs)(x) - y)[delay:].mean())
    return {**found, "curves": curves}


EULER = "the error of Euler's rule, which falls as 1/steps"
EXPERIMENTS = (
    Experiment(
        "uoro",
        "continued",
        "UORO is unbiased",
        "Tallec and Ollivier 2018",
        (
            Figure(
                "standard_errors",
                "largest distance of the mean from RTRL, standard errors",
                "0",
                at_most=5.0,
                over="worst",
            ),
            Figure("noise", "noise of one draw over ‖gradient‖"),
        ),
        unbiased,
        "4 steps, 3 units, 2,000 draws.",
        "nothing to choose.",
        seeds=5,
        full=5,
        seconds=1.2,
        short={"draws": 400},
    ),
    Experiment(
        "sparse-rtrl",
        "continued",
        "A part of RTRL's paths",
        "arXiv 2603.15195",
        (
            Figure(
                "recovered",
                "of RTRL's gain, with 6% of the paths",
                "0.84 ± 0.06",
                at_least=0.7,
                at_most=1.1,
                why="the seeds scatter: some learn less by this part than by one step back; half the paper's size, on "
                "another task",
            ),
            Figure("recovered_snap", "of RTRL's gain, SnAp-1"),
            Figure("RTRL", "squared error at the end, RTRL"),
            Figure("none", "one step back", at_least=0.15),
        ),
        online,
        "32 units (paper 64), 1,500 steps, Adam, rate 0.003; weights start in ±1/√n, those of the input in ±1. The "
        "task is ours: the input of five steps ago, in U[−1, 1].",
        "delay, start and rate on seeds 1000 to 1002, so that RTRL learns in 1,500 steps and one step back does not.",
        seeds=1,
        full=5,
        seconds=33.0,
        short={"hidden": 8, "steps": 200, "delay": 3, "rate": 0.002},
    ),
    Experiment(
        "legs",
        "continued",
        "HiPPO-LegS rebuilds the past",
        "Gu et al. 2020",
        (
            Figure("error", "error of the whole past of 2,000 steps / σ", "", at_most=0.05, over="worst"),
            Figure(
                "apart", "coefficients at 500 and 2,000 steps, relative", "equal", at_most=0.05, over="worst", why=EULER
            ),
        ),
        legs,
        "32 coefficients; 8 sinusoids of up to 4 periods; Euler's rule.",
        "nothing to choose.",
        seeds=10,
        full=10,
        seconds=0.1,
        short={"lengths": (200, 400)},
        axes=("part of the past", "f"),
    ),
    Experiment(
        "lru-delay",
        "continued",
        "A delay of 50 by one linear recurrent layer",
        "Orvieto et al. 2023",
        (
            Figure("LRU", "error over the variance, LRU", "", at_most=0.5),
            Figure("tanh", "error over the variance, tanh", "", at_least=0.9),
        ),
        lru_memory,
        "32 units, 600 batches of 32, Adam, rate 0.005. The paper has no such row.",
        OWN,
        seeds=1,
        full=3,
        seconds=1.1,
        short={"delay": 5, "steps": 20, "updates": 200},
        axes=("updates", "loss"),
    ),
)
