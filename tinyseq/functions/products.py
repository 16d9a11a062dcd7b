"""Matrix products, with ``W.T`` taken into the product."""

from __future__ import annotations

from math import prod
from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.functions.shapes import reshape
from tinyseq.tensor import Tensor, as_tensor, internal, record

internal(__file__)


class Transposed(Tensor):
    """``W.T``, kept symbolic so that ``x @ W.T`` is one matmul; any other op records a transpose."""

    __slots__ = ("_made", "_made_in", "original")

    def __init__(self, original: Tensor) -> None:
        self.original = original
        self._made: int | None = None
        self._made_in = self.fold = original.tape.folding
        self.tape = original.tape
        self.dtype_code = original.dtype_code
        self.shape = original.shape[:-2] + original.shape[-2:][::-1]

    @property
    def index(self) -> int:  # type: ignore[override]
        """Index of the transpose node, recorded when it is first needed."""
        if self._made is None or self._made_in != self.tape.folding:
            self._made_in = self.tape.folding
            axes = tuple(range(len(self.shape)))
            self._made = record("transpose", [self.original], (("axes", axes[:-2] + axes[-2:][::-1]),)).index
        return self._made

    @property
    def T(self) -> Tensor:
        """The original."""
        return self.original


def transposed(x: Any) -> Tensor:
    """Swap the last two axes, symbolically."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f".T needs at least two axes, got shape {x.shape}")
    return Transposed(x)


def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product of (m, k) and (k, n); of (B, m, k) and (B, k, n); or of (…, k) with one matrix (k, n)."""
    a, b = as_tensor(a), as_tensor(b)
    if type(a) is Tensor and type(b) is Tensor and len(a.shape) == len(b.shape):
        return record("matmul", (a, b))
    flip_a, flip_b = isinstance(a, Transposed), isinstance(b, Transposed)
    if b.ndim == 2 and a.ndim in (1, 3):
        rows = reshape(a, (prod(a.shape[:-1]), a.shape[-1]))
        return reshape(matmul(rows, b), (*a.shape[:-1], b.shape[-1]))
    attrs = (("transpose_a", flip_a), ("transpose_b", flip_b)) if flip_a or flip_b else ()
    return record("matmul", (a.original if flip_a else a, b.original if flip_b else b), attrs)  # type: ignore[attr-defined]


def linear(x: Any, W: Any) -> Tensor:
    """W x for each row of x: (B, k) with W (n, k), as the book writes it, gives (B, n)."""
    x, W = as_tensor(x), as_tensor(W)
    if type(x) is Tensor and type(W) is Tensor and len(x.shape) == len(W.shape) == 2:
        return record("matmul", (x, W), (("transpose_a", False), ("transpose_b", True)))
    return matmul(x, transposed(W))
