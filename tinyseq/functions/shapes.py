"""Other shapes of the same numbers: reshape, transpose, joins, slices, explicit broadcasting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from sys import _getframe
from typing import Any, Never

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.functions.call_sites import nary, record_first, replay_row
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.habits import advised, strict, wrong_call
from tinyseq.tape import FLOAT32, FLOAT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, constant
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)

_FLOATS = {np.dtype(np.float32): FLOAT32, np.dtype(np.float64): FLOAT64}
WINDOW = "window"
MOST_OPERANDS = 8  # of a join that is worth remembering by all their forms


def axis_number(axis: Any, ndim: int, op: str) -> int:
    """An axis counted from 0; raises ShapeError where there is none such."""
    if not isinstance(axis, (int, np.integer)):
        raise ShapeError(f"{op} along axis {axis!r}: an axis is a whole number, from 0 or from the end")
    if not ndim:
        raise ShapeError(f"{op} along axis {axis}: a scalar has no axes")
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{op} along axis {axis} of a tensor with {ndim} axes; axes are 0 to {ndim - 1}")
    return int(axis) % ndim


@advised
def expand(x: Any, shape: Sequence[int]) -> Tensor:
    """Repeat ``x`` along new or single axes; ∂L/∂x sums over them."""
    return record("expand", [x], wanted_shape=(("shape", tuple(int(n) for n in shape)),))


@advised
def zeros(shape: int | Sequence[int], dtype: Any = np.float32) -> Tensor:
    """A constant tensor of zeros; one number is the length of its only axis."""
    if isinstance(shape, (int, np.integer)):
        shape = (int(shape),)
    sizes = tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"sizes are at least 0, got zeros of shape {sizes}")
    return constant(0.0, sizes, float_code("zeros", dtype))


def float_code(what: str, dtype: Any) -> int:
    """Code of a floating-point dtype; raises DtypeError for others."""
    code = _FLOATS.get(np.dtype(dtype))
    if code is None:
        raise DtypeError(f"{what} are float32 or float64, got {np.dtype(dtype)}")
    return code


def steps(x: Any) -> Iterator[tuple[int, Tensor]]:
    """The time steps of a sequence (T, B, F): ``for t, x_t in ts.steps(x)``."""
    x = as_tensor(x)
    for t in range(len(x)):
        yield t, replay_row(x, t, _getframe(1), index)


@advised
def reshape(x: Any, *shape: Any) -> Tensor:
    """The same numbers in another shape; one size may be −1."""
    x = as_tensor(x)
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
        shape = tuple(shape[0])
    wanted = [int(n) for n in shape]
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = prod(x.shape) // rest if rest and prod(x.shape) % rest == 0 else -1
    return record("reshape", (x,), wanted_shape=(("shape", tuple(wanted)),))


@advised
def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order (reversed by default)."""
    x = as_tensor(x)
    order = range(x.ndim)[::-1] if axes is None else axes
    return record("transpose", (x,), (("axes", tuple(axis_number(a, x.ndim, "transpose") for a in order)),))


def refuse_one(tensors: Any, name: str) -> None:
    """Refuse one tensor where a list of them is expected, as the outputs of ``ts.unfold`` are one."""
    if isinstance(tensors, Tensor | Parameter):
        raise ShapeError(
            f"{name} puts a list of tensors together, got one of shape {tensors.shape}: it is whole already, as the "
            f"outputs of ts.unfold are; of several write ts.{name}([a, b])"
        )


@strict
def concatenate(tensors: Sequence[Any], axis: int = -1, *extra: Never, **other: Never) -> Tensor:
    """Join along an axis (the last, features, by default)."""
    if extra or other or type(axis) is Tensor:
        raise wrong_call(concatenate, (tensors, axis, *extra), other)
    refuse_one(tensors, "concatenate")
    if type(axis) is int and 0 < len(tensors) <= MOST_OPERANDS:
        return nary(("concatenate", axis), lambda *xs: _concatenate(xs, axis), tensors, _getframe(1))
    return _concatenate(tensors, axis)


def _concatenate(tensors: Sequence[Any], axis: int) -> Tensor:
    if not tensors:
        raise ShapeError("concatenate needs at least one tensor, got none")
    start = as_tensor(tensors[0])
    return record("concatenate", [start, *tensors[1:]], (("axis", axis_number(axis, start.ndim, "concatenate")),))


@strict
def stack(tensors: Sequence[Any], *extra: Never, **other: Never) -> Tensor:
    """Stack along a new first axis: T tensors of shape (B, F) give (T, B, F)."""
    if extra or other:
        raise wrong_call(stack, (tensors, *extra), other)
    refuse_one(tensors, "stack")
    if not len(tensors):
        raise ShapeError("stack needs at least one tensor, got none")
    if len(tensors) <= MOST_OPERANDS:
        return nary(("stack",), lambda *xs: record("stack", xs), tensors, _getframe(1))
    return record("stack", list(tensors))


@strict
def split(x: Any, parts: int, axis: int = -1, *extra: Never, **other: Never) -> list[Tensor]:
    """Cut an axis into equal parts."""
    if extra or other:
        raise wrong_call(split, (x, parts, axis, *extra), other)
    x = as_tensor(x)
    axis = axis_number(axis, x.ndim, "split")
    if parts < 1 or x.shape[axis] % parts:
        raise ShapeError(
            f"split of axis {axis} of shape {x.shape} into {parts} equal parts: {x.shape[axis]} is no multiple of it"
        )
    width, frame = x.shape[axis] // parts, _getframe(1)
    return [slice_at(x, i * width, (i + 1) * width, axis, frame) for i in range(parts)]


@strict
def slice_axis(x: Any, start: int, stop: int, axis: int = -1, *extra: Never, **other: Never) -> Tensor:
    """x[start:stop] along an axis."""
    if extra or other:
        raise wrong_call(slice_axis, (x, start, stop, axis, *extra), other)
    return slice_at(x, start, stop, axis, _getframe(1))


def slice_at(x: Any, start: int, stop: int, axis: int, frame: Any) -> Tensor:
    """The same, asked for by the instruction that a frame stands at."""
    if type(x) is Tensor and type(start) is type(stop) is type(axis) is int:
        tape = x.tape
        place = ("slice", axis, start, stop, id(frame.f_code), frame.f_lasti, x.form)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, x.index)
        return record_first(place, frame, tape, (x.index,), lambda x: _slice(x, start, stop, axis), (x,))
    return _slice(x, start, stop, axis)


def _slice(x: Any, start: int, stop: int, axis: int) -> Tensor:
    x = as_tensor(x)
    return record(
        "slice", (x,), (("axis", axis_number(axis, x.ndim, "slice")), ("start", int(start)), ("stop", int(stop)))
    )


def rows(x: Any, start: int, count: int) -> Tensor:
    """x[start : start + count] along the first axis, as one kind of node whatever the numbers."""
    x = as_tensor(x)
    if not 0 <= start <= start + count <= len(x):
        raise ShapeError(f"rows {start} to {start + count} of a tensor of shape {x.shape}")
    return record(WINDOW, (x,), (), int(start), int(count))


def first_row(x: Tensor) -> Tensor:
    """x[0] of a sequence of any length: in a step that is folded it stands for the row of each time step."""
    return record("index", (x,))


def first_rows(x: Tensor, count: int) -> Tensor:
    """So many rows of a sequence, however many there are: in a step that is folded they stand for each step's own."""
    return record(WINDOW, (x,), (), 0, count)


def index(x: Any, t: int) -> Tensor:
    """x[t] along the first axis."""
    x = as_tensor(x)
    length = len(x)
    if not -length <= t < length:
        raise ShapeError(f"index {t} is outside 0 to {length - 1}, the first axis of shape {x.shape}")
    return record("index", (x,), (), int(t) % length)


@recorded("reshape")
def _through_reshape(at: Passing) -> Tensor:
    return reshape(at.g, at.x[0].shape)


@recorded("transpose")
def _through_transpose(at: Passing) -> Tensor:
    return transpose(at.g, [int(i) for i in np.argsort(at.attrs["axes"])])


@recorded("expand")
def _through_expand(at: Passing) -> Tensor:
    """The sum over the axes along which x was repeated."""
    given, shape = at.x[0].shape, at.g.shape
    padded = (1,) * (len(shape) - len(given)) + given
    axes = [i for i, (a, b) in enumerate(zip(padded, shape, strict=True)) if a != b]
    g = at.g.sum(axes) if axes else at.g
    return g if g.shape == given else reshape(g, given)


def _amid_zeros(g: Tensor, axis: int, start: int, length: int) -> Tensor:
    """g from ``start`` on along an axis of this length, zeros around it."""

    def gap(width: int) -> list[Tensor]:
        return [zeros((*g.shape[:axis], width, *g.shape[axis + 1 :]), g.dtype)] if width else []

    parts = [*gap(start), g, *gap(length - start - g.shape[axis])]
    return g if len(parts) == 1 else concatenate(parts, axis)


@recorded("slice")
def _through_slice(at: Passing) -> Tensor:
    return _amid_zeros(at.g, at.attrs["axis"], at.attrs["start"], at.x[0].shape[at.attrs["axis"]])


@recorded("index")
def _through_index(at: Passing) -> Tensor:
    return _amid_zeros(reshape(at.g, (1, *at.g.shape)), 0, at.node.arg, at.x[0].shape[0])


@recorded(WINDOW)
def _through_window(at: Passing) -> Tensor:
    return _amid_zeros(at.g, 0, at.node.arg, at.x[0].shape[0])


@recorded("concatenate")
def _through_concatenate(at: Passing) -> Tensor:
    axis = at.attrs["axis"]
    widths = [x.shape[axis] for x in at.x]
    start = sum(widths[: at.k])
    return slice_axis(at.g, start, start + widths[at.k], axis)


@recorded("stack")
def _through_stack(at: Passing) -> Tensor:
    return index(at.g, at.k)
