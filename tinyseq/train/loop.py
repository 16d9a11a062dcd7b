"""The training loop: any model with a loss, over a text, sequences or trees; validated, kept, gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.habits import advised
from tinyseq.nn.text_loss import bits_per_token, window_loss
from tinyseq.train.asked import (
    check_parameters,
    check_validated,
    every_asked,
    kept_asked,
    parts_asked,
    rule_asked,
    schedule_asked,
    steps_asked,
)
from tinyseq.train.feeds import feed
from tinyseq.train.history import History
from tinyseq.train.one_training import Training
from tinyseq.train.optimisers import Optimiser
from tinyseq.train.ranks import ALONE, Ranks
from tinyseq.train.run_folder import RunFolder
from tinyseq.train.schedules import cosine
from tinyseq.train.settings import settings_of
from tinyseq.train.training_step import Diverged, TrainingStep

__all__ = ["History", "bits_per_token", "cosine", "fit", "window_loss"]


@advised
def fit(
    model: Any,
    data: Any,
    optimiser: Optimiser | str = "adam",
    steps: int | None = None,
    *,
    epochs: float | None = None,
    rate: float | None = None,
    batch: int = 32,
    window: int = 50,
    schedule: Callable[[int], float] | str | None = None,
    clip: float | None = None,
    clip_element: float | None = None,
    weight_decay: float = 0.0,
    accumulate: int = 1,
    validation: Any = None,
    validate_every: int | None = None,
    monitor: str = "loss",
    patience: int | None = None,
    keep: str | None = None,
    callbacks: Sequence[Callable[[History], Any]] = (),
    after_step: Callable[[History], None] | None = None,
    rng: np.random.Generator | None = None,
    progress: bool = True,
    run: str | os.PathLike[str] | RunFolder | None = None,
    resume: bool | str | os.PathLike[str] = False,
    save_every: int | None = None,
    save_seconds: float = 10.0,
    vocabulary: Any = None,
    about: Any = None,
    ranks: Ranks = ALONE,
) -> History:
    """Train a model for so many ``steps`` or ``epochs``; returns what happened (``History``).

    data        ``ts.data.Sequences`` or ``Trees`` (readers of files give them), a pair (x, y) of arrays or lists, a
                text (``ts.data.Corpus``, read in windows of ``window`` steps), ``Windows`` of one, or any iterable of
                (x, y, fresh), a list again and again; in pairs (x, y) each starts anew
    optimiser   an optimiser, which keeps its place: called again with it over the same data the training goes on, so
                that 10 and then 10 steps more are 20. Or a name, "adam", "adamw", "sgd", "rmsprop", with ``rate``
    batch       sequences or trees in a batch; the mean loss for each step, node or sequence is what is learned
    schedule    the rate of each step from 0, or "constant", "cosine", "step", "one-cycle", "warm-up", "plateau"
    clip, clip_element   largest norm of the gradient, largest element
    weight_decay, accumulate   λ of w ← (1 − ελ) w; batches whose mean gradient makes a step
    validation  data like the first, or a part of them (0.1), held out; measured each epoch or ``validate_every`` steps
    monitor, patience, keep   what of the validation says which weights are best; validations without a better one after
                which it ends; which weights the model has in the end, "last" or "best" ("best" with a patience)
    callbacks   functions of the history, called after each step; True alone ends the training. ``after_step`` is one
    rng         for what is shuffled and dropped; seed 0 where there is none. The same seed gives the same weights
    run         a folder in which all of it is kept: with ``resume`` a training that was ended, killed or cut off goes
                on there to the same end, bit for bit; ``steps`` and ``epochs`` count from the beginning then.
                ``resume`` may be another folder, to go on from there
    save_every, save_seconds   how often it is kept
    ranks       processes that train it together, ``ts.train.mpi()`` under mpiexec: each reads its share of every batch,
                one Allreduce a step makes the gradient that of the whole, rank 0 writes

    Ctrl-C ends the training after the step that runs and keeps what was learned (``history.interrupted``). Raises
    Diverged, a GradientError, when the loss or the gradient is not finite, naming the node where that begins; the
    parameters are then the last good ones, those of the last step whose loss was finite.
    """
    seed = int(generator(rng).integers(1 << 31)) if rng is not None else 0
    asked: dict[str, Any] = {"clip": clip, "clip_element": clip_element, "accumulate": accumulate, "monitor": monitor}
    part, (data, validation) = validation, parts_asked(model, data, validation, batch, window, seed)
    rule = rule_asked(model, optimiser, rate, weight_decay)
    kept = kept_asked(keep, patience)
    if validation is None:
        check_validated(patience, keep, monitor, schedule)
    source = feed(model, data, batch, seed, ranks)
    check_parameters(model, rule)
    update = TrainingStep(source.loss, rule, clip=clip, clip_element=clip_element, accumulate=accumulate, ranks=ranks)
    per_epoch = -(-source.per_epoch // accumulate) if source.per_epoch else 0
    total = update.planned = steps_asked(steps, epochs, per_epoch)
    every = every_asked("validate_every", validate_every) or per_epoch or 100
    history = History(per_epoch=per_epoch, model=model, optimiser=rule)
    folder = run if isinstance(run, RunFolder) else None
    if run is not None and folder is None and ranks.first:
        folder = RunFolder(run, model, rule, vocabulary=vocabulary, about=about, every=save_every, seconds=save_seconds)  # type: ignore[arg-type]
    asked |= {"schedule": schedule, "validate_every": every if validation is not None else None}
    training = Training(
        model, source, rule, history, folder if ranks.first else None, total, seed, update,
        schedule_asked(schedule, rule, total, monitor), validation, every, monitor, patience,
        kept, [*callbacks, *([after_step] if after_step else [])], ranks,
        settings=settings_of(source, rule, asked, part if isinstance(part, float) else validation),
    )  # fmt: skip
    try:
        training.begin(run, resume)
        training.go(progress and ranks.first)
    except (Diverged, KeyboardInterrupt):
        raise
    except BaseException as error:
        ranks.abort(error)
    return history
