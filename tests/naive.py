"""Plain-loop twins of the kernels, and finite differences: slow, short, and written from the definitions.

A twin has the signature of its kernel, ``twin(d, out, ...)`` with d = [rows, strides ..., accumulate, sizes ...], and
loops over single numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.ops.op import Kernel

Arrays = np.ndarray


def twin_of(kernel: Kernel) -> Callable[..., None]:
    """The twin of a kernel: by name, or for elementwise ones the kernel itself, one element at a time."""
    return TWINS.get(kernel.name) or (lambda d, *arrays: elementwise(kernel, d, *arrays))


def elementwise(kernel: Kernel, d: Arrays, out: Arrays, *sources: Arrays) -> None:
    """Rows, strides and accumulation of a map kernel, around calls for single elements."""
    n = len(kernel.operands)
    accumulate, columns = d[n + 1], d[n + 2]
    for r in range(d[0]):
        for i in range(columns):
            single = np.array([1, *[0] * n, 0, 1], np.int64)
            cells = [
                source if role == "attr" else source[r * d[k + 2] + i : r * d[k + 2] + i + 1]
                for k, (role, source) in enumerate(zip(kernel.operands[1:], sources, strict=True))
            ]
            result = np.empty(1, out.dtype)
            kernel(single, result, *cells)
            at = r * d[1] + i
            out[at] = out[at] + result[0] if accumulate else result[0]


def matmul(d: Arrays, out: Arrays, a: Arrays, b: Arrays) -> None:
    m, n, k, a_row, a_col, b_row, b_col = d[5:12]
    for r in range(d[0]):
        for i in range(m):
            for j in range(n):
                total = sum(
                    float(a[r * d[2] + i * a_row + p * a_col]) * float(b[r * d[3] + p * b_row + j * b_col])
                    for p in range(k)
                )
                at = r * d[1] + i * n + j
                out[at] = total + (out[at] if d[4] else 0)


def summed(d: Arrays, out: Arrays, x: Arrays) -> None:
    reduced, inner, divisor = d[4:7]
    for r in range(d[0]):
        for i in range(inner):
            total = math.fsum(float(x[r * d[2] + j * inner + i]) for j in range(reduced)) / divisor
            out[r * d[1] + i] = total + (out[r * d[1] + i] if d[3] else 0)


def spread(d: Arrays, out: Arrays, g: Arrays) -> None:
    reduced, inner, divisor = d[4:7]
    for r in range(d[0]):
        for j in range(reduced):
            for i in range(inner):
                at = r * d[1] + j * inner + i
                out[at] = g[r * d[2] + i] / divisor + (out[at] if d[3] else 0)


def largest(d: Arrays, out: Arrays, x: Arrays) -> None:
    reduced, inner = d[4:6]
    for r in range(d[0]):
        for i in range(inner):
            out[r * d[1] + i] = max(x[r * d[2] + j * inner + i] for j in range(reduced))


def largest_vjp(d: Arrays, out: Arrays, g: Arrays, x: Arrays, y: Arrays) -> None:
    reduced, inner = d[6:8]
    for r in range(d[0]):
        for i in range(inner):
            column = [float(x[r * d[3] + j * inner + i]) for j in range(reduced)]
            winner = column.index(max(column))
            for j in range(reduced):
                at = r * d[1] + j * inner + i
                out[at] = (g[r * d[2] + i] if j == winner else 0) + (out[at] if d[5] else 0)


def norm(d: Arrays, out: Arrays, x: Arrays) -> None:
    reduced, inner = d[4:6]
    for r in range(d[0]):
        for i in range(inner):
            out[r * d[1] + i] = math.hypot(*(float(x[r * d[2] + j * inner + i]) for j in range(reduced)))


def norm_vjp(d: Arrays, out: Arrays, g: Arrays, x: Arrays, y: Arrays) -> None:
    reduced, inner = d[6:8]
    for r in range(d[0]):
        for i in range(inner):
            length = math.hypot(*(float(x[r * d[3] + j * inner + i]) for j in range(reduced)))
            for j in range(reduced):
                at = r * d[1] + j * inner + i
                slope = g[r * d[2] + i] * x[r * d[3] + j * inner + i] / length if length else 0
                out[at] = slope + (out[at] if d[5] else 0)


def copy_block(d: Arrays, out: Arrays, x: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[4]):
            at = r * d[1] + d[5] + i
            out[at] = x[r * d[2] + d[6] + i] + (out[at] if d[3] else 0)


def strided_read(d: Arrays, out: Arrays, x: Arrays) -> None:
    for r in range(d[0]):
        for number, place in enumerate(np.ndindex(*d[4:8])):
            at = r * d[1] + number
            out[at] = x[r * d[2] + int(np.dot(place, d[8:12]))] + (out[at] if d[3] else 0)


def strided_add(d: Arrays, out: Arrays, g: Arrays) -> None:
    for r in range(d[0]):
        for number, place in enumerate(np.ndindex(*d[4:8])):
            out[r * d[1] + int(np.dot(place, d[8:12]))] += g[r * d[2] + number]


def fill(d: Arrays, out: Arrays, attr: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[4]):
            out[r * d[1] + i] = attr[0]


def take(d: Arrays, out: Arrays, table: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[5]):
            out[r * d[1] + i] = table[index[r * d[3]] * d[5] + i]


def take_vjp(d: Arrays, out: Arrays, g: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[5]):
            out[index[r * d[3]] * d[5] + i] += g[r * d[2] + i]


def take_columns(d: Arrays, out: Arrays, table: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[5]):
            out[r * d[1] + i] = table[i * d[6] + index[r * d[3]]]


def take_columns_vjp(d: Arrays, out: Arrays, g: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[5]):
            out[i * d[6] + index[r * d[3]]] += g[r * d[2] + i]


def gather(d: Arrays, out: Arrays, x: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        out[r * d[1]] = x[r * d[2] + index[r * d[3]]]


def gather_vjp(d: Arrays, out: Arrays, g: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        out[r * d[1] + index[r * d[3]]] += g[r * d[2]]


def sparse(d: Arrays, out: Arrays, x: Arrays, values: Arrays, columns: Arrays, starts: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[7]):
            total = sum(float(values[p]) * float(x[r * d[2] + columns[p]]) for p in range(starts[i], starts[i + 1]))
            at = r * d[1] + i
            out[at] = total + (out[at] if d[6] else 0)


def sparse_vjp_x(d: Arrays, out: Arrays, values: Arrays, g: Arrays, columns: Arrays, starts: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[7]):
            for p in range(starts[i], starts[i + 1]):
                out[r * d[1] + columns[p]] += values[p] * g[r * d[3] + i]


def sparse_vjp_values(d: Arrays, out: Arrays, x: Arrays, g: Arrays, columns: Arrays, starts: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[7]):
            for p in range(starts[i], starts[i + 1]):
                out[p] += x[r * d[2] + columns[p]] * g[r * d[3] + i]


def one_hot(d: Arrays, out: Arrays, index: Arrays) -> None:
    for r in range(d[0]):
        for i in range(d[4]):
            out[r * d[1] + i] = 1 if i == index[r * d[2]] else 0


def probabilities(row: Arrays) -> list[float]:
    """softmax of one row."""
    top = max(float(v) for v in row)
    exps = [math.exp(float(v) - top) for v in row]
    return [e / math.fsum(exps) for e in exps]


def softmax(d: Arrays, out: Arrays, x: Arrays) -> None:
    n = d[4]
    for r in range(d[0]):
        out[r * d[1] : r * d[1] + n] = probabilities(x[r * d[2] : r * d[2] + n])


def softmax_vjp(d: Arrays, out: Arrays, g: Arrays, y: Arrays) -> None:
    n = d[5]
    for r in range(d[0]):
        for i in range(n):
            slope = sum(
                g[r * d[2] + j] * y[r * d[3] + j] * ((1.0 if i == j else 0.0) - y[r * d[3] + i]) for j in range(n)
            )
            out[r * d[1] + i] = slope + (out[r * d[1] + i] if d[4] else 0)


def log_softmax(d: Arrays, out: Arrays, x: Arrays) -> None:
    n = d[4]
    for r in range(d[0]):
        out[r * d[1] : r * d[1] + n] = np.log(probabilities(x[r * d[2] : r * d[2] + n]))


def log_softmax_vjp(d: Arrays, out: Arrays, g: Arrays, y: Arrays) -> None:
    n = d[5]
    for r in range(d[0]):
        for i in range(n):
            slope = sum(g[r * d[2] + j] * ((1.0 if i == j else 0.0) - math.exp(y[r * d[3] + i])) for j in range(n))
            out[r * d[1] + i] = slope + (out[r * d[1] + i] if d[4] else 0)


def cross_entropy(d: Arrays, out: Arrays, x: Arrays, target: Arrays) -> None:
    n = d[5]
    for r in range(d[0]):
        out[r * d[1]] = -math.log(probabilities(x[r * d[2] : r * d[2] + n])[target[r * d[3]]])


def cross_entropy_vjp(d: Arrays, out: Arrays, g: Arrays, x: Arrays, target: Arrays) -> None:
    n = d[6]
    for r in range(d[0]):
        p = probabilities(x[r * d[3] : r * d[3] + n])
        for i in range(n):
            slope = g[r * d[2]] * (p[i] - (1.0 if i == target[r * d[4]] else 0.0))
            out[r * d[1] + i] = slope + (out[r * d[1] + i] if d[5] else 0)


TWINS: dict[str, Callable[..., None]] = {
    "matmul": matmul,
    "sum": summed,
    "spread": spread,
    "max": largest,
    "max_vjp": largest_vjp,
    "norm": norm,
    "norm_vjp": norm_vjp,
    "copy_block": copy_block,
    "strided_read": strided_read,
    "strided_add": strided_add,
    "fill": fill,
    "take": take,
    "take_vjp": take_vjp,
    "take_columns": take_columns,
    "take_columns_vjp": take_columns_vjp,
    "gather": gather,
    "gather_vjp": gather_vjp,
    "one_hot": one_hot,
    "sparse_product": sparse,
    "sparse_vjp_x": sparse_vjp_x,
    "sparse_vjp_values": sparse_vjp_values,
    "softmax": softmax,
    "softmax_vjp": softmax_vjp,
    "log_softmax": log_softmax,
    "log_softmax_vjp": log_softmax_vjp,
    "cross_entropy": cross_entropy,
    "cross_entropy_vjp": cross_entropy_vjp,
}


# -- derivatives without a tape's backward ------------------------------------------------------------------------
def value(f: Callable[..., ts.Tensor], *arrays: Any) -> np.ndarray:
    """f of arrays (float arrays as parameters), on a tape of its own."""
    with ts.Tape():
        return f(*leaves(arrays)).value


def leaves(arrays: Any) -> list[Any]:
    """Floating-point arrays as parameters p0, p1 …; integer arrays as they are."""
    return [ts.Parameter(a, f"p{i}") if np.asarray(a).dtype.kind == "f" else a for i, a in enumerate(arrays)]


def gradients(f: Callable[..., ts.Tensor], u: np.ndarray, *arrays: Any) -> list[np.ndarray | None]:
    """Gradients of Σ u ⊙ f by every array, from the tape."""
    given = leaves(arrays)
    with ts.Tape() as tape:
        tape.backward(f(*given), seed=u)
    return [x.grad if isinstance(x, ts.Parameter) else None for x in given]


def differences(
    f: Callable[..., ts.Tensor], u: np.ndarray, *arrays: np.ndarray, step: float = 1e-6
) -> list[np.ndarray]:
    """Gradients of Σ u ⊙ f by central differences, element by element."""
    found = []
    for k, array in enumerate(arrays):
        grad = np.zeros(array.shape)
        for place in np.ndindex(array.shape) if array.dtype.kind == "f" else ():
            above, below = array.copy(), array.copy()
            above[place] += step
            below[place] -= step
            rise = value(f, *arrays[:k], above, *arrays[k + 1 :]) - value(f, *arrays[:k], below, *arrays[k + 1 :])
            grad[place] = (u * rise).sum() / (above[place] - below[place])
        found.append(grad)
    return found
