"""Figure 10.7: the full graphical model of a sequence, every past symbol a parent, and what a table of it costs.

Source: y(t) is y(t−4) flipped with probability 0.1, k = 2 symbols. A table p(y(t) | y(1…t−1)) has k^τ − 1 parameters, a
Markov chain of order n k^n contexts; the recurrent net of figure 10.8 has as many parameters for every length.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.nn.output_recurrence import chosen
from tinyseq.tasks.tables import Table

LAG, FLIP, T, TRAIN = 4, 0.1, 16, 2000
ENTROPY = LAG * np.log(2) - (T - LAG) * (FLIP * np.log(FLIP) + (1 - FLIP) * np.log(1 - FLIP))


def source(rng: np.random.Generator, count: int) -> np.ndarray:
    """Sequences (T, count)."""
    y = rng.integers(0, 2, (T, count))
    for t in range(LAG, T):
        y[t] = y[t - LAG] ^ (rng.random(count) < FLIP)
    return y


class FullyVisible(nn.Cell):
    """y(t) drawn from softmax(c + Σ_i V_i y(t−i)) with all past y as parents: figure 10.7, by ancestral sampling."""

    name = "visible"

    def __init__(self, steps: int, rng: np.random.Generator) -> None:
        self.c = ts.Parameter(np.zeros(2, np.float32), "c")
        self.V = [ts.Parameter(rng.standard_normal((2, 2)).astype(np.float32), f"V_{i}") for i in range(1, steps)]

    def step(self, noise, *past):
        """The draw y(t) from all y before it; argmax of logits plus Gumbel noise is a draw from their softmax."""
        o = self.c + noise
        for y, V in zip(past, self.V, strict=False):
            o = o + ts.linear(y, V)
        return None, chosen(o).named("y")


def main() -> None:
    args, clock = options(__doc__), Clock()
    rng = np.random.default_rng(0)
    seen, new = source(rng, TRAIN), source(rng, 5000)
    print(f"nats for each new sequence of {T} (the source's entropy is {ENTROPY:.3f}); learned from {TRAIN} sequences")
    print(f"  {'model':<26}{'parameters':>11}{'nats':>9}")
    for order in (0, 2, LAG, 8, None):
        table = Table(2, T, order, smoothing=0.5).fit(seen)
        name = "full table (10.7)" if order is None else f"Markov chain, order {order}"
        print(f"  {name:<26}{table.size:>11,}{-table.log_prob(new).mean():>9.3f}")
    net = nn.SequenceModel(2, 16, cell="gru", rng=rng)
    batches = iter(lambda: (seen[:, rng.integers(0, TRAIN, 64)],), None)
    train(net.loss, net, batches, 60 if args.quick else 3000)
    with ts.Tape():
        size = sum(p.value.size for p in net.parameters())
        print(f"  {'GRU, 16 units (10.8)':<26}{size:>11,}{net.loss(new).item():>9.3f}")
    with ts.Tape() as tape:
        cell, ys = FullyVisible(6, rng), []
        noise = ts.tensor(nn.gumbel(rng, (6, 1, 2), np.float32), "ε")
        for t in range(6):
            ys.append(cell(noise[t], *ys[::-1])[1])
    viz.draw(tape, args.output / "fig_10_07.svg")
    print(f"{args.output / 'fig_10_07.svg'} ({clock})")


if __name__ == "__main__":
    main()
