"""Indexing: by position, by integer arrays (embedding), one-hot rows."""

from __future__ import annotations

from math import inf, prod
from sys import _getframe
from typing import Any, Never

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, DtypeError, ShapeError, TinyseqError
from tinyseq.functions.call_sites import nary, replay_row
from tinyseq.functions.products import product
from tinyseq.functions.shapes import float_code, index, reshape, slice_at
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.habits import advised, strict, wrong_call
from tinyseq.ops import OPS
from tinyseq.ops.op import DATA
from tinyseq.tape import INT64, Integers
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


def getitem(x: Any, key: Any) -> Tensor:
    """x[t], x[a:b], x[:, a:b] …: integers on the first axis, slices of step 1 anywhere, integers elsewhere."""
    if type(key) is int:
        if type(x) is Tensor and x.form.shape:
            return replay_row(x, key, _getframe(1), index)
        if as_tensor(x).shape:
            return index(x, key)
    x, frame = as_tensor(x), _getframe(1)
    keys = key if isinstance(key, tuple) else (key,)
    if any(k is None or k is Ellipsis for k in keys):
        raise TinyseqError(_said_with_shapes(x.shape, keys))
    if len(keys) > x.ndim:
        raise ShapeError(f"{len(keys)} indices for a tensor of shape {x.shape}")
    axis = 0
    for place, k in enumerate(keys):
        if isinstance(k, slice):
            start, stop, step = k.indices(x.shape[axis])
            if step != 1:
                raise ShapeError(f"slices have step 1, got {k}; for other rows use ts.take(x, np.arange(...))")
            if (start, stop) != (0, x.shape[axis]):
                x = slice_at(x, start, max(start, stop), axis, frame)
            axis += 1
        elif isinstance(k, (int, np.integer)) and not isinstance(k, bool):
            if place == 0:
                x = index(x, int(k))
            else:
                length = x.shape[axis]
                if not -length <= k < length:
                    raise ShapeError(f"index {k} is outside 0 to {length - 1}, axis {axis} of shape {x.shape}")
                at = int(k) % length
                x = slice_at(x, at, at + 1, axis, frame)
                x = reshape(x, x.shape[:axis] + x.shape[axis + 1 :])
        elif isinstance(k, np.ndarray) and k.dtype == np.bool_:
            raise TinyseqError("a tensor is not indexed by a boolean mask; use ts.take(x, np.flatnonzero(mask))")
        elif isinstance(k, (np.ndarray, Tensor)) and len(keys) == 1:
            return take(x, k)
        else:
            raise TinyseqError(
                f"a tensor is indexed by integers and slices, got {k!r}; for rows by number use ts.take(x, index)"
            )
    return x


def _said_with_shapes(shape: tuple[int, ...], keys: tuple) -> str:
    """What to type for an index with None or an ellipsis in it, which NumPy has for new axes and for all the others."""
    said = f"a tensor is indexed by integers and slices, got {next(k for k in keys if k is None or k is Ellipsis)}"
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    before, after = keys[:at], keys[at + 1 :]
    others = len(shape) - sum(k is not None for k in (*before, *after))
    if others < 0 or any(k is Ellipsis for k in after):
        return f"{said}: {len(keys)} indices for a tensor of shape {shape}"
    whole = [*before, *[slice(None)] * others, *after]
    if not any(k is None for k in whole):
        return f"{said}; name every axis: x[{', '.join(map(_typed, whole))}]"
    if not all(k is None or (isinstance(k, slice) and k == slice(None)) for k in whole):
        return f"{said}; index first, then for a new axis ts.reshape(x, shape)"
    axes = iter(shape)
    return f"{said}; for a new axis write ts.reshape(x, {tuple(1 if k is None else next(axes) for k in whole)})"


def _typed(k: Any) -> str:
    """An index as it is typed."""
    if not isinstance(k, slice):
        return str(k) if isinstance(k, (int, np.integer)) else "…"
    start, stop, step = ("" if n is None else str(n) for n in (k.start, k.stop, k.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def indices(i: Any, what: str = "indices") -> Tensor:
    """Integers as a tensor; raises DtypeError for other arrays."""
    if isinstance(i, (list, tuple, int)):
        i = plain(i, what)
    if isinstance(i, np.ndarray) and i.dtype.kind not in "iub":
        hint = "these are one-hot rows: write array.argmax(-1)" if one_hot_rows(i) else "write array.astype('int64')"
        raise DtypeError(f"{what} must be integers, got {i.dtype}; {hint}")
    return as_tensor(i)


def one_hot_rows(array: np.ndarray) -> bool:
    """Whether every row holds a single 1 and otherwise 0."""
    wide = array.ndim > 1 and array.shape[-1] > 1 and array.size
    return bool(wide) and bool(((array == 0) | (array == 1)).all() and (array.sum(axis=-1) == 1).all())


@strict
def take(table: Any, i: Any, axis: int = 0, *extra: Never, **other: Never) -> Tensor:
    """Rows of a table by number (an embedding): table (V, F), index (B) → (B, F).

    ``axis=1`` takes columns instead: for U (F, V) this is U x with x one-hot, (B, F).
    """
    if extra or other:
        raise wrong_call(take, (table, i, axis, *extra), other)
    known = type(i) is Tensor and type(table) in (Tensor, Parameter) and axis in (0, 1) and axis < table.ndim
    if known and in_range(i, table.shape, axis):
        return nary(("take", axis), lambda t, i: _take(t, i, axis), (table, i), _getframe(1))
    return _take(table, i, axis)


def _take(table: Any, i: Any, axis: int) -> Tensor:
    table, i = as_tensor(table), indices(i)
    if axis not in (0, 1):
        raise ShapeError(f"take is along axis 0 (rows) or 1 (columns of a matrix), got {axis}")
    check_range("take: number (token)", i, table.shape[axis] if table.ndim > axis else 0)
    return record("take", (table, i), (("axis", 1),) if axis else ())


def take_structural(table: Any, rows: np.ndarray) -> Tensor:
    """``take``, by numbers that follow from the structure being unfolded: whoever has the same structure again has the
    same numbers."""
    i = indices(rows)
    i.tape.structural.add(i.index)
    return _take(table, i, 0)


@advised
def gather(x: Any, i: Any) -> Tensor:
    """One element of each row: x (B, C), index (B) → (B)."""
    x, i = as_tensor(x), indices(i)
    check_range("gather: index", i, x.shape[-1] if x.ndim else 0)
    return record("gather", (x, i))


@advised
def one_hot(i: Any, classes: int, dtype: Any = np.float32) -> Tensor:
    """Rows with a single 1: index (B) → (B, classes)."""
    i = indices(i)
    check_range("one_hot: class", i, classes)
    return record("one_hot", (i,), (("classes", int(classes)), ("dtype", float_code("one-hot rows", dtype))))


def check_range(what: str, i: Tensor, limit: int) -> None:
    """Raise at the user's line where an index that is already known is out of range."""
    if i.dtype_code != INT64:
        raise DtypeError(f"{what} must be an integer, got {i.dtype}; write array.astype('int64')")
    tape, at = i.tape, origin(i)
    if at is None:
        return
    low, high = tape.executor.bounds(at)
    if low >= 0 and high < limit:
        return
    node = tape.node(at)
    part = _numbers(i, at)  # the numbers out of range may lie outside the part that is used
    if part is None:
        return
    low, high = (int(part.min()), int(part.max())) if part.size else (0, -1)
    if limit > 0 and (low < 0 or high >= limit):
        raise DataError(
            f"{what} {low if low < 0 else high} is out of range: {node.name or 'the index array'} holds "
            f"{low} to {high}, expected 0 to {limit - 1}"
        )


def _numbers(i: Tensor, leaf: int) -> np.ndarray | None:
    """The numbers that a tensor of integers takes from a leaf; inside of a step being folded, at all steps. None where
    they are known only when they are looked up."""
    tape = i.tape
    if not tape.folding:
        return tape.executor.look(i.index)
    way = [tape.node(i.index)]
    while way[-1].index != leaf:
        way.append(tape.node(way[-1].inputs[0]))
    numbers, steps = tape.executor.look(leaf), 0  # steps: 1 once the first axis counts the steps
    for node in way[-2::-1]:
        flags = dict(node.attrs)
        if node.op == "index" and node.cell:
            numbers = numbers[:, node.arg] if steps else numbers[node.arg]
        elif node.op == "index" and not steps:  # what each step reads of a sequence
            steps = 1
        elif node.op == "slice" and (steps or flags["axis"]):
            where = (slice(None),) * (flags["axis"] + steps)
            numbers = numbers[(*where, slice(flags["start"], flags["stop"]))]
        elif node.op == "reshape" and steps:
            numbers = numbers.reshape(len(numbers), *node.shape)
        elif node.op != "window" or node.cell or steps:
            return None
    return numbers


def in_range(i: Tensor, shape: tuple[int, ...], axis: int = -1) -> bool:
    """Whether there is nothing that ``check_range`` would have to say of integers that number elements of an axis."""
    if i.form.dtype_code != INT64 or not shape:
        return False
    known = i.tape.origin.get(i.index) or _stamped(i)
    if known is None:
        return True
    limit = known.limit
    if limit is None:
        low, high = i.tape.executor.bounds(known.leaf)
        limit = known.limit = inf if low < 0 else high + 1
    return limit <= shape[axis]


def origin(i: Tensor) -> int | None:
    """The input leaf whose elements a tensor of integers holds, None where they are computed or come from a fold."""
    known = i.tape.origin.get(i.index) or _stamped(i)
    return None if known is None else known.leaf


def _stamped(i: Tensor) -> Integers | None:
    """Where integers come from that were not recorded one by one."""
    tape, at = i.tape, i.index
    if at >= tape._n_flushed:
        return None
    while OPS[op := tape.kind_of(at).op].keeps_integers:
        at = tape.inputs(at)[0]
    return (tape.origin.get(at) or Integers(at)) if OPS[op].leaf == DATA else None


def _one_hot_rows(at: Passing, classes: int) -> tuple[Tensor, Tensor]:
    """The integers as one-hot rows (N, classes), and g as rows (N, …)."""
    i = at.x[1]
    count = prod(i.shape)
    hot = one_hot(reshape(i, (count,)), classes, at.g.dtype)
    return hot, reshape(at.g, (count, prod(at.g.shape[i.ndim :])))


@recorded("take")
def _through_take(at: Passing) -> Tensor:
    """Rows (or columns) of the table collect g: a product with one-hot rows."""
    table = at.x[0].shape
    if at.attrs.get("axis"):
        hot, g = _one_hot_rows(at, table[1])
        return product(g, hot, True, False)
    hot, g = _one_hot_rows(at, table[0])
    return reshape(product(hot, g, True, False), table)


@recorded("gather")
def _through_gather(at: Passing) -> Tensor:
    hot, g = _one_hot_rows(at, at.x[0].shape[-1])
    return reshape(hot * g, at.x[0].shape)
