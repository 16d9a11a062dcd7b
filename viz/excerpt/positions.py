"""Which positions of a tape read which others: whether they are a tree, and which of a large one to show."""

from __future__ import annotations

from collections import deque

import numpy as np

from tinyseq.tape import Tape


class Positions:
    """The positions of a tape's trees.

    children  position → the positions that it reads, from left to right
    first     position → its leftmost leaf
    roots     positions that no other reads
    """

    def __init__(self, tape: Tape, keep: np.ndarray | None = None) -> None:
        self.pairs = _pairs(tape, keep)
        self.total = int(tape.step.max(initial=-1)) + 1
        self.first = np.arange(self.total)
        found: dict[int, list[int]] = {}
        for reader, source in self.pairs.tolist():
            found.setdefault(reader, []).append(source)
        for reader in sorted(found):
            self.first[reader] = min(int(self.first[s]) for s in found[reader])
        self.children = {p: sorted(c, key=lambda s: int(self.first[s])) for p, c in found.items()}
        read = set(self.pairs[:, 1].tolist())
        here = np.unique(tape.step[(tape.step >= 0) if keep is None else (tape.step >= 0) & keep]).tolist()
        self.roots = [p for p in here if p not in read]

    def nearest(self, count: int) -> list[int]:
        """So many positions from the roots downwards, a level before the next; the last level whole, or not at all."""
        shown: list[int] = []
        level = deque(self.roots)
        while level and (not shown or len(shown) + len(level) <= count):
            shown += level
            level = deque(c for p in level for c in self.children.get(p, ()))
        return sorted(shown)


def is_tree(tape: Tape, keep: np.ndarray | None = None) -> bool:
    """Whether some position reads several others, and none is read by two: that a chain never does, even one that
    reads two earlier steps."""
    pairs = _pairs(tape, keep)
    if not len(pairs):
        return False
    return bool((np.bincount(pairs[:, 0]) > 1).any() and (np.bincount(pairs[:, 1]) <= 1).all())


def _pairs(tape: Tape, keep: np.ndarray | None) -> np.ndarray:
    """(reader, source): positions of one cell of which one reads the other."""
    reader = np.repeat(np.arange(len(tape)), np.diff(tape.input_pointers))
    source = tape.input_indices
    step, cell = tape.step, tape.column("cell")
    late = (step[reader] >= 0) & (step[source] >= 0) & (step[reader] != step[source]) & (cell[reader] == cell[source])
    if keep is not None:
        late &= keep[reader]
    return np.unique(np.stack([step[reader[late]], step[source[late]]], axis=1), axis=0).astype(np.int64)
