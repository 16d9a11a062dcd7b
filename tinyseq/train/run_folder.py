"""A training kept in a folder, so that nothing is lost however it ends.

    model.safetensors      weights, optimiser, place in the data, carried state, and as JSON how all was made
    previous.safetensors   the one before: used where the first is damaged
    best.safetensors       the weights of the best validation
    metrics.jsonl          a line for each step: loss, norm, rate, validation
    curves.svg             the same as a picture, when it ends

Each checkpoint is complete or not there. Lines of metrics.jsonl after its step are dropped when it is gone on with.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.nn.module import modules
from tinyseq.strict_json import dumps, number
from tinyseq.train.asked import every_asked
from tinyseq.train.checkpoints import FILE, Checkpoint, checkpoint_file, load, save, writable_folder, write_safely
from tinyseq.train.history import History
from tinyseq.train.optimisers import number_from_0
from tinyseq.train.recipes import PLAIN
from tinyseq.train.settings import check_options

PREVIOUS, BEST, METRICS, CURVES = "previous.safetensors", "best.safetensors", "metrics.jsonl", "curves.svg"


def versions() -> dict[str, str]:
    """What ran the training."""
    from importlib.metadata import version

    found = {"python": platform.python_version(), "numpy": np.__version__}
    for package in ("tinyseq", "numba"):
        with suppress(Exception):
            found[package] = version(package)
    return found


class RunFolder:
    """Where a training is kept: ``save`` writes all of it, every so many steps or seconds when called as ``tick``."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        model: Any,
        optimiser: Any,
        *,
        vocabulary: Any = None,
        about: dict[str, Any] | Callable[[], dict[str, Any]] | None = None,
        every: int | None = None,
        seconds: float = 10.0,
    ) -> None:
        given = Path(folder)
        self.single = given.suffix == Path(FILE).suffix and not given.is_dir()  # one file in place of a folder
        self.folder = given.parent if self.single else given
        self.file = given if self.single else given / FILE
        self.model, self.optimiser, self.vocabulary = model, optimiser, vocabulary
        self.about = about if callable(about) else lambda: dict(about or {})
        self.every, self.seconds = every_asked("save_every", every), number_from_0("save_seconds", seconds)
        self.at, self.saved, self.lines, self.warned = monotonic(), 0, 0, False
        self.start: tuple[Path, dict[str, Any]] | None = None  # a training in memory that goes on: whence, its state
        self._last: Any = None
        writable_folder(self.folder)

    def save(self, history: History, state: dict[str, Any], **more: Any) -> Path:
        """Write metrics and checkpoint; returns its file. Raises FileError; what was there is then whole."""
        if not self.single:
            self._append(history)
            if self.file.exists():
                self._keep_previous()
        info = {**self.about(), **more, "fit": {**state, "step": history.step, "validation": history.validation,
                                             "best": history.best}, "versions": versions()}  # fmt: skip
        save(self.file, self.model, self.vocabulary, self.optimiser, info)
        self.at, self.saved, self._last = monotonic(), history.step, (history, state)
        return self.file

    def note(self, **more: Any) -> Path:
        """Save the last state again, with more said beside it."""
        return self.save(*self._last, **more)

    def due(self, step: int) -> bool:
        """Whether it is time to save, at a step."""
        return (self.every is not None and step % self.every == 0) or monotonic() >= self.at + self.seconds

    def tick(self, history: History, state: dict[str, Any], due: bool = False) -> None:
        """Save where it is time, or due; a disk that is full stops no training, and is told once."""
        if not due and not self.due(history.step):
            return
        self._tried(lambda: self.save(history, state))

    def save_best(self, history: History) -> None:
        """Write the weights of the best validation."""
        if not self.single:
            info = {**self.about(), "fit": {"step": history.step, "best": history.best}, "versions": versions()}
            self._tried(lambda: save(self.folder / BEST, self.model, self.vocabulary, None, info))

    def _tried(self, write: Callable[[], Any]) -> None:
        """Write; where that fails the training goes on, and it is told once."""
        try:
            write()
        except FileError as error:
            self.at = monotonic()
            if not self.warned:
                print(f"not saved, training goes on: {error}", file=sys.stderr, flush=True)
            self.warned = True

    def finish(self, history: History, title: str = "") -> None:
        """Draw the curves."""
        if not self.single and len(history.losses):
            history.plot(self.folder / CURVES, title)

    def _keep_previous(self) -> None:
        """The checkpoint there is under another name too: a second link to it, put in place by one rename."""
        link = self.folder / f".{PREVIOUS}.{os.getpid()}"
        with suppress(OSError):
            link.unlink(missing_ok=True)
            os.link(self.file, link)
            os.replace(link, self.folder / PREVIOUS)

    def _append(self, history: History) -> None:
        path = self.folder / METRICS
        new = "".join(history.lines(self.lines)).encode()
        try:
            if self.lines == 0 and history.first == 0:
                write_safely(path, new)
            else:
                with path.open("ab") as out:
                    out.write(new)
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror or error}") from None
        self.lines = history.step

    # -- going on
    def restore(self, history: History, source: Path | None = None) -> dict[str, Any] | None:
        """Put weights, optimiser, place and history back, from another folder where one is given; returns the state of
        ``fit``, None where nothing is saved."""
        file = self.file if source is None else checkpoint_file(source)
        found = last_good(file, [type(module) for module in modules(self.model)])
        if found is None:
            return None
        state = dict(found.info.get("fit", {}))
        step = int(state.get("step", 0))
        try:
            self.model.load_state_dict(found.model.state_dict())
            if found.optimiser_state:
                self.optimiser.load_state_dict(found.optimiser_state)
        except TinyseqError as error:
            raise TinyseqError(f"{file} holds another training than this one: {error}") from None
        check_options(file.parent, self.model, found.model, step > 0)
        _recall(self.model, found.model)
        self.begin(history, step, file.parent, state)
        return state

    def begin(self, history: History, step: int, source: Path, state: dict[str, Any]) -> None:
        """Go on after a step, with the metrics up to it that stand in a folder."""
        rows = [] if self.single else list(_metrics(source / METRICS, step))
        whole = [row["step"] for row in rows] == list(range(1, step + 1))
        if whole:
            history.read(rows)
        else:  # lost or changed by others: the training goes on all the same
            history.first = step
        history.validation[:] = state.get("validation", [])
        history.best = state.get("best")
        if not self.single:
            write_safely(self.folder / METRICS, "".join(dumps(row) + "\n" for row in rows).encode())
        self.lines = self.saved = step


def _recall(model: Any, saved: Any) -> None:
    """What a model did not know yet, and the saved one learned beside its weights: whether targets are classes."""
    for own, other in zip(modules(model), modules(saved), strict=False):
        for name, value in vars(other).items():
            if not name.startswith("_") and isinstance(value, PLAIN) and vars(own).get(name, value) is None:
                setattr(own, name, value)


def _metrics(path: Path, step: int) -> Iterator[dict[str, Any]]:
    """The lines up to a step; what cannot be read ends them."""
    with suppress(OSError, ValueError, KeyError, TypeError), path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["step"] > step:
                return
            yield {**row, **{name: number(row[name]) for name in ("loss", "norm", "rate")}}


def last_good(file: Path, classes: Any = ()) -> Checkpoint | None:
    """The checkpoint in a file; where it is damaged the one before, told on stderr; None where there is none."""
    before = file.parent / PREVIOUS
    if not file.exists() and not before.exists():
        return None
    try:
        return load(file, classes)
    except FileError as error:
        if not before.exists() or file.name != FILE:
            raise
        found = load(before, classes)
        step = found.info.get("fit", {}).get("step", "?")
        print(f"{error}\nused in its place: {before}, saved after step {step}", file=sys.stderr, flush=True)
        return found


def reopened(path: Path, best: bool = False) -> Checkpoint:
    """What is in a run's folder or a model's file: the last checkpoint, or where it is damaged the one before, told on
    stderr; with ``best`` the weights of the best validation where there are any. Raises FileError."""
    if not path.is_dir():
        return load(path)
    found = last_good(path / FILE)
    if found is None:
        return load(path)  # which says that there is none
    if best and found.vocabulary is None and (path / BEST).is_file():
        try:
            found.model = load(path / BEST).model
        except FileError as error:
            print(f"{error}\nused in their place: the last weights", file=sys.stderr, flush=True)
    return found


def check_same(folder: Path, what: str, saved: Any, given: Any) -> None:
    """Refuse to go on with other data than before. Raises DataError."""
    if saved not in (None, "", given):
        raise DataError(
            f"{folder} was trained on other {what}, or on the same in another order or batch size: give it these "
            "again, or another folder"
        )
