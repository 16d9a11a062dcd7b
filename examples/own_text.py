"""A text of one's own: a character model trained, validated, kept in a folder, and left to write."""

from __future__ import annotations

import numpy as np
from common import options

import tinyseq as ts
from tinyseq import data, nn, train

TEXT = ""  # a UTF-8 text of yours; Python's language reference without one


def main() -> None:
    asked = options(__doc__)

    steps = 20 if asked.quick else 3000 if asked.long else 600
    text = data.read_text(TEXT) if TEXT else ts.tasks.embedded_text()
    corpus = data.Corpus.of(text[: 20_000 if asked.quick else None], TEXT or "the language reference")
    V, rng = len(corpus.vocabulary), np.random.default_rng(0)
    cells = [nn.LSTMCell(V, 64, rng=rng), nn.GRUCell(64, 64, rng=rng)]
    nn.initialisation.token_columns(cells[0], rng=rng)  # it reads characters: half a bit better after 600 steps
    model = nn.CellNet(nn.StackedCells(cells), V, rng=rng, dropout=0.1)
    history = train.fit(
        model, corpus, "adamw", steps, window=32, schedule="one-cycle", clip=1.0, run=asked.output, resume=True,
        validate_every=max(steps // 5, 1), vocabulary=corpus.vocabulary,
    )  # fmt: skip
    print(f"{history.step} steps, held out {model.evaluate(corpus)['bits']:.3f} bits per character")
    prompt = "\n" if "\n" in corpus.vocabulary.symbols else corpus.vocabulary.symbols[0]
    print(train.sample_text(model, corpus.vocabulary, 200, rng=rng, temperature=0.7, prompt=prompt))
    print("written:", *sorted(asked.output.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
