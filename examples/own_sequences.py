"""Labelled sequences of unequal lengths: who of nine speakers says a vowel (Kudo, Toyama and Shimbo 1999)."""

from __future__ import annotations

import numpy as np
from common import options

from tinyseq import data, nn, train


def main() -> None:
    asked = options(__doc__)
    rng = np.random.default_rng(0)

    learned, test = data.vowels()  # or data.Sequences.of([array (length, F), …], [class, …])
    layers = nn.recurrent("gru", 12, 48, bidirectional=True, dropout=0.3, standardise=True, rng=rng)
    layers.layers[0].fit(learned)
    model = nn.ManyToOne(layers, 9, rng=rng)
    train.fit(
        model, learned, "adamw", epochs=3 if asked.quick else 30, rate=5e-3, schedule="cosine", validation=0.15,
        rng=rng, run=asked.output,
    )  # fmt: skip
    found = model.evaluate(test)
    print(f"held out: accuracy {found['accuracy']:.1%}, f1 {found['f1']:.3f}; published 94.1% to 96.2%")
    print(model.summary(learned.x[:1]).splitlines()[-1])
    print("written:", *sorted(asked.output.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
