"""What ``+ - * / @ [] == <`` and NumPy's functions mean on tensors and parameters: functions, without a detour."""

from __future__ import annotations

from math import prod
from sys import _getframe
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.functions.call_sites import replay
from tinyseq.functions.comparisons import (
    _equal,
    _greater_equal,
    _not_equal,
    equal,
    greater_equal,
    not_equal,
)
from tinyseq.functions.elementwise import (
    _add,
    _div,
    _greater,
    _maximum,
    _minimum,
    _mul,
    _power,
    _sub,
    abs,
    add,
    detach,
    div,
    exp,
    greater,
    log,
    mul,
    neg,
    sqrt,
    sub,
    tanh,
)
from tinyseq.functions.picks import getitem
from tinyseq.functions.products import _matmul, matmul, matrix_transpose
from tinyseq.functions.reductions import max, mean, sum
from tinyseq.functions.shapes import reshape
from tinyseq.habits import give_habits
from tinyseq.tensor.handles import Operators
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.refusals import ROUNDED
from tinyseq.tensor.source_lines import internal

internal(__file__)
RECORDED: set[str] = set()  # the names of all functions, filled in by the package


def _reflected(key: str, long: Any) -> Any:
    def operator(self: Any, other: Any) -> Any:
        return replay(key, long, other, self, _getframe(1))

    return operator


def _power_of(self: Any, other: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        raise TinyseqError(f"pow(x, y, modulus) is no operation on tensors: {ROUNDED}")
    return replay("power", _power, self, other, _getframe(1))


_BINARY: dict[np.ufunc, tuple[str, Any]] = {
    np.add: ("add", _add),
    np.subtract: ("sub", _sub),
    np.multiply: ("mul", _mul),
    np.true_divide: ("div", _div),
    np.power: ("power", _power),
    np.float_power: ("power", _power),
    np.matmul: ("matmul", _matmul),
    np.maximum: ("maximum", _maximum),
    np.minimum: ("minimum", _minimum),
    np.greater: ("greater", _greater),
    np.less: ("less", lambda a, b: _greater(b, a)),
    np.greater_equal: ("greater_equal", _greater_equal),
    np.less_equal: ("less_equal", lambda a, b: _greater_equal(b, a)),
    np.equal: ("equal", _equal),
    np.not_equal: ("not_equal", _not_equal),
}
_UNARY: dict[np.ufunc, Any] = {
    np.negative: neg,
    np.positive: as_tensor,
    np.absolute: abs,
    np.fabs: abs,
    np.exp: exp,
    np.log: log,
    np.sqrt: sqrt,
    np.tanh: tanh,
    np.square: lambda x: mul(x, x),
}


def _ufunc(self: Any, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
    """``array + tensor``, ``np.tanh(W)``, ``np.add(x, 1)``: what is an op here is recorded, the rest refused."""
    if method == "__call__" and not options:
        if ufunc in _BINARY:
            key, long = _BINARY[ufunc]
            a, b = operands
            return replay(key, long, a, b, _getframe(1))
        if ufunc in _UNARY:
            return _UNARY[ufunc](*operands)
    if "out" in options:
        raise TinyseqError("an array cannot take up a tensor in place: write a = a + x, which makes a tensor")
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    raise TinyseqError(f"np.{name} is not recorded: {_instead(ufunc.__name__)}")


def _instead(name: str) -> str:
    """What to write for a function of NumPy's."""
    known = {"concat": "concatenate", "take_along_axis": "gather", "linalg_norm": "norm"}.get(name, name)
    here = f"write ts.{known}(...) to record it, or" if known in RECORDED else "there is no such op; write"
    return f"{here} np.{name}(x.value) for the numbers alone"


_SHAPES = {np.shape: lambda x: x.shape, np.ndim: lambda x: x.ndim, np.size: lambda x: prod(x.shape)}


def _array_function(self: Any, function: Any, types: Any, arguments: tuple, options: dict[str, Any]) -> Any:
    """``np.sum(x)``, ``np.concatenate([x, y])``: only shapes are known without the numbers."""
    if function in _SHAPES and len(arguments) == 1 and isinstance(arguments[0], Operators) and not options:
        return _SHAPES[function](arguments[0])
    raise TinyseqError(f"np.{function.__name__} is not recorded: {_instead(function.__name__)}")


for _name, _function in {
    "__add__": add,
    "__radd__": _reflected("add", _add),
    "__sub__": sub,
    "__rsub__": _reflected("sub", _sub),
    "__mul__": mul,
    "__rmul__": _reflected("mul", _mul),
    "__truediv__": div,
    "__rtruediv__": _reflected("div", _div),
    "__pow__": _power_of,
    "__rpow__": _reflected("power", _power),
    "__matmul__": matmul,
    "__rmatmul__": _reflected("matmul", _matmul),
    "__neg__": neg,
    "__abs__": abs,
    "__gt__": greater,
    "__lt__": _reflected("greater", _greater),
    "__ge__": greater_equal,
    "__le__": _reflected("greater_equal", _greater_equal),
    "__eq__": equal,
    "__ne__": not_equal,
    "__pos__": as_tensor,
    "__array_ufunc__": _ufunc,
    "__array_function__": _array_function,
    "__getitem__": getitem,
    "sum": sum,
    "mean": mean,
    "max": max,
    "detach": detach,
    "reshape": reshape,
    "T": property(matrix_transpose),
}.items():
    setattr(Operators, _name, _function)

give_habits(Operators, "Tensor")
give_habits(Parameter, "Parameter")
