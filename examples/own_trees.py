"""A treebank of one's own: sentiment at every node of a tree, learned by a binary Tree-LSTM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import options

from tinyseq import data, train

TREEBANK = ""  # a file or folder of yours with trees in brackets; without one some are made here
WORDS = {"good": 3, "fine": 3, "bad": 1, "dull": 1, "film": 2, "the": 2, "plot": 2, "not": 2}


def phrase(rng: np.random.Generator, n: int) -> tuple[str, int]:
    """A tree in brackets and its sentiment: "not" before a phrase turns it round, else the parts add up."""
    if n == 1:
        word = str(rng.choice(list(WORDS)))
        return f"({WORDS[word]} {word})", WORDS[word]
    k = int(rng.integers(1, n))
    (left, a), (right, b) = phrase(rng, k), phrase(rng, n - k)
    mood = 4 - b if left == "(2 not)" else min(max(a + b - 2, 0), 4)
    return f"({mood} {left} {right})", mood


def main() -> None:
    asked = options(__doc__)
    rng = np.random.default_rng(0)
    path = Path(TREEBANK or asked.output / "trees.txt")
    if not TREEBANK:
        path.write_text("\n".join(phrase(rng, int(rng.integers(1, 8)))[0] for _ in range(60 if asked.quick else 300)))

    trees = data.treebank(path, labels="every", binary="right")
    rest, test = trees.split(0.2, rng=rng)
    learned, chosen = rest.split(0.15, rng=rng)
    model = train.model_for(learned, "lstm", 24, rng=rng)
    train.fit(
        model, learned, "adamw", epochs=3 if asked.quick else 20, rate=0.02, validation=chosen, keep="best", rng=rng
    )
    found = model.evaluate(test)
    print(trees)
    print(f"held out: {found['accuracy']:.1%} of the nodes, {found['root_accuracy']:.1%} of the roots right")
    print("written:", *sorted(asked.output.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
