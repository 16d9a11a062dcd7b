"""What Python's operators mean on tensors and parameters, and what is said of those that mean nothing.

Arithmetic and comparisons are elementwise, as in NumPy: a comparison is a mask of 1 and 0 in its operands' dtype, NaN
where an operand is. ``tinyseq.functions.operators`` gives these operators their functions. All that Python would
otherwise answer on its own, by identity or with a bare TypeError, is a TinyseqError that says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinyseq.errors import ShapeError, TinyseqError

if TYPE_CHECKING:
    from tinyseq.tensor import Tensor


class Operators:
    """The operators that tensors and parameters share."""

    shape: Any

    def _call(self, function: str, *arguments: Any, **options: Any) -> Any:
        from tinyseq import functions

        return getattr(functions, function)(*arguments, **options)

    # fmt: off
    def __add__(self, other: Any) -> Tensor: return self._call("add", self, other)
    def __radd__(self, other: Any) -> Tensor: return self._call("add", other, self)
    def __sub__(self, other: Any) -> Tensor: return self._call("sub", self, other)
    def __rsub__(self, other: Any) -> Tensor: return self._call("sub", other, self)
    def __mul__(self, other: Any) -> Tensor: return self._call("mul", self, other)
    def __rmul__(self, other: Any) -> Tensor: return self._call("mul", other, self)
    def __truediv__(self, other: Any) -> Tensor: return self._call("div", self, other)
    def __rtruediv__(self, other: Any) -> Tensor: return self._call("div", other, self)
    def __pow__(self, other: Any) -> Tensor: return self._call("power", self, other)
    def __rpow__(self, other: Any) -> Tensor: return self._call("power", other, self)
    def __matmul__(self, other: Any) -> Tensor: return self._call("matmul", self, other)
    def __rmatmul__(self, other: Any) -> Tensor: return self._call("matmul", other, self)
    def __neg__(self) -> Tensor: return self._call("neg", self)
    def __pos__(self) -> Tensor: return self._call("as_tensor", self)
    def __abs__(self) -> Tensor: return self._call("abs", self)
    def __gt__(self, other: Any) -> Tensor: return self._call("greater", self, other)
    def __lt__(self, other: Any) -> Tensor: return self._call("greater", other, self)
    def __ge__(self, other: Any) -> Tensor: return self._call("greater_equal", self, other)
    def __le__(self, other: Any) -> Tensor: return self._call("greater_equal", other, self)
    def __eq__(self, other: Any) -> Tensor: return self._call("equal", self, other)  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: return self._call("not_equal", self, other)  # type: ignore[override]
    def __getitem__(self, key: Any) -> Tensor: return self._call("getitem", self, key)
    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor: return self._call("sum", self, axis, keepdims)
    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor: return self._call("mean", self, axis, keepdims)
    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor: return self._call("max", self, axis, keepdims)
    def reshape(self, *shape: Any) -> Tensor: return self._call("reshape", self, *shape)
    def detach(self) -> Tensor: return self._call("detach", self)
    # fmt: on

    __hash__ = object.__hash__  # a handle is a key of dicts and sets by what it is, not by its numbers

    @property
    def T(self) -> Tensor:
        """The transpose; ``x @ W.T`` is recorded as one matmul with a transposed operand."""
        return self._call("transposed", self)

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


def refused(what: str, instead: str) -> Callable[..., Any]:
    """A method that says what to write in its place."""

    def method(self: Any, *given: Any) -> Any:
        raise TinyseqError(f"{what} is no operation on tensors: {instead}")

    return method


NUMBER = "a tensor is a node of a graph, not a number; write x.value.item() for its number"
ROUNDED = "it has no gradient; round the numbers, np.round(x.value), or the array before it becomes a tensor"
BITS = "masks are tensors of 1 and 0: a & b is a * b, a | b is ts.maximum(a, b), ~a is 1 - a"
CHANGED = "a node keeps its value; write a new tensor, with ts.where(mask, a, b) or ts.concatenate([...])"
_REFUSED: dict[str, tuple[str, str]] = {
    "__floordiv__": ("//", ROUNDED),
    "__mod__": ("%", ROUNDED),
    "__divmod__": ("divmod", ROUNDED),
    "__rfloordiv__": ("//", ROUNDED),
    "__rmod__": ("%", ROUNDED),
    "__rdivmod__": ("divmod", ROUNDED),
    "__round__": ("round", ROUNDED),
    "__floor__": ("floor", ROUNDED),
    "__ceil__": ("ceil", ROUNDED),
    "__trunc__": ("trunc", ROUNDED),
    "__and__": ("&", BITS),
    "__or__": ("|", BITS),
    "__xor__": ("^", f"{BITS}; a power is x ** 2"),
    "__rand__": ("&", BITS),
    "__ror__": ("|", BITS),
    "__rxor__": ("^", f"{BITS}; a power is x ** 2"),
    "__invert__": ("~", BITS),
    "__lshift__": ("<<", "integers are shifted before they become a tensor"),
    "__rshift__": (">>", "integers are shifted before they become a tensor"),
    "__rlshift__": ("<<", "integers are shifted before they become a tensor"),
    "__rrshift__": (">>", "integers are shifted before they become a tensor"),
    "__int__": ("int", NUMBER),
    "__index__": ("use as a whole number", NUMBER),
    "__complex__": ("complex", NUMBER),
    "__setitem__": ("x[i] = y", CHANGED),
    "__delitem__": ("del x[i]", CHANGED),
}
_IN_PLACE = {
    "+": "__iadd__",
    "-": "__isub__",
    "*": "__imul__",
    "/": "__itruediv__",
    "@": "__imatmul__",
    "**": "__ipow__",
    "//": "__ifloordiv__",
    "%": "__imod__",
}
for _name, _words in _REFUSED.items():
    setattr(Operators, _name, refused(*_words))


class ChangedByValue:
    """What a parameter adds: its numbers are changed through ``value``, so ``W -= …`` is no second way to do it, nor a
    tensor that silently takes the parameter's place."""

    __setitem__ = refused("W[i] = x on a parameter", "write W.value[i] = x to change its numbers")


for _sign in ("+", "-", "*", "/", "@", "**", "//", "%"):
    setattr(
        ChangedByValue,
        _IN_PLACE[_sign],
        refused(
            f"W {_sign}= x on a parameter",
            f"write W.value {_sign}= x to change its numbers, or y = W {_sign} x for a tensor made of it",
        ),
    )
