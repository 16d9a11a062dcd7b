"""Tensor: a handle on a node of a tape. Parameter: a named array that outlives tapes. No mathematics here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.arrays import check_plain
from tinyseq.errors import DataError, DtypeError, ShapeError, TapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.operators import ChangedByValue, Operators
from tinyseq.ops import OPS
from tinyseq.tape import DTYPES, INT64, Form, Integers, Kind, Leaf, Tape

_CODE = {dtype: code for code, dtype in enumerate(DTYPES)}
_internal_files: set[str] = {__file__, sys.modules[Operators.__module__].__file__ or ""}


def internal(file: str) -> None:
    """Mark a source file as tinyseq's plumbing: source lines on the tape are the callers'."""
    _internal_files.add(file)


def is_internal(frame: Any) -> bool:
    """Whether a frame is tinyseq's plumbing."""
    return frame.f_code.co_filename in _internal_files


def source_line() -> tuple[str, int]:
    """File and line of the innermost caller that is not plumbing."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in _internal_files and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class Tensor(Operators):
    """A node of a tape: ``shape``, ``dtype``, ``name``, and on request ``value`` and ``grad``."""

    __slots__ = ("form", "index", "tape")
    __hash__ = Operators.__hash__

    tape: Tape
    index: int
    form: Form

    # no __init__: recording makes one for each call, and a class without one is made in half the time

    @staticmethod
    def at(tape: Tape, index: int) -> Tensor:
        """The tensor of a node that is on a tape."""
        return handle(tape, index, tape.form(tape.shape(index), tape.kind_of(index).dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.form.shape

    @property
    def dtype_code(self) -> int:
        """The dtype as tapes number them."""
        return self.form.dtype_code

    @property
    def fold(self) -> int:
        """Number of the step being folded that this was made in, 0 outside of one."""
        return self.form.fold

    @property
    def dtype(self) -> np.dtype:
        """float32, float64 or int64."""
        return DTYPES[self.dtype_code]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.form.shape)

    @property
    def name(self) -> str:
        """The name given with ``named``, or ''."""
        return self.tape.node(self.index).name

    def named(self, name: str) -> Tensor:
        """Name this node for pictures, dumps and errors; returns the tensor."""
        if self.fold and self.fold != self.tape.folding:
            raise leaked()
        self.tape.rename(self.index, name)
        return self

    @property
    def value(self) -> np.ndarray:
        """The value, computed now if it was not yet: read-only, as what was computed from it would not follow a change.
        ``x.value.copy()`` is yours to change."""
        self._settled()
        return _read_only(self.tape.executor.value(self.index))

    @property
    def grad(self) -> np.ndarray | None:
        """∂L/∂this after a backward pass, read-only; None before, and where the loss does not depend on this.

        A part or an arrangement of what the loss depends on has the gradient of its numbers, on the way to the loss or
        not: ``unfolded.outputs[2].grad`` is that of the outputs at step 2.
        """
        self._settled()
        executor = self.tape.executor
        grad = executor.grad(self.index)
        if grad is None:
            grad = executor.arranged(self.index)
        return None if grad is None else _read_only(grad)

    def _settled(self) -> None:
        """A tensor of a step being recorded for unfolding stands for all time steps: it has no value of its own."""
        if self.tape.folding:
            raise TapeError(
                "a value or gradient was asked for inside a step that is being recorded for unfolding, where there "
                "are none yet; read them after unfold(...), or run the step in a plain loop"
            )
        if self.fold:
            raise leaked()

    def item(self) -> float:
        """The value of a one-element tensor as a Python number."""
        return self.value.item()

    def backward(self, seed: Any = None, accumulate: bool = False) -> None:
        """``tape.backward`` of this tensor."""
        self.tape.backward(self, seed, accumulate)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from tinyseq.viz.notebook import tensor_bundle

        return tensor_bundle(self)

    def __format__(self, spec: str) -> str:
        try:
            return format(self.value.item(), spec) if spec and not self.shape else format(str(self), spec)
        except ValueError as error:
            raise DataError(f"{self!r} cannot be written as {spec!r} ({error}); format its numbers, x.value") from None

    def __str__(self) -> str:
        """The handle and its numbers: those of a scalar, such as a loss, always; others once they are computed."""
        if self.tape.folding or self.fold:
            return repr(self)
        try:
            found = self.tape.executor.known(self.index) if self.shape else self.value
        except TapeError:  # a function being recorded for ts.compile has no values yet
            found = None
        return repr(self) if found is None else f"{self!r} = {found}"

    def __repr__(self) -> str:
        if self.fold and self.fold != self.tape.folding:
            return f"Tensor(left over from a step, {self.shape}, {self.dtype})"
        node = self.tape.node(self.index)
        where = f", {node.cell}[{node.step}]" if node.cell else ""
        return f"Tensor({node.name or node.op}, {self.shape}, {self.dtype}{where})"


@advised
class Parameter(ChangedByValue, Operators):
    """A named array that is learned: ``value`` (float32 or float64) and ``grad`` (None before a backward pass).

    Both are the parameter's own memory: an array given to it is copied, and ``p.value[...] = x`` or
    ``p.value -= 0.1 * p.grad`` changes the parameter. An optimiser's step changes it too, so keep weights for later as
    ``p.value.copy()``, or all of a model's with ``state_dict()``.

    ``trainable=False`` fixes it, as the weights of a reservoir: its ``grad`` stays None, optimisers leave it alone.
    """

    def __init__(self, value: Any, name: str = "", trainable: bool = True) -> None:
        array = _array(value, f"parameter {name or '?'}")
        if array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
        if array.dtype not in (np.float32, np.float64):
            raise DtypeError(
                f"parameter {name or '?'} needs float32 or float64, got {array.dtype}; "
                "write Parameter(array.astype('float32'))"
            )
        self._value, self.name, self.trainable = array, name, bool(trainable)
        self._grad: np.ndarray | None = None

    @property
    def value(self) -> np.ndarray:
        """The array, to be changed in place or assigned anew, by a copy; shape and dtype stay."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if value is self._value:  # changed in place, as by p.value *= 2
            return
        array = _array(value, f"the value of {self!r}")
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ShapeError(
                f"{self!r} cannot hold {array.dtype} {array.shape}: shape and dtype of a parameter stay as they are; "
                "make another Parameter"
            )
        self._value = array

    def live_in(self, memory: np.ndarray) -> None:
        """Move the value into other memory, a view of an optimiser's vector."""
        memory[...] = self._value
        self._value = memory

    @property
    def grad(self) -> np.ndarray | None:
        """∂L/∂value of the last backward pass, to be changed in place or assigned anew, by a copy; None before."""
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is None or grad is self._grad:
            self._grad = grad
            return
        array = _array(grad, f"the gradient of {self!r}")
        if array.shape != self.shape:
            raise ShapeError(f"the gradient of {self!r} has its shape, {self.shape}; got {array.shape}")
        if array.dtype.kind not in "fiub":
            raise DtypeError(f"the gradient of {self!r} is an array of real numbers, got {array.dtype}")
        self._grad = array.astype(self.dtype, copy=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the value."""
        return self._value.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    def __repr__(self) -> str:
        return f"Parameter({self.name or '?'}, {self.shape}, {self.dtype}{'' if self.trainable else ', fixed'})"


def handle(tape: Tape, index: int, form: Form) -> Tensor:
    """A tensor of a form that is at hand."""
    made = Tensor()
    made.tape, made.index, made.form = tape, index, form
    return made


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
    return x


@advised
def tensor(array: Any, name: str = "", dtype: Any = None) -> Tensor:
    """Put an array on the current tape as an input leaf. Bools and integers become int64, floats keep their dtype."""
    tape = Tape.current()
    given = _array(array, name or "tensor", copy=None)
    if dtype is None and not isinstance(array, (np.ndarray, np.generic)) and given.dtype == np.float64:
        dtype = np.float32
    if given.dtype.kind == "u" and given.size and int(given.max()) > np.iinfo(np.int64).max:
        raise DataError(f"integers are int64, up to 2⁶³ − 1; {name or 'the array'} holds {int(given.max())}")
    value = np.array(
        given,
        dtype=dtype if dtype is not None else (np.int64 if given.dtype.kind in "bui" else None),
        order="C",
    )
    code = _CODE.get(value.dtype)
    if code is None:
        raise DtypeError(
            f"tensors are float32, float64 or int64, got {value.dtype}; convert with array.astype('float32')"
        )
    index = tape.append("input", (), value.shape, code, (), 0, source_line(), name)
    tape.executor.bind(index, value)
    if code == INT64:
        tape.origin[index] = Integers(index)
    return handle(tape, index, tape.form(value.shape, code))


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def _array(value: Any, what: str, copy: bool | None = True) -> np.ndarray:
    check_plain(value, what)
    try:
        return np.array(value, order="C", copy=copy)
    except ValueError as error:
        raise DataError(
            f"{what} needs an array with rows of one length ({error}); "
            "for sequences of different lengths see ts.Chain(lengths).pack"
        ) from None


def constant(value: float, shape: tuple[int, ...], dtype_code: int) -> Tensor:
    """A tensor filled with one number that is part of the graph itself."""
    tape = Tape.current()
    index = tape.append("constant", (), shape, dtype_code, (("value", float(value)),), 0, source_line())
    return handle(tape, index, tape.form(shape, dtype_code))


def record(
    op: str, inputs: Sequence[Any], attrs: tuple = (), arg: int = 0, rows: int | None = None, wish: tuple = ()
) -> Tensor:
    """Record one op on the inputs' tape: check shapes and dtypes, append the node, return its handle.

    ``rows`` replaces the first axis of the shape that the op's rule gives; ``wish`` is handed to the rule alone.
    """
    tensors = [x if type(x) is Tensor else as_tensor(x) for x in inputs]
    tape = tensors[0].tape
    frame: Any = sys._getframe(1)
    code = frame.f_code
    while code.co_filename in _internal_files and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    # a code object by its address, which is cheaper than its hash; and the instruction instead of the line
    key = (op, attrs, wish, id(code), frame.f_lasti, *[t.form for t in tensors])
    site = tape.sites.get(key)
    if site is None:
        site = _site(op, tensors, attrs, wish, frame)
        if len(tensors) <= 4 and not signed_zero(attrs):
            tape.sites[key] = site
    sort, form, kind = site
    if rows is not None:
        form = tape.form((rows, *form.shape[1:]), form.dtype_code)
    if rows is not None or arg:
        sort = tape.places.sort(kind, form.shape[0] if form.shape else -1, arg != 0)
    index = tape.push(sort, arg, tuple([t.index for t in tensors]))
    if form.dtype_code == INT64 and op in SAME_INTEGERS:
        known = tape.origin.get(tensors[0].index)
        if known is not None:
            tape.origin[index] = known
    return handle(tape, index, form)


SAME_INTEGERS = ("index", "window", "slice", "reshape")  # ops whose numbers are those of their input


def signed_zero(attrs: tuple) -> bool:
    """Whether there is a zero among attributes that ``==`` does not tell from the other one."""
    return any(value == 0.0 for _, value in attrs if type(value) is float)


def _site(op: str, tensors: list[Tensor], attrs: tuple, wish: tuple, frame: Any) -> tuple[int, Form, int]:
    """Sort, form and kind of an op at a place: what is the same when it is recorded there again."""
    tape = tensors[0].tape
    for other in tensors:
        if other.fold and other.fold != tape.folding:
            raise leaked()
        if other.tape is not tape:
            raise TapeError(
                f"{op} got tensors of two tapes; {_elsewhere(tensors)}record them on one tape, or carry the number "
                "over with ts.tensor(other.value)"
            )
    try:
        shape, code = OPS[op].shape(attrs + wish, tuple(t.shape for t in tensors), tuple(t.dtype_code for t in tensors))
    except TinyseqError as error:
        raise _located(error, tensors) from None
    places = tape.places
    places.codes[id(frame.f_code)] = frame.f_code
    line = (frame.f_code.co_filename, frame.f_lineno)
    kind = places.kinds.number(Kind(op, attrs, shape[1:], code, "", tape.scope[0], line))
    return places.sort(kind, shape[0] if shape else -1, False), tape.form(shape, code), kind


def _elsewhere(tensors: list[Tensor]) -> str:
    """Which of them is not of the tape being recorded, and of which time step."""
    known = Tape.current() if Tape.recording() else tensors[0].tape
    return f"{_called(next(t for t in tensors if t.tape is not known))} is of another graph; "


def _called(x: Tensor) -> str:
    """A tensor in words: its name, or its op and number, and its time step."""
    if x.fold and x.fold != x.tape.folding:  # of a step that was taken off its tape again
        return f"a tensor of shape {x.shape}"
    node = x.tape.node(x.index)
    return f"{node.name or f'{node.op} %{node.index}'}{f' of time step {node.step}' if node.step >= 0 else ''}"


def leaked() -> TapeError:
    """The error for a tensor that is used outside the recorded step it was made in."""
    return TapeError(
        "this tensor was made inside a step while it was recorded for unfolding, where it stood for every time step; "
        "return it as the step's output or state, then read unfolded.output(t) or unfolded.state(t)"
    )


def _located(error: TinyseqError, tensors: list[Tensor]) -> TinyseqError:
    """The error again, with the operands' names and the line that asked for the op."""
    names = []
    for t in tensors[:4]:
        node = t.tape.node(t.index)
        names.append(f"{node.name or node.op + ' %' + str(t.index)} {t.shape}")
    file, line = source_line()
    return type(error)(f"{error}\n  operands: {', '.join(names)}\n  at {file}:{line}")
