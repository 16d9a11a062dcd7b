"""Figure 10.10: with the outputs fed back, the outputs given x can depend on each other. Without, they cannot.

Task: y(1) is a fair coin and y(t) = y(t−1) ⊕ x(t) with x given. Each y(t) alone is a fair coin whatever x is, but all
together have ln 2 nats, one coin. Outputs that are independent given x (figure 10.3) cost T ln 2.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz

T, B, HIDDEN = 12, 32, 16


def task(rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """x (T, B) bits, y (T, B)."""
    x = rng.integers(0, 2, (T, batch))
    flips = x.copy()
    flips[0] = rng.integers(0, 2, batch)
    return x, np.bitwise_xor.accumulate(flips, axis=0)


def main() -> None:
    args, clock = options(__doc__), Clock()
    steps = 60 if args.quick else 1500
    x, y = task(np.random.default_rng(1), 1000)
    print(f"nats for {T} outputs given their inputs (exact: ln 2 = {np.log(2):.4f}; independent: {T * np.log(2):.4f})")
    rng = np.random.default_rng(0)
    feedback = nn.FeedbackRNN(2, HIDDEN, 2, rng=rng)
    independent = nn.RNN(2, HIDDEN, 2, rng=rng)
    for name, net in (("y(t−1) fed back (10.10)", feedback), ("no feedback (10.3)", independent)):
        train(net.loss, net, iter(lambda: task(rng, B), None), steps)
        with ts.Tape():
            print(f"  {name:<26} {net.loss(x, y).item():.4f}")
    drawn = feedback.sample(x, rng=rng)
    valid = (drawn[1:] == drawn[:-1] ^ x[1:]).all(0).mean()
    print(f"  sequences drawn from the net with feedback: {valid:.1%} consistent, {drawn[0].mean():.1%} begin with 1")
    with ts.Tape() as tape:
        feedback.loss(np.zeros((4, 1, 2), np.float32), np.zeros((4, 1), int))
    viz.draw(tape, args.output / "fig_10_10.svg")
    print(f"{args.output / 'fig_10_10.svg'} ({clock})")


if __name__ == "__main__":
    main()
