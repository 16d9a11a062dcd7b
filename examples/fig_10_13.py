"""Figure 10.13: deep recurrent nets (a) stacked states, (b) MLPs in the three blocks, (c) the same with a skip.

Task: characters of English, the language reference that Python carries; all nets have about as many parameters. The
length of the way from h(t−1) to h(t) is counted on the tape: an MLP doubles it, the skip undoes that.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.diagnose.path_length import path_length
from tinyseq.tasks import Corpus, Markov, Windows, embedded_text

T, B, BUDGET = 30, 32, 60_000


def nets(vocabulary: int) -> dict:
    """Constructors of a size: each takes the number of units and a generator."""
    return {
        "shallow (10.3)": lambda n, rng: nn.RNNCell(vocabulary, n, rng=rng),
        "(a) two stacked states": lambda n, rng: nn.StackedCells(
            [nn.RNNCell(vocabulary, n, rng=rng), nn.RNNCell(n, n, rng=rng)]
        ),
        "(b) MLPs in three blocks": lambda n, rng: nn.DeepTransition(vocabulary, n, rng=rng),
        "(c) MLPs and a skip": lambda n, rng: nn.DeepTransition(vocabulary, n, skip=True, rng=rng),
    }


def size(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.value.size for p in module.parameters())


def of_size(make, vocabulary: int) -> nn.ManyToMany:
    """The net with the number of units that comes closest to the budget of parameters from below."""
    units = 8
    while (
        size(nn.ManyToMany(make(units + 8, np.random.default_rng(0)), vocabulary, rng=np.random.default_rng(0)))
        <= BUDGET
    ):
        units += 8
    rng = np.random.default_rng(0)
    return nn.ManyToMany(make(units, rng), vocabulary, rng=rng)


def way(cell) -> int | None:
    """Units from the lowest state at one step to the highest at the next."""
    with ts.Tape():
        unfolded = ts.unfold(cell, ts.Chain(2), np.zeros((2, 1), int), cell.initial_state(1))
        first, last = unfolded.state(0), unfolded.state(1)
        if isinstance(first, tuple):
            return path_length(first[-1], last[-1])
        return path_length(first, last)


def main() -> None:
    args, clock = options(__doc__), Clock()
    corpus = Corpus.of(embedded_text(), "Python's language reference")
    vocabulary = len(corpus.vocabulary)
    steps = 20 if args.quick else 8000 if args.long else 1500
    tokens = corpus.held_out[: 32 * 301]
    x, y = tokens[:-32].reshape(32, -1).T[:, :], tokens[1:-31].reshape(32, -1).T
    print(f"bits per character on held-out English after {steps} batches of {T}×{B}, states not carried over")
    print(f"  {'net':<26}{'parameters':>11}{'bits':>8}{'way h(t−1) → h(t)':>20}")
    for order in (0, 1, 2):
        markov = Markov(corpus.train, vocabulary, order).bits_per_token(y.T.reshape(-1), corpus.train)
        print(f"  {f'Markov chain, order {order}':<26}{'':>11}{markov:>8.3f}")
    for name, make in nets(vocabulary).items():
        net = of_size(make, vocabulary)
        windows = ((a, b) for a, b, _ in Windows(corpus.train, T, B))
        train(lambda x, y, net=net: net.loss(x, y) / T, net, windows, steps, rate=0.008)
        with ts.Tape():
            bits = net.loss(x, y).item() / len(x) / np.log(2)
        print(f"  {name:<26}{size(net):>11,}{bits:>8.3f}{way(net.encoder):>20}")
    rng = np.random.default_rng(0)
    for letter, make in zip("abc", list(nets(vocabulary).values())[1:], strict=True):
        with ts.Tape() as tape:
            nn.ManyToMany(make(4, rng), 3, rng=rng).encode(np.zeros((4, 1), int))
        viz.draw(tape, args.output / f"fig_10_13{letter}.svg")
    print(", ".join(str(args.output / f"fig_10_13{letter}.svg") for letter in "abc") + f" ({clock})")


if __name__ == "__main__":
    main()
