"""How a character model starts: `python -m tests.benchmarks.text_starts [STEPS]` prints bits on the held-out end.

A token is read as one column of U. Cells of one hidden size, windows, Adam and clipping are the same throughout:

    columns 1/√H   the start of a cell, U(−1/√H, 1/√H), beside PyTorch's cells over one-hot rows, which start so too
    columns 1      ``nn.initialisation.token_columns``, beside PyTorch's cells over an embedding of 64 features, N(0, 1)

The texts are the language reference that tinyseq carries and the sources of Python's asyncio.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import nn, train
from tinyseq.nn.initialisation import token_columns
from tinyseq.tasks import Corpus, Windows, embedded_text

HIDDEN, WINDOW, BATCH, RATE, CLIP = 128, 25, 32, 3e-3, 1.0
OURS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def texts() -> dict[str, str]:
    sources = sorted(Path(str(asyncio.__file__)).parent.glob("*.py"))
    return {"reference": embedded_text(), "asyncio": "".join(path.read_text("utf-8") for path in sources)}


def ours(corpus: Corpus, kind: str, columns: bool, steps: int) -> float:
    V, rng = len(corpus.vocabulary), np.random.default_rng(0)
    model = OURS[kind](V, HIDDEN, V, rng=rng)
    if columns:
        token_columns(model, rng=rng)
    train.fit(model, corpus, "adam", steps, rate=RATE, window=WINDOW, batch=BATCH, clip=CLIP, progress=False,
              validate_every=steps)  # fmt: skip
    return train.bits_per_token(model, corpus.held_out, corpus.train)


def torchs(corpus: Corpus, kind: str, embedded: int, steps: int) -> float:
    import torch

    torch.manual_seed(0)
    V = len(corpus.vocabulary)
    read: Any = torch.nn.Embedding(V, embedded) if embedded else lambda x: torch.nn.functional.one_hot(x, V).float()
    cell = getattr(torch.nn, kind.upper())(embedded or V, HIDDEN)
    output = torch.nn.Linear(HIDDEN, V)
    parameters = [*(read.parameters() if embedded else ()), *cell.parameters(), *output.parameters()]
    rule, windows, state = torch.optim.Adam(parameters, RATE), Windows(corpus.train, WINDOW, BATCH), None
    for k in range(steps):
        x, y, fresh = windows[k]
        h, state = cell(read(torch.tensor(x)), None if fresh else state)
        loss = torch.nn.functional.cross_entropy(output(h).reshape(-1, V), torch.tensor(y).reshape(-1))
        rule.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        rule.step()
        state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
    with torch.no_grad():
        tokens = torch.tensor(np.concatenate([corpus.train[-1:], corpus.held_out]))
        h, _ = cell(read(tokens[:-1, None]))
        return float(torch.nn.functional.cross_entropy(output(h[:, 0]), tokens[1:])) / float(np.log(2))


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    for name, text in texts().items():
        corpus = Corpus.of(text, name, 0.1)
        for kind in OURS:
            found = {
                "columns 1/√H": ours(corpus, kind, False, steps), "torch, one-hot": torchs(corpus, kind, 0, steps),
                "columns 1": ours(corpus, kind, True, steps), "torch, embedding": torchs(corpus, kind, 64, steps),
            }  # fmt: skip
            told = ", ".join(f"{what} {bits:.3f}" for what, bits in found.items())
            print(f"{name}, {kind}, {steps} steps: {told}", flush=True)


if __name__ == "__main__":
    main()
