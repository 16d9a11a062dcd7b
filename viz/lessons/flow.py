"""Lessons 4, 5, 11: why gradients vanish, what of a shared W vanishes, and what gates do about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.diagnose import gradient_flow, ledger
from tinyseq.diagnose.gate_products import forget_products, jacobian_norms
from tinyseq.nn import LSTMCell, RNNCell
from tinyseq.structure.chain import Chain
from tinyseq.tape import Tape
from tinyseq.unfolding.unfold import unfold
from tinyseq.viz.lessons.lesson import Lesson, Run, percent
from tinyseq.viz.plots.plots import COLOURS, DASHES


def vanishing(run: Run) -> None:
    cell = RNNCell(4, 16, rng=run.rng, dtype=np.float64)
    x = run.rng.standard_normal((40, 1, 4))
    with Tape():
        net = unfold(cell, Chain(40), x, cell.initial_state(1))
        loss = F.sum(net.final**2).named("L")
    flow = gradient_flow(loss, net)
    flow.plot(run.file("‖∂L/∂h(t)‖ on a log axis, and the two factors of each step"), title="what comes back from L")
    run.table = str(flow)
    sigma = max(w.sigma_max for w in flow.weights)
    radius = max(w.radius for w in flow.weights)
    slope = next(iter(flow.slopes.values()))[:, 0].mean()
    left = flow.carried[0] / flow.carried[flow.last]
    run.figures.update(flow=flow, sigma=sigma, radius=radius, slope=slope, left=left)
    run.say(
        f"Over {flow.last} steps {left:.1e} of the gradient is left: ×{flow.rate:.3f} a step, half of it gone every "
        f"{flow.half_life:.2g} steps; a straight line on a log axis.",
        f"Two factors do it: tanh′ is {slope:.2f} on average, never above 1, and W stretches no vector by more than "
        f"σ_max(W) = {sigma:.2f}.",
        f"σ_max is the most that W can do in one step; over many steps its spectral radius rules: mean tanh′ · ρ(W) = "
        f"{slope:.2f} · {radius:.2f} = {slope * radius:.2f}, beside the measured {flow.rate:.2f}.",
    )


def shared(run: Run) -> None:
    T, group = 50, 10
    cell = RNNCell(4, 16, rng=run.rng, dtype=np.float64)
    x = run.rng.standard_normal((T, 1, 4))
    with Tape():
        net = unfold(cell, Chain(T), x, cell.initial_state(1))
        found = {
            "loss at the last step": ledger(F.sum(net.final**2), cell.a.W),
            "loss at every step": ledger(F.sum(net.outputs**2), cell.a.W),
        }
    terms = {name: part.term[np.argsort(part.step)] for name, part in found.items()}
    shares = {name: t.reshape(-1, group).sum(1) / t.sum() for name, t in terms.items()}

    def plot(figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        bottom = np.zeros(2)
        for i in range(T // group):
            heights = np.array([s[i] for s in shares.values()])
            tint = f"{0.9 - 0.17 * i:.2f}"
            left.bar(["last step", "every step"], heights, bottom=bottom, color=tint, edgecolor="#1a1a1a", width=0.6)
            for place, height in enumerate(heights):
                if height > 0.04:
                    left.text(place, bottom[place] + height / 2, f"t = {group * i}…{group * i + group - 1}",
                              ha="center", va="center", fontsize=8, color="black" if i < 3 else "white")  # fmt: skip
            bottom += heights
        left.set_ylabel("share of Σ ‖term of ∂L/∂W‖")
        left.set_xlabel("where the loss is")
        left.grid(False)
        for place, (name, values) in enumerate(terms.items()):
            right.plot(np.arange(1, T), values[1:], color=COLOURS[place], linestyle=DASHES[place], label=name)
        right.set_yscale("log")
        right.set_xlabel("time step $t$ at which W is used")
        right.set_ylabel("‖term of ∂L/∂W‖")
        right.legend(frameon=False)

    run.plot("the terms of ∂L/∂W by the time step of the use", (8.6, 3.8), plot)
    last, every = found.values()
    run.rows(
        ("W used at t", "share, loss at the end", "share, loss at every step"),
        [
            (f"{group * i} … {group * i + group - 1}", *[percent(s[i]) for s in shares.values()])
            for i in range(T // group)
        ],
        f"‖∂L/∂W‖ = {last.total:.3g} and {every.total:.3g}",
    )
    early = shares["loss at the last step"][0]
    run.figures.update(terms=terms, shares=shares, totals=(last.total, every.total), early=early)
    run.say(
        f"W is one array with one gradient, and that is healthy: ‖∂L/∂W‖ = {last.total:.3g} for the loss at the end.",
        f"What vanishes are its early terms: the last {group} steps give {percent(shares['loss at the last step'][-1])}"
        f" of Σ ‖term‖, the first {group} give {percent(early)}, so W learns from the recent past alone.",
        f"With a loss at every step the first {group} steps give {percent(shares['loss at every step'][0])}: that is "
        "what near losses send, and it hides that the late losses still send next to nothing so far back.",
    )


def gates(run: Run) -> None:
    T, H = 100, 24
    x = run.rng.standard_normal((T, 4, 4))
    cells: dict[str, Any] = {
        "RNN": RNNCell(4, H, rng=run.rng, dtype=np.float64),
        "LSTM, forget bias 1": LSTMCell(4, H, rng=run.rng, dtype=np.float64),
        "LSTM, forget bias 3": LSTMCell(4, H, rng=run.rng, dtype=np.float64, forget_bias=3.0),
    }
    strips, products = {}, {}
    for name, cell in cells.items():
        with Tape():
            net = unfold(cell, Chain(T), x, cell.initial_state(4))
            flow = gradient_flow(F.sum(cell.hidden(net.final) ** 2), net)
        strips[name] = flow.carried[1:] / flow.carried[flow.last]
        if isinstance(cell, RNNCell):
            products[name] = jacobian_norms(cell, x).mean(axis=1)
        else:
            products[name] = forget_products(cell, x).mean(axis=(1, 2))

    def plot(figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, height_ratios=(2, 3), sharex=True)
        heat = np.log10(np.maximum(list(strips.values()), 1e-12))
        drawn = upper.imshow(heat, aspect="auto", cmap="YlGnBu", vmin=-12, vmax=0, extent=(0.5, T + 0.5, 2.5, -0.5))
        upper.set_yticks(range(3), list(strips))
        upper.grid(False)
        upper.set_title("the gradient that comes back from the last step", fontsize=9)
        figure.colorbar(drawn, ax=upper, label="log₁₀")
        for place, (name, values) in enumerate(products.items()):
            kind = "‖∂h(t)/∂h(0)‖" if name == "RNN" else "mean Π f"
            label = f"{name}: {kind}"
            lower.plot(np.arange(1, T + 1), values, color=COLOURS[place], linestyle=DASHES[place], label=label)
        lower.set_yscale("log")
        lower.set_xlabel("time step $t$")
        lower.set_ylabel("product of $t$ steps")
        lower.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    run.plot("heat strips of the gradient, and the products of t steps", (8.6, 4.6), plot)
    at = (1, 10, 30, T)
    run.rows(
        ("product over t steps", *[f"t = {t}" for t in at]),
        [(name, *[f"{values[t - 1]:.2e}" for t in at]) for name, values in products.items()],
    )
    rate = {name: float((values[-1] / values[0]) ** (1 / (T - 1))) for name, values in products.items()}
    run.figures.update(products=products, strips=strips, rate=rate)
    plain, gated, opened = rate.values()
    run.say(
        f"Over {T} steps the RNN's product of Jacobians falls to {products['RNN'][-1]:.1e}, ×{plain:.3f} a step; the "
        f"product of forget gates to {products['LSTM, forget bias 1'][-1]:.1e}, ×{gated:.3f} a step.",
        f"A gate can be near 1: with a forget bias of 3 it is ×{opened:.3f} a step, and "
        f"{products['LSTM, forget bias 3'][-1]:.1e} is left.",
        "The product of gates is never above 1, so a gated state forgets more slowly, but it forgets: vanishing is "
        "put off, not solved.",
    )


LESSONS = (
    Lesson(4, "Why did the gradient vanish?", "its norm on a log axis, and its two factors apart", vanishing),
    Lesson(5, "W is shared, so what vanishes?", "a healthy total with tiny early terms", shared),
    Lesson(11, "Why gates?", "products of forget gates beside the RNN's product", gates),
)
