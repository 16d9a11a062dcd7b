"""Translation validation, elements: whether a program, as its threads run it, reads and writes what it may.

Every thread's integers are decoded as the machine reads them, and every element that an instruction touches becomes an
event; elements that all who touch them touch together are one. Sorted by address and time the events tell of each
element who wrote it last, in which interval between barriers. Refused are: an address outside its storage, a write to
an array of the user's, a read of or an addition to what nobody wrote in this run or what the storage's earlier tenant
left, two threads at one element in one interval of which one writes, a write at a level at which a group has no member,
numbers taken for integers, and a result that nobody wrote.
It needs no values. Of a plan with more than a million events only some addresses are followed.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.validation.decode import Space, Step, decoded
from tinyseq.engine.validation.events import Events
from tinyseq.engine.validation.touched import ADD, READ, SET

DOES = {READ: "reads", ADD: "adds to", SET: "overwrites"}


def verify_elements(plan: Plan, threads: int = 1, steps: list[Step] | None = None) -> None:
    """Raise TapeError naming the first instruction whose elements are not what they should be; steps are those of all
    threads, where they are decoded already."""
    space, steps = decoded(plan, threads) if steps is None else (Space(plan, threads), steps)
    events = Events(plan, space, steps, threads)
    Check(events).run()


class Check:
    """Events in the order of address and time, and what they must obey."""

    def __init__(self, events: Events) -> None:
        self.events = events
        steps = events.steps
        self.thread = np.concatenate([*(np.full(len(s.level), s.thread) for s in steps), [0, 0]]).astype(np.int64)
        last = max((int(s.interval[-1]) for s in steps if len(s.interval)), default=0) + 1
        self.interval = np.concatenate([*(s.interval for s in steps), [last, -1]]).astype(np.int64)
        order = np.concatenate([*(s.order for s in steps), [0, 0]])
        rank = np.empty(len(order), np.int64)
        rank[np.lexsort((order, self.thread, self.interval))] = np.arange(len(order))
        place, run, storage, kind = events.pieces()
        sort = np.argsort((place * len(order) + rank[run]) * 3 + kind)
        self.place, self.run_, self.storage, self.kind = place[sort], run[sort], storage[sort], kind[sort]

    def run(self) -> None:
        """Raise at the first event, in time, that must not be."""
        if len(self.place):
            self._races()
            self._reads()

    def _reads(self) -> None:
        """What is read or added to was written, in this run and to this storage, by another instruction."""
        count = np.arange(len(self.place))
        begins = np.r_[True, np.diff(self.place) != 0]
        start = np.maximum.accumulate(np.where(begins, count, 0))
        last = np.maximum.accumulate(np.where(self.kind != READ, count, -1))
        before = np.r_[-1, last[:-1]]
        needs = self.kind != SET
        unwritten = needs & (before < start)
        left = needs & ~unwritten & (self.storage[before] != self.storage)
        self._first(unwritten, "{does} element {element} of {what}, which nothing has written in this run")
        self._first(left, "{does} element {element} of {what}, where {other} was written last", before)
        inside = ~begins & (self.kind == SET) & np.r_[False, (self.run_[1:] == self.run_[:-1])]
        inside &= np.r_[False, self.kind[:-1] == READ]
        for k in np.flatnonzero(inside)[:1]:
            if not self._in_place(int(self.run_[k])):
                self._tell(k, "overwrites element {element} of {what} while it reads it", k)

    def _in_place(self, run: int) -> bool:
        """Whether an instruction reads what it writes element by element, or row by row."""
        events = self.events
        number = int(np.searchsorted(events.first_run, run, side="right")) - 1
        step, level = events.steps[number], run - int(events.first_run[number])
        d = step.d[level]
        return any(
            step.operands[j][level] == step.operands[0][level] and d[1 + j] == d[1]
            for j in range(1, len(step.operands))
        )

    def _races(self) -> None:
        """Between two barriers no thread touches what another writes."""
        interval, thread = self.interval[self.run_], self.thread[self.run_]
        begins = np.flatnonzero(np.r_[True, (np.diff(self.place) != 0) | (np.diff(interval) != 0)])
        ends = np.r_[begins[1:], len(self.place)] - 1
        several = thread[begins] != thread[ends]
        if not several.any():
            return
        writes = np.logical_or.reduceat(self.kind != READ, begins)
        for group in np.flatnonzero(several & writes)[:1]:
            first, last = int(begins[group]), int(ends[group])
            written = first + int(np.flatnonzero(self.kind[first : last + 1] != READ)[0])
            other = last if thread[last] != thread[written] else first
            self._tell(
                written, f"thread {thread[written]} writes element {{element}} of {{what}}, which thread "
                f"{thread[other]} {('reads', 'adds to', 'overwrites')[self.kind[other]]} with no barrier between "
                f"({self.events.named(int(self.run_[other]))})", written,
            )  # fmt: skip

    def _first(self, wrong: np.ndarray, words: str, before: np.ndarray | None = None) -> None:
        found = np.flatnonzero(wrong)
        if len(found):
            times = self.interval[self.run_[found]]
            k = int(found[np.lexsort((self.run_[found], times))[0]])
            self._tell(k, words, int(before[k]) if before is not None else k)

    def _tell(self, k: int, words: str, other: int) -> NoReturn:
        events = self.events
        storage = events.plan.storages[int(self.storage[k])]
        element = int(self.place[k] - events.space.base[storage.index])
        what = words.format(
            does=DOES[int(self.kind[k])],
            element=element, what=repr(storage.what), other=repr(events.plan.storages[int(self.storage[other])].what),
        )  # fmt: skip
        events.refuse_run(int(self.run_[k]), what)
