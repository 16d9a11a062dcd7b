"""Every element that the threads of a program touch, as events: what translation validation sorts and reads.

An event speaks of a span of elements that lie one after the other; in the end all are cut where any begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tinyseq.engine.kernels.batched import GEMM_PACKED
from tinyseq.engine.kernels.gemm import panel_width
from tinyseq.engine.plan.layout import Storage
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.validation.decode import NOBODY, Space, Step
from tinyseq.engine.validation.footprint_rules import Known
from tinyseq.engine.validation.spans import MOST, Spans, bounds_of, followed
from tinyseq.engine.validation.touched import ADD, READ, SET, Touched, overwrites_itself, spans_of, spans_within
from tinyseq.engine.validation.wrong import Names
from tinyseq.errors import TapeError
from tinyseq.ops.groups import INPUTS


class Events:
    """Every element that is touched: addresses, run (an instruction at a level), the storage it is meant for, kind."""

    def __init__(self, plan: Plan, space: Space, steps: list[Step], threads: int) -> None:
        self.plan, self.space, self.steps = plan, space, steps
        self.names = Names(plan)
        self.width = panel_width(plan.dtype)
        self.integers = integer_storages(plan)
        self.unwanted = {
            layout.storage.index
            for *_, layouts in plan.pointers
            for c, layout in layouts.items()
            if c not in plan.graph.wants and layout.storage is not plan.values[c].storage
        }
        self.given = {s.index for s in plan.storages if s.space == "leaf"} | set(space.listed)
        self.found: list[tuple[Spans, np.ndarray, int, int]] = []  # addresses, run of each span, storage, kind
        self.count, self.one_in = 0, 1
        self.written: dict[int, set[int]] = {}
        self.first_run = np.cumsum([0, *(len(step.level) for step in steps)])
        self._preset()
        for k, step in enumerate(steps):
            self._step(k, step)
        self._published()

    def named(self, run: int) -> str:
        """A run in words, by its number among all."""
        number = next(k for k, first in enumerate(self.first_run) if first > run) - 1
        return self.names.step(self.steps[number], run - int(self.first_run[number]))

    # -- what is there before and after
    def _preset(self) -> None:
        """Constants are there from the beginning."""
        for storage in self.plan.storages:
            if storage.space == "arena" and storage.data is not None and storage.last >= 0:
                begins = self.space.base[storage.index] + np.zeros(1, np.int64)
                self._add(Spans(begins, begins + len(storage.data)), np.array([-1]), storage.index, SET)

    def _published(self) -> None:
        """Values that are asked for, and gradients, are read after the end."""
        plan, base, after = self.plan, self.space.base, int(self.first_run[-1])
        for node in plan.graph.outputs:
            place, number = plan.graph.state.places[node]
            cls, layout = plan.graph.classes[place], plan.values[place]
            if layout.storage.index in self.given:
                continue
            start = layout.offset + number * layout.member
            if layout.ragged >= 0:
                start += int(plan.graph.classes[layout.ragged].rows[:number].sum()) * layout.row
            rows = 1 if cls.scalar else int(cls.rows[number])
            places = Spans.of(start + np.arange(rows)[:, None] * layout.row + np.arange(cls.cols))
            self._inside(places, layout.storage, f"the value of %{node}")
            places = places.at(base[[layout.storage.index]])
            self._add(places, np.full(len(places), after), layout.storage.index, READ)
        for storage in plan.storages:
            if storage.space == "grads" and storage.size:
                begins = base[[storage.index]]
                self._add(Spans(begins, begins + storage.size), np.array([after]), storage.index, READ)

    # -- instructions
    def _step(self, number: int, step: Step) -> None:
        """All runs of one instruction."""
        strides = step.d[:, 1 : 1 + len(step.operands)]
        if (strides < 0).any():  # an index below 0 counts from the end
            slot = int(np.flatnonzero((strides < 0).any(axis=0))[0])
            self.refuse(number, 0, f"steps backwards through {self.what(step, slot)}")
        same = bool((step.d == step.d[:1]).all())
        for d, runs in [(step.d[0], np.arange(len(step.level)))] if same else self._alike(step):
            touched = self._footprint(step, d)
            for slot, elements, kind, lists in touched:
                if lists is not None:
                    self._listed(number, step, slot, lists, d, runs, kind)
                elif len(elements):
                    self._operand(number, step, slot, elements, runs, kind)
                    if kind == SET and overwrites_itself(step.instruction.kernel, tuple(d.tolist()), self.width):
                        self.refuse(number, runs[0], f"overwrites {self.what(step, slot)} by several rows of one call")
                    if kind == SET and d[0] == 0 and not step.chunk:
                        self.refuse(number, runs[0], f"overwrites {self.what(step, slot)} at a level without members")

    @staticmethod
    def _alike(step: Step) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each vector d of an instruction, and the runs that have it."""
        vectors, which = np.unique(step.d, axis=0, return_inverse=True)
        for k, d in enumerate(vectors):
            yield d, np.flatnonzero(which.reshape(-1) == k)

    def _footprint(self, step: Step, d: np.ndarray) -> list[Touched]:
        """(operand, elements, kind, (operand that lists rows, elements of a row) or None) of one vector d."""
        kernel, key = step.instruction.kernel, tuple(d.tolist())
        try:
            found = spans_of(kernel, key, self.width)
        except LookupError:
            found = spans_within(kernel, key, Known(self.width, lambda slot: self._room(step, slot)))
        in_place = kernel is GEMM_PACKED and d[5] and d[1] == d[4]
        if in_place and (step.operands[0] == step.operands[3]).all():  # it starts from what is there
            return [(slot, spans, READ if slot else ADD, None) for slot, spans, _, _ in found if slot != 3]
        return found

    def _room(self, step: Step, slot: int) -> int:
        """Elements from where an operand begins (in its last run, if it moves), of what is addressed as a whole."""
        index = step.storages[slot]
        storage = self.plan.storages[index] if index >= 0 else None
        if storage is None or storage.space not in ("leaf", "grads"):
            return 1
        begins = int(step.operands[slot].max() - self.space.base[index])
        if storage.space == "grads":  # of one thread or another
            begins %= self.space.flat
        return max(storage.size - begins, 0)

    def _operand(self, number: int, step: Step, slot: int, elements: Spans, runs: np.ndarray, kind: int) -> None:
        """The elements of an operand with an address of its own."""
        index, begins = step.storages[slot], step.operands[slot][runs]
        if index == -2:
            self._gradients(elements.at(begins), np.repeat(self.first_run[number] + runs, len(elements)), kind)
            return
        storage = self.plan.storages[index]
        self._kind_of_numbers(number, step, slot, index)
        offset = begins - self.space.base[index]
        if storage.space == "grads" and self.space.threads > 1:
            offset = offset - step.thread * self.space.flat * (offset >= self.space.flat)
        low, high = int(offset.min() + elements.first[0]), int(offset.max() + elements.last[-1]) - 1
        if low < -storage.lead or high >= storage.size - storage.lead:
            run = runs[int(offset.argmin() if low < -storage.lead else offset.argmax())]
            self.refuse(
                number, run, f"reaches elements {low} to {high} of {self.what(step, slot)} (operand "
                f"{step.instruction.kernel.operands[slot]}), which has {-storage.lead} to "
                f"{storage.size - storage.lead - 1}",
            )  # fmt: skip
        if index in self.given:
            if kind != READ:
                self.refuse(number, runs[0], f"writes to {self.what(step, slot)}, which is not the program's")
            return
        if index in self.unwanted:  # nobody reads it
            return
        if kind == READ and len(runs) > 2 and (begins == begins[0]).all() and not self._written_in(step, index):
            begins, runs = begins[[0, -1]], runs[[0, -1]]
        self._add(elements.at(begins), np.repeat(self.first_run[number] + runs, len(elements)), index, kind)

    def _written_in(self, step: Step, index: int) -> bool:
        """Whether a block writes a storage."""
        if step.block is None:
            return True
        key = id(step.block)
        if key not in self.written:
            written = {i.operands[0].storage.index for i in step.block.instructions}
            if -1 in written:
                written |= {layout.storage.index for *_, layouts in self.plan.pointers for layout in layouts.values()}
            self.written[key] = written
        return index in self.written[key]

    def _kind_of_numbers(self, number: int, step: Step, slot: int, index: int) -> None:
        """Integers are read by who takes integers, numbers by who takes numbers."""
        kernel = step.instruction.kernel
        wanted, given = kernel.operands[slot] in kernel.integers, index in self.integers
        if wanted != given:
            kinds = ("floating-point numbers", "integers")
            self.refuse(number, 0, f"takes {self.what(step, slot)} for {kinds[wanted]}; it holds {kinds[given]}")

    def _listed(
        self, number: int, step: Step, slot: int, lists: tuple[int, int], d: np.ndarray, runs: np.ndarray, kind: int
    ) -> None:
        """Rows whose places a list holds."""
        listing, width = lists
        count = int(d[0])
        if not count:
            return
        index = step.storages[listing]
        if index not in self.space.listed:
            self.refuse(number, runs[0], f"takes {self.what(step, listing)} for a list of addresses")
        rows, owners = self.space.listed[index]
        at = (step.operands[listing][runs] - self.space.base[index])[:, None] + np.arange(count)
        if at.min() < 0 or at.max() >= len(rows):
            return  # the list itself is left, which its own operand tells
        places, whose = rows[at].reshape(-1), owners[at].reshape(-1)
        run = np.repeat(self.first_run[number] + runs, count)
        for storage in np.unique(whose).tolist():
            chosen = whose == storage
            where = Spans(places[chosen], places[chosen] + width)
            given = self.plan.storages[storage]
            within = where.first - self.space.base[storage]
            if within.min() < -given.lead or within.max() + width > given.size - given.lead:
                self.refuse(number, runs[0], f"finds a row outside {given.what!r} in its list of addresses")
            if storage in self.given:
                if kind != READ:
                    self.refuse(number, runs[0], f"writes to {given.what!r}, which is not the program's")
                continue
            if storage not in self.unwanted:  # which nobody reads
                self._add(where, run[chosen], storage, kind)

    def _gradients(self, places: Spans, runs: np.ndarray, kind: int) -> None:
        """Elements of the flat gradients, whichever parameter's they are."""
        which, pieces = places.cut(self.space.gradients)
        owners = self.space.owner_of_gradients(pieces.first)
        for index in np.unique(owners).tolist():
            if index != NOBODY:
                chosen = owners == index
                self._add(pieces[chosen], runs[which[chosen]], index, kind)

    def _inside(self, places: Spans, storage: Storage, what: str) -> None:
        """Refuse a result that lies outside its storage."""
        if places.first[0] < -storage.lead or places.last[-1] > storage.size - storage.lead:
            raise TapeError(f"{what} lies outside {storage.what!r}")

    def _add(self, places: Spans, runs: np.ndarray, storage: int, kind: int) -> None:
        """Take note of events of one kind; where there are more than MOST, of those at some addresses only."""
        which, places = followed(places, self.one_in)
        self.found.append((places, runs[which], storage, kind))
        self.count += len(places)
        while self.count > MOST:
            self._thin()

    def _thin(self) -> None:
        """Follow half as many addresses."""
        self.one_in *= 2
        thinned = [(followed(places, self.one_in), runs, s, k) for places, runs, s, k in self.found]
        self.found = [(places, runs[which], s, k) for (which, places), runs, s, k in thinned]
        self.count = sum(len(places) for places, *_ in self.found)

    def pieces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(address, run, storage, kind) of every piece of a span, as arrays."""
        while True:
            bounds = bounds_of([spans for spans, *_ in self.found])
            first = [np.searchsorted(bounds, spans.first) for spans, *_ in self.found]
            count = [np.searchsorted(bounds, spans.last) - f for (spans, *_), f in zip(self.found, first, strict=True)]
            total = sum(int(c.sum()) for c in count)
            if total <= MOST or self.one_in > 1 << 20:
                break
            self._thin()
        if not total:
            return (np.zeros(0, np.int64),) * 4
        counts, sizes = np.concatenate(count), [len(spans) for spans, *_ in self.found]
        number = np.repeat(np.concatenate(first) - (np.cumsum(counts) - counts), counts) + np.arange(total)
        run = np.concatenate([runs for _, runs, *_ in self.found])
        storage, kind = (np.repeat([event[k] for event in self.found], sizes) for k in (2, 3))
        return bounds[number], np.repeat(run, counts), np.repeat(storage, counts), np.repeat(kind, counts)

    # -- words
    def what(self, step: Step, slot: int) -> str:
        """The storage of an operand, by its name."""
        index = step.storages[slot]
        return repr(self.plan.storages[index].what) if index >= 0 else "the arena"

    def refuse(self, number: int, run: int, what: str) -> NoReturn:
        """Raise for one run of an instruction."""
        raise TapeError(f"{self.names.step(self.steps[number], int(run))}: {what}")

    def refuse_run(self, run: int, what: str) -> NoReturn:
        """Raise for a run by its number among all."""
        if run >= self.first_run[-1]:
            raise TapeError(f"after the program: {what}")
        number = int(np.searchsorted(self.first_run, run, side="right")) - 1
        self.refuse(number, run - int(self.first_run[number]), what)


def integer_storages(plan: Plan) -> set[int]:
    """Storages that hold integers."""
    leaves = {int(c.nodes[0]): c.dtype.kind for c in plan.graph.classes if c.op in INPUTS and len(c.nodes)}
    found = {s.index for s in plan.storages if s.space == "integers"}
    return found | {s.index for s in plan.storages if s.space == "leaf" and leaves.get(s.node) == "i"}
