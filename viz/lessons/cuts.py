"""Lessons 6, 7, 9: what truncation cuts, what detach does, and what becomes of a second backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import TapeError
from tinyseq.nn import RNNCell
from tinyseq.ops.groups import CUTS
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.viz.lessons.lesson import Lesson, Run, percent
from tinyseq.viz.look import style
from tinyseq.viz.overlays.bytes_held import held_bytes, memory
from tinyseq.viz.picture import draw


def chunks(cell: RNNCell, x: np.ndarray, k: int) -> tuple[list[Tensor], list[int]]:
    """The losses L(τ) of one chain, h cut before every k-th step, and the time step of each use of W."""
    h, losses = cell.initial_state(1), []
    for t, x_t in enumerate(x):
        h, _ = cell(tensor(x_t), h.detach() if t and t % k == 0 else h, at=t)
        losses.append(F.sum(h**2).named("L"))
    return losses, list(range(len(x)))


def windows(cell: RNNCell, x: np.ndarray, k: int) -> tuple[list[Tensor], list[int]]:
    """For every L(τ) the last k steps anew, from the state before them, cut: the window moves with the loss."""
    states, losses, uses = [cell.initial_state(1)], [], []
    for tau in range(len(x)):
        start = max(tau - k + 1, 0)
        h = states[start].detach()
        for t in range(start, tau + 1):
            h, _ = cell(tensor(x[t]), h, at=t)
            uses.append(t)
        states.append(h)
        losses.append(F.sum(h**2).named("L"))
    return losses, uses


def reached(losses: list[Tensor], W: Parameter, uses: list[int]) -> np.ndarray:
    """(τ, t): does a gradient go from L(τ) to the use of W at t? By walking the tape's arrows; ``detach`` has none."""
    tape = losses[0].tape
    leaf = tape.node_of(W)
    assert leaf is not None
    T = max(uses) + 1
    seen = np.zeros((len(tape), T), bool)
    pointers, inputs, cut = tape.input_pointers, tape.input_indices, np.isin(tape.column("op"), list(CUTS))
    first = dict(zip(sorted(tape.consumers(leaf).tolist()), uses, strict=True))
    for i in range(len(tape)):
        if not cut[i]:
            seen[i] = seen[inputs[pointers[i] : pointers[i + 1]]].any(axis=0)
        if i in first:
            seen[i, first[i]] = True
    return seen[[loss.index for loss in losses]]


def truncation(run: Run) -> None:
    T, k = 100, 10
    cell = RNNCell(3, 4, rng=run.rng, dtype=np.float64)
    cell.a.W.value *= 2
    W, x = cell.a.W, run.rng.standard_normal((T, 1, 3))
    ways = {"full": (chunks, T), "window": (windows, k), "chunk": (chunks, k)}
    masks, gradients, tapes = {}, {}, {}
    for name, (build, length) in ways.items():
        with Tape() as tapes[name]:
            losses, uses = build(cell, x, length)
            total = F.sum(F.stack(losses)).named("ΣL")
        masks[name] = reached(losses, W, uses)
        total.backward()
        gradients[name] = np.array(W.grad)
    with Tape() as tape:
        losses, _ = chunks(cell, x, T)
    pairs = np.zeros((T, T, *W.value.shape))  # what L(τ) gives to ∂L/∂W by way of the use at t
    for tau, loss in enumerate(losses):
        loss.backward()
        for _, t, term in tape.executor.terms(W):
            pairs[tau, t] += term
    kept = {name: pairs[mask].sum(axis=0) for name, mask in masks.items()}
    size = np.linalg.norm(pairs, axis=(2, 3))
    full = np.linalg.norm(gradients["full"])
    lost = {name: float(np.linalg.norm(gradients["full"] - g)) for name, g in gradients.items()}
    counts = {name: int(mask.sum()) for name, mask in masks.items()}

    def plot(figure: Any) -> None:
        panels = figure.subplots(1, 3, sharey=True)
        colours = np.log10(np.maximum(size, 1e-12))
        for axes, (name, mask) in zip(panels, masks.items(), strict=True):
            shown = np.ma.masked_where(~mask, colours)
            drawn = axes.imshow(shown, cmap="YlGnBu", vmin=-8, vmax=0, origin="lower", interpolation="nearest")
            axes.plot([0, T - 1], [0, T - 1], color=style.MUTED, linewidth=0.6)
            axes.set_title(f"{name}: {counts[name]:,} pairs\n‖lost‖ = {lost[name]:.2g}", fontsize=9)
            axes.set_xlabel("use of W at time $t$")
            axes.grid(False)
        panels[0].set_ylabel("loss at time $τ$")
        figure.colorbar(drawn, ax=panels, label="log₁₀ ‖term of L(τ) at t‖", shrink=0.8)

    run.plot("which pairs of loss and use a gradient joins, coloured by what they give", (9.4, 3.5), plot)
    draw(tapes["chunk"], run.file("the chain cut in chunks, about the first cut", "cut"), steps=range(7, 13),
         overlay="cuts", theme=run.theme)  # fmt: skip
    run.rows(
        ("", "pairs (τ, t)", "‖∂L/∂W‖", "‖lost‖", "‖lost‖ / ‖full‖"),
        [
            (name, f"{counts[name]:,}", f"{np.linalg.norm(g):.6f}", f"{lost[name]:.2e}", percent(lost[name] / full))
            for name, g in gradients.items()
        ],
        f"T = {T}, k = {k}; counted by walking back from each loss on the tape",
    )
    run.figures.update(counts=counts, masks=masks, gradients=gradients, kept=kept, lost=lost, full=full)
    run.say(
        f"The loss at τ depends on every use of W at t ≤ τ: {counts['full']:,} pairs for T = {T}.",
        f"A window that moves with the loss keeps {counts['window']:,}, all that lie less than {k} steps back; chunks "
        f"keep {counts['chunk']:,}: a loss just after a cut sees the step it stands on alone.",
        f"What is lost has norm {lost['window']:.2g} with windows and {lost['chunk']:.2g} with chunks, "
        f"{percent(lost['window'] / full)} and {percent(lost['chunk'] / full)} of ‖∂L/∂W‖: truncation is cheap "
        "just where far terms are small, and so it never learns what is far.",
    )


def detaching(run: Run) -> None:
    T, cut = 6, 3
    cell = RNNCell(3, 4, rng=run.rng, dtype=np.float64)
    W, x = cell.a.W, run.rng.standard_normal((T, 2, 3))
    losses, gradients, held = {}, {}, {}
    for name in ("before", "after"):
        with Tape() as tape:
            h = cell.initial_state(2)
            for t in range(T):
                h, _ = cell(tensor(x[t]), h.detach() if name == "after" and t == cut else h)
            loss = F.sum(h**2).named("L")
        loss.backward()
        losses[name], gradients[name] = loss.item(), np.array(W.grad)
        ways = np.array([i for i in range(len(tape)) if tape.executor.grad(i) is not None
                         and not (name == "after" and 0 <= tape.step[i] < cut)])  # fmt: skip
        held[name] = sum(held_bytes(tape, ways).values())
        what = "the gradient goes all the way" if name == "before" else f"✂ h({cut - 1}) is detached"
        draw(tape, run.file(what, name), overlay="gradient" if name == "before" else "cuts", theme=run.theme)
    gap = float(np.linalg.norm(gradients["before"] - gradients["after"]))
    run.rows(
        ("", "L", "‖∂L/∂W‖", "bytes held for backward"),
        [(n, f"{losses[n]:.12f}", f"{np.linalg.norm(gradients[n]):.6f}", f"{held[n]:,}") for n in losses],
        f"‖∂L/∂W before − after‖ = {gap:.4g}",
    )
    run.figures.update(losses=losses, gradients=gradients, held=held, gap=gap)
    same = "to the last bit" if losses["before"] == losses["after"] else "but for rounding"
    freed = held["before"] - held["after"]
    run.say(
        f"The value crosses the cut: L is {losses['after']:.6f} with and without it, {same}.",
        f"The gradient does not: ‖∂L/∂W‖ goes from {np.linalg.norm(gradients['before']):.4f} to "
        f"{np.linalg.norm(gradients['after']):.4f}, the {cut} early terms are gone.",
        f"Backward never reads what lies before the cut, so {memory(freed)} of {memory(held['before'])} can be freed.",
    )


def twice(run: Run) -> None:
    cell = RNNCell(3, 4, rng=run.rng, dtype=np.float64)
    W, x = cell.a.W, run.rng.standard_normal((6, 1, 3))
    with Tape() as first:
        h = cell.initial_state(1)
        for t in range(3):
            h, _ = cell(tensor(x[t]), h)
        loss = F.sum(h**2).named("L")
    norms = []
    for accumulate in (False, False, True):
        loss.backward(accumulate=accumulate)
        norms.append(float(np.linalg.norm(W.grad)))
    message = ""
    try:
        with Tape():
            cell(tensor(x[3]), h, at=3)  # h is still a node of the first graph
    except TapeError as error:
        message = str(error)
    with Tape() as second:
        carried = tensor(h.value).named("h")  # the fix: its number, not its history
        for t in range(3, 6):
            carried, _ = cell(tensor(x[t]), carried, at=t)
        after = F.sum(carried**2).named("L")
    after.backward()
    draw(first, run.file("the first graph", "first"), gradients=True, theme=run.theme)
    draw(
        second, run.file("the second graph: it starts from the number h(2)", "second"), gradients=True, theme=run.theme
    )
    run.rows(
        ("", "‖∂L/∂W‖"),
        [
            ("loss.backward()", f"{norms[0]:.6f}"),
            ("loss.backward() again", f"{norms[1]:.6f}"),
            ("loss.backward(accumulate=True)", f"{norms[2]:.6f}"),
            ("next chunk, from ts.tensor(h.value)", f"{np.linalg.norm(W.grad):.6f}"),
        ],
        f"next chunk, from h itself:\n  TapeError: {message}",
    )
    run.figures.update(norms=norms, message=message, nodes=(len(first), len(second)))
    run.say(
        f"On one graph backward may run again: it sets the gradients, {norms[0]:.4f} both times, and adds only when "
        f"asked to ({norms[2]:.4f}, twice as much).",
        "An old state in a new graph is what fails elsewhere with 'backward a second time'; here it is refused where it"
        " enters, and the error names the state and its time step.",
        f"The fix is to carry the number: h = ts.tensor(h.value). The new graph has {len(second)} nodes, none of them "
        f"of the {len(first)} old ones, so memory does not grow from chunk to chunk.",
    )


LESSONS = (
    Lesson(6, "What does truncation cut?", "loss time × use time under three masks", truncation),
    Lesson(7, "What does detach do?", "before and after, the cut edge marked", detaching),
    Lesson(9, "Backward a second time?", "where the old graph enters, and the fix", twice),
)
