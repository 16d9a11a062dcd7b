"""Sums, means, maxima and norms over all axes, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from sys import _getframe
from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.functions.again import one
from tinyseq.functions.shapes import axis_number
from tinyseq.tensor import Tensor, as_tensor, internal, record

internal(__file__)


def _reduce(op: str, x: Any, axis: int | Sequence[int] | None, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    given = range(x.ndim) if axis is None else (axis if isinstance(axis, (tuple, list)) else [axis])
    axes = sorted(axis_number(a, x.ndim, op) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op} got axes {tuple(given)} of a tensor of shape {x.shape}: each axis once")
    runs: list[list[int]] = []
    for a in axes:
        if runs and runs[-1][1] == a:
            runs[-1][1] = a + 1
        else:
            runs.append([a, a + 1])
    if not runs:
        runs = [[0, 0]]
    for first, last in reversed(runs):
        x = record(op, (x,), (("axes", (first, last)), ("keepdims", bool(keepdims))))
    return x


def _reduced(op: str, x: Any, axis: Any, keepdims: bool, frame: Any) -> Tensor:
    if axis is None or type(axis) is int:
        return one((op, axis, keepdims), lambda x: _reduce(op, x, axis, keepdims), x, frame)
    return _reduce(op, x, axis, keepdims)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over all axes, one axis or several."""
    return _reduced("sum", x, axis, keepdims, _getframe(1))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over all axes, one axis or several."""
    return _reduced("mean", x, axis, keepdims, _getframe(1))


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Largest element; the first of equals gets the gradient."""
    return _reduced("max", x, axis, keepdims, _getframe(1))


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm, (Σ x²)^½."""
    return _reduced("norm", x, axis, keepdims, _getframe(1))
