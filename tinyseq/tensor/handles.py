"""Tensor: a handle on a node of a tape, with Python's operators.

Arithmetic and comparisons are elementwise, as in NumPy: a comparison is a mask of 1 and 0 in its operands' dtype, NaN
where an operand is. ``tinyseq.functions.operators`` gives these operators their functions. All that Python would
otherwise answer on its own, by identity or with a bare TypeError, is a TinyseqError that says what to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq import display
from tinyseq.errors import DataError, ShapeError, TapeError, TinyseqError
from tinyseq.tape import DTYPES, Form, Tape
from tinyseq.tensor.refusals import REFUSED, refused
from tinyseq.tensor.source_lines import internal

internal(__file__)


class Operators:
    """The operators that tensors and parameters share."""

    shape: Any

    if TYPE_CHECKING:  # functions/operators.py gives them their functions
        # fmt: off
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, key: Any) -> Tensor: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def reshape(self, *shape: Any) -> Tensor: ...
        def detach(self) -> Tensor: ...
        @property
        def T(self) -> Tensor: ...
        # fmt: on

    __hash__ = object.__hash__  # a handle is a key of dicts and sets by what it is, not by its numbers

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a scalar has no length")
        return self.shape[0]

    def __iter__(self) -> Any:
        raise TinyseqError("a tensor is not iterable; use ts.steps(x) for its time steps, ts.split(x, n) for its parts")

    def __contains__(self, item: Any) -> bool:
        raise TinyseqError(
            "`in` asks a tensor for numbers that it does not have while recording; write item in x.value for its "
            "numbers now, or any(p is q for q in tensors) to look for a tensor in a list"
        )

    def __array__(self, *dtype: Any, **options: Any) -> Any:
        raise TinyseqError("a tensor is a node of a graph, not an array; write x.value for its numbers")

    def __float__(self) -> float:
        raise TinyseqError("a tensor is a node of a graph, not a number; write x.value.item() for its number")

    def __bool__(self) -> bool:
        raise TinyseqError(
            "a tensor has no truth value while recording: the graph would depend on it. Use ts.where(mask, a, b), "
            "or tensor.value if you mean its number now; 0 < x < 1 is (x > 0) * (x < 1), and a tensor is looked for "
            "in a list by `is`, not by `in`"
        )


for _name, _words in REFUSED.items():
    setattr(Operators, _name, refused(*_words))


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
        return display.bundle("tensor", self)

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


def handle(tape: Tape, index: int, form: Form) -> Tensor:
    """A tensor of a form that is at hand."""
    made = Tensor()
    made.tape, made.index, made.form = tape, index, form
    return made


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def leaked() -> TapeError:
    """The error for a tensor that is used outside the recorded step it was made in."""
    return TapeError(
        "this tensor was made inside a step while it was recorded for unfolding, where it stood for every time step; "
        "return it as the step's output or state, then read unfolded.output(t) or unfolded.state(t)"
    )
