"""The training loop: any model with a loss, over a text, sequences or trees; validated, kept, gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.data.metrics import better
from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.engine.limits import LIMITS
from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.module import modules
from tinyseq.nn.running import as_data, evaluated
from tinyseq.nn.text_loss import bits_per_token, window_loss
from tinyseq.tasks.text import Corpus, Windows
from tinyseq.train.checkpoints import load
from tinyseq.train.feeds import feed
from tinyseq.train.history import History
from tinyseq.train.interrupts import Interrupts
from tinyseq.train.optimisers import OPTIMISERS, Optimiser, number_from_0
from tinyseq.train.place import Place
from tinyseq.train.progress import Progress
from tinyseq.train.ranks import ALONE, SAVE, STOP, Ranks
from tinyseq.train.run_folder import BEST, RunFolder, check_same
from tinyseq.train.schedules import Plateau, cosine, named
from tinyseq.train.training_step import Diverged, TrainingStep, first_of

__all__ = ["History", "bits_per_token", "cosine", "fit", "window_loss"]

RATES = {"sgd": 0.5, "rmsprop": 2e-3, "adam": 3e-3, "adamw": 3e-3}  # where nobody says any


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
    callbacks   functions of the history, called after each step; a true result ends the training. ``after_step`` is one
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
    data, validation = _parts(model, data, validation, batch, window, seed)
    given = isinstance(optimiser, Optimiser)
    rule = optimiser if isinstance(optimiser, Optimiser) else _optimiser(model, optimiser, rate)
    if given and rate is not None:
        raise TinyseqError("the optimiser has its rate: give fit no rate=, or the optimiser's name")
    if weight_decay:
        rule.weight_decay = number_from_0("weight_decay", weight_decay)
    kept = _kept(keep, patience)
    if validation is None:
        _unvalidated(patience, keep, monitor, schedule)
    source = feed(model, data, batch, seed, ranks)
    own = {id(p) for p in model.parameters()} if hasattr(model, "parameters") else None  # a model may be any object
    if own is not None and not own.intersection(map(id, rule.parameters)):
        raise TinyseqError("the optimiser has no parameter of this model: make it with model.parameters()")
    update = TrainingStep(source.loss, rule, clip=clip, clip_element=clip_element, accumulate=accumulate, ranks=ranks)
    per_epoch = -(-source.per_epoch // accumulate) if source.per_epoch else 0
    total = update.planned = _steps(steps, epochs, per_epoch)
    history = History(per_epoch=per_epoch, model=model, optimiser=rule)
    folder = run if isinstance(run, RunFolder) else None
    if run is not None and folder is None and ranks.first:
        folder = RunFolder(run, model, rule, vocabulary=vocabulary, about=about, every=save_every, seconds=save_seconds)  # type: ignore[arg-type]
    folder = folder if ranks.first else None
    training = _Training(
        model, source, rule, history, folder, total, seed,
        update,
        _schedule(schedule, rule, total, monitor), validation, validate_every or per_epoch or 100, monitor, patience,
        kept, [*callbacks, *([after_step] if after_step else [])], ranks,
    )  # fmt: skip
    try:
        _begin(training, run, resume)
        training.go(progress and ranks.first)
    except (Diverged, KeyboardInterrupt):
        raise
    except BaseException as error:
        ranks.abort(error)
    return history


def _begin(training: _Training, run: Any, resume: bool | str | os.PathLike[str]) -> None:
    """Where the training begins: anew, or where a folder says."""
    folder, history, update = training.folder, training.history, training.update
    if folder is not None and folder.start is not None:
        source_folder, state = folder.start
        folder.begin(history, int(state["step"]), source_folder, state)
        training.done, update.planned = history.step, training.total + history.step
        training.total = update.planned
    if resume:
        if run is None:
            raise TinyseqError("to go on with a training say where it is: fit(..., run='folder', resume=True)")
        if folder is not None:
            training.restore(None if resume is True else Path(resume))
    training.agree()


@dataclass
class _Training:
    """One call of ``fit``."""

    model: Any
    source: Any
    rule: Optimiser
    history: History
    folder: RunFolder | None
    total: int
    seed: int
    update: TrainingStep
    schedule: Any
    validation: Any
    validate_every: int
    monitor: str
    patience: int | None
    keep: str
    callbacks: list[Callable[[History], Any]]
    ranks: Ranks = ALONE
    best: list[np.ndarray] | None = None
    bad: int = 0
    done: int = 0  # steps of this training before it was gone on with
    seconds: float = 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this call, beside weights and optimiser."""
        return {
            "planned": self.total, "seed": self.seed, "bad": self.bad, "digest": self.source.digest,
            "stopped": self.history.stopped, "seconds": self.seconds + self.history.seconds,
            "tokens": self.history.tokens,
        }  # fmt: skip

    def restore(self, source: Path | None) -> None:
        """Go on where the folder, or another, stands."""
        assert self.folder is not None
        state = self.folder.restore(self.history, source)
        if state is None:
            if source is not None:
                raise FileError(f"no training in {source} to go on with")
            return
        check_same(self.folder.folder, "data", state.get("digest"), self.source.digest)
        self.done, self.bad = self.history.step, int(state.get("bad", 0))
        self.history.tokens, self.seconds = int(state.get("tokens", 0)), float(state.get("seconds", 0.0))
        if self.history.best is not None and not self.folder.single:
            self._best_of_file(source or self.folder.folder)
        if state.get("stopped") == "patience":
            self.total = self.done

    def _best_of_file(self, folder: Path) -> None:
        with suppress(FileError):  # a disk that was full has none
            model = load(folder / BEST, [type(module) for module in modules(self.model)]).model
            self.best = [p.value.copy() for p in model.parameters()]

    def agree(self) -> None:
        """All ranks begin as rank 0 does: its weights, its optimiser, its place."""
        if self.ranks.size == 1:
            return

        def stands() -> tuple[Any, ...]:
            history, weights = self.history, [p.value for p in self.rule.parameters]
            return (
                self.model.state_dict(), weights, self.rule.state_dict(), history.step, history.validation,
                history.best, self.best, self.bad, self.done, self.total,
            )  # fmt: skip

        model, weights, rule, step, validation, best, self.best, self.bad, self.done, self.total = self.ranks.told(
            stands
        )
        if not self.ranks.first:
            self.model.load_state_dict(model)
            for p, value in zip(self.rule.parameters, weights, strict=True):
                p.value[...] = value
            self.rule.load_state_dict(rule)
            self.history.first, self.history.validation[:], self.history.best = step, validation, best
        self.update.planned = self.total

    def go(self, progress: bool) -> None:
        """Train to the end."""
        history, started = self.history, perf_counter()
        left = self.total - self.done
        place = self._start()
        if self.folder is not None and not self.folder.file.exists():
            self.folder.save(history, self.state())
        shown = Progress(max(left, 0), progress, self.source.unit, self.source.counted)
        with LIMITS.at_least(2 * self.source.per_epoch + 8), shown as bar, Interrupts() as ctrl_c:
            try:
                for _ in range(left):
                    place, tokens, loss = self._step(place)
                    history.seconds = perf_counter() - started
                    stop = self._after_step(bar)
                    if not stop:
                        self._keep(place)
                    bar.advance(loss if self.source.unit == "loss" else history.bits[-1], tokens)
                    if self._stopped(ctrl_c.wanted):
                        raise KeyboardInterrupt
                    if stop:
                        break
            except (KeyboardInterrupt, StopIteration) as error:
                history.interrupted = isinstance(error, KeyboardInterrupt)
                history.stopped = "interrupted" if history.interrupted else ""
            except Diverged:
                if self.folder is not None:
                    self.folder.save(history, self.state())
                self.ranks.wait()
                raise
            history.seconds = perf_counter() - started
        with Interrupts():
            self._gather(place)
            self._end()
            self.ranks.wait()

    def _keep(self, place: Place) -> None:
        """Save where it is time. Where ranks carry states on, rank 0 asks for them with its next step."""
        ranks, folder = self.ranks, self.folder
        if ranks.size == 1 or not self.source.carries:
            if folder is not None:
                folder.tick(self.history, self.state())
            return
        if ranks.wants[SAVE]:
            self._gather(place)
            if folder is not None:
                folder.tick(self.history, self.state(), due=True)

    def _gather(self, place: Place) -> None:
        """The optimiser's place has the state of the whole batch, for a file."""
        if self.ranks.size > 1 and place.digest and place.state is not None:
            self.rule.place = Place(place.done, place.digest, self.ranks.gathered(place.state))

    def _stopped(self, wanted: bool) -> bool:
        """Whether Ctrl-C ends it: of several ranks with the step after the one in which any of them was told."""
        ranks = self.ranks
        if ranks.size == 1:
            return wanted
        told = bool(ranks.wants[STOP])
        due = self.folder is not None and self.folder.due(self.history.step + 1)
        ranks.wants[:] = wanted, due
        return told

    def _start(self) -> Place:
        """Where the optimiser stands in these data; their beginning where it has not seen them."""
        digest, place = self.source.digest, self.rule.place
        return place if place is not None and place.digest == digest else Place(0, digest, None)

    def _step(self, place: Place) -> tuple[Place, int, float]:
        """One step: ``accumulate`` batches. Returns the next place, what was read, the mean loss."""
        if self.schedule is not None:
            number = place.done // self.update.accumulate
            given = (number, self.history.validation) if isinstance(self.schedule, Plateau) else (number,)
            self.rule.rate = number_from_0("the schedule's rate", self.schedule(*given))
        losses, tokens = 0.0, 0
        for _ in range(self.update.accumulate):
            arguments, count = self.source.arguments(place.done, place.state)
            result = self.update(*arguments)
            state = result[1] if self.source.unit == "bits/char" else None
            place = Place(place.done + 1, place.digest, state)
            losses, tokens = losses + first_of(result), tokens + count
        self.rule.place = place if place.digest else None
        loss = losses / self.update.accumulate if self.ranks.size == 1 else self.update.value
        self.history.add(loss, self.update.norm, self.rule.rate)
        self.history.tokens += tokens
        return place, tokens, loss

    def _after_step(self, bar: Progress) -> bool:
        """Validate where it is time, ask the callbacks; whether to stop."""
        history, stop = self.history, False
        if self.validation is not None and (history.step % self.validate_every == 0 or history.step == self.total):
            stop = self._validate(bar)
        asked = [bool(callback(history)) for callback in self.callbacks]
        if asked and self.ranks.told(lambda: any(asked)):
            history.stopped, stop = "callback", True
        return stop

    def _validate(self, bar: Progress) -> bool:
        history = self.history
        measured = self.ranks.told(lambda: evaluated(self.model, self.validation))
        row = {"step": history.step, "epoch": history.epoch, **measured}
        if self.monitor not in row:
            raise TinyseqError(f"the validation has no {self.monitor!r} to monitor; it has {', '.join(row)}")
        history.validation.append(row)
        bar.validated(row, self.monitor)
        than = None if history.best is None else history.best[self.monitor]
        if better(self.monitor, row[self.monitor], than):
            history.best, self.bad = row, 0
            self.best = [p.value.copy() for p in self.model.parameters()]
            if self.folder is not None:
                self.folder.save_best(history)
        else:
            self.bad += 1
        if self.patience is not None and self.bad >= self.patience:
            history.stopped = "patience"
            return True
        return False

    def _end(self) -> None:
        """Keep the last state, put the best weights back where they are wanted, draw."""
        if self.folder is not None:
            self.folder.save(self.history, self.state())
            self.folder.finish(self.history)
        if self.keep == "best" and self.best is not None:
            for p, value in zip(self.model.parameters(), self.best, strict=True):
                p.value[...] = value


def _parts(model: Any, data: Any, validation: Any, batch: int, window: int, seed: int) -> tuple[Any, Any]:
    """(what is trained on, what is validated on)."""
    part = isinstance(validation, float)
    if isinstance(data, Corpus):
        if part:
            raise DataError("a corpus holds its validation out itself: Corpus.of(text, name, held_out=0.1)")
        return Windows(data.train, window, batch), data if validation is None else validation or None
    if part and not isinstance(data, Windows):
        data = as_data(data, getattr(model, "dtype", np.float32))
    if part:
        if not isinstance(data, (Sequences, Trees)):
            raise DataError("to validate on windows give validation=corpus, a ts.data.Corpus with what is held out")
        return data.split(validation, rng=np.random.default_rng([seed, 1]))
    if validation is not None and not isinstance(validation, Corpus):
        validation = as_data(validation, getattr(model, "dtype", np.float32))
    return data, validation


def _optimiser(model: Any, name: Any, rate: float | None) -> Optimiser:
    if not isinstance(name, str) or name not in OPTIMISERS:
        raise TinyseqError(
            f"the optimiser is one, train.Adam(model.parameters(), rate=1e-3), or {', '.join(map(repr, OPTIMISERS))}; "
            f"got {name!r}"
        )
    return OPTIMISERS[name](model.parameters(), RATES[name] if rate is None else rate)


def _steps(steps: Any, epochs: Any, per_epoch: int) -> int:
    if epochs is not None:
        if steps is not None:
            raise TinyseqError("steps and epochs say the same: give one of the two")
        if isinstance(epochs, bool) or not isinstance(epochs, (int, float)) or not 0 < epochs < float("inf"):
            raise TinyseqError(f"epochs must be a number above 0, got {epochs!r}")
        if not per_epoch:
            raise TinyseqError("windows given as an iterable have no epochs: write steps=")
        return max(1, round(epochs * per_epoch))
    if steps is None and per_epoch:
        return 10 * per_epoch
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise TinyseqError(f"steps must be a whole number of at least 1, got {steps!r}")
    return int(steps)


def _schedule(schedule: Any, rule: Optimiser, total: int, monitor: str) -> Any:
    if isinstance(schedule, str):
        return named(schedule, rule.rate, total, monitor)
    if schedule is not None and not callable(schedule):
        raise TinyseqError(f"schedule is a function of the step, or a name; got {schedule!r}")
    return schedule


def _unvalidated(patience: Any, keep: Any, monitor: str, schedule: Any) -> None:
    """Refuse what is decided by validations where there are none."""
    wants = {
        f"patience={patience!r}": patience is not None, "keep='best'": keep == "best",
        f"monitor={monitor!r}": monitor != "loss", "schedule='plateau'": schedule == "plateau",
    }  # fmt: skip
    for what, asked in wants.items():
        if asked:
            raise TinyseqError(f"{what} goes by validations: give fit validation=0.1, or data held out")


def _kept(keep: str | None, patience: int | None) -> str:
    if keep not in (None, "last", "best"):
        raise TinyseqError(f"keep is 'last' or 'best', got {keep!r}")
    if patience is not None and (isinstance(patience, bool) or not isinstance(patience, int) or patience < 1):
        raise TinyseqError(f"patience is a whole number of validations of at least 1, got {patience!r}")
    return keep or ("last" if patience is None else "best")
