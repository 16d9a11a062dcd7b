"""``tinyseq train``: a text, a table, sequences or trees, guessed by what it is given."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import typer

from tinyseq.cli.config import check_choice, keys_of, read_config, save_config
from tinyseq.cli.console import INTERRUPTED, check_output, files, say
from tinyseq.cli.fitting import train_data
from tinyseq.cli.reading import TASKS, WORDS, check_task, guess
from tinyseq.cli.train_options import (
    Accumulate,
    Batch,
    Bidirectional,
    Binary,
    Clip,
    Config,
    DataFile,
    Dropout,
    Embedding,
    Epochs,
    Features,
    Group,
    HeldOut,
    Hidden,
    Horizon,
    Labels,
    LabelSmoothing,
    LayerNorm,
    Layers,
    Least,
    Missing,
    Model,
    ModelName,
    Mpi,
    Optimiser,
    OptimiserName,
    Out,
    Patience,
    Rate,
    Resume,
    SaveOptions,
    Schedule,
    Seed,
    Sort,
    Steps,
    Target,
    Task,
    Time,
    WeightDecay,
    Window,
)
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
from tinyseq.train.settings import OVER_ALL

OF_TEXTS = ("model", "hidden", "layers", "dropout", "window", "batch", "optimiser", "rate", "schedule", "clip",
            "weight_decay", "accumulate", "held_out", "seed", "steps")  # fmt: skip


def train(
    data: DataFile = None,
    out: Out = None,
    resume: Resume = None,
    config: Config = None,
    save_options: SaveOptions = None,
    task: Task = None,
    target: Target = None,
    features: Features = None,
    group: Group = None,
    time: Time = None,
    sort: Sort = None,
    missing: Missing = None,
    horizon: Horizon = None,
    labels: Labels = None,
    binary: Binary = None,
    least: Least = None,
    held_out: HeldOut = None,
    model: Model = None,
    hidden: Hidden = None,
    layers: Layers = None,
    bidirectional: Bidirectional = None,
    dropout: Dropout = None,
    layer_norm: LayerNorm = None,
    embedding: Embedding = None,
    window: Window = None,
    batch: Batch = None,
    steps: Steps = None,
    epochs: Epochs = None,
    optimiser: Optimiser = None,
    rate: Rate = None,
    schedule: Schedule = None,
    clip: Clip = None,
    weight_decay: WeightDecay = None,
    accumulate: Accumulate = None,
    label_smoothing: LabelSmoothing = None,
    patience: Patience = None,
    seed: Seed = None,
    mpi: Mpi = None,
) -> None:
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
            if name not in may and saved.get(name) != value:
                option, before = name.replace("_", "-"), saved.get(name)
                told = f"without --{option}" if before is None else f"with --{option} {before}, not {value}"
                raise TinyseqError(f"{resume} was trained {told}; leave it out")
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
    before = run.state.get("planned")
    if resume and run.schedule in OVER_ALL and before not in (None, run.planned):
        say(f"the {run.schedule} schedule goes over {run.planned:,} steps from now on, not {before:,}")
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
            rng=np.random.default_rng([run.seed, 1]),
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
