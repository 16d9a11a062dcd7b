"""Lessons 1, 2, 3: where ∂L/∂W comes from, why gradients add up, what one backward step does."""

from __future__ import annotations

import numpy as np

from tinyseq import functions as F
from tinyseq.diagnose import contributions, gradient_flow, ledger
from tinyseq.nn import RNNCell
from tinyseq.structure.chain import Chain
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold
from tinyseq.viz.lessons.lesson import Lesson, Run, percent
from tinyseq.viz.picture import draw


def terms(run: Run) -> None:
    cell = RNNCell(3, 4, rng=run.rng, dtype=np.float64)
    x = run.rng.standard_normal((8, 1, 3))
    with Tape() as tape:
        net = unfold(cell, Chain(8), x, cell.initial_state(1))
        loss = F.sum(net.final**2).named("L")
    W = cell.a.W
    found, parts = ledger(loss, W), contributions(loss, W)
    gap = np.linalg.norm(np.sum(list(parts.values()), axis=0) - W.grad)
    draw(tape, run.file("each h(t) with its share of the terms of ∂L/∂W"), overlay="share", of=W, theme=run.theme)
    run.table = str(found)
    most = int(found.term.argmax())
    share = found.term[most] / found.term.sum()
    against = int((found.cosine < 0).sum())
    run.figures.update(ledger=found, parts=parts, gradient=W.grad, gap=gap, share=share, against=against)
    run.say(
        f"W is used at {len(parts)} time steps, so ∂L/∂W is a sum of {len(parts)} terms δ(t) h(t−1)ᵀ; added up they "
        f"differ from W.grad by {gap:.1e}.",
        f"The largest term comes from t = {found.step[most]} with {percent(share)} of Σ ‖term‖; the first step gives "
        f"{found.term[-1]:.3g} since h(−1) = 0.",
        f"The norms add up to {found.term.sum():.3g} but the sum has norm {found.total:.3g}: the terms do not point "
        f"one way, and {against} of them have a cosine below 0 to the total.",
    )


def plus(run: Run) -> None:
    w, v, u = Parameter(np.array([[0.8]]), "w"), Parameter(np.array([[1.5]]), "v"), np.array([[0.6]])
    with Tape() as tape:
        h0 = tensor(u).named("x")
        h = F.tanh(F.linear(h0, w)).named("h")
        o = F.linear(h, v).named("o")  # h is read here …
        later = F.tanh(F.linear(h, w)).named("h′")  # … and here
        loss = F.sum(o**2 + later**2).named("L")
        loss.backward()
        total = h.grad.item()
        readers = [Tensor.at(tape, int(i)) for i in tape.consumers(h.index)]
        into = [F.gradients(c, [h], seed=c.grad)[0].item() for c in readers]
    with Tape() as fresh:  # the picture is of the graph as it was before its gradients were recorded too
        h = F.tanh(F.linear(tensor(u).named("x"), w)).named("h")
        loss = F.sum(F.linear(h, v).named("o") ** 2 + F.tanh(F.linear(h, w)).named("h′") ** 2).named("L")
    loss.backward()
    draw(
        fresh,
        run.file("h has two readers: both send a gradient back"),
        detail="units",
        overlay="gradient",
        theme=run.theme,
    )

    def value(at: float) -> float:
        return (1.5 * at) ** 2 + np.tanh(0.8 * at) ** 2

    at, eps = float(np.tanh(0.8 * 0.6)), 1e-6
    slope = (value(at + eps) - value(at - eps)) / (2 * eps)
    names = ("o = v h", "h′ = tanh(w h)")
    running = np.cumsum(into)
    run.rows(
        ("reader of h", "gradient it sends", "h.grad so far"),
        [(n, f"{g:+.6f}", f"{s:.6f}") for n, g, s in zip(names, into, running, strict=True)],
        f"h.grad = {total:.6f}; (L(h+ε) − L(h−ε)) / 2ε = {slope:.6f}",
    )
    run.figures.update(into=into, total=total, slope=slope)
    run.say(
        f"h is read twice, so a change of h changes L along two ways, and the chain rule adds: {into[0]:.4f} + "
        f"{into[1]:.4f} = {sum(into):.4f}.",
        f"The difference quotient gives {slope:.4f}, the same; '=' in place of '+=' would keep only the last that "
        f"arrives, {into[0]:.4f} or {into[1]:.4f} by the order of the walk.",
        f"W is shared by time steps in the same way: w has {len(fresh.consumers(fresh.node_of(w) or 0))} readers here, "
        "and one term from each.",
    )


def one_step(run: Run) -> None:
    cell = RNNCell(2, 2, rng=run.rng, dtype=np.float64)
    cell.a.W.value *= 1.5
    x = run.rng.standard_normal((3, 1, 2))
    with Tape() as tape:
        net = unfold(cell, Chain(3), x, cell.initial_state(1))
        loss = F.sum(net.final**2).named("L")
    loss.backward()
    before, after = net.state(1), net.state(2)
    g, h, W = after.grad[0], after.value[0], cell.a.W.value
    J = gradient_flow(loss, net).jacobian(2, 1)[0]
    slope = 1 - h**2
    made = W.T @ (slope * g)
    draw(tape, run.file("the gradient on its way back from L"), overlay="gradient", theme=run.theme)
    run.rows(
        ("", "unit 1", "unit 2"),
        [
            ("upstream g = ∂L/∂h(2)", *[f"{v:+.6f}" for v in g]),
            ("tanh′ = 1 − h(2)²", *[f"{v:+.6f}" for v in slope]),
            ("∂h(2)/∂h(1), row 1", *[f"{v:+.6f}" for v in J[0]]),
            ("∂h(2)/∂h(1), row 2", *[f"{v:+.6f}" for v in J[1]]),
            ("Wᵀ (tanh′ ⊙ g)", *[f"{v:+.6f}" for v in made]),
            ("∂L/∂h(1) on the tape", *[f"{v:+.6f}" for v in before.grad[0]]),
        ],
        "\n".join(
            f"∂L/∂h{i + 1}(1) = {J[0, i]:+.3f}·{g[0]:+.3f} {J[1, i]:+.3f}·{g[1]:+.3f} = {before.grad[0, i]:+.3f}"
            for i in range(2)
        ),
    )
    run.figures.update(g=g, J=J, made=made, taken=before.grad[0], expected=slope[:, None] * W)
    gap = np.abs(made - before.grad[0]).max()
    shrink = np.linalg.norm(made) / np.linalg.norm(g)
    run.say(
        "A backward step takes the gradient that arrives from above and multiplies it by the local Jacobian: "
        "∂L/∂h(1) = (∂h(2)/∂h(1))ᵀ ∂L/∂h(2).",
        f"Here the Jacobian is diag(1 − h(2)²) W, and the product differs from what the tape holds by {gap:.1g}.",
        f"The norm goes from {np.linalg.norm(g):.3f} to {np.linalg.norm(made):.3f}, ×{shrink:.3f}; the next step back "
        "does the same with its own h and the same W.",
    )


LESSONS = (
    Lesson(1, "Where does dL/dW come from?", "a ledger with one row per time step", terms),
    Lesson(2, "Why += ?", "two arrows into one gradient", plus),
    Lesson(3, "What does one backward step do?", "upstream gradient × local Jacobian, in numbers", one_step),
)
