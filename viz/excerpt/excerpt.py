"""The part of a tape that a picture shows, found by array work on the tape's columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from tinyseq.ops.groups import PARAMETERS
from tinyseq.tape import Tape
from tinyseq.viz.excerpt.keys import key_nodes
from tinyseq.viz.excerpt.nodes import EVERYWHERE, NONE, Nodes
from tinyseq.viz.excerpt.positions import Reads

ROUNDS = 32
MOST = 20_000  # nodes beyond which no picture goes
BEHIND = 16  # steps not shown that are looked at because shown ones read them


class Excerpt(Nodes):
    """Nodes of some time steps, with what enters and leaves them; its ``keys``, ``ghosts``, ``initial`` and ``delays``
    are described in keys.py.

    shown     the time steps, or for each cell its own
    trees     cells whose steps are positions of a tree
    apart     whether an initial state that is read in place of several states (h before the first step where h(t − 2)
              and h(t − 4) are read) is one for each of them; ``starts`` are the reads of such, by double
    """

    def __init__(
        self,
        tape: Tape,
        shown: Sequence[int] | Mapping[str, Sequence[int]],
        keep: np.ndarray | None = None,
        trees: Collection[str] = (),
        apart: bool = False,
    ) -> None:
        super().__init__(tape, keep)
        self.apart = apart
        self.starts: list[tuple[int, int, int, int]] = list(tape.starts)
        self.of_cell = shown if isinstance(shown, Mapping) else None
        every = [s for steps in shown.values() for s in steps] if isinstance(shown, Mapping) else shown
        self.shown: set[int] = set(every)
        self.trees = set(trees)
        self._gather()
        self._place_sources()
        made = key_nodes(self, max(BEHIND, 4 * len(self.shown) if trees else 0), self.trees, self.starts)
        self.keys, self.ghosts, self.initial, self.delays = made.keys, made.ghosts, made.initial, made.delays

    # -- gathering ------------------------------------------------------------------------------------------------
    def _core(self) -> np.ndarray:
        """Mask of the nodes of the steps shown."""
        inside = (self.step >= 0) & self.keep
        if self.of_cell is None:
            return inside & self._at(self.shown)
        reads, found = Reads(self.tape, self.keep), np.zeros(len(inside), bool)
        for cell, steps in self.of_cell.items():
            found |= reads.mask({cell}) & self._at(steps)
        return found

    def _at(self, steps: Iterable[int]) -> np.ndarray:
        lookup = np.zeros(int(self.step.max(initial=-1)) + 2, bool)
        lookup[list(steps)] = True
        return lookup[self.step]

    def _gather(self) -> None:
        """Nodes of the steps shown, then what is recorded outside: what they read, then, in rounds, what reads them."""
        member = self.member = self._core()
        core = np.flatnonzero(member)[:MOST].tolist()
        if self.apart and self.starts:
            self._double(set(core))
        self.found.update((i, int(self.step[i])) for i in core)
        fresh = member.copy()
        self._gather_sources(core)
        for _ in range(ROUNDS):
            edges = np.flatnonzero(fresh[self.inputs_of_all])
            readers = np.unique(np.searchsorted(self.pointers, edges, "right") - 1)
            readers = readers[(self.step[readers] < 0) & ~member[readers] & self.keep[readers]]
            new = [i for i in readers.tolist() if self._take(i)]
            if not new or len(self.found) > MOST:
                break
            fresh = np.zeros(len(member), bool)
            fresh[new] = member[new] = True
            self._gather_sources(new)

    def _double(self, core: set[int]) -> None:
        starts = [s for s in self.starts if s[3] in core and s[0] in self.inputs(s[3])]
        made = self.double([(reader, initial) for initial, _, _, reader in starts])
        self.starts = [(i, *start[1:]) for i, start in zip(made, starts, strict=True)]

    def _take(self, index: int) -> bool:
        step = self.step_of(index)
        if step == NONE or (step >= 0 and step not in self.shown):
            return False
        if self.of_cell is not None and step >= 0 and not any(j in self.found for j in self.through(index)):
            return False
        self.found[index] = None if step == EVERYWHERE else step
        return True

    def _gather_sources(self, start: list[int]) -> None:
        waiting = list(start)
        while waiting and len(self.found) <= MOST:
            i = waiting.pop()
            for j in self.inputs(i):
                if j in self.found or self.step[j] >= 0 or not self.keep[j]:
                    continue
                if self.step_of(j) == NONE or self._is_context(i, j):
                    self.found[j] = NONE
                elif not self._take(j):
                    continue
                self.member[j] = True
                waiting.append(j)

    def _is_context(self, i: int, j: int) -> bool:
        """Whether a node outside of all steps, of a step not shown, is read by a shown one, or by such a node: R C of a
        context C, which all steps read."""
        step = self.step_of(j)
        if step < 0 or step in self.shown:
            return False
        if self.step[i] < 0 and (i not in self.contexts or self.step_of(i) != step):
            return False
        self.contexts.add(j)
        return True

    def _place_sources(self) -> None:
        """Sources stand at the step that reads them, be it read outside of steps too; parameters and what several steps
        read stand at none."""
        readers: dict[int, set[int | None]] = {}
        outside: dict[int, set[int | None]] = {}
        for i in sorted(self.found, reverse=True):
            step = self.found[i]
            if step == NONE:
                steps = readers.get(i) or outside.get(i, set())
                step = next(iter(steps)) if len(steps) == 1 and self.node(i).op not in PARAMETERS else None
                self.found[i] = step
            for j in self.inputs(i):
                if self.found.get(j) == NONE:
                    (readers if self.step[i] >= 0 else outside).setdefault(j, set()).add(step)

    @property
    def counts(self) -> tuple[int, int]:
        """Nodes in the excerpt, nodes there are; of a whole graph none is left out, though one may be unread."""
        there = int(self.keep[: len(self.tape)].sum())
        inside = int((self.keep & (self.step >= 0)).sum())
        whole = inside > 0 and inside == sum(int(self.step[i]) >= 0 for i in self.found)
        return (there if whole else len({self.real(i) for i in self.found})), there

    @property
    def is_chain(self) -> bool:
        """Whether each late input is always late by the same number of steps; on a tree it is not."""
        return not self.irregular()

    def irregular(self) -> set[str]:
        """Cells, those of trees aside, that read an input now from one, now from another step before."""
        return {key[0] for (key, _), late in self.delays.items() if len(late) > 1} - self.trees


class Bare(Excerpt):
    """A tape without time steps: all of it, or its first and last nodes."""

    def __init__(self, tape: Tape, limit: int, keep: np.ndarray | None = None) -> None:
        super().__init__(tape, (), keep)
        kept = np.flatnonzero(self.keep)
        self.elided = max(0, len(kept) - limit)
        if self.elided:
            kept = np.concatenate([kept[: limit - limit // 2], kept[len(kept) - limit // 2 :]])
        for i in kept.tolist():
            self.found[i] = None
            self.member[i] = True
            self.keys[i] = ("", self.node(i).op, self.node(i).name, i, True)

    def is_source(self, index: int) -> bool:
        """Leaves."""
        return self.pointers[index + 1] == self.pointers[index]
