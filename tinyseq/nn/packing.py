"""Sequences of unequal lengths as rows, packed step after step, the longest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, DtypeError, ShapeError
from tinyseq.habits import advised
from tinyseq.structure.chain import Chain
from tinyseq.tensor.handles import Tensor


class Packed(tuple):
    """(rows, lengths): sequences packed step after step, longest first. ``nn.pack`` makes it; ts.compile takes it."""

    __slots__ = ()

    @property
    def rows(self) -> Any:
        """(Σ lengths, …)."""
        return self[0]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Steps of each sequence, in the order given."""
        return self[1]

    @property
    def chain(self) -> Chain:
        """The structure: a chain with these lengths."""
        return Chain(list(self.lengths))


@advised
def pack(sequences: Any, lengths: Any = None) -> Packed:
    """Pack a list of arrays (length, …), or a padded array (T, B, …) with the lengths of its sequences.

    Raises DataError naming the sequence that is empty, longer than the padded array, or has other features.
    """
    if lengths is not None:
        array, lengths = plain(sequences, "the padded array"), checked_lengths(lengths, np.shape(sequences))
        sequences = [array[:n, i] for i, n in enumerate(lengths)]
    arrays = [plain(s, f"sequence {i}") for i, s in enumerate(sequences)]
    if not arrays:
        raise DataError("there are no sequences: the list is empty")
    first = next((a for a in arrays if a.ndim and len(a)), arrays[0])
    for i, array in enumerate(arrays):
        if array.ndim == 0:
            raise DataError(f"sequence {i} is the number {array}; each sequence is an array (length, …)")
        if array.dtype.kind not in "biuf":
            raise DtypeError(f"sequence {i} holds {array.dtype}, expected integers or floating point")
        if len(array) and (array.dtype.kind == "f") != (first.dtype.kind == "f"):
            raise DtypeError(f"sequence {i} is {array.dtype}, sequence 0 is {first.dtype}; make them one dtype")
    arrays = [a if len(a) else np.zeros((0, *first.shape[1:]), first.dtype) for a in arrays]
    chain = Chain([len(a) for a in arrays])
    assert chain.lengths is not None
    rows = chain.pack(arrays)
    return Packed((rows.astype(np.int64) if rows.dtype.kind in "bui" else rows, tuple(chain.lengths.tolist())))


@advised
def unpack(rows: Any, lengths: Sequence[int]) -> list[np.ndarray]:
    """The sequences of packed rows, in the order they were given."""
    chain = Chain(list(lengths))
    apart = plain(rows, "rows")[chain.unpack_rows()]
    return np.split(apart, np.cumsum(lengths)[:-1])


def checked_lengths(lengths: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths as plain numbers: one for each sequence of a padded (T, B, …), each from 1 to T."""
    if isinstance(lengths, Tensor):
        raise DataError("lengths shape the graph, so ts.compile needs them as a tuple of numbers: tuple(lengths)")
    if len(shape) < 2:
        raise ShapeError(f"padded sequences are (T, B, …), got shape {shape}")
    given = plain(lengths, "lengths")
    if given.dtype.kind not in "iu" or given.shape != (shape[1],):
        raise DataError(f"lengths are {shape[1]} whole numbers, one for each sequence of x {shape}; got {lengths!r}")
    for i, n in enumerate(given.tolist()):
        if not 0 <= n <= shape[0]:
            raise DataError(f"sequence {i} has length {n}; lengths are 0 to T = {shape[0]}")
    return tuple(given.tolist())
