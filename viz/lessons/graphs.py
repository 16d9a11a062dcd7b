"""Lessons 8, 10, 12: what is stored, teacher forcing or free running, tree or chain."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq import functions as F
from tinyseq.nn import LSTMCell, OutputRecurrence, RecursiveNet
from tinyseq.ops.groups import INPUTS, PARAMETERS
from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Tree
from tinyseq.tape import Tape
from tinyseq.tasks.bits import parity
from tinyseq.tensor.handles import Tensor
from tinyseq.train import Adam
from tinyseq.unfolding.unfold import unfold
from tinyseq.viz.lessons.lesson import Lesson, Run, percent
from tinyseq.viz.overlays.bytes_held import held_bytes, memory
from tinyseq.viz.picture import draw
from tinyseq.viz.plots.plots import COLOURS, DASHES
from tinyseq.viz.stepper.memory import live_bytes


def _unfolded(run: Run, cell: LSTMCell, T: int, B: int) -> tuple[Tape, Tensor]:
    """A cell over T random steps of B sequences, and a loss of its last state."""
    with Tape() as tape:
        x = run.rng.standard_normal((T, B, 4)).astype(np.float32)
        net = unfold(cell, Chain(T), x, cell.initial_state(B))
        return tape, F.sum(cell.hidden(net.final) ** 2).named("L")


def stored(run: Run) -> None:
    B, H, T = 8, 16, 12
    cell = LSTMCell(4, H, rng=run.rng, dtype=np.float32)
    tape, loss = _unfolded(run, cell, T, B)
    loss.backward()
    ops, steps = tape.column("op"), tape.step
    held = held_bytes(tape, np.arange(len(tape)))
    middle = T // 2
    by_op: Counter[str] = Counter()
    for i, size in held.items():
        if steps[i] == middle:
            by_op[str(ops[i])] += size
    step_bytes = sum(by_op.values())
    made = sum(_bytes(tape, i) for i in np.flatnonzero(steps == middle).tolist() if ops[i] not in INPUTS)
    grads = {i for i in _above_parameters(tape) if tape.executor.grad(i) is not None}
    kept = sum(p.value.nbytes for p in cell.parameters())
    live = live_bytes(tape, np.arange(len(tape)), grads)
    lengths = (10, 20, 40, 80)
    growth = []
    for n in lengths:
        grown, last = _unfolded(run, cell, n, B)
        growth.append(sum(held_bytes(grown, np.arange(last.index + 1)).values()))
    run.plot(
        "live bytes rise forward and fall backward; what is held grows with T",
        (8.6, 3.4),
        lambda figure: _plot_stored(figure, live, lengths, growth),
    )
    draw(tape, run.file("bytes held at each step", "step"), steps=range(5, 7), overlay="bytes", theme=run.theme)
    run.rows(
        (f"values of step {middle} by the op that made them", "bytes", "share"),
        [(op, f"{size:,}", percent(size / step_bytes)) for op, size in by_op.most_common()],
        f"{step_bytes:,} of {made:,} bytes that a step makes are read again by backward",
    )
    slope = (growth[-1] - growth[0]) / (lengths[-1] - lengths[0])
    sizes = {"sizes": (B, H), "step_bytes": step_bytes, "kept": kept}
    run.figures.update(by_op=by_op, live=live, growth=growth, lengths=lengths, slope=slope, **sizes)
    op, most = by_op.most_common(1)[0]
    run.say(
        f"A step of this LSTM ({H} units, {B} sequences) makes {made:,} bytes of values, and {step_bytes:,} of them "
        f"must be kept because a vjp reads them; {op} alone made {percent(most / step_bytes)} of that.",
        f"Live bytes rise to {memory(float(live.max()))} as forward runs and fall as backward uses them up, to "
        f"{memory(float(live[-1]))} at the last one, {memory(float(kept))} of it gradients of parameters.",
        f"What is held grows by {slope:,.0f} bytes a step, {lengths[-1] // lengths[0]} times the steps for "
        f"{growth[-1] / growth[0]:.1f} times the memory: that is the price of BPTT.",
    )


def _plot_stored(figure: Any, live: np.ndarray, lengths: tuple[int, ...], growth: list[int]) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    turn = int(live.argmax())
    left.plot(np.arange(len(live)), live / 1000, color=COLOURS[0])
    left.fill_between(np.arange(len(live)), live / 1000, color=COLOURS[0], alpha=0.15)
    left.axvline(turn, color=COLOURS[1], linestyle=DASHES[1], linewidth=1)
    left.text(turn, 0.02 * live.max() / 1000, " highest", color=COLOURS[1], fontsize=8)
    left.set_xlabel("ops run: forward, then backward")
    left.set_ylabel("live, kB")
    right.plot(lengths, np.array(growth) / 1000, color=COLOURS[2], marker="o")
    right.set_xlabel("number of steps $T$")
    right.set_ylabel("held at the end of forward, kB")
    right.set_xlim(0)
    right.set_ylim(0)


def _bytes(tape: Tape, i: int) -> int:
    node = tape.node(i)
    return node.dtype.itemsize * math.prod(node.shape)


def _above_parameters(tape: Tape) -> list[int]:
    """The parameters and all nodes that depend on one."""
    found = np.zeros(len(tape), bool)
    ops = tape.column("op")
    for i in range(len(tape)):
        found[i] = ops[i] in PARAMETERS or bool(found[list(tape.inputs(i))].any())
    return np.flatnonzero(found).tolist()


def forcing(run: Run) -> None:
    T, B, horizon, enough = 10, 32, 30, 0.25
    rng = run.rng
    net = OutputRecurrence(2, 12, 2, rng=rng, dtype=np.float64)
    adam = Adam(net.parameters(), rate=0.01)
    step = ts.compile(lambda x, y: net.loss(x, y) / T)
    updates = 0
    while float(step.backward(*parity(rng, T, B))) > enough and updates < 1000:
        adam.step()
        updates += 1
    x, y = parity(rng, horizon, 200)
    curves = {}
    for name, teacher in (("teacher forcing", True), ("free running", False)):
        with Tape() as tape:
            net.loss(x, y, teacher=teacher)
            each = [node.index for node in tape.nodes() if node.name == "L" and node.cell]
            curves[name] = np.array([tape.executor.value(i).mean() for i in each])
    tapes = {}
    for name, teacher in (("teacher", True), ("free", False)):
        with Tape() as tapes[name]:
            net.loss(x[:4, :1], y[:4, :1], teacher=teacher)
    draw(tapes["teacher"], run.file("teacher forcing: the target y(t−1) is fed back", "teacher"), theme=run.theme)
    draw(tapes["free"], run.file("free running: the net's own output is fed back", "free"), theme=run.theme)

    def plot(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (name, values) in enumerate(curves.items()):
            axes.plot(np.arange(1, horizon + 1), values, color=COLOURS[place], linestyle=DASHES[place], label=name)
        axes.axhline(math.log(2), color="#5f6670", linewidth=0.8)
        axes.text(1, math.log(2) * 1.02, "ln 2: knows nothing", fontsize=8, color="#5f6670")
        axes.set_xlabel("horizon: steps since the start")
        axes.set_ylabel("loss of that step")
        axes.set_ylim(0)
        axes.legend(frameon=False, loc="center right")

    run.plot("the loss of each step on new sequences", (6.8, 3.4), plot)
    at = (1, 2, 5, 10, 20, horizon)
    run.rows(
        ("loss at step", *map(str, at)),
        [(name, *[f"{values[t - 1]:.4f}" for t in at]) for name, values in curves.items()],
        f"parity, trained by teacher forcing on {T} steps, {updates} updates, to a loss of {enough} a step",
    )
    forced, free = curves.values()
    wrong = (net.generate(x) != y).mean(axis=1)
    run.figures.update(curves=curves, wrong=wrong, tapes=tapes)
    run.say(
        f"With the targets fed back each step is a problem of its own, and the loss is the same at every horizon: "
        f"{forced[1]:.4f} at step 2, {forced[-1]:.4f} at step {horizon}.",
        f"On its own outputs softmax o(t−1) the same net's doubts add up: {free[1]:.4f} at step 2, {free[-1]:.4f} at "
        f"step {horizon}, {free[-1] / forced[-1]:.1f} times as much; ln 2 = {math.log(2):.4f} is to know nothing.",
        "The graphs say why: under teacher forcing no arrow leads from the output of one step to the next, so no "
        "gradient told the net what its outputs do to later steps.",
    )


def trees(run: Run) -> None:
    net = RecursiveNet(8, 16, 2, rng=run.rng, dtype=np.float64)
    counts = (4, 8, 10, 16, 32, 64, 100, 200)
    rows, ratios = [], []
    for leaves in counts:
        x, y = run.rng.normal(size=(leaves, 8)), np.array([1])
        found = []
        for tree in (Tree.balanced(leaves), Tree.chain(leaves)):
            with Tape():
                unfolded = net.unfold(tree, x)
                F.cross_entropy(net.c + F.linear(unfolded.root, net.V_o), y).backward()
                leaf = unfolded.state(int(np.argmax(tree.depths[:leaves])))
                found.append((tree.depth, math.hypot(*leaf.grad[0]) / math.hypot(*unfolded.root.grad[0])))
        (depth, near), (long, far) = found
        ratios.append((depth, long, near, far))
        rows.append(
            (str(leaves), str(math.ceil(math.log2(leaves))), str(depth), str(long), f"{near:.1e}", f"{far:.1e}")
        )
    for name, tree in (("tree", Tree.balanced(8)), ("chain", Tree.chain(8))):
        with Tape() as tape:
            net.unfold(tree, run.rng.normal(size=(8, 8)))
        draw(tape, run.file(f"eight leaves: a {name}, coloured by the heights that run together", name),
             steps=15, overlay="levels", theme=run.theme)  # fmt: skip
    depth, long, near, far = np.array(ratios).T

    def plot(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for place, (name, d, r) in enumerate((("balanced tree", depth, near), ("chain", long, far))):
            look = {"color": COLOURS[place], "linestyle": DASHES[place], "marker": "o", "markersize": 3, "label": name}
            left.plot(counts, d, **look)
            right.plot(counts, r, **look)
        left.plot(counts, np.ceil(np.log2(counts)), "x", color="#1a1a1a", label="⌈log₂ τ⌉")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("leaves $τ$")
        left.set_ylabel("depth")
        right.set_ylabel("‖∂L/∂leaf‖ / ‖∂L/∂root‖")
        left.legend(frameon=False)

    run.plot("depth, and what of the root's gradient reaches the furthest leaf", (8.6, 3.4), plot, "depth")
    run.rows(("leaves τ", "⌈log₂ τ⌉", "depth, tree", "depth, chain", "leaf / root, tree", "leaf / root, chain"), rows)
    run.figures.update(counts=counts, ratios=ratios)
    run.say(
        f"Over {counts[-1]} leaves the chain is {long[-1]:.0f} steps deep and the balanced tree {depth[-1]:.0f} = "
        f"⌈log₂ {counts[-1]}⌉.",
        f"The gradient shrinks with the depth: {near[-1]:.1e} of what the root has reaches the furthest leaf of the "
        f"tree, {far[-1]:.1e} that of the chain.",
        f"Both have the same leaves and the same weights; per level the factor is {near[-1] ** (1 / depth[-1]):.2f} in "
        f"the tree and {far[-1] ** (1 / long[-1]):.2f} in the chain, so it is the number of levels that counts.",
    )


LESSONS = (
    Lesson(8, "What is stored?", "bytes by op; live bytes up and down; growth with T", stored),
    Lesson(10, "Teacher forcing or free running?", "both graphs, and loss against horizon", forcing),
    Lesson(12, "Tree or chain?", "depth τ against ⌈log₂ τ⌉, gradient from root to leaf", trees),
)
