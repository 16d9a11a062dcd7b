"""Figure 10.12: encoder–decoder. Through one vector C of fixed size, or with attention looking back at every step.

Task: write a sequence of symbols from its end, learned on lengths up to 8. What C must hold grows with the length;
attention does not have to hold it. ``--long`` adds 2-digit addition, read from its end, with an LSTM of 128 units.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.pairs import DIGITS, additions, copies

B, HIDDEN, VOCABULARY, LONGEST = 32, 48, 6, 8


def model(attention: bool, rng: np.random.Generator) -> nn.EncoderDecoder:
    """An encoder that reads in both directions, a decoder that writes."""
    cells = (nn.GRUCell(VOCABULARY, HIDDEN // 2, rng=rng) for _ in range(2))
    return nn.EncoderDecoder(nn.Bidirectional(*cells), VOCABULARY, HIDDEN, cell="gru", attention=attention, rng=rng)


def right(net: nn.EncoderDecoder, length: int, count: int = 100) -> float:
    """Share of new sequences of a length that are written without any error."""
    x, y = copies(np.random.default_rng(length), length, count, VOCABULARY, reverse=True)
    written = net.generate(x, max_length=2 * length, cut=True)
    return float(np.mean([np.array_equal(w, y[:, i]) for i, w in enumerate(written)]))


def reversal(args) -> nn.EncoderDecoder:
    """Train both on lengths 1 to 8 and test beyond."""
    steps = 30 if args.quick else 6000 if args.long else 1500
    lengths = (2, 4, 6, 8, 10, 12)
    print(f"reversal of symbols, trained on lengths up to {LONGEST}: share of new sequences written without error")
    print("  length           " + "".join(f"{n:>7}" for n in lengths))
    for attention in (False, True):
        rng = np.random.default_rng(0)
        net = model(attention, rng)

        def batch(rng=rng, net=net):
            x, y = copies(rng, int(rng.integers(1, LONGEST + 1)), B, VOCABULARY, reverse=True)
            return x, net.pack(y.T)

        train(net.loss, net, iter(batch, None), steps, rate=0.005)
        name = "with attention" if attention else "fixed C"
        print(f"  {name:<17}" + "".join(f"{right(net, n):7.0%}" for n in lengths))
    return net


def addition() -> None:
    """Keras's example: two digits, 45,000 questions an epoch; here by number of questions seen."""
    rng = np.random.default_rng(0)
    net = nn.EncoderDecoder(nn.LSTMCell(len(DIGITS), 128, rng=rng), len(DIGITS), 128, cell="lstm", rng=rng)

    def batch():
        x, y = additions(rng, 2, 128)
        return x, net.pack(y.T)

    train(net.loss, net, iter(batch, None), 3000, rate=0.005)
    x, y = additions(np.random.default_rng(1), 2, 2000)
    written = net.generate(x, max_length=4, cut=True)
    share = np.mean([np.array_equal(w, y[:, i]) for i, w in enumerate(written)])
    print(f"2-digit addition after 384,000 questions: {share:.2%} of 2,000 new questions right")


def main() -> None:
    args, clock = options(__doc__), Clock()
    net = reversal(args)
    weights = net.weights(np.arange(6)[:, None], np.arange(6)[::-1])
    looked_at = weights[:6].argmax(1)
    print(f"  while writing symbols 6 … 1 attention looks at symbols {', '.join(str(i + 1) for i in looked_at)}")
    if args.long:
        addition()
    rng = np.random.default_rng(0)
    small = nn.EncoderDecoder(nn.RNNCell(VOCABULARY, 4, rng=rng), VOCABULARY, 4, rng=rng)
    with ts.Tape() as tape:
        small.loss(np.zeros((3, 1), int), np.array([[1], [2]]))
    viz.draw(tape, args.output / "fig_10_12.svg")
    print(f"{args.output / 'fig_10_12.svg'} ({clock})")


if __name__ == "__main__":
    main()
