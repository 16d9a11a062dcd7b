"""Section 10.7: how far back nine kinds of recurrent nets can learn to look: success against lag, on one task.

Task: temporal order (Pascanu, Mikolov and Bengio 2013). Of two symbols hidden at a tenth and at half of a sequence
amid distractors, say which they were and in which order. The first must be kept for 0.8 to 0.9 of the length.

All nets have 32 units, one softmax at the end and the same training (Adam, gradient's norm clipped at 1, new sequences
all the time) but for the echo state network, whose readout is fitted to 2000 sequences. Options are the same at every
length: nothing is tuned to the lag. Solved means 99% of 1000 new sequences right.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from common import Clock, options

import tinyseq as ts
from tinyseq import nn
from tinyseq.nn import initialisation
from tinyseq.tasks.memory import ORDER_SYMBOLS, temporal_order
from tinyseq.train import Adam, clip_global_norm

SYMBOLS, CLASSES, UNITS, BATCH, TESTS = len(ORDER_SYMBOLS), 4, 32, 32, 1000
SIZES = {  # lengths, seeds, most training steps
    "short": ((10, 20), 1, 100),
    "middle": ((20, 50, 100, 200), 3, 1500),
    "long": ((20, 50, 100, 200, 400), 5, 3000),
}


def cells(rng: np.random.Generator) -> dict:
    """Makers of the cells by name."""
    return {
        "RNN": lambda: nn.RNNCell(SYMBOLS, UNITS, rng=rng),
        "IRNN": lambda: initialisation.irnn(nn.RNNCell(SYMBOLS, UNITS, squash="relu", rng=rng), rng=rng, spread=0.1),
        "leaky": lambda: nn.LeakyCell(SYMBOLS, UNITS, alpha=nn.decays(np.geomspace(1, 100, UNITS)), rng=rng),
        "skip": lambda: nn.SkipCell(SYMBOLS, UNITS, delays=(1, 10), rng=rng),
        "clockwork": lambda: nn.ClockworkCell(SYMBOLS, UNITS, periods=(1, 2, 4, 8, 16, 32, 64, 128), rng=rng),
        "LSTM": lambda: nn.LSTMCell(SYMBOLS, UNITS, rng=rng),
        "LSTM, chrono": lambda: initialisation.chrono(nn.LSTMCell(SYMBOLS, UNITS, rng=rng), 200, rng=rng),
        "GRU": lambda: nn.GRUCell(SYMBOLS, UNITS, rng=rng),
    }


NETS = {
    "RNN": "tanh",
    "IRNN": "max(a, 0), W = I at first",
    "leaky": "time constants 1 to 100",
    "skip": "delays 1 and 10",
    "clockwork": "periods 1, 2, … 128",
    "ESN": "200 fixed units, leak 0.02",
    "LSTM": "forget bias 1",
    "LSTM, chrono": "biases for up to 200 steps",
    "GRU": "",
}


def run(name: str, length: int, seed: int, steps: int) -> tuple[float, int]:
    """Train one net: (share of new sequences right, steps of training)."""
    rng = np.random.default_rng((seed, length))
    x, y = temporal_order(np.random.default_rng((99, length)), length, TESTS)
    if name == "ESN":
        return reservoir(length, rng, x, y), 0
    net = nn.ManyToOne(cells(rng)[name](), CLASSES, rng=rng)
    loss, outputs, optimiser = ts.compile(net.loss), ts.compile(net.outputs), Adam(net.parameters(), 0.003)
    right = 0.0
    for step in range(1, steps + 1):
        loss.backward(*temporal_order(rng, length, BATCH))
        clip_global_norm(net.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0 or step == steps:
            right = float((outputs(x).argmax(1) == y).mean())
            if right >= 0.995:
                break
    return right, step


def available() -> list[int]:
    """The processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def stay(queue) -> None:
    """Give a worker one processor, so that two nets do not share their threads' processors."""
    processor = queue.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {processor})


def reservoir(length: int, rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> float:
    """A reservoir of fixed weights; its last states are regressed on the classes."""
    net = nn.EchoStateNetwork(nn.Reservoir(SYMBOLS, 200, rng=rng, leak=0.02, spectral_radius=0.99), CLASSES)

    def last(tokens: np.ndarray) -> np.ndarray:
        return net.run(np.eye(SYMBOLS, dtype=np.float32)[tokens])[1].h

    learned, labels = temporal_order(rng, length, 2000)
    readout = nn.Ridge(200, CLASSES, 1e-6)
    readout.add(last(learned), np.eye(CLASSES)[labels])
    V, c = readout.solve()
    return float(((c + last(x) @ V.T).argmax(1) == y).mean())


def main() -> None:
    args, clock = options(__doc__), Clock()
    lengths, seeds, steps = SIZES["short" if args.quick else "long" if args.long else "middle"]
    names = [name for name in NETS if name != "ESN" or hasattr(nn, "EchoStateNetwork")]
    jobs = [(name, length, seed, steps) for length in lengths[::-1] for name in names for seed in range(seeds)]
    context, processors = get_context("spawn"), available()
    queue = context.SimpleQueue()
    for processor in processors:
        queue.put(processor)
    with ProcessPoolExecutor(len(processors), context, stay, (queue,)) as pool:
        found = dict(zip(jobs, pool.map(run, *zip(*jobs, strict=True)), strict=True))

    print(f"temporal order: share of {TESTS} new sequences right (guessing: 0.25; the second symbol alone: 0.50),")
    print(
        f"mean of {seeds} seed{'s' * (seeds > 1)}, in brackets how many solved it; at most {steps} batches of {BATCH}"
    )
    print(f"  {'':<42}" + "".join(f"{f'length {length}':>14}" for length in lengths))
    shares = {}
    for name in names:
        row, shares[name] = f"  {name:<13} {NETS[name]:<28}", []
        for length in lengths:
            right = np.array([found[name, length, seed, steps][0] for seed in range(seeds)])
            shares[name].append((float(right.mean()), int((right >= 0.99).sum())))
            row += f"{f'{right.mean():.2f} ({(right >= 0.99).sum()}/{seeds})':>14}"
        print(row)
    reach = {
        name: max((n for n, (_, k) in zip(lengths, s, strict=True) if 2 * k > seeds), default=0)
        for name, s in shares.items()
    }
    print("Longest length that most seeds solved: " + ", ".join(f"{name} {reach[name] or '–'}" for name in names))
    if reach["clockwork"] <= reach["RNN"]:
        print(
            "Clockwork groups read their input only when they tick, and slow ones hear nothing of fast ones: they keep"
        )
        print("what lasts (a slow wave, section_10_09.py), not what is said once.")
    path = args.output / "long_term_dependencies.svg"
    plot(path, lengths, shares)
    print(f"{path} ({clock})")


def plot(path: Path, lengths: tuple, shares: dict) -> None:
    """Share right against length, one line for each net."""
    from matplotlib.figure import Figure

    from tinyseq.viz.plots.plots import COLOURS, DASHES

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for i, (name, found) in enumerate(shares.items()):
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[(i + i // len(COLOURS)) % len(DASHES)]}
        axes.plot(
            lengths,
            [right for right, _ in found],
            "osD^v<>ph"[i],
            ls=style["linestyle"],
            color=style["color"],
            label=name,
        )
    for level, word in ((0.25, "guessing"), (0.5, "second symbol alone")):
        axes.axhline(level, color="#999999", linewidth=0.8, linestyle=":")
        axes.annotate(word, (lengths[0], level), xytext=(0, 3), textcoords="offset points", fontsize=8, color="#666666")
    axes.set(xscale="log", ylim=(0.15, 1.04), xlabel="length of the sequence", ylabel="share of new sequences right")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


if __name__ == "__main__":
    main()
