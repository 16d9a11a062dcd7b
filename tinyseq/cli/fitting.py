"""``tinyseq train`` for sequences and trees: read, split, build, train, measure beside a baseline, keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import typer

from tinyseq import data
from tinyseq.cli.console import INTERRUPTED, files, say
from tinyseq.cli.reading import REAL, read
from tinyseq.cli.real_data import PUBLISHED, baseline, real_parts
from tinyseq.data.metrics import majority, told
from tinyseq.train import Diverged, Ranks, fit, model_for
from tinyseq.train.run_folder import CURVES, METRICS, reopened

DEFAULTS: dict[str, Any] = {
    "model": "gru", "hidden": 32, "layers": 1, "bidirectional": False, "dropout": 0.0, "layer_norm": False,
    "batch": 16, "optimiser": "adamw", "rate": 5e-3, "schedule": "cosine", "clip": 1.0,
    "weight_decay": 0.0, "accumulate": 1, "held_out": 0.2, "seed": 0,
}  # fmt: skip
FOR: dict[str, dict[str, Any]] = {
    "vowels": {"hidden": 48, "bidirectional": True, "dropout": 0.3, "epochs": 60, "layers": 1},
    "sunspots": {"hidden": 12, "epochs": 150, "batch": 32, "window": 18, "model": "gru", "weight_decay": 0.02},
    "co2": {"hidden": 16, "epochs": 60, "batch": 32, "window": 24, "model": "gru"},
}
EPOCHS, LEAST = 30, 400  # epochs where nobody says how long, and steps of few data
VALIDATED = 0.15  # of the part to train on, to choose the weights by


def train_data(task: str, path: Path, out: Path, given: dict[str, Any], resume: Path | None, ranks: Ranks) -> None:
    """The whole job; ``given`` are the options that hold, without those that nobody gave."""
    options = {**DEFAULTS, **FOR.get(task, {}), **given}
    if "steps" in given and "epochs" not in given:
        options.pop("epochs", None)
    rng = np.random.default_rng(options["seed"])
    trained, held = real_parts(task, options) if task in REAL else _parts(task, path, options, rng)
    say(f"to train on  {trained!r}")
    say(f"held out     {held!r}")
    if trained.about.get("read") == "csv":
        _columns(trained)
    by = "order" if trained.name in REAL else None
    part, chosen = _validated(trained, by, rng)
    model = model_for(part, options["model"], options["hidden"], rng=rng, **_of_the_model(options))
    if "windows" in getattr(trained, "about", {}):
        options |= {"window": trained.about["windows"]["length"], "horizon": trained.about["windows"]["horizon"]}
    config = {"task": task, "path": str(path.absolute()) if task not in REAL else task, **options}
    about = {"config": config, "data": facts(trained)}
    steps = {name: options[name] for name in ("steps", "epochs") if options.get(name)}
    steps = steps or {"steps": max(LEAST, EPOCHS * -(-len(part) // options["batch"]))}
    before = 0 if resume is None else int(reopened(resume).info["fit"]["step"])
    try:
        history = fit(
            model, part, options["optimiser"], rate=options["rate"], batch=options["batch"], clip=options["clip"],
            schedule=options["schedule"], weight_decay=options["weight_decay"], accumulate=options["accumulate"],
            validation=chosen, patience=options.get("patience"), keep=None if chosen is None else "best",
            run=out, resume=resume or False,
            rng=np.random.default_rng([options["seed"], 1]), about=about, ranks=ranks, **steps,
        )  # fmt: skip
    except Diverged:
        files([(out, f"the last good weights: tinyseq info {out}")])
        raise
    if history.interrupted:
        say(f"stopped after {history.step} steps; tinyseq train --resume {out} goes on")
        raise typer.Exit(INTERRUPTED)
    if not ranks.first:
        return
    if history.step == before:
        say(f"nothing was left to do: {history.step} steps are done; --steps or --epochs say how long in all")
    if history.best:
        say(
            f"best of {len(history.validation)} validations, after {history.best['step']} steps: {_short(history.best)}"
        )
    report(task, model, trained, held, options)
    files([
        (out, f"the run: tinyseq evaluate {out}, tinyseq predict {out} FILE, tinyseq info {out}"),
        (out / METRICS, "loss of each step"), (out / CURVES, "the same as a picture"),
    ])  # fmt: skip


def _columns(trained: Any) -> None:
    """Which columns of a table are read, and which are not."""
    say(f"reads        {', '.join(trained.features)}, to say {trained.about['target']}")
    if trained.about["left_out"]:
        say(f"leaves out   {', '.join(trained.about['left_out'])}, which hold no numbers or were not asked for")


def _parts(task: str, path: Path, options: dict[str, Any], rng: Any) -> tuple[Any, Any]:
    return read(task, path, options).split(options["held_out"], rng=rng)


def _validated(trained: Any, by: str | None, rng: Any) -> tuple[Any, Any]:
    """(what is learned, what chooses the weights); None for the second where there is too little."""
    if len(trained) < 12:
        return trained, None
    return trained.split(VALIDATED, rng=rng, **({"by": by} if by else {}))


def _of_the_model(options: dict[str, Any]) -> dict[str, Any]:
    names = ("layers", "bidirectional", "dropout", "layer_norm", "label_smoothing", "embedding")
    return {name: options[name] for name in names if options.get(name) is not None}


def facts(found: Any) -> dict[str, Any]:
    """What a saved model knows of its data."""
    return {
        "name": found.name,
        "kind": "trees" if isinstance(found, data.Trees) else "sequences",
        "features": list(getattr(found, "features", ())),
        "classes": list(found.classes),
        "vocabulary": list(found.vocabulary),
        "about": found.about,
        "digest": found.digest,
    }


def report(task: str, model: Any, trained: Any, held: Any, options: dict[str, Any]) -> None:
    """Held-out metrics beside what knows nothing, and what others published."""
    metrics = model.evaluate(held)
    say(f"held out: {told(metrics)}")
    if task in REAL:
        for line in baseline(task, model, trained, held, options):
            say(line)
        if task in PUBLISHED:
            say(f"published: {PUBLISHED[task]}")
    elif held.classified:
        say(f"always the most frequent class: accuracy {majority(held.targets(), trained.targets()):.1%}")
    else:
        y, mean = held.targets(), trained.targets().mean(axis=0)
        say(f"always the mean: rmse {float(np.sqrt(np.mean((y - mean) ** 2))):.4g}")


def _short(row: dict[str, Any]) -> str:
    kept = ("loss", "accuracy", "rmse")
    return told({name: value for name, value in row.items() if name in kept})
