"""What is known of places in the user's program, so that recording there again is quick.

A tape has a ``Places`` of its own while it lives. When it is gone, and with it every tensor that knew it, the next
tape goes on with what was learnt: a loop that records the same cells again and again takes the long way through
every check once, not once for each tape. It holds no nodes and no values, only what is alike wherever a call comes
again: kinds, forms, and sites (see ``tinyseq.functions.call_sites``).
"""

from __future__ import annotations

from collections import OrderedDict
from types import CodeType
from typing import Any

import numpy as np

from tinyseq.tape.kinds import Interned, Kind

MOST_KEPT = 8  # places of tapes that are gone
MOST_KNOWN = 20_000  # entries: a program that makes new ones all the time begins afresh
MOST_FOLDS = 32  # of a tape: what is known in its first folds is kept
MOST_RECORDINGS = 1_000
MOST_STEPS = 64  # folded, that are remembered
MOST_NODES = 100_000  # of whole recordings that are remembered


class Form:
    """Shape and dtype of tensors, and the fold they were made in: one object on a tape for all that are alike.

    Sites are looked up by forms, which compare by identity; so a tensor of another tape, or one that leaked out of a
    fold, finds no site and comes to the checks.
    """

    __slots__ = ("dtype_code", "fold", "shape")

    def __init__(self, shape: tuple[int, ...], dtype_code: int, fold: int) -> None:
        self.shape, self.dtype_code, self.fold = shape, dtype_code, fold


class Made:
    """Forms of tensors, and sites by cell, of one fold or of outside of folds."""

    __slots__ = ("forms", "sites")

    def __init__(self) -> None:
        self.forms: dict[tuple, Form] = {}
        self.sites: dict[str, dict[tuple, Any]] = {"": {}}

    def __len__(self) -> int:
        return len(self.forms) + sum(map(len, self.sites.values()))


class Recording:
    """The columns of a whole tape, and what others keep of it beside them. Nobody may change it."""

    __slots__ = ("columns", "keys", "kinds")

    def __init__(self, kinds: list[Kind], columns: tuple[np.ndarray, ...]) -> None:
        self.kinds, self.columns = tuple(kinds), columns
        self.keys: dict[tuple, Any] = {}  # what the executor calls this structure, for its results and loss


class Places:
    """Kinds, sorts, forms and sites by their numbers and keys."""

    __slots__ = (
        "_recordings",
        "_sort_array",
        "_sorts",
        "_total",
        "appended",
        "codes",
        "folds",
        "kept",
        "kinds",
        "made",
        "sorts",
        "steps",
    )

    def __init__(self, kept: bool = True) -> None:
        self.kept = kept  # for the next tape
        self.kinds = Interned()
        self.sorts: list[tuple[int, int, bool]] = []  # (kind, rows, with an arg): numbered as they come
        self._sorts: dict[tuple[int, int, bool], int] = {}
        self._sort_array = np.empty((0, 3), np.int64)
        self.appended: dict[tuple, int] = {}  # sorts by all that their nodes were appended with
        self.made = Made()
        self.folds: list[Made] = []  # in the steps that are folded, by their numbers from 1
        self.codes: dict[int, CodeType] = {}  # sites know a code object by its address: it has to stay
        self.steps: OrderedDict[tuple, Any] = OrderedDict()  # steps that were folded, by what was recorded of them
        self._recordings: OrderedDict[tuple, Recording] = OrderedDict()
        self._total = 0  # nodes of all recordings

    def sort(self, kind: int, rows: int, with_arg: bool) -> int:
        """What stands for a node in the stream, a negative number: its kind, its rows, whether it has an arg."""
        key = (kind, rows, with_arg)
        found = self._sorts.get(key)
        if found is None:
            found = self._sorts[key] = ~len(self._sorts)
            self.sorts.append(key)
        return found

    def sort_array(self) -> np.ndarray:
        """Kind, rows and with-an-arg of each sort, (sorts, 3)."""
        known = len(self._sort_array)
        if known < len(self.sorts):
            self._sort_array = np.concatenate([self._sort_array, np.array(self.sorts[known:], np.int64)])
        return self._sort_array

    def recording(self, key: tuple) -> Recording | None:
        """A recording that was remembered."""
        found = self._recordings.get(key)
        if found is not None:
            self._recordings.move_to_end(key)
        return found

    def remember(self, key: tuple, kinds: list[Kind], columns: tuple[np.ndarray, ...]) -> Recording | None:
        """Keep a recording, unless it is too long; those not used for longest make room for it."""
        nodes = columns[0].shape[1]
        if nodes > MOST_NODES:
            return None
        made = self._recordings[key] = Recording(kinds, tuple([column.copy() for column in columns]))
        self._total += nodes
        while self._total > MOST_NODES or len(self._recordings) > MOST_RECORDINGS:
            self._total -= self._recordings.popitem(last=False)[1].columns[0].shape[1]
        return made

    def remember_step(self, key: tuple, step: Any) -> None:
        """Keep a step that was folded; those not used for longest make room for it."""
        self.steps[key] = step
        while len(self.steps) > MOST_STEPS:
            self.steps.popitem(last=False)

    def made_in(self, fold: int) -> Made:
        """What is made in a step that is folded, 0 for outside of any. A tape's later folds are not remembered."""
        if fold == 0:
            return self.made
        if fold > MOST_FOLDS:
            return Made()
        while len(self.folds) < fold:
            self.folds.append(Made())
        return self.folds[fold - 1]

    def known(self) -> int:
        """How many entries there are."""
        made = sum(map(len, (self.made, *self.folds)))
        return len(self.sorts) + len(self.appended) + len(self.codes) + made


_kept: list[Places] = []  # those of tapes that are gone


def take() -> Places:
    """Places for a new tape."""
    try:
        return _kept.pop()
    except IndexError:
        return Places()


def give_back(places: Places) -> None:
    """A tape records no more: the next may have its places."""
    if places.kept and len(_kept) < MOST_KEPT and places.known() <= MOST_KNOWN:
        _kept.append(places)


def forget() -> None:
    """Forget all that was learnt, as if no tape had been before."""
    _kept.clear()
