"""Leaves of a tape: arrays, parameters and constants become tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import DataError, DtypeError, TapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.ops.leaves import CONSTANT_OP
from tinyseq.tape import DTYPES, INPUT, INT64, Integers, Leaf, Tape
from tinyseq.tensor.handles import Tensor, handle, leaked
from tinyseq.tensor.parameter import Parameter, array_of
from tinyseq.tensor.source_lines import internal, source_line

internal(__file__)

_CODE = {dtype: code for code, dtype in enumerate(DTYPES)}


def as_tensor(x: Any) -> Tensor:
    """The tensor itself, or the leaf that stands for a parameter or array on the current tape."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Parameter):
        tape = Tape.current()
        leaf = tape.leaves.get(x)
        if leaf is None:
            form = tape.form(x.shape, _CODE[x.dtype])
            leaf = tape.leaves[x] = Leaf(tape.parameter(x), form)
        return handle(tape, leaf.index, leaf.form)
    if isinstance(x, (np.ndarray, np.generic)):
        return tensor(x)
    raise TinyseqError(
        f"expected a tensor, parameter or array, got {type(x).__name__}; write ts.tensor(x, dtype='float32')"
    )


def here(x: Any, what: str) -> Tensor:
    """``as_tensor``, for what the tape being recorded will know by its number alone; ``of_tape`` checks that."""
    return of_tape(Tape.current(), as_tensor(x), what)


def of_tape(tape: Tape, x: Tensor, what: str) -> Tensor:
    """The tensor itself, once it is sure that its number means a node of this tape.

    Every place that reads ``index`` beside a tape of its own asks here first: the same number on another tape is
    another node. Raises TapeError for a tensor of another tape, or one left over from a step that was folded.
    """
    if x.tape is not tape:
        raise TapeError(
            f"{what} got a tensor of another tape: {_called(x)} is of another graph, and a tape knows nothing of it. "
            f"Record it on this tape, or carry the number over: give tensor.value instead of the tensor "
            "(of a state of several tensors, the .value of each)"
        )
    if x.fold and x.fold != tape.folding:
        raise leaked()
    if type(x) is not Tensor:  # W.T, which becomes a node when its number is asked for: now, in the step that has it
        return handle(tape, x.index, tape.form(x.shape, x.dtype_code))
    return x


@advised
def tensor(array: Any, name: str = "", dtype: Any = None) -> Tensor:
    """Put an array on the current tape as an input leaf. Bools and integers become int64, floats keep their dtype."""
    return _leaf(array, name, dtype, np.array)


def borrowed(array: np.ndarray) -> Tensor:
    """``tensor``, for whoever lets go of the tape's values before the array may change: it is not copied."""
    return _leaf(array, "", None, np.asarray)


def _leaf(array: Any, name: str, dtype: Any, made: Callable[..., np.ndarray]) -> Tensor:
    tape = Tape.current()
    given = array_of(array, name or "tensor", copy=None)
    if dtype is None and not isinstance(array, (np.ndarray, np.generic)) and given.dtype == np.float64:
        dtype = np.float32
    if given.dtype.kind == "u" and given.size and int(given.max()) > np.iinfo(np.int64).max:
        raise DataError(f"integers are int64, up to 2⁶³ − 1; {name or 'the array'} holds {int(given.max())}")
    value = made(
        given,
        dtype=dtype if dtype is not None else (np.int64 if given.dtype.kind in "bui" else None),
        order="C",
    )
    code = _CODE.get(value.dtype)
    if code is None:
        raise DtypeError(
            f"tensors are float32, float64 or int64, got {value.dtype}; convert with array.astype('float32')"
        )
    index = tape.append(INPUT, (), value.shape, code, (), 0, source_line(), name)
    tape.executor.bind(index, value)
    if code == INT64:
        tape.origin[index] = Integers(index)
    return handle(tape, index, tape.form(value.shape, code))


def constant(value: float, shape: tuple[int, ...], dtype_code: int) -> Tensor:
    """A tensor filled with one number that is part of the graph itself."""
    tape = Tape.current()
    index = tape.append(CONSTANT_OP, (), shape, dtype_code, (("value", float(value)),), 0, source_line())
    return handle(tape, index, tape.form(shape, dtype_code))


def _called(x: Tensor) -> str:
    """A tensor in words: its name, or its op and number, and its time step."""
    if x.fold and x.fold != x.tape.folding:  # of a step that was taken off its tape again
        return f"a tensor of shape {x.shape}"
    node = x.tape.node(x.index)
    return f"{node.name or f'{node.op} %{node.index}'}{f' of time step {node.step}' if node.step >= 0 else ''}"
