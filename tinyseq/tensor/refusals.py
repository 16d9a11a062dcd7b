"""Python's operators that mean nothing on tensors, and what is said to who writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq.errors import TinyseqError


def refused(what: str, instead: str) -> Callable[..., Any]:
    """A method that says what to write in its place."""

    def method(self: Any, *given: Any) -> Any:
        raise TinyseqError(f"{what} is no operation on tensors: {instead}")

    return method


NUMBER = "a tensor is a node of a graph, not a number; write x.value.item() for its number"
ROUNDED = "it has no gradient; round the numbers, np.round(x.value), or the array before it becomes a tensor"
BITS = "masks are tensors of 1 and 0: a & b is a * b, a | b is ts.maximum(a, b), ~a is 1 - a"
CHANGED = "a node keeps its value; write a new tensor, with ts.where(mask, a, b) or ts.concatenate([...])"
REFUSED: dict[str, tuple[str, str]] = {
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
IN_PLACE = {
    "+": "__iadd__",
    "-": "__isub__",
    "*": "__imul__",
    "/": "__itruediv__",
    "@": "__imatmul__",
    "**": "__ipow__",
    "//": "__ifloordiv__",
    "%": "__imod__",
}
