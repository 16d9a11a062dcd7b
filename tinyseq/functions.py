"""The functions that record ops: arithmetic with explicit broadcasting, products, reductions, shapes, losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from tinyseq.errors import DataError, DtypeError, ShapeError, TinyseqError
from tinyseq.tape import DTYPES, INT64, Tape
from tinyseq.tensor import Operators, Parameter, Tensor, as_tensor, constant, internal, record, source_line

internal(__file__)

Number = (int, float, np.number)


class Transposed(Tensor):
    """``W.T``, kept symbolic so that ``x @ W.T`` is one matmul; any other op records a transpose."""

    __slots__ = ("_made", "original")

    def __init__(self, original: Tensor) -> None:
        self.original = original
        self._made: int | None = None
        self.tape = original.tape
        self.dtype_code = original.dtype_code
        self.shape = original.shape[:-2] + original.shape[-2:][::-1]

    @property
    def index(self) -> int:  # type: ignore[override]
        """Index of the transpose node, recorded when it is first needed."""
        if self._made is None:
            axes = tuple(range(len(self.shape)))
            self._made = record("transpose", [self.original], (("axes", axes[:-2] + axes[-2:][::-1]),)).index
        return self._made

    @property
    def T(self) -> Tensor:
        """The original."""
        return self.original


def transposed(x: Any) -> Tensor:
    """Swap the last two axes, symbolically."""
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f".T needs at least two axes, got shape {x.shape}")
    return Transposed(x)


# -- broadcasting ----------------------------------------------------------------------------------------------
def broadcast(*operands: Any) -> list[Tensor]:
    """Bring operands to one shape, each by an explicit ``expand`` node; numbers become constants."""
    tensors = [x if isinstance(x, Number) else as_tensor(x) for x in operands]
    first = next(x for x in tensors if isinstance(x, Tensor))
    try:
        shape = np.broadcast_shapes(*[x.shape for x in tensors if isinstance(x, Tensor)])
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in tensors if isinstance(x, Tensor))
        file, line = source_line()
        raise ShapeError(
            f"shapes {shapes} do not broadcast: counted from the right each axis must be equal or 1\n  at {file}:{line}"
        ) from None
    return [
        constant(x, shape, first.dtype_code) if isinstance(x, Number) else (x if x.shape == shape else expand(x, shape))
        for x in tensors
    ]


def expand(x: Any, shape: Sequence[int]) -> Tensor:
    """Repeat ``x`` along new or single axes; ∂L/∂x sums over them."""
    return record("expand", [x], wish=(("shape", tuple(int(n) for n in shape)),))


def _affine(x: Any, k: float, c: float) -> Tensor:
    x = as_tensor(x)
    if x.dtype_code == INT64:
        raise DtypeError("arithmetic needs floating point, got integers; convert with array.astype('float32')")
    return record("affine", [x], (("k", float(k)), ("c", float(c))))


def _binary(op: str, a: Any, b: Any) -> Tensor:
    if type(a) is Tensor and type(b) is Tensor and a.shape == b.shape:
        return record(op, (a, b))
    return record(op, broadcast(a, b))


def add(a: Any, b: Any) -> Tensor:
    """a + b."""
    if isinstance(b, Number):
        return _affine(a, 1.0, float(b))
    if isinstance(a, Number):
        return _affine(b, 1.0, float(a))
    return _binary("add", a, b)


def sub(a: Any, b: Any) -> Tensor:
    """a − b."""
    if isinstance(b, Number):
        return _affine(a, 1.0, -float(b))
    if isinstance(a, Number):
        return _affine(b, -1.0, float(a))
    return _binary("sub", a, b)


def mul(a: Any, b: Any) -> Tensor:
    """a ⊙ b."""
    if isinstance(b, Number):
        return _affine(a, float(b), 0.0)
    if isinstance(a, Number):
        return _affine(b, float(a), 0.0)
    return _binary("mul", a, b)


def div(a: Any, b: Any) -> Tensor:
    """a / b."""
    if isinstance(b, Number):
        if b == 0:
            raise TinyseqError("division by the constant 0")
        return _affine(a, 1.0 / float(b), 0.0)
    return _binary("div", a, b)


def power(a: Any, b: Any) -> Tensor:
    """aᵇ; the exponents 2 and ½ become a ⊙ a and √a."""
    if isinstance(b, Number) and not isinstance(a, Number):
        if b == 2:
            a = as_tensor(a)
            return record("mul", (a, a))
        if b == 0.5:
            return sqrt(a)
    return _binary("power", a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of a and b; a tie shares the gradient."""
    return _binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b, as −max(−a, −b)."""
    return neg(maximum(-a, -b))


def greater(a: Any, b: Any) -> Tensor:
    """1 where a > b, else 0; no gradient."""
    return _binary("greater", a, b)


def where(mask: Any, a: Any, b: Any) -> Tensor:
    """a where the mask is not 0, else b. The mask is an array or tensor of the operands' dtype, or boolean."""
    code = next((as_tensor(x).dtype_code for x in (a, b) if not isinstance(x, Number)), 0)
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "bui":
        mask = mask.astype(DTYPES[code])
    return record("where", broadcast(mask, a, b))


def squared_error(y: Any, target: Any) -> Tensor:
    """(y − target)² for each element."""
    return _binary("squared_error", y, target)


def bernoulli_cross_entropy(logits: Any, target: Any) -> Tensor:
    """−t log σ(a) − (1 − t) log(1 − σ(a)) for each element, from logits a and targets t in [0, 1]."""
    return _binary("bernoulli_cross_entropy", logits, target)


def _unary(name: str, doc: str) -> Any:
    def function(x: Any) -> Tensor:
        return record(name, (x,))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


neg = _unary("neg", "−a.")
exp = _unary("exp", "eᵃ.")
log = _unary("log", "log a.")
sqrt = _unary("sqrt", "√a.")
abs = _unary("abs", "|a|, slope 0 at 0.")
tanh = _unary("tanh", "tanh a.")
sigmoid = _unary("sigmoid", "σ(a) = 1/(1 + e⁻ᵃ).")
relu = _unary("relu", "max(a, 0).")
softplus = _unary("softplus", "log(1 + eᵃ).")
detach = _unary("detach", "The same value; no gradient passes.")
softmax = _unary("softmax", "softmax over the last axis.")
log_softmax = _unary("log_softmax", "log softmax over the last axis.")


# -- products ----------------------------------------------------------------------------------------------------
def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product of (m, k) and (k, n); of (B, m, k) and (B, k, n); or of (…, k) with one matrix (k, n)."""
    a, b = as_tensor(a), as_tensor(b)
    flip_a, flip_b = isinstance(a, Transposed), isinstance(b, Transposed)
    if b.ndim == 2 and a.ndim in (1, 3):
        rows = reshape(a, (prod(a.shape[:-1]), a.shape[-1]))
        return reshape(matmul(rows, b), (*a.shape[:-1], b.shape[-1]))
    attrs = (("transpose_a", flip_a), ("transpose_b", flip_b)) if flip_a or flip_b else ()
    return record("matmul", (a.original if flip_a else a, b.original if flip_b else b), attrs)  # type: ignore[attr-defined]


def linear(x: Any, W: Any) -> Tensor:
    """W x for each row of x: (B, k) with W (n, k), as the book writes it, gives (B, n)."""
    return matmul(x, transposed(W))


# -- reductions --------------------------------------------------------------------------------------------------
def _reduce(op: str, x: Any, axis: int | Sequence[int] | None, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    given = range(x.ndim) if axis is None else ([axis] if isinstance(axis, int) else list(axis))
    axes = sorted(_axis(a, x.ndim, op) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op} got axes {tuple(given)} of a tensor of shape {x.shape}: each axis once")
    runs: list[list[int]] = []
    for a in axes:
        if runs and runs[-1][1] == a:
            runs[-1][1] = a + 1
        else:
            runs.append([a, a + 1])
    if not runs:
        runs = [[0, 0]]
    for first, last in reversed(runs):
        x = record(op, (x,), (("axes", (first, last)), ("keepdims", bool(keepdims))))
    return x


def _axis(axis: int, ndim: int, op: str) -> int:
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{op} along axis {axis} of a tensor with {ndim} axes; axes are 0 to {ndim - 1}")
    return int(axis) % ndim


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over all axes, one axis or several."""
    return _reduce("sum", x, axis, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over all axes, one axis or several."""
    return _reduce("mean", x, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Largest element; the first of equals gets the gradient."""
    return _reduce("max", x, axis, keepdims)


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm, (Σ x²)^½."""
    return _reduce("norm", x, axis, keepdims)


# -- shapes --------------------------------------------------------------------------------------------------------
def reshape(x: Any, *shape: Any) -> Tensor:
    """The same numbers in another shape; one size may be −1."""
    x = as_tensor(x)
    wanted = [int(n) for n in (shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)]
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = prod(x.shape) // rest if rest and prod(x.shape) % rest == 0 else -1
    return record("reshape", (x,), wish=(("shape", tuple(wanted)),))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order (reversed by default)."""
    x = as_tensor(x)
    order = range(x.ndim)[::-1] if axes is None else axes
    return record("transpose", (x,), (("axes", tuple(_axis(a, x.ndim, "transpose") for a in order)),))


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Join along an axis (the last, features, by default)."""
    if not tensors:
        raise ShapeError("concatenate needs at least one tensor, got none")
    first = as_tensor(tensors[0])
    return record("concatenate", [first, *tensors[1:]], (("axis", _axis(axis, first.ndim, "concatenate")),))


def stack(tensors: Sequence[Any]) -> Tensor:
    """Stack along a new first axis: T tensors of shape (B, F) give (T, B, F)."""
    if not tensors:
        raise ShapeError("stack needs at least one tensor, got none")
    return record("stack", list(tensors))


def split(x: Any, parts: int, axis: int = -1) -> list[Tensor]:
    """Cut an axis into equal parts."""
    x = as_tensor(x)
    axis = _axis(axis, x.ndim, "split")
    if parts < 1 or x.shape[axis] % parts:
        raise ShapeError(
            f"split of axis {axis} of shape {x.shape} into {parts} equal parts: {x.shape[axis]} is no multiple of it"
        )
    width = x.shape[axis] // parts
    return [slice_axis(x, i * width, (i + 1) * width, axis) for i in range(parts)]


def slice_axis(x: Any, start: int, stop: int, axis: int = -1) -> Tensor:
    """x[start:stop] along an axis."""
    x = as_tensor(x)
    return record("slice", (x,), (("axis", _axis(axis, x.ndim, "slice")), ("start", int(start)), ("stop", int(stop))))


def window(x: Any, start: int, count: int) -> Tensor:
    """x[start : start + count] along the first axis, as one kind of node whatever the numbers."""
    x = as_tensor(x)
    if not 0 <= start <= start + count <= len(x):
        raise ShapeError(f"rows {start} to {start + count} of a tensor of shape {x.shape}")
    return record("window", (x,), (), int(start), int(count))


def index(x: Any, t: int) -> Tensor:
    """x[t] along the first axis."""
    x = as_tensor(x)
    length = len(x)
    if not -length <= t < length:
        raise ShapeError(f"index {t} is outside 0 to {length - 1}, the first axis of shape {x.shape}")
    return record("index", (x,), (), int(t) % length)


def getitem(x: Any, key: Any) -> Tensor:
    """x[t], x[a:b], x[:, a:b] …: integers on the first axis, slices of step 1 anywhere, integers elsewhere."""
    x = as_tensor(x)
    keys = key if isinstance(key, tuple) else (key,)
    if len(keys) > x.ndim:
        raise ShapeError(f"{len(keys)} indices for a tensor of shape {x.shape}")
    axis = 0
    for place, k in enumerate(keys):
        if isinstance(k, slice):
            start, stop, step = k.indices(x.shape[axis])
            if step != 1:
                raise ShapeError(f"slices have step 1, got {k}; for other rows use ts.take(x, np.arange(...))")
            if (start, stop) != (0, x.shape[axis]):
                x = slice_axis(x, start, max_int(start, stop), axis)
            axis += 1
        elif isinstance(k, (int, np.integer)):
            if place == 0:
                x = index(x, int(k))
            else:
                at = _axis(int(k), x.shape[axis], "index")
                x = slice_axis(x, at, at + 1, axis)
                x = reshape(x, x.shape[:axis] + x.shape[axis + 1 :])
        elif isinstance(k, (np.ndarray, Tensor)) and len(keys) == 1:
            return take(x, k)
        else:
            raise TinyseqError(
                f"a tensor is indexed by integers and slices, got {k!r}; for rows by number use ts.take(x, index)"
            )
    return x


def max_int(a: int, b: int) -> int:
    """The larger of two integers (``max`` here is the op)."""
    return a if a > b else b


# -- integers --------------------------------------------------------------------------------------------------------
def _indices(i: Any) -> Tensor:
    if isinstance(i, (list, tuple, int)):
        i = np.asarray(i)
    if isinstance(i, np.ndarray) and i.dtype.kind not in "iub":
        raise DtypeError(f"indices must be integers, got {i.dtype}; write index.astype('int64')")
    return as_tensor(i)


def take(table: Any, i: Any, axis: int = 0) -> Tensor:
    """Rows of a table by number (an embedding): table (V, F), index (B) → (B, F).

    ``axis=1`` takes columns instead: for U (F, V) this is U x with x one-hot, (B, F).
    """
    table, i = as_tensor(table), _indices(i)
    if axis not in (0, 1):
        raise ShapeError(f"take is along axis 0 (rows) or 1 (columns of a matrix), got {axis}")
    check_range("take: number (token)", i, table.shape[axis] if table.ndim > axis else 0)
    return record("take", (table, i), (("axis", 1),) if axis else ())


def gather(x: Any, i: Any) -> Tensor:
    """One element of each row: x (B, C), index (B) → (B)."""
    x, i = as_tensor(x), _indices(i)
    check_range("gather: index", i, x.shape[-1] if x.ndim else 0)
    return record("gather", (x, i))


def one_hot(i: Any, classes: int, dtype: Any = np.float32) -> Tensor:
    """Rows with a single 1: index (B) → (B, classes)."""
    i = _indices(i)
    check_range("one_hot: class", i, classes)
    return record("one_hot", (i,), (("classes", int(classes)), ("dtype", DTYPES.index(np.dtype(dtype)))))


def check_range(what: str, i: Tensor, limit: int) -> None:
    """Raise at the user's line where an index that is already known is out of range."""
    root = i
    node = root.tape.node(root.index)
    while node.op in ("index", "window", "slice", "reshape"):
        node = root.tape.node(node.inputs[0])
    if node.op != "input":
        return
    low, high = root.tape.executor.bounds(node.index)
    if low < 0 or high >= limit:
        raise DataError(
            f"{what} {low if low < 0 else high} is out of range: {node.name or 'the index array'} holds {low} to {high}, "
            f"expected 0 to {limit - 1}"
        )


# -- losses ------------------------------------------------------------------------------------------------------------
def cross_entropy(logits: Any, target: Any, mask: Any = None, reduction: str = "mean") -> Tensor:
    """−log softmax(logits)[target] for integer targets: logits (…, C), target (…).

    ``reduction``: "mean", "sum", or "none" for one loss a row. ``mask`` (…) with 1 for rows that count, 0 for the
    others; the mean is over the rows that count.
    """
    if reduction not in ("mean", "sum", "none"):
        raise TinyseqError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    logits, target = as_tensor(logits), _indices(target)
    check_range("cross_entropy: target", target, logits.shape[-1] if logits.ndim else 0)
    losses = record("cross_entropy", (logits, target))
    if mask is not None:
        if isinstance(mask, np.ndarray):
            mask = mask.astype(logits.dtype)
        mask = as_tensor(mask)
        losses = where(mask, losses, 0.0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    return mean(losses) if mask is None else sum(losses) / sum(mask)


def layer_norm(x: Any, gain: Any, bias: Any, epsilon: float = 1e-5) -> Tensor:
    """gain ⊙ (x − μ)/√(σ² + ε) + bias over the last axis (Ba et al. 2016), as a composition of ops."""
    centred = x - mean(x, axis=-1, keepdims=True)
    variance = mean(centred * centred, axis=-1, keepdims=True)
    return centred / sqrt(variance + epsilon) * gain + bias


def zeros(shape: Sequence[int], dtype: Any = np.float32) -> Tensor:
    """A constant tensor of zeros."""
    return constant(0.0, tuple(int(n) for n in shape), DTYPES.index(np.dtype(dtype)))


def steps(x: Any) -> Iterator[tuple[int, Tensor]]:
    """The time steps of a sequence (T, B, F): ``for t, x_t in ts.steps(x)``."""
    x = as_tensor(x)
    for t in range(len(x)):
        yield t, index(x, t)


__all__ = [name for name in dict(globals()) if not name.startswith("_")]
__all__ = [
    n
    for n in __all__
    if n not in ("annotations", "np", "Any", "Iterator", "Sequence", "prod", "Tape", "Operators", "Parameter")
]
