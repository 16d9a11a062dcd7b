"""Figure 10.6: teacher forcing. In training the targets are fed back, at test time the net's own outputs.

Task: parity, y(t) = y(t−1) ⊕ x(t). With the targets fed back each step is a problem of its own and is learned at once;
trained on its own outputs the net must carry the error through all steps. Scheduled sampling lies between.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.bits import parity

T, B, HIDDEN, TEST = 30, 32, 16, 200
WAYS = {"targets fed back (10.6, left)": 1.0, "scheduled sampling, half each": 0.5, "own outputs fed back (10.4)": 0.0}


def main() -> None:
    args, clock = options(__doc__), Clock()
    steps, seeds = (60, 1) if args.quick else (2000, 3)
    x, y = parity(np.random.default_rng(1), TEST, 500)
    print(f"parity: trained on {T} steps, at test time {TEST} steps fed with the net's own outputs ({seeds} nets each)")
    for name, share in WAYS.items():
        rows = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            net = nn.OutputRecurrence(2, HIDDEN, 2, rng=rng)

            def batch(rng=rng, net=net, share=share):
                pair = parity(rng, T, B)
                if share in (0.0, 1.0):
                    return pair
                return *pair, (rng.random((T, B)) < share).astype(np.float32), net.noise(rng, (T, B))

            def loss(x, y, teacher=None, noise=None, net=net, share=share):
                return net.loss(x, y, teacher=share == 1.0 if teacher is None else teacher, noise=noise) / T

            rows.append((train(loss, net, iter(batch, None), steps), (net.generate(x) == y).mean()))
        loss_of, right = np.array(rows).T
        print(f"  {name:<30} training loss {loss_of.mean():.4f}, free running right {right.mean():.1%}")
    with ts.Tape() as training:
        net.loss(np.zeros((4, 1, 2), np.float32), np.zeros((4, 1), int))
    with ts.Tape() as testing:
        net.outputs(np.zeros((4, 1, 2), np.float32))
    viz.draw(training, args.output / "fig_10_06_train.svg")
    viz.draw(testing, args.output / "fig_10_06_test.svg")
    print(f"{args.output / 'fig_10_06_train.svg'}, {args.output / 'fig_10_06_test.svg'} ({clock})")


if __name__ == "__main__":
    main()
