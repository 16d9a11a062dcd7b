"""``tinyseq train`` and ``tinyseq sample``: character models of a text."""

from __future__ import annotations

import sys
from enum import StrEnum
from math import log2
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tinyseq.cli.console import INTERRUPTED, check_output, files, friendly, say, shown
from tinyseq.cli.training import Keeper, Run, begun, resumed
from tinyseq.errors import FileError
from tinyseq.train import Diverged, bits_per_token, fit, load, sample_text
from tinyseq.train.checkpoints import checkpoint_file
from tinyseq.train.interrupts import Interrupts
from tinyseq.train.progress import bits_text


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
        Path | None,
        typer.Argument(
            help="A UTF-8 text file; without one, Python's own language reference, or the text of --resume."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the model (default: tinyseq-model, or that of --resume)."),
    ] = None,
    model: Annotated[ModelName | None, typer.Option(help=f"The cell (default: {Run.model}).")] = None,
    hidden: Annotated[int | None, typer.Option(help=f"Hidden units (default: {Run.hidden}).", min=1)] = None,
    window: Annotated[
        int | None, typer.Option(help=f"Steps the gradient runs back (default: {Run.window}).", min=1)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help=f"Places of the text read side by side (default: {Run.batch}).", min=1)
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps, one window each; with --resume so many more.", min=1)] = (
        2000
    ),
    optimiser: Annotated[
        OptimiserName | None, typer.Option(help=f"The rule for the weights (default: {Run.optimiser}).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate (default: 0.5 for sgd, 0.002 for rmsprop, 0.003 for adam).")
    ] = None,
    clip: Annotated[float | None, typer.Option(help=f"Largest norm of the gradient (default: {Run.clip:g}).")] = None,
    held_out: Annotated[
        float | None, typer.Option(help=f"Part of the text, at its end, to measure on (default: {Run.held_out}).")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the training in this model folder, where it stopped, with its text and options."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help=f"Seed of the first weights (default: {Run.seed}).", min=0)] = None,
) -> None:
    """Train a character model on a text and save it, at the end and on the way.

    Ctrl-C stops early and saves what was learned; what is killed has lost seconds. --resume goes on where a training
    stopped: 1000 steps and then 1000 more are 2000.
    """
    place = out or resume or Path("tinyseq-model")
    check_output(place, folder=checkpoint_file(place) != place)
    given: dict[str, Any] = {"model": model, "hidden": hidden, "window": window, "batch": batch, "optimiser": optimiser}
    given |= {"rate": rate, "clip": clip, "held_out": held_out, "seed": seed}
    run = resumed(resume, text, given) if resume else begun(text, given)
    say(
        f"{run.corpus.name}: {len(run.corpus.train):,} characters to train on, {len(run.corpus.held_out):,} held out, "
        f"{len(run.corpus.vocabulary)} different"
    )
    if run.note:
        say(run.note)
    keeper = Keeper(run, place, steps)
    _train(run, keeper, steps)


def _train(run: Run, keeper: Keeper, steps: int) -> None:
    """Train, save first, measure then, and save the measure."""
    try:
        history = fit(run.net, run.windows, run.rule, steps, clip=run.clip, after_step=keeper)
    except Diverged:
        files([(keeper.save(), f"the last good weights: tinyseq sample {keeper.out}")])
        raise
    with Interrupts() as ctrl_c:
        file = keeper.save()
    if history.interrupted:
        say(f"stopped early after {len(history.bits)} of {steps} steps")
    try:
        if ctrl_c.wanted:
            raise KeyboardInterrupt
        bits = bits_per_token(run.net, run.corpus.held_out, run.corpus.train)
    except KeyboardInterrupt:
        files([(file, f"the model, not measured: tinyseq sample {keeper.out}")])
        raise typer.Exit(INTERRUPTED) from None
    say(f"held out: {bits_text(bits)} bits per character after {run.done:,} steps")
    V = len(run.corpus.vocabulary)
    if bits > log2(V):
        say(f"that is worse than guessing ({log2(V):.3f}): train for more steps, or with a smaller --rate")
    keeper.save(held_out_bits=bits)
    files([(file, f"the model: tinyseq sample {keeper.out}")])


@friendly
def sample(
    folder: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` or `tinyseq demo` wrote.")],
    length: Annotated[int, typer.Option(help="Characters to draw.", min=0)] = 400,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more cautious, above 1 wilder; 0 always takes the likeliest.")
    ] = 0.8,
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
