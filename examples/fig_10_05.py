"""Figure 10.5: one output after the last step. A sequence is read into a state of fixed size, and a number is told.

Task: the adding problem. Of 30 numbers two are marked; answer with their sum. Answering 1 always has mean squared error
1/6 = 0.1667.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.signals import ADDING_BASELINE, adding

B, HIDDEN = 32, 32


def main() -> None:
    args, clock = options(__doc__), Clock()
    T = 100 if args.long else 30
    steps = 60 if args.quick else 10_000 if args.long else 3000
    x, y = adding(np.random.default_rng(1), T, 1000)
    print(
        f"adding two marked numbers of {T}: mean squared error on 1,000 new sequences (baseline {ADDING_BASELINE:.4f})"
    )
    for make in (nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        rng = np.random.default_rng(0)
        net = nn.ManyToOne(make(2, HIDDEN, rng=rng), 1, rng=rng)
        train(net.loss, net, iter(lambda rng=rng: adding(rng, T, B), None), steps, rate=0.005)
        with ts.Tape():
            print(f"  {make.__name__:<9} {net.loss(x, y).item():.5f}")
    net = nn.ManyToOne(nn.RNNCell(2, HIDDEN, rng=rng), 2, rng=rng)
    with ts.Tape() as tape:
        net.loss(x[:4, :1], np.array([0]))
    viz.draw(tape, args.output / "fig_10_05.svg")
    print(f"{args.output / 'fig_10_05.svg'} ({clock})")


if __name__ == "__main__":
    main()
