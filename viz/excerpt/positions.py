"""Which positions of a tape read which others: which of its cells are unfolded over trees, and what of them to show."""

from __future__ import annotations

from collections import deque
from functools import cached_property

import numpy as np

from tinyseq.tape import Tape


class Positions:
    """The positions of a tape's trees.

    children  position → the positions that it reads, from left to right
    first     position → its leftmost leaf
    here      all that have nodes, and ``roots`` those that no other reads
    """

    def __init__(self, tape: Tape, keep: np.ndarray | None = None) -> None:
        pairs = Reads(tape, keep).pairs()
        self.total = int(tape.step.max(initial=-1)) + 1
        self.first = np.arange(self.total)
        found: dict[int, list[int]] = {}
        for reader, source in pairs.tolist():
            found.setdefault(reader, []).append(source)
        for reader in sorted(found):
            self.first[reader] = min(int(self.first[s]) for s in found[reader])
        self.children = {p: sorted(c, key=lambda s: int(self.first[s])) for p, c in found.items()}
        read = set(pairs[:, 1].tolist())
        self.here = np.unique(tape.step[(tape.step >= 0) if keep is None else (tape.step >= 0) & keep]).tolist()
        self.roots = [p for p in self.here if p not in read]

    def nearest(self, count: int) -> list[int]:
        """So many positions from the roots downwards, a level before the next; the last level whole, or not at all."""
        shown: list[int] = []
        level = deque(self.roots)
        while level and (not shown or len(shown) + len(level) <= count):
            shown += level
            level = deque(c for p in level for c in self.children.get(p, ()))
        return sorted(shown)


class Reads:
    """For each cell which of its positions read which others of it.

    cells  those that have nodes in steps, in the order of the tape; ``mask`` says which nodes are of some of them
    """

    def __init__(self, tape: Tape, keep: np.ndarray | None = None) -> None:
        self.tape, self.keep = tape, keep
        names = [kind.cell for kind in tape.kinds]
        number = {name: n for n, name in enumerate(dict.fromkeys(names))}
        self._of_kind = np.array([number[name] for name in names], np.int64)
        self.cell = self._of_kind[tape.kind] if len(names) else np.zeros(0, np.int64)
        self._inside = tape.step >= 0 if keep is None else (tape.step >= 0) & keep
        here, first = np.unique(self.cell[self._inside], return_index=True)
        by_number = list(number)
        self.cells = [by_number[here[n]] for n in np.argsort(first)]
        self.number = number

    def mask(self, cells: set[str] | list[str]) -> np.ndarray:
        """Nodes of some cells in steps."""
        chosen = np.zeros(len(self.number), bool)
        chosen[[self.number[c] for c in cells]] = True
        return self._inside & chosen[self.cell]

    def pairs(self, cell: str | None = None) -> np.ndarray:
        """(reader, source): positions of one cell, or of any, of which one reads the other."""
        if cell is None:
            return np.unique(self._triples[:, 1:], axis=0)
        first, last = np.searchsorted(self._triples[:, 0], [self.number[cell], self.number[cell] + 1])
        return self._triples[first:last, 1:]

    @cached_property
    def _triples(self) -> np.ndarray:
        """(cell, reader, source), each once, in order."""
        step, sources = self.tape.step, self.tape.input_indices
        widths = np.diff(self.tape.input_pointers)
        reader, cell = np.repeat(step, widths), np.repeat(self.cell, widths)
        late = (reader != step[sources]) & (reader >= 0) & (step[sources] >= 0) & (cell == self.cell[sources])
        if self.keep is not None:
            late &= np.repeat(self.keep, widths)
        total = int(step.max(initial=-1)) + 1
        codes = (cell[late] * total + reader[late].astype(np.int64)) * total + step[sources[late]]
        rest, source = np.divmod(np.unique(codes), max(total, 1))
        return np.stack([*np.divmod(rest, max(total, 1)), source], axis=1)

    def trees(self) -> set[str]:
        """Cells of which some position reads several others, and none is read by two: that a chain never does, even
        one that reads two earlier steps. Cells that read no position of their own go with the cells they join."""
        found, plain, chains = set(), set(), set()
        for name in self.cells:
            pairs = self.pairs(name)
            if not len(pairs):
                plain.add(name)
            elif (np.bincount(pairs[:, 0]) > 1).any() and (np.bincount(pairs[:, 1]) <= 1).all():
                found.add(name)
            else:
                chains.add(name)
        plain = {name for name in plain if found and self._goes_with(name, found)}
        return found | plain if not chains else found | {name for name in plain if self._joined(name, found)}

    def _goes_with(self, name: str, trees: set[str]) -> bool:
        """Whether a cell may be a part of trees: one that runs once and reads what they have made comes after them."""
        mine, theirs = self.mask({name}), self.mask(trees)
        widths, sources = np.diff(self.tape.input_pointers), self.tape.input_indices
        reads = bool((np.repeat(mine, widths) & theirs[sources]).any())
        return not reads or len(np.unique(self.tape.step[mine])) > 1

    def _joined(self, name: str, others: set[str]) -> bool:
        """Whether a cell reads, or is read by, one of some others."""
        mine, theirs = self.mask({name}), self.mask(others)
        widths, sources = np.diff(self.tape.input_pointers), self.tape.input_indices
        here, there = np.repeat(mine, widths), np.repeat(theirs, widths)
        return bool((here & theirs[sources]).any() or (there & mine[sources]).any())
