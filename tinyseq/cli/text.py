"""``tinyseq train`` and ``tinyseq sample``: character models of a text."""

from __future__ import annotations

import sys
from enum import StrEnum
from math import log2
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tinyseq import nn
from tinyseq.cli.console import files, friendly, say, shown
from tinyseq.errors import FileError, TinyseqError
from tinyseq.tasks import EMBEDDED, Corpus, Windows, embedded_text, read_text
from tinyseq.train import OPTIMISERS, Checkpoint, Diverged, bits_per_token, fit, load, sample_text, save
from tinyseq.train.checkpoints import writable_folder
from tinyseq.train.progress import bits_text

MODELS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
RATES = {"sgd": 0.5, "rmsprop": 2e-3, "adam": 3e-3}


class ModelName(StrEnum):
    """The cells that ``train`` can build."""

    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"


class OptimiserName(StrEnum):
    """The optimisers, as in ``tinyseq.train.OPTIMISERS``."""

    sgd = "sgd"
    rmsprop = "rmsprop"
    adam = "adam"


@friendly
def train(
    text: Annotated[
        Path | None, typer.Argument(help="A UTF-8 text file; without one, Python's own language reference.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")] = Path("tinyseq-model"),
    model: Annotated[ModelName, typer.Option(help="The cell.")] = ModelName.rnn,
    hidden: Annotated[int, typer.Option(help="Hidden units.", min=1)] = 128,
    window: Annotated[int, typer.Option(help="Steps the gradient runs back.", min=1)] = 25,
    batch: Annotated[int, typer.Option(help="Places of the text read side by side.", min=1)] = 32,
    steps: Annotated[int, typer.Option(help="Training steps, one window each.", min=1)] = 2000,
    optimiser: Annotated[OptimiserName, typer.Option(help="The rule for the weights.")] = OptimiserName.adam,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate (default: 0.5 for sgd, 0.002 for rmsprop, 0.003 for adam).")
    ] = None,
    clip: Annotated[float, typer.Option(help="Largest norm of the gradient.")] = 1.0,
    held_out: Annotated[float, typer.Option(help="Part of the text, at its end, to measure on.")] = 0.1,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from this model folder; its cell, size and optimiser state are kept.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights.", min=0)] = 0,
) -> None:
    """Train a character model on a text and save it. Ctrl-C stops early and saves what was learned."""
    writable_folder(out)
    before = _resumed(resume) if resume else None
    corpus = Corpus.of(
        read_text(text) if text else embedded_text(),
        str(text) if text else EMBEDDED,
        held_out,
        before.vocabulary if before else None,
    )
    windows = Windows(corpus.train, window, batch)
    V = len(corpus.vocabulary)
    net = before.model if before else MODELS[model](V, hidden, V, rng=np.random.default_rng(seed))
    rule = OPTIMISERS[optimiser](net.parameters(), RATES[optimiser] if rate is None else rate)
    if before and before.optimiser_state:
        if before.info.get("optimiser") != optimiser:
            raise TinyseqError(
                f"{resume} was trained with {before.info.get('optimiser')}, not {optimiser}; "
                f"write --optimiser {before.info.get('optimiser')}"
            )
        rule.load_state_dict(before.optimiser_state)
    say(
        f"{corpus.name}: {len(corpus.train):,} characters to train on, {len(corpus.held_out):,} held out, {V} different"
    )
    try:
        history = fit(net, windows, rule, steps, clip=clip)
    except Diverged as stopped:
        done = stopped.step - 1 + (before.info.get("steps", 0) if before else 0)
        info = {"text": corpus.name, "seed": seed, "steps": done, "optimiser": str(optimiser)}
        files([(save(out, net, corpus.vocabulary, rule, info), f"the last good weights: tinyseq sample {out}")])
        raise
    bits = bits_per_token(net, corpus.held_out, corpus.train)
    done = len(history.bits) + (before.info.get("steps", 0) if before else 0)
    if history.interrupted:
        say(f"stopped early after {len(history.bits)} of {steps} steps")
    say(f"held out: {bits_text(bits)} bits per character after {done:,} steps")
    if bits > log2(V):
        say(f"that is worse than guessing ({log2(V):.3f}): train for more steps, or with a smaller --rate")
    info = {"text": corpus.name, "seed": seed, "steps": done, "optimiser": str(optimiser), "held_out_bits": bits}
    files([(save(out, net, corpus.vocabulary, rule, info), f"the model: tinyseq sample {out}")])


def _resumed(folder: Path) -> Checkpoint:
    found = load(folder)
    if found.vocabulary is None:
        raise FileError(f"{folder} holds no vocabulary, so it is not a character model that could go on")
    return found


@friendly
def sample(
    folder: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` or `tinyseq demo` wrote.")],
    length: Annotated[int, typer.Option(help="Characters to draw.", min=0)] = 400,
    temperature: Annotated[float, typer.Option(help="Below 1 bolder, above 1 wilder, 0 the likeliest.")] = 0.8,
    prompt: Annotated[str | None, typer.Option(help="Text to go on from (default: a new line).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
) -> None:
    """Let a saved model write."""
    found = load(folder)
    if found.vocabulary is None:
        raise FileError(f"{folder} holds no vocabulary, so it is not a character model")
    symbols = found.vocabulary.symbols
    start = prompt if prompt is not None else ("\n" if "\n" in symbols else symbols[0])
    drawn = sample_text(
        found.model, found.vocabulary, length, rng=np.random.default_rng(seed), temperature=temperature, prompt=start
    )
    written = (prompt or "") + drawn
    say(shown(written) if sys.stdout.isatty() else written)
