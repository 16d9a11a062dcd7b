"""Elementwise arithmetic; operands of different shapes are brought to one by an explicit ``expand``."""

from __future__ import annotations

from sys import _getframe
from typing import Any, Never

import numpy as np

from tinyseq.errors import DtypeError, ShapeError, TinyseqError
from tinyseq.functions.call_sites import Number, binary, nary, unary
from tinyseq.functions.shapes import expand
from tinyseq.habits import advised, strict, wrong_call
from tinyseq.tape import DTYPES, INT64
from tinyseq.tensor.handles import Operators, Tensor
from tinyseq.tensor.leaves import as_tensor, constant
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal, source_line

internal(__file__)


@advised
def broadcast(*operands: Any) -> list[Tensor]:
    """Bring operands to one shape, each by an explicit ``expand`` node; numbers become constants."""
    tensors = [x if isinstance(x, Number) else as_tensor(x) for x in operands]
    first = next((x for x in tensors if isinstance(x, Tensor)), None)
    if first is None:
        raise TinyseqError(f"needs a tensor among its operands, got the numbers {operands}; write ts.tensor(number)")
    try:
        shape = np.broadcast_shapes(*[x.shape for x in tensors if isinstance(x, Tensor)])
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in tensors if isinstance(x, Tensor))
        file, line = source_line()
        raise ShapeError(
            f"shapes {shapes} do not broadcast: counted from the right each axis must be equal or 1\n  at {file}:{line}"
        ) from None
    return [
        constant(float(x), shape, first.dtype_code)
        if isinstance(x, Number)
        else (x if x.shape == shape else expand(x, shape))
        for x in tensors
    ]


def _affine(x: Any, k: float, c: float) -> Tensor:
    x = as_tensor(x)
    if x.dtype_code == INT64:
        raise DtypeError("arithmetic needs floating point, got integers; convert with array.astype('float32')")
    return record("affine", [x], (("k", float(k)), ("c", float(c))))


def _binary(op: str, a: Any, b: Any) -> Tensor:
    if isinstance(a, Operators) and isinstance(b, Operators):
        a, b = as_tensor(a), as_tensor(b)
        if a.shape == b.shape:
            return record(op, (a, b))
        if a.shape == b.shape[-len(a.shape) :] and a.shape:
            return record(op, (expand(a, b.shape), b))
        if b.shape == a.shape[-len(b.shape) :] and b.shape:
            return record(op, (a, expand(b, a.shape)))
    return record(op, broadcast(a, b))


def _add(a: Any, b: Any) -> Tensor:
    if isinstance(b, Number):
        return _affine(a, 1.0, float(b))
    if isinstance(a, Number):
        return _affine(b, 1.0, float(a))
    return _binary("add", a, b)


def _sub(a: Any, b: Any) -> Tensor:
    if isinstance(b, Number):
        return _affine(a, 1.0, -float(b))
    if isinstance(a, Number):
        return _affine(b, -1.0, float(a))
    return _binary("sub", a, b)


def _mul(a: Any, b: Any) -> Tensor:
    if isinstance(b, Number):
        return _affine(a, float(b), 0.0)
    if isinstance(a, Number):
        return _affine(b, float(a), 0.0)
    return _binary("mul", a, b)


def _div(a: Any, b: Any) -> Tensor:
    if isinstance(b, Number):
        if b == 0:
            raise TinyseqError("division by the constant 0")
        return _affine(a, 1.0 / float(b), 0.0)
    return _binary("div", a, b)


def _power(a: Any, b: Any) -> Tensor:
    if isinstance(b, Number) and not isinstance(a, Number):
        if b == 2:
            a = as_tensor(a)
            return record("mul", (a, a))
        if b == 0.5:
            return sqrt(a)
    return _binary("power", a, b)


def _maximum(a: Any, b: Any) -> Tensor:
    return _binary("maximum", a, b)


def _greater(a: Any, b: Any) -> Tensor:
    return _binary("greater", a, b)


def _squared_error(y: Any, target: Any) -> Tensor:
    return _binary("squared_error", y, target)


def _bernoulli_cross_entropy(logits: Any, target: Any) -> Tensor:
    return _binary("bernoulli_cross_entropy", logits, target)


def _minimum(a: Any, b: Any) -> Tensor:
    return neg(maximum(-a, -b))


add = binary("add", _add, "a + b.")
sub = binary("sub", _sub, "a − b.")
mul = binary("mul", _mul, "a ⊙ b.")
div = binary("div", _div, "a / b.")
power = binary("power", _power, "aᵇ; the exponents 2 and ½ become a ⊙ a and √a.")
maximum = binary("maximum", _maximum, "The larger of a and b; a tie shares the gradient.")
minimum = binary("minimum", _minimum, "The smaller of a and b, as −max(−a, −b).")
greater = binary("greater", _greater, "1 where a > b, else 0; no gradient.")
squared_error = binary("squared_error", _squared_error, "(y − target)² for each element.", ("y", "target"))
bernoulli_cross_entropy = binary(
    "bernoulli_cross_entropy",
    _bernoulli_cross_entropy,
    "−t log σ(a) − (1 − t) log(1 − σ(a)) for each element, from logits a and targets t in [0, 1].",
    ("logits", "target"),
)


@strict
def where(mask: Any, a: Any, b: Any, *extra: Never, **other: Never) -> Tensor:
    """a where the mask is not 0, else b. The mask is an array or tensor of the operands' dtype, or boolean."""
    if extra or other:
        raise wrong_call(where, (mask, a, b, *extra), other)
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "bui":
        code = next((as_tensor(x).dtype_code for x in (a, b) if not isinstance(x, Number)), 0)
        mask = mask.astype(DTYPES[code])
    if type(mask) is Tensor and type(a) is Tensor and type(b) is Tensor:
        return nary(("where",), _where, (mask, a, b), _getframe(1))
    return _where(mask, a, b)


def _where(mask: Any, a: Any, b: Any) -> Tensor:
    return record("where", broadcast(mask, a, b))


def _unary(name: str, doc: str) -> Any:
    def long(x: Any) -> Tensor:
        return record(name, (x,))

    return unary(name, long, doc)


neg = _unary("neg", "−a.")
exp = _unary("exp", "eᵃ.")
log = _unary("log", "log a.")
sqrt = _unary("sqrt", "√a.")
abs = _unary("abs", "|a|, slope 0 at 0.")
tanh = _unary("tanh", "tanh a.")
sigmoid = _unary("sigmoid", "σ(a) = 1/(1 + e⁻ᵃ).")
relu = _unary("relu", "max(a, 0).")
softplus = _unary("softplus", "log(1 + eᵃ).")
DETACH = "detach"
detach = _unary(DETACH, "The same value; no gradient passes.")
