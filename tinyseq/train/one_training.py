"""One call of ``fit``: its steps, validations and checkpoints, from where it begins or goes on to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tinyseq.data.metrics import better
from tinyseq.engine.limits import LIMITS
from tinyseq.errors import CallError, DataError, FileError, TinyseqError
from tinyseq.nn.module import modules
from tinyseq.nn.running import evaluated
from tinyseq.train.checkpoints import load
from tinyseq.train.history import History
from tinyseq.train.interrupts import Interrupts
from tinyseq.train.optimisers import Optimiser, number_from_0
from tinyseq.train.place import Place
from tinyseq.train.progress import Progress
from tinyseq.train.ranks import ALONE, SAVE, STOP, Ranks
from tinyseq.train.run_folder import BEST, RunFolder, check_same
from tinyseq.train.schedules import Plateau
from tinyseq.train.settings import A_FUNCTION, OVER_ALL, check_rates, check_settings
from tinyseq.train.training_step import Diverged, TrainingStep, first_of


@dataclass
class Training:
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
    settings: dict[str, Any] = field(default_factory=dict)

    def begin(self, run: Any, resume: bool | str | os.PathLike[str]) -> None:
        """Stand where it begins: anew, or where a folder says."""
        folder, history = self.folder, self.history
        if folder is not None and folder.start is not None:
            source, state = folder.start
            check_settings(source, state.get("settings", {}), self.settings, only=("ranks",))
            folder.begin(history, int(state["step"]), source, state)
            self.done, self.total = history.step, self.total + history.step
            self.update.planned = self.total
        if resume:
            if run is None:
                raise TinyseqError("to go on with a training say where it is: fit(..., run='folder', resume=True)")
            if folder is not None:
                self.restore(None if resume is True else Path(resume))
        self.agree()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this call, beside weights and optimiser."""
        return {
            "planned": self.total, "seed": self.seed, "bad": self.bad, "digest": self.source.digest,
            "stopped": self.history.stopped, "seconds": self.seconds + self.history.seconds,
            "tokens": self.history.tokens, "rate": self.rule.rate, "settings": self.settings,
        }  # fmt: skip

    def restore(self, source: Path | None) -> None:
        """Go on where the folder, or another, stands."""
        assert self.folder is not None
        state = self.folder.restore(self.history, source)
        if state is None:
            if source is not None:
                raise FileError(f"no training in {source} to go on with")
            return
        self.done, self.bad = self.history.step, int(state.get("bad", 0))
        self._check_same(state, source or self.folder.folder)
        self.history.tokens, self.seconds = int(state.get("tokens", 0)), float(state.get("seconds", 0.0))
        if self.history.best is not None and not self.folder.single:
            self._best_of_file(source or self.folder.folder)
        if self.patience is not None and self.bad >= self.patience:
            self.total = self.done

    def _check_same(self, state: dict[str, Any], folder: Path) -> None:
        """Refuse to go on with other data or settings than those of a state."""
        saved = dict(state.get("settings", {}))
        if self.schedule is None and state.get("rate") in (self.rule.rate, None):
            saved.pop("rate", None)  # the optimiser is the one that was saved, whose rate a callback changed
        check_settings(folder, saved, self.settings)
        check_same(folder, "data", state.get("digest"), self.source.digest)
        if not self.source.digest and self.done:
            raise DataError(
                f"{folder} was trained on windows given as an iterable, in which no place can be found again: give fit "
                "a ts.data.Corpus, Windows, Sequences or (x, y) to be able to go on"
            )
        if self.schedule is None:
            self.rule.rate = float(state.get("rate", self.rule.rate))
        elif self.settings["schedule"] == A_FUNCTION and not isinstance(self.schedule, Plateau):
            check_rates(folder, self.schedule, self.history.rates)
        elif self.settings["schedule"] in OVER_ALL and state.get("planned") != self.total:
            print(f"the {self.settings['schedule']} schedule of {folder} goes over {self.total} steps from now on, not "
                  f"{state.get('planned')}", file=sys.stderr, flush=True)  # fmt: skip

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
                history.best, self.best, self.bad, self.done, self.total, self.rule.rate,
            )  # fmt: skip

        told = self.ranks.told(stands)
        model, weights, rule, step, validation, best, self.best, self.bad, self.done, self.total, self.rule.rate = told
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
            finally:
                if self.schedule is not None:
                    self.rule.rate = self.settings["rate"]  # what the schedule begins with, where fit is called again
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
        asked = [_ends(callback, history) for callback in self.callbacks]
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


def _ends(callback: Callable[[History], Any], history: History) -> bool:
    """Whether a callback asks for the end: True does, and nothing else, as ``lambda h: model.save(path)`` gives a path
    and is meant for its effect. Raises CallError for a number, which might mean either."""
    result = callback(history)
    if isinstance(result, (bool, np.bool_)):
        return bool(result)
    if isinstance(result, (int, float, np.number)):
        raise CallError(
            f"a callback returns True to end the training, or False; after step {history.step} "
            f"{getattr(callback, '__name__', callback)!r} returned {result!r}: write bool(…), or return nothing"
        )
    return False
