"""``tinyseq train``: a text, a table, sequences or trees, guessed by what it is given."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from math import log2
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyseq.cli.config import check_choice, keys_of, read_config, save_config
from tinyseq.cli.console import INTERRUPTED, check_output, files, say
from tinyseq.cli.fitting import train_data
from tinyseq.cli.reading import TASKS, WORDS, check_task, guess
from tinyseq.cli.training import PARTS, STEPS, Run, begun, resumed
from tinyseq.errors import TinyseqError
from tinyseq.train import Diverged, Ranks, bits_per_token, fit
from tinyseq.train.checkpoints import checkpoint_file
from tinyseq.train.interrupts import Interrupts
from tinyseq.train.progress import bits_text
from tinyseq.train.ranks import ALONE
from tinyseq.train.ranks import mpi as mpi_ranks
from tinyseq.train.run_folder import RunFolder, last_good
from tinyseq.train.schedules import NAMES, named


class ModelName(StrEnum):
    """The cells that ``train`` can build."""

    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"
    leaky = "leaky"
    deep = "deep"


class OptimiserName(StrEnum):
    """The optimisers, as in ``tinyseq.train.OPTIMISERS``."""

    sgd = "sgd"
    rmsprop = "rmsprop"
    adam = "adam"
    adamw = "adamw"


OF_TEXTS = ("model", "hidden", "layers", "dropout", "window", "batch", "optimiser", "rate", "schedule", "clip",
            "weight_decay", "accumulate", "held_out", "seed", "steps")  # fmt: skip
DATA, NET, RULE = "Data", "Net", "Training"


def train(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A text, a CSV or JSON-lines file, trees in brackets, CoNLL-U, a folder of texts by class; or vowels, "
            "sunspots, co2. Without one Python's own language reference, or the data of --resume."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the run (default: tinyseq-model, or that of --resume)."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the training in this folder, where it stopped, with its data and options."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of options; those given here go before it.")] = None,
    save_options: Annotated[
        Path | None, typer.Option("--save-config", help="Write the options that hold as TOML.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help=f"What the data are, where the guess is wrong: {', '.join(TASKS)}.",
                                 rich_help_panel=DATA)] = None,
    target: Annotated[
        str | None, typer.Option(help="Column or key to predict (default: the last column; y).", rich_help_panel=DATA)
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option(help="A column to read; give it once for each (default: all of numbers).",
                                       rich_help_panel=DATA)] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose equal cells make a sequence.", rich_help_panel=DATA)] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of times, which rise in a sequence.", rich_help_panel=DATA)] = None,
    sort: Annotated[
        bool | None, typer.Option("--sort/--no-sort", help="Sort rows by --time.", rich_help_panel=DATA)] = None,
    missing: Annotated[
        str | None, typer.Option(help="Empty cells: error, hold (the state), mask (0 and a feature that says so).",
                                 rich_help_panel=DATA)] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Steps ahead that a series is predicted (default: 1).", min=0,
                                 rich_help_panel=DATA)] = None,
    labels: Annotated[
        str | None, typer.Option(help="Trees: learn every node's label, or the root's.", rich_help_panel=DATA)] = None,
    binary: Annotated[
        str | None, typer.Option(help="Trees: make wide nodes binary to the right or left.", rich_help_panel=DATA)
    ] = None,
    least: Annotated[
        int | None, typer.Option(help="Words seen less often are unknown.", min=1, rich_help_panel=DATA)] = None,
    held_out: Annotated[
        float | None, typer.Option(help=f"Part to measure on (default: {Run.held_out} of a text, its end; 0.2).",
                                   rich_help_panel=DATA)] = None,
    model: Annotated[
        ModelName | None, typer.Option(help=f"The cell (default: {Run.model} for texts, gru).", rich_help_panel=NET)
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(help=f"Hidden units (default: {Run.hidden} for texts, 32).", min=1,
                                 rich_help_panel=NET)] = None,
    layers: Annotated[int | None, typer.Option(help="Layers (default: 1).", min=1, rich_help_panel=NET)] = None,
    bidirectional: Annotated[
        bool | None, typer.Option("--bidirectional/--no-bidirectional", help="Read sequences both ways.",
                                  rich_help_panel=NET)] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Rate of units dropped, the same at every step.", rich_help_panel=NET)] = None,
    layer_norm: Annotated[
        bool | None, typer.Option("--layer-norm/--no-layer-norm", help="Normalise what a layer gives.",
                                  rich_help_panel=NET)] = None,
    embedding: Annotated[int | None, typer.Option(help="Features of a word.", min=1, rich_help_panel=NET)] = None,
    window: Annotated[
        int | None, typer.Option(help=f"Steps the gradient runs back in a text (default: {Run.window}); steps of a "
                                 "series that are read.", min=1, rich_help_panel=RULE)] = None,
    batch: Annotated[
        int | None, typer.Option(help=f"Sequences side by side (default: {Run.batch} of a text, 16).", min=1,
                                 rich_help_panel=RULE)] = None,
    steps: Annotated[
        int | None, typer.Option(help=f"Training steps (default: {STEPS} for texts); with --resume so many more, "
                                 "without it as many as were planned.", min=1, rich_help_panel=RULE)] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Readings of the data (default: 30, of few more).", rich_help_panel=RULE)
    ] = None,
    optimiser: Annotated[
        OptimiserName | None, typer.Option(help=f"The rule (default: {Run.optimiser} for texts, adamw).",
                                           rich_help_panel=RULE)] = None,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate (default: 0.5 for sgd, 0.002 for rmsprop, 0.003 for adam).",
                                   rich_help_panel=RULE)] = None,
    schedule: Annotated[
        str | None, typer.Option(help=f"Of the rate: {', '.join(NAMES)}.", rich_help_panel=RULE)] = None,
    clip: Annotated[
        float | None, typer.Option(help=f"Largest norm of the gradient (default: {Run.clip:g}).",
                                   rich_help_panel=RULE)] = None,
    weight_decay: Annotated[float | None, typer.Option(help="λ of w ← (1 − ελ) w.", rich_help_panel=RULE)] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches that make a step.", min=1, rich_help_panel=RULE)] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Smooth the classes.", rich_help_panel=RULE)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many validations without a better one.", min=1,
                                 rich_help_panel=RULE)] = None,
    seed: Annotated[
        int | None, typer.Option(help=f"Seed of weights, order, dropout (default: {Run.seed}).", min=0,
                                 rich_help_panel=RULE)] = None,
    mpi: Annotated[
        bool | None, typer.Option("--mpi/--no-mpi", help="Under mpiexec -n N: N processes share every batch.",
                                  rich_help_panel=RULE)] = None,
) -> None:  # fmt: skip
    """Train a model on data of yours, measure it on a part held out, and save it, at the end and on the way.

    What the data are is guessed and said. Ctrl-C stops early and saves what was learned; what is killed has lost
    seconds: --resume goes on where it stopped, to the same weights, bit for bit.

    Examples:

    tinyseq train book.txt --model lstm --layers 2 --dropout 0.2

    tinyseq train weather.csv --target rain --group station --time day --missing hold

    tinyseq train vowels · tinyseq train sunspots · tinyseq train --resume tinyseq-model

    mpiexec -n 4 tinyseq train book.txt --batch 128 --mpi
    """
    given = {name: value for name, value in locals().items() if name in KEYS and value not in (None, [])}
    given = {name: str(value) if isinstance(value, (Path, StrEnum)) else value for name, value in given.items()}
    if config is not None:
        given = {**read_config(config, KEYS), **given}
    ranks = mpi_ranks() if given.pop("mpi", False) else ALONE
    if not ranks.first:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - rank 0 speaks for all
    try:
        start(given, resume, save_options, ranks)
    except TinyseqError as error:
        ranks.abort(error)


NO_KEYS = ("resume", "config", "save_options")  # what is to be done with a file of options, not what it says
KEYS = keys_of(train, NO_KEYS)


def start(given: dict[str, Any], resume: Path | None, save_options: Path | None = None, ranks: Ranks = ALONE) -> None:
    """Train with the options given."""
    _choices(given)
    place = Path(given.get("out") or resume or "tinyseq-model")
    check_output(place, folder=checkpoint_file(place) != place)
    kind, path, told = _task(given, resume)
    if told:
        say(told)
    if save_options is not None and ranks.first:
        shared = {} if ranks is ALONE else {"mpi": True}
        holds = {**given, **shared, "task": kind, "out": str(place)}
        files([(save_config(save_options, holds), "the options that hold")])
    if kind == "text":
        _train_text(path, place, given, resume, ranks)
    else:
        _of_data(kind, path, place, given, resume, ranks)


def _choices(given: dict[str, Any]) -> None:
    choices: dict[str, Any] = {
        "model": list(ModelName), "optimiser": list(OptimiserName), "schedule": NAMES, "task": TASKS,
        "missing": ("error", "hold", "mask"), "labels": ("every", "root"), "binary": ("left", "right"),
    }  # fmt: skip
    for name, known in choices.items():
        check_choice(f"--{name}", given.get(name), [str(k) for k in known])


def _task(given: dict[str, Any], resume: Path | None) -> tuple[str, Path | None, str]:
    """(task, data, what was guessed)."""
    path = Path(given["data"]) if "data" in given else None
    saved = _saved_config(resume) if resume is not None else None
    if saved:
        task = given.get("task") or str(saved["task"])
        return task, path or Path(str(saved["path"])), ""
    if resume is not None or path is None:
        return given.get("task") or "text", path, ""
    if "task" in given:
        return given["task"], path, ""
    task, why = guess(path)
    if task == "text":
        return task, path, ""
    return task, path, f"{path} is taken for {task}, {WORDS[task]}, {why}; --task says otherwise"


def _saved_config(folder: Path) -> dict[str, Any] | None:
    """The options of a run of sequences or trees, None of a text's."""
    found = last_good(checkpoint_file(folder))
    return dict(found.info["config"]) if found is not None and "config" in found.info else None


def _of_data(
    task: str, path: Path | None, place: Path, given: dict[str, Any], resume: Path | None, ranks: Ranks
) -> None:
    if path is None:
        raise TinyseqError(f"--task {task} needs data: tinyseq train FILE --task {task}")
    options = {name: value for name, value in given.items() if name not in ("data", "out", "task")}
    check_task(task, options)
    _one_length(given)
    if resume is not None:
        saved = _saved_config(resume) or {}
        may = ("epochs", "steps", "patience")
        for name, value in options.items():
            if name not in may and saved.get(name) is not None and saved[name] != value:
                option = name.replace("_", "-")
                raise TinyseqError(f"{resume} was trained with --{option} {saved[name]}, not {value}; leave it out")
        lengths = ("steps", "epochs") if {"steps", "epochs"} & set(given) else ()  # said anew, in either
        options = {**{k: v for k, v in saved.items() if k not in ("task", "path", *lengths)}, **options}
    train_data(task, path, place, options, resume, ranks)


def _train_text(path: Path | None, place: Path, given: dict[str, Any], resume: Path | None, ranks: Ranks) -> None:
    """Train on a text, save first, measure then, and save the measure."""
    options = {name: given.get(name) for name in OF_TEXTS}
    wrong = sorted(set(given) - {*OF_TEXTS, "data", "out", "task", "epochs"})
    if wrong:
        raise TinyseqError(
            f"a text has no --{wrong[0].replace('_', '-')}: leave it out, or say what the data are, --task"
        )
    _one_length(given)
    steps = options.pop("steps")
    run = resumed(resume, path, options) if resume else begun(path, options)
    if steps is None and given.get("epochs") is not None:
        steps = max(1, round(given["epochs"] * run.windows.per_epoch / run.accumulate)) - (run.done if resume else 0)
    if steps is None:
        left = int(run.state.get("planned", 0)) - run.done  # of a training that was cut off
        steps = left if left > 0 else STEPS
    run.planned = run.done + steps
    say(
        f"{run.corpus.name}: {len(run.corpus.train):,} characters to train on, {len(run.corpus.held_out):,} held out, "
        f"{len(run.corpus.vocabulary)} different"
    )
    if run.note:
        say(run.note)
    folder = RunFolder(
        place, run.net, run.rule, vocabulary=run.corpus.vocabulary, about=run.info, every=max(steps // PARTS, 1)
    )
    if run.source is not None:
        folder.start = run.source, run.state
    _fit_text(run, folder, place, steps, ranks)


def _one_length(given: dict[str, Any]) -> None:
    if "steps" in given and "epochs" in given:
        raise TinyseqError("--steps and --epochs both say how long to train: give one of the two")
    if not 0 < given.get("epochs", 1) < float("inf"):
        raise TinyseqError(f"--epochs is a number above 0, got {given['epochs']:g}")


def _fit_text(run: Run, folder: RunFolder, place: Path, steps: int, ranks: Ranks) -> None:
    schedule = None if run.schedule == "constant" else named(run.schedule, run.rate, run.planned)
    try:
        history = fit(
            run.net, run.windows, run.rule, steps, clip=run.clip, schedule=schedule, accumulate=run.accumulate,
            validation=run.corpus, validate_every=max(run.planned // PARTS, 1), run=folder, ranks=ranks,
        )  # fmt: skip
    except Diverged:
        files([(folder.file, f"the last good weights: tinyseq sample {place}")])
        raise
    if not ranks.first:
        return
    with Interrupts() as ctrl_c:
        if history.interrupted:
            say(f"stopped early after {len(history.bits)} of {steps} steps; tinyseq train --resume {place} goes on")
    try:
        if ctrl_c.wanted:
            raise KeyboardInterrupt
        bits = bits_per_token(run.net, run.corpus.held_out, run.corpus.train)
    except KeyboardInterrupt:
        files([(folder.file, f"the model, not measured: tinyseq sample {place}")])
        raise typer.Exit(INTERRUPTED) from None
    say(f"held out: {bits_text(bits)} bits per character after {run.done:,} steps")
    V = len(run.corpus.vocabulary)
    if bits > log2(V):
        say(f"that is worse than guessing ({log2(V):.3f}): train for more steps, or with a smaller --rate")
    folder.note(held_out_bits=bits)
    files([(folder.file, f"the model: tinyseq sample {place}")])
