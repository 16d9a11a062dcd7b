"""Figure 10.14: a recursive net over a balanced tree: from τ steps to ⌈log₂ τ⌉ between a symbol and the output.

The lengths of the ways are counted on the tapes. Task: the parity of the bits at the leaves; the net learns on trees of
up to 8 leaves and is tested on larger ones.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.diagnose.path_length import path_length

HIDDEN = 16


def ways(tau: int) -> tuple[int | None, int | None]:
    """Units between the first input's unit and the last state: over a balanced tree, over a chain."""
    rng = np.random.default_rng(0)
    tree, chain = nn.RecursiveNet(2, 4, 2, rng=rng), nn.RNNCell(2, 4, rng=rng)
    with ts.Tape() as tape:
        roots = tree.unfold(ts.Tree.balanced(tau), np.zeros((tau, 1, 2), np.float32)).roots
        first = next(n for n in tape.nodes() if n.op == "tanh")
        over_tree = path_length(ts.Tensor.at(tape, first.index), roots)
    with ts.Tape():
        unfolded = ts.unfold(chain, ts.Chain(tau), np.zeros((tau, 1, 2), np.float32), chain.initial_state(1))
        return over_tree, path_length(unfolded.state(0), unfolded.state(tau - 1))


def every_string(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All strings of n bits (n, 2^n), and their parities."""
    bits = (np.arange(2**n) >> np.arange(n)[:, None]) & 1
    return bits, bits.sum(0) % 2


def main() -> None:
    args, clock = options(__doc__), Clock()
    print("units between the first symbol and the output:   τ    tree   chain")
    for tau in (4, 7, 64, 1000):
        over_tree, over_chain = ways(tau)
        assert over_tree is not None and over_tree <= int(np.ceil(np.log2(tau)))
        print(f"{tau:50d} {over_tree:7d} {over_chain:7d}")
    rng = np.random.default_rng(1)
    net = nn.RecursiveNet(2, HIDDEN, 2, rng=rng)
    problems = [(ts.Tree.balanced(n), *every_string(n)) for n in (1, 2, 3, 4, 8)]
    train(
        lambda *arrays: ts.mean(ts.stack([net.loss(p[0], *a) for p, a in zip(problems, arrays, strict=True)])),
        net,
        iter(lambda: tuple((x, y) for _, x, y in problems), None),
        60 if args.quick else 1000,
        rate=0.02,
    )
    print("parity of the bits at the leaves, trained on balanced trees of 1, 2, 3, 4 and 8 leaves:")
    for n in (8, 16, 64, 1000):
        x = rng.integers(0, 2, (n, 500))
        with ts.Tape():
            wrong = (net.output(ts.Tree.balanced(n), x).value.argmax(1) != x.sum(0) % 2).mean()
        print(f"  {n:4d} leaves: {1 - wrong:.1%} right")
    with ts.Tape() as tape:
        net.loss(ts.Tree.balanced(4), np.zeros((4, 1, 2), np.float32), np.array([0]))
    viz.draw(tape, args.output / "fig_10_14.svg")
    print(f"{args.output / 'fig_10_14.svg'} ({clock})")


if __name__ == "__main__":
    main()
