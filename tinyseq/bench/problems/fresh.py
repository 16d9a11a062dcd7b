"""Rows in which no batch is like one before: new lengths, new trees, another T at each call.

Parameters stay those of the row's problem; a batch is its number. All that a library does because a batch is new
(recording, planning, packing, building indices, compiling for a shape not met yet) is timed. What is not timed is
reading the batch: NumPy arrays, lengths and, for trees, each library's own form of a single tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from tinyseq.bench.problems.nets import NETS, Net, NetData
from tinyseq.bench.problems.problems import Data, Problem, problem

Given = TypeVar("Given")


@dataclass(frozen=True)
class Fresh:
    """One row: batches of a problem or of a net over trees. `steps`: T is drawn uniformly from this inclusive range."""

    row: str
    of: Problem | Net
    steps: tuple[int, int] | None = None

    def batch_of(self, number: int) -> Problem | Net:
        """The problem whose data are those of a batch, with its own T."""
        seed = self.of.seed + 1 + number
        if self.steps is None:
            return replace(self.of, seed=seed)
        low, high = self.steps
        return replace(self.of, seed=seed, steps=int(np.random.default_rng(seed).integers(low, high + 1)))

    def batch(self, number: int) -> Data | NetData:
        """The data of a batch, with the row's parameters; the same for the same number."""
        drawn = self.batch_of(number).data()
        return drawn if isinstance(drawn, NetData) else replace(drawn, params=self.params())

    def params(self) -> dict[str, np.ndarray]:
        """The row's parameters by name."""
        return self.of.model().state_dict() if isinstance(self.of, Net) else self.of.data().params


class Stream(Generic[Given]):
    """The batches of a row one after the other, as one library wants them: `next` reads one, untimed; `take` gives it
    to the timed call."""

    def __init__(self, fresh: Fresh, read: Callable[[Any], Given]) -> None:
        self.fresh, self.read, self.number = fresh, read, -1
        self.next()

    def next(self) -> None:
        """Read the batch after this one."""
        self.go_to(self.number + 1)

    def go_to(self, number: int) -> None:
        """Read the batch of this number."""
        self.number, self.current = number, self.read(self.fresh.batch(number))

    def take(self) -> Given:
        """The batch that was read."""
        return self.current


def _net(kind: str) -> Net:
    return next(net for net in NETS if net.kind == kind)


FRESH: tuple[Fresh, ...] = (
    Fresh("new lengths: lstm 5-100 32,64,64 sequences", problem("lstm lengths 5-100 32,64,64 sequences")),
    Fresh("new trees: forest 32 trees 10-50 leaves H 64", problem("forest 32 trees 10-50 leaves H 64")),
    Fresh("new trees: tree-lstm forest 32 trees 10-50 leaves H 64", _net("tree lstm")),
    Fresh("new T 20-100: lstm 65,128,T,32", replace(problem("lstm 65,128,100,32"), row="windows"), (20, 100)),
    Fresh("new T 50-150: loop rnn 32,64,T,1", problem("recorded loop rnn 32,64,100,1"), (50, 150)),
)
