"""A sweep: how many units tell the speakers of vowels apart, over seeds, in processes, with intervals."""

from __future__ import annotations

from functools import partial

import numpy as np
from common import options

import tinyseq as ts
from tinyseq import data, nn, train


def cell(epochs: int, *, hidden: int, seed: int) -> dict[str, float]:
    """One cell of the grid: train, measure on what is held out."""
    rng = np.random.default_rng(seed)
    learned, test = data.vowels()
    layers = nn.recurrent("gru", 12, hidden, bidirectional=True, dropout=0.2, standardise=True, rng=rng)
    layers.layers[0].fit(learned)
    model = nn.ManyToOne(layers, 9, rng=rng)
    train.fit(model, learned, "adamw", epochs=epochs, rate=5e-3, schedule="cosine", rng=rng, progress=False)
    return model.evaluate(test)


def main() -> None:
    asked = options(__doc__)
    grid = {"hidden": [4, 8] if asked.quick else [4, 8, 16, 32]}
    run = partial(cell, 1 if asked.quick else 20)
    made = ts.sweep(run, grid, 2 if asked.quick else 5, results=asked.output / "vowels.jsonl")
    for hidden, (mean, low, high) in made.interval("accuracy", "hidden").items():
        print(f"{hidden:>3} units: {mean:.1%} of the utterances, {low:.1%} to {high:.1%}")
    made.plot(asked.output / "vowels.svg", "accuracy", "hidden")
    print("written:", *sorted(asked.output.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
