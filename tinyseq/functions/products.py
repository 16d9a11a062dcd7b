"""Matrix products, with ``W.T`` taken into the product."""

from __future__ import annotations

from math import prod
from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.functions.call_sites import binary
from tinyseq.functions.shapes import reshape
from tinyseq.functions.transposed import Transposed
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


def matrix_transpose(x: Any) -> Tensor:
    """xᵀ, the last two axes swapped, symbolically: a product reads x the other way round and nothing is copied."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f".T needs at least two axes, got shape {x.shape}")
    return Transposed(x)


def _matmul(a: Any, b: Any) -> Tensor:
    a, b = as_tensor(a), as_tensor(b)
    if type(a) is Tensor and type(b) is Tensor and len(a.shape) == len(b.shape):
        return record("matmul", (a, b))
    flip_a, flip_b = isinstance(a, Transposed), isinstance(b, Transposed)
    if b.ndim == 2 and a.ndim in (1, 3):
        rows = reshape(a, (prod(a.shape[:-1]), a.shape[-1]))
        return reshape(_matmul(rows, b), (*a.shape[:-1], b.shape[-1]))
    attrs = (("transpose_a", flip_a), ("transpose_b", flip_b)) if flip_a or flip_b else ()
    return record("matmul", (a.original if flip_a else a, b.original if flip_b else b), attrs)  # type: ignore[attr-defined]


def _linear(x: Any, W: Any) -> Tensor:
    x, W = as_tensor(x), as_tensor(W)
    if type(x) is Tensor and type(W) is Tensor and len(x.shape) == len(W.shape) == 2:
        return record("matmul", (x, W), (("transpose_a", False), ("transpose_b", True)))
    return _matmul(x, matrix_transpose(W))


matmul = binary(
    "matmul",
    _matmul,
    "Matrix product of (m, k) and (k, n); of (B, m, k) and (B, k, n); or of (…, k) with one matrix (k, n).",
)
linear = binary(
    "linear", _linear, "W x for each row of x: (B, k) with W (n, k), as the book writes it, gives (B, n).", ("x", "W")
)


def product(a: Tensor, b: Tensor, flip_a: bool, flip_b: bool) -> Tensor:
    """A B, of matrices or of batches of them, each transposed where told."""
    return record("matmul", (a, b), (("transpose_a", flip_a), ("transpose_b", flip_b)) if flip_a or flip_b else ())


@recorded("matmul")
def _through_matmul(at: Passing) -> Tensor:
    """∂L/∂A = G Bᵀ, ∂L/∂B = Aᵀ G, transposed where the operand was."""
    flip_a, flip_b = bool(at.attrs.get("transpose_a")), bool(at.attrs.get("transpose_b"))
    a, b = at.x
    if at.k == 0:
        return product(b, at.g, flip_b, True) if flip_a else product(at.g, b, False, not flip_b)
    return product(at.g, a, True, flip_a) if flip_b else product(a, at.g, not flip_a, False)
