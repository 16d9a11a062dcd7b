"""Section 10.11: clipping, and the regulariser that keeps information flowing, on temporal order; figure 10.17.

Task (Pascanu et al. 2013): which of A and B came, twice, in which order, among distracting symbols; 4 classes. A tanh
net of 50 units, batches of 20, plain SGD; solved means errors on less than 1% of 10,000 new sequences.
"""

import numpy as np
from common import Clock, options

import tinyseq as ts
from tinyseq import nn
from tinyseq.tasks.memory import temporal_order
from tinyseq.train import SGD, Diverged, TrainingStep, information_flow
from tinyseq.viz.plots.chapter_plots import figure_10_17

B, HIDDEN, RATE, LIMIT, WEIGHT = 20, 50, 0.05, 1.0, 0.2
WAYS = {
    "SGD": {},
    "clip element": {"clip_element": 0.1},
    "clip norm": {"clip": LIMIT},
    "clip norm + Ω": {"clip": LIMIT},
}


def make(seed: int) -> nn.ManyToOne:
    """The net, its recurrent weights scaled to the spectral radius 0.95."""
    rng = np.random.default_rng(seed)
    cell = nn.RNNCell(6, HIDDEN, rng=rng)
    cell.a.W.value *= np.float32(0.95 / np.abs(np.linalg.eigvals(cell.a.W.value)).max())
    return nn.ManyToOne(cell, 4, rng=rng)


def loss_of(net: nn.ManyToOne, weight: float):
    """−log p of the class, and with a weight Ω beside it."""

    def loss(x, y):
        cell = net.encoder
        unfolded = ts.unfold(cell, ts.Chain(len(x)), x, cell.initial_state(x.shape[1]))
        total = ts.cross_entropy(net.output(unfolded.final), y)
        return (total + weight * information_flow(total, unfolded), total) if weight else (total, total)

    return loss


def errors(net: nn.ManyToOne, T: int, count: int) -> float:
    """The part of new sequences that is classified wrong."""
    x, y = temporal_order(np.random.default_rng(99), T, count)
    with ts.Tape():
        return float((net.outputs(x).value.argmax(axis=1) != y).mean())


def run(way: str, T: int, seed: int, steps: int, count: int) -> tuple[float, int, str]:
    """(errors, steps done, what stopped it)."""
    net, rng = make(seed), np.random.default_rng(1000 + seed)
    weight = WEIGHT if way.endswith("Ω") else 0.0
    step = TrainingStep(loss_of(net, weight), SGD(net.parameters(), RATE), **WAYS[way])
    smooth, why = 1.4, ""
    for _ in range(steps):
        try:
            _, nats = step(*temporal_order(rng, T, B))
        except Diverged as stopped:
            why = str(stopped).splitlines()[1]
            break
        smooth += 0.02 * (float(nats) - smooth)
        if smooth < 0.01:
            break
    return errors(net, T, count), step.steps, why


def main() -> None:
    """Four ways of training at a small budget, then figure 10.17."""
    args, clock = options(__doc__), Clock()
    lengths, seeds = ((10,), (0,)) if args.quick else ((20, 50, 100), (0, 1, 2)) if args.long else ((20, 50), (0, 1))
    steps = 40 if args.quick else 20_000 if args.long else 4000
    count = 500 if args.quick else 10_000
    print(
        f"temporal order, at most {steps:,} updates of SGD, rate {RATE}, {len(seeds)} seeds; solved (errors, updates):"
    )
    for T in lengths:
        for way in WAYS:
            found = [run(way, T, seed, steps, count) for seed in seeds]
            solved = sum(wrong < 0.01 for wrong, _, _ in found)
            each = ", ".join(f"{100 * wrong:.1f}% {done:,}" for wrong, done, _ in found)
            print(f"  T = {T:<4} {way:<14} {solved} of {len(seeds)}   ({each}) {clock}", flush=True)
            for _, done, why in found:
                if why:
                    print(f"      stopped after {done}: {why}")
    found = figure_10_17(args.output / "fig_10_17.svg")
    free, bound = found.without, found.clipped
    print("\nfigure 10.17: J(w, b) of one unit over 50 steps. Without clipping")
    print(f"‖g‖ = {free.norm.max():.1f} throws the descent to J = {free.loss[-1]:.2f}; clipped at {found.limit}")
    print(f"it comes to J = {bound.loss.min():.1e}")
    print(f"{args.output / 'fig_10_17.svg'} ({clock})")


if __name__ == "__main__":
    main()
