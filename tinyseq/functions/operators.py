"""What ``+ - * / @ - []`` mean on tensors and parameters: the functions, without a detour."""

from __future__ import annotations

from sys import _getframe
from typing import Any

from tinyseq.functions.again import again
from tinyseq.functions.arithmetic import (
    _add,
    _div,
    _greater,
    _mul,
    _power,
    _sub,
    abs,
    add,
    detach,
    div,
    greater,
    mul,
    neg,
    power,
    sub,
)
from tinyseq.functions.integers import getitem
from tinyseq.functions.products import _matmul, matmul
from tinyseq.functions.reductions import max, mean, sum
from tinyseq.tensor import Operators, internal

internal(__file__)


def _reflected(key: str, long: Any) -> Any:
    def operator(self: Any, other: Any) -> Any:
        return again(key, long, other, self, _getframe(1))

    return operator


for _name, _function in {
    "__add__": add,
    "__radd__": _reflected("add", _add),
    "__sub__": sub,
    "__rsub__": _reflected("sub", _sub),
    "__mul__": mul,
    "__rmul__": _reflected("mul", _mul),
    "__truediv__": div,
    "__rtruediv__": _reflected("div", _div),
    "__pow__": power,
    "__rpow__": _reflected("power", _power),
    "__matmul__": matmul,
    "__rmatmul__": _reflected("matmul", _matmul),
    "__neg__": neg,
    "__abs__": abs,
    "__gt__": greater,
    "__lt__": _reflected("greater", _greater),
    "__getitem__": getitem,
    "sum": sum,
    "mean": mean,
    "max": max,
    "detach": detach,
}.items():
    setattr(Operators, _name, _function)
