"""Figure 10.8: the state makes the graphical model efficient. Three ways for a sequence to end, each a proper density.

Task: embedded Reber strings, whose entropy is exactly 7 bits and whose lengths are known. The best any model can do is
7 bits; a model that misses the outer letter pays one bit more.
"""

import numpy as np
from common import Clock, options, train
from reber_strings import Strings

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks import reber

HIDDEN = 32


def main() -> None:
    args, clock = options(__doc__), Clock()
    rng = np.random.default_rng(0)
    steps = 40 if args.quick else 6000 if args.long else 1500
    data, new = Strings(rng, 2000 if args.quick else 20_000), Strings(rng, 500 if args.quick else 10_000)
    longest = max(data.longest, new.longest)
    print(
        f"embedded Reber strings, entropy {reber.EMBEDDED_BITS:g} bits; LSTM of {HIDDEN} units, {steps} batches of 64"
    )
    print("  end of a string     bits   legal samples   largest error of P(length)")
    ways = {
        "end symbol": {"length": "end"},
        "Bernoulli halt": {"length": "halt"},
        "P(τ) P(y|τ)": {"length": "count", "max_length": longest},
    }
    for name, options_ in ways.items():
        model = nn.SequenceModel(7, HIDDEN, cell="lstm", rng=np.random.default_rng(1), **options_)
        train(model.loss, model, data.batches(model, rng, 64), steps, rate=0.01)
        drawn = [reber.decode(y) for y in model.sample(len(new.strings), rng=rng, max_length=200, cut=True)]
        legal = np.mean([reber.is_embedded_reber(s) for s in drawn])
        lengths = np.bincount([len(s) for s in drawn], minlength=201)[:201] / len(drawn)
        error = np.abs(lengths - reber.length_pmf(200)).max()
        print(f"  {name:<16} {new.bits(model):7.3f}  {legal:13.2%}  {error:13.4f}")
    with ts.Tape() as tape:
        plain = nn.SequenceModel(7, HIDDEN, rng=np.random.default_rng(1))
        plain.loss(reber.encode("BTXS")[:, None])
    viz.draw(tape, args.output / "fig_10_08.svg")
    print(f"{args.output / 'fig_10_08.svg'} ({clock})")


if __name__ == "__main__":
    main()
