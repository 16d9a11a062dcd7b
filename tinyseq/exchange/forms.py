"""What each op is elsewhere: as nodes of ONNX, as an expression of NumPy, as a formula of LaTeX.

An op of one's own brings its forms along: ``ts.exchange.form("cumsum", onnx=…, numpy=…, latex=…)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinyseq.errors import OpError
from tinyseq.exchange.net import Operation
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.ops.op import REPEATED


class Writer(Protocol):
    """What a form of ONNX writes with."""

    def node(self, kind: str, *reads: str, **attributes: Any) -> str:
        """Add a node of ONNX with one output; returns its name."""

    def array(self, value: Any, dtype: Any = None) -> str:
        """A constant array; returns its name."""

    def shape(self, shape: Any) -> str:
        """A shape, of which sizes may be free, as a vector of whole numbers."""

    def known(self, operation: Operation, position: int) -> np.ndarray | None:
        """The array that an operation reads, where it is known already."""


Onnx = Callable[[Writer, Operation, list[str]], str]
Numpy = Callable[[Operation, list[str], Callable[[Any], str]], str]


@dataclass(frozen=True)
class Form:
    """What an op is elsewhere.

    onnx    (writer, operation, names of what it reads) → the name of the result; or the kind of the one node it is
    numpy   (operation, expressions of what it reads, how a shape is written) → an expression; or a template such as
            "np.tanh({0})"
    latex   a template such as r"\\\\tanh {0}"; (operation, formulas of what it reads) → a formula
    """

    onnx: Onnx | str | None = None
    numpy: Numpy | str | None = None
    latex: Callable[[Operation, list[str]], str] | str | None = None


FORMS: dict[str, Form] = {}


@advised
def form(name: str, *, onnx: Any = None, numpy: Any = None, latex: Any = None) -> None:
    """Say what an op of your own is elsewhere. Raises OpError where there is no such op, or it has forms already."""
    if name not in OPS:
        raise OpError(f"there is no op {name!r}; register it first: ts.ops.registering.register(Op({name!r}, …))")
    if name in FORMS:
        raise OpError(f"the op {name!r} has its forms already")
    for what, given in (("onnx", onnx), ("numpy", numpy), ("latex", latex)):
        if given is not None and not isinstance(given, str) and not callable(given):
            raise OpError(f"{what} of the op {name!r} is a template or a function, got {given!r}")
    FORMS[name] = Form(onnx, numpy, latex)


def form_of(operation: Operation, language: str) -> Any:
    """The form of an operation's op in a language. Raises OpError that names op, cell and line where it has none."""
    found = getattr(FORMS.get(operation.op, Form()), language)
    if found is None:
        written = {"onnx": "ONNX", "numpy": "NumPy", "latex": "LaTeX"}[language]
        raise OpError(
            f"{operation.where} has no form in {written}; say what it is: "
            f"ts.exchange.form({operation.op!r}, {language}=…)"
        )
    return found


def broadcasts(name: str) -> bool:
    """Whether operands of an op may have fewer axes elsewhere, so that what was repeated for them need not be."""
    op = OPS.get(name)
    return op is not None and op.elementwise is not None and op.arity > 1


def repeats(name: str) -> bool:
    """Whether an op only repeats its input along axes."""
    op = OPS.get(name)
    return op is not None and op.view == REPEATED
