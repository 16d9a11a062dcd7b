"""A chain of time steps, for sequences of one length or of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, ShapeError
from tinyseq.habits import advised


@advised
class Chain:
    """A sequence of steps: ``Chain(T)``, or ``Chain(lengths)`` for sequences of different lengths in one batch.

    With lengths the batch shrinks: step t runs the sequences longer than t, longest first (``order``), and their
    rows lie packed, step after step, in one array of Σ lengths rows. ``chain.reversed()`` runs from the end. Some of
    the sequences may have length 0: their final state is the initial one.
    """

    def __init__(self, steps: int | Sequence[int] | np.ndarray, backwards: bool = False) -> None:
        self.lengths: np.ndarray | None = None
        if isinstance(steps, (int, np.integer)) and not isinstance(steps, bool):
            self.T = int(steps)
        else:
            lengths = plain(steps, "the lengths of a chain")
            if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
                raise DataError(f"Chain(lengths) needs a list of integers, one for each sequence, got {steps!r}")
            if (lengths < 0).any():
                worst = int(np.flatnonzero(lengths < 0)[0])
                raise DataError(f"sequence {worst} has length {lengths[worst]}; lengths are whole numbers from 0")
            self.lengths = lengths.astype(np.int64)
            self.T = int(lengths.max())
        if self.T < 1:
            raise ShapeError(f"a chain needs at least one step, got T = {self.T}")
        self.backwards = backwards

    def reversed(self) -> Chain:
        """The same chain run from the end to the start."""
        return Chain(self.T if self.lengths is None else self.lengths, not self.backwards)

    def signature(self) -> tuple:
        """What tells chains apart: equal chains share what ``ts.compile`` recorded."""
        return "chain", self.T, None if self.lengths is None else self.lengths.tobytes(), self.backwards

    @property
    def positions(self) -> np.ndarray:
        """Time step of each instance in the order of running."""
        t = np.arange(self.T)
        return t[::-1] if self.backwards and self.lengths is None else t

    @property
    def order(self) -> np.ndarray:
        """Sequence numbers, longest first (ties as given)."""
        assert self.lengths is not None
        return np.argsort(-self.lengths, kind="stable")

    @property
    def batch_sizes(self) -> np.ndarray:
        """Number of sequences longer than t, for each step t."""
        assert self.lengths is not None
        return np.cumsum(np.bincount(self.lengths, minlength=self.T + 1)[::-1])[::-1][1:]

    def packed_rows(self) -> np.ndarray:
        """For each packed row, (sequence, time): (Σ lengths, 2). Reversed chains read each sequence from its end."""
        assert self.lengths is not None
        order, sizes = self.order, self.batch_sizes
        time = np.repeat(np.arange(self.T), sizes)
        starts = np.cumsum(sizes) - sizes
        sequence = order[np.arange(len(time)) - np.repeat(starts, sizes)]
        return np.stack([sequence, self.lengths[sequence] - 1 - time if self.backwards else time], axis=1)

    def pack(self, sequences: Sequence[Any]) -> np.ndarray:
        """Pack a list of arrays (length, …) into (Σ lengths, …), step after step, longest sequence first."""
        if self.lengths is None:
            raise DataError(f"packing is for chains of sequences with lengths, this is {self!r}; write Chain(lengths)")
        arrays = [plain(s, f"sequence {i}") for i, s in enumerate(sequences)]
        if len(arrays) != len(self.lengths):
            raise DataError(f"{len(arrays)} sequences for a chain of {len(self.lengths)} lengths")
        for i, array in enumerate(arrays):
            if len(array) != self.lengths[i]:
                raise DataError(f"sequence {i} has {len(array)} steps, its length was given as {self.lengths[i]}")
            if array.shape[1:] != arrays[0].shape[1:]:
                raise DataError(f"sequence {i} has features {array.shape[1:]}, sequence 0 has {arrays[0].shape[1:]}")
        flat = np.concatenate(arrays)
        starts = np.cumsum(self.lengths) - self.lengths
        where = self.packed_rows()
        return flat[starts[where[:, 0]] + where[:, 1]]

    def unpack_rows(self) -> np.ndarray:
        """Packed row of each (sequence, time), sequence after sequence: the inverse of packing."""
        assert self.lengths is not None
        starts = np.cumsum(self.lengths) - self.lengths
        where = self.packed_rows()
        rows = np.empty(len(where), np.int64)
        rows[starts[where[:, 0]] + where[:, 1]] = np.arange(len(where))
        return rows

    def last_rows(self) -> np.ndarray:
        """Packed row of each sequence's last step in the order of running, in the order of the sequences given; none of
        them may be empty."""
        assert self.lengths is not None
        sizes = self.batch_sizes
        starts = np.cumsum(sizes) - sizes
        rank = np.empty(len(self.lengths), np.int64)
        rank[self.order] = np.arange(len(self.lengths))
        return starts[self.lengths - 1] + rank

    def __repr__(self) -> str:
        what = (
            f"T={self.T}"
            if self.lengths is None
            else f"{len(self.lengths)} sequences of {self.lengths.min()}–{self.T} steps"
        )
        return f"Chain({what}{', reversed' if self.backwards else ''})"
