"""Products with a sparse matrix: its places are fixed, the numbers in them are a tensor or parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor, handle
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


@advised
class Sparsity:
    """Which elements of a matrix (n, k) may differ from 0, by rows: those of row i stand in ``columns`` at places
    ``starts[i]`` to ``starts[i + 1]``.

    ``sparsity, values = ts.Sparsity.of(W)`` takes a dense matrix apart, or any of scipy.sparse.
    """

    def __init__(self, columns: Any, starts: Any, width: int) -> None:
        self.columns, self.starts = (np.array(a, np.int64) for a in (columns, starts))
        self.shape = (len(self.starts) - 1, int(width))
        falls = (np.diff(self.starts) < 0).any()
        if self.starts.ndim != 1 or not len(self.starts) or self.starts[0] != 0 or falls:
            raise ShapeError(f"starts rise from 0, one for each row and one for the end; got {starts!r}")
        if self.columns.shape != (self.starts[-1],):
            raise ShapeError(f"starts end at {self.starts[-1]}, the number of columns; got {self.columns.shape}")
        if self.columns.size and not 0 <= self.columns.min() <= self.columns.max() < self.shape[1]:
            raise ShapeError(
                f"columns lie in 0 to {self.shape[1] - 1}, got {self.columns.min()} to {self.columns.max()}"
            )
        self.columns.flags.writeable = self.starts.flags.writeable = False

    @classmethod
    def of(cls, matrix: Any) -> tuple[Sparsity, np.ndarray]:
        """The places of a matrix's nonzero elements, and these."""
        from scipy.sparse import csr_array

        rows = csr_array(matrix)
        if rows.ndim != 2:
            raise ShapeError(f"a sparse matrix has two axes, got shape {rows.shape}")
        rows.sum_duplicates()
        rows.eliminate_zeros()
        return cls(rows.indices, rows.indptr, rows.shape[1]), rows.data

    def dense(self, values: np.ndarray) -> np.ndarray:
        """The matrix (n, k) with these values."""
        matrix = np.zeros(self.shape, np.asarray(values).dtype)
        matrix[np.repeat(np.arange(self.shape[0]), np.diff(self.starts)), self.columns] = values
        return matrix

    def signature(self) -> tuple:
        """What a recording depends on: these very places."""
        return "sparsity", id(self)

    def __repr__(self) -> str:
        return f"Sparsity({len(self.columns)} of {self.shape[0]}×{self.shape[1]})"


@advised
def sparse_linear(x: Any, values: Any, sparsity: Sparsity) -> Tensor:
    """W x for each row of x, W sparse: x (B, k), values (nnz) of W (n, k) in the places of ``sparsity`` → (B, n)."""
    x, values = as_tensor(x), as_tensor(values)
    if not isinstance(sparsity, Sparsity):
        raise TinyseqError(f"expected a Sparsity, got {type(sparsity).__name__}; write ts.Sparsity.of(matrix)")
    n, k = sparsity.shape
    if values.shape != sparsity.columns.shape or x.ndim != 2 or x.shape[1] != k:
        raise ShapeError(
            f"a sparse W ({n}, {k}) with {len(sparsity.columns)} values multiplies rows x (B, {k}); "
            f"got x {x.shape}, values {values.shape}"
        )
    return record("sparse", (x, values, _places(sparsity.columns, "columns"), _places(sparsity.starts, "starts")))


def _places(array: np.ndarray, name: str) -> Tensor:
    """A leaf for a part of a matrix's structure: no data of the user's, so pictures leave it out."""
    tape = Tape.current()
    index = tape.append("input", (), array.shape, INT64, (("structure", True),), 0, ("", 0), name)
    tape.executor.bind(index, array)
    return handle(tape, index, tape.form(array.shape, INT64))
