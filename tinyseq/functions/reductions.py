"""Sums, means, maxima and norms over all axes, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from sys import _getframe
from typing import Any, Never

from tinyseq.errors import ShapeError
from tinyseq.functions.call_sites import named, record_first
from tinyseq.functions.elementwise import greater
from tinyseq.functions.shapes import axis_number, expand, reshape
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.habits import strict, wrong_call
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

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
    for begin, end in reversed(runs):
        x = record(op, (x,), (("axes", (begin, end)), ("keepdims", bool(keepdims))))
    return x


def _reduction(op: str, doc: str) -> Any:
    def reduction(x: Any, axis: Any = None, keepdims: bool = False, *extra: Never, **other: Never) -> Tensor:
        if extra or other:
            raise wrong_call(made, (x, axis, keepdims, *extra), other)
        if type(x) is Tensor and (axis is None or type(axis) is int) and type(keepdims) is bool:
            frame = _getframe(1)
            tape = x.tape
            place = (op, axis, keepdims, id(frame.f_code), frame.f_lasti, x.form)
            site = tape.sites.get(place)
            if site is not None:
                return site(tape, x.index)
            return record_first(place, frame, tape, (x.index,), lambda x: _reduce(op, x, axis, keepdims), (x,))
        return _reduce(op, x, axis, keepdims)

    made = strict(named(reduction, op, doc))
    return made


sum = _reduction("sum", "Sum over all axes, one axis or several.")
mean = _reduction("mean", "Mean over all axes, one axis or several.")
max = _reduction("max", "Largest element; the first of equals gets the gradient.")
norm = _reduction("norm", "Euclidean norm, (Σ x²)^½.")


def _spread(at: Passing, value: Tensor) -> Tensor:
    """A reduced value, repeated over the axes that were reduced."""
    shape, (first, end) = at.x[0].shape, at.attrs["axes"]
    kept = shape[:first] + (1,) * (end - first) + shape[end:]
    value = value if value.shape == kept else reshape(value, kept)
    return value if value.shape == shape else expand(value, shape)


@recorded("sum")
def _through_sum(at: Passing) -> Tensor:
    return _spread(at, at.g)


@recorded("mean")
def _through_mean(at: Passing) -> Tensor:
    first, end = at.attrs["axes"]
    return _spread(at, at.g) / float(prod(at.x[0].shape[first:end]))


@recorded("norm")
def _through_norm(at: Passing) -> Tensor:
    """g x / ‖x‖, and 0 where the norm is 0."""
    safe = at.y + (1.0 - greater(at.y, 0.0))
    return at.x[0] * _spread(at, at.g / safe)
