"""Sample inputs for every op: one table that drives all op tests. A new op needs a row here (``test_every_op``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special as special

import tinyseq as ts
from tinyseq import functions as F
from tinyseq.tensor.leaves import as_tensor


@dataclass(frozen=True)
class Sample:
    """One use of an op: as tinyseq, as NumPy, as PyTorch (``torch, *tensors``; None where it has no such thing)."""

    op: str
    label: str
    f: Callable[..., Any]
    numpy: Callable[..., Any]
    torch: Callable[..., Any] | None
    inputs: tuple[Callable[[np.random.Generator], np.ndarray], ...]
    without_gradient: tuple[int, ...] = ()

    def draw(self, dtype: Any = np.float64) -> tuple[np.ndarray, ...]:
        """The inputs, always the same, in a dtype."""
        rng = np.random.default_rng(len(self.label) + 7)
        arrays = [np.asarray(make(rng)) for make in self.inputs]
        return tuple(np.asarray(a).astype(dtype) if a.dtype.kind == "f" else a for a in arrays)

    def __str__(self) -> str:
        return f"{self.op}-{self.label}"


def normal(*shape: int) -> Callable:
    return lambda rng: rng.standard_normal(shape)


def positive(*shape: int) -> Callable:
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def away(*shape: int) -> Callable:
    """Of both signs, away from the kinks at 0."""
    return lambda rng: rng.choice([-1.0, 1.0], shape) * rng.uniform(0.3, 2.0, shape)


def apart(*shape: int) -> Callable:
    """All elements at least 0.1 apart."""
    return lambda rng: rng.permutation(np.arange(int(np.prod(shape)))).reshape(shape) * 0.1 - 0.4


def unit(*shape: int) -> Callable:
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def mask(*shape: int) -> Callable:
    return lambda rng: rng.integers(0, 2, shape).astype(np.float64)


def whole(limit: int, *shape: int) -> Callable:
    return lambda rng: rng.integers(0, limit, shape)


def unary(op: str, numpy: Callable, torch: Callable | None, make: Callable = normal, **options: Any) -> list[Sample]:
    f = getattr(ts, op)
    return [
        Sample(op, label, f, numpy, torch, (make(*shape),), **options)
        for label, shape in (("matrix", (3, 5)), ("scalar", ()), ("cube", (2, 3, 9)))
    ]


def binary(op: str, numpy: Callable, torch: Callable | None, *make: Callable, **options: Any) -> list[Sample]:
    f = getattr(ts, op)
    first, second = make or (normal, normal)
    shapes = (("same", (3, 5), (3, 5)), ("row", (3, 5), (5,)), ("both", (2, 1, 3), (4, 1)), ("scalar", (2, 3), ()))
    return [
        Sample(op, label, f, numpy, torch, (first(*a), second(*b)), **options)
        for label, a, b in shapes
        if first is not apart or label == "same"
    ]


def reduction(op: str, numpy: Callable, torch: Callable, make: Callable = normal) -> list[Sample]:
    axes = (
        ("all", (3, 4), None, False),
        ("first", (3, 4), 0, False),
        ("last", (3, 4), -1, False),
        ("kept", (2, 3, 4), 1, True),
        ("run", (2, 3, 2, 3), (1, 2), False),
        ("apart", (2, 3, 4), (0, 2), True),
    )
    return [
        Sample(
            op,
            label,
            lambda x, a=axis, k=keep: getattr(ts, op)(x, a, k),
            lambda x, a=axis, k=keep: numpy(x, axis=a, keepdims=k),
            lambda torch_, x, a=axis, k=keep: torch(torch_, x, range(x.ndim) if a is None else a, k),
            (make(*shape),),
        )
        for label, shape, axis, keep in axes
    ]


def products() -> list[Sample]:
    samples = []
    for a_flip in (False, True):
        for b_flip in (False, True):
            for batch in ((), (3,)):
                a = (*batch, 5, 2) if a_flip else (*batch, 2, 5)
                b = (*batch, 4, 5) if b_flip else (*batch, 5, 4)

                def f(x: Any, y: Any, p: bool = a_flip, q: bool = b_flip) -> Any:
                    x, y = as_tensor(x), as_tensor(y)
                    return (x.T if p else x) @ (y.T if q else y)

                def numpy(x: Any, y: Any, p: bool = a_flip, q: bool = b_flip) -> Any:
                    left, right = ("...ki" if p else "...ik"), ("...jk" if q else "...kj")
                    return np.einsum(f"{left},{right}->...ij", x, y)

                def torch(torch_: Any, x: Any, y: Any, p: bool = a_flip, q: bool = b_flip) -> Any:
                    return (x.mT if p else x) @ (y.mT if q else y)

                label = f"{'t' if a_flip else 'n'}{'t' if b_flip else 'n'}{'-batched' if batch else ''}"
                samples.append(Sample("matmul", label, f, numpy, torch, (normal(*a), normal(*b))))
    samples.append(
        Sample(
            "matmul",
            "linear",
            ts.linear,
            lambda x, W: np.stack([W @ row for row in x]),
            lambda torch, x, W: torch.nn.functional.linear(x, W),
            (normal(3, 5), normal(4, 5)),
        )
    )
    samples.append(
        Sample(
            "matmul",
            "sequence",
            ts.matmul,
            lambda x, W: np.tensordot(x, W, 1),
            lambda torch, x, W: x @ W,
            (normal(2, 3, 5), normal(5, 4)),
        )
    )
    return samples


def bce(a: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(special.expit(a)) + (1 - t) * np.log(special.expit(-a)))


def at_each(x: np.ndarray, i: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, i[..., None], -1)[..., 0]


def sparsities() -> list[tuple[str, ts.Sparsity, int]]:
    """(label, places, rows of x): rows without elements, with a few, with all."""
    rng = np.random.default_rng(3)
    places = rng.random((5, 11)) < 0.4
    places[1], places[3] = False, True
    return [
        ("mixed", ts.Sparsity.of(places)[0], 3),
        ("full", ts.Sparsity.of(np.ones((3, 4)))[0], 2),
    ]


def moved(op: str, label: str, f: Callable, numpy: Callable, torch: Callable | None, *make: Callable) -> Sample:
    return Sample(op, label, f, numpy, torch, make)


def same(op: str, label: str, f: Callable, *make: Callable) -> Sample:
    """The same expression means the same to all three."""
    return Sample(op, label, f, f, lambda torch, *x: f(*x), make)


SAMPLES: list[Sample] = [
    *binary("add", np.add, lambda torch, a, b: a + b),
    *binary("sub", np.subtract, lambda torch, a, b: a - b),
    *binary("mul", np.multiply, lambda torch, a, b: a * b),
    *binary("div", np.divide, lambda torch, a, b: a / b, normal, away),
    *binary("power", np.power, lambda torch, a, b: a**b, positive, normal),
    *binary("maximum", np.maximum, lambda torch, a, b: torch.maximum(a, b), apart, normal),
    *binary("greater", lambda a, b: (a > b).astype(a.dtype), None, without_gradient=(0, 1)),
    *binary("squared_error", lambda a, b: (a - b) ** 2, lambda torch, a, b: (a - b) ** 2),
    *binary(
        "bernoulli_cross_entropy",
        bce,
        lambda torch, a, t: torch.nn.functional.binary_cross_entropy_with_logits(
            *torch.broadcast_tensors(a, t), reduction="none"
        ),
        normal,
        unit,
    ),
    *unary("neg", np.negative, lambda torch, a: -a),
    *unary("exp", np.exp, lambda torch, a: torch.exp(a)),
    *unary("log", np.log, lambda torch, a: torch.log(a), positive),
    *unary("sqrt", np.sqrt, lambda torch, a: torch.sqrt(a), positive),
    *unary("abs", np.abs, lambda torch, a: torch.abs(a), away),
    *unary("tanh", np.tanh, lambda torch, a: torch.tanh(a)),
    *unary("sigmoid", special.expit, lambda torch, a: torch.sigmoid(a)),
    *unary("relu", lambda a: np.where(a > 0, a, 0), lambda torch, a: torch.relu(a), away),
    *unary("softplus", lambda a: np.logaddexp(0, a), lambda torch, a: torch.nn.functional.softplus(a)),
    *unary("detach", np.array, None, without_gradient=(0,)),
    *[
        Sample(
            "sparse",
            label,
            lambda x, values, places=places: ts.sparse_linear(x, values, places),
            lambda x, values, places=places: x @ places.dense(values).T,
            None,
            (normal(rows, places.shape[1]), normal(len(places.columns))),
        )
        for label, places, rows in sparsities()
    ],
    same("affine", "both", lambda a: a * 2.5 - 0.75, normal(3, 5)),
    same("affine", "reversed", lambda a: 3.0 - a, normal(4)),
    same("affine", "divided", lambda a: a / 4, normal(4)),
    same("power", "base", lambda b: 2.0**b, normal(3, 2)),
    same("power", "cube", lambda a: a**3, positive(3, 2)),
    same("mul", "square", lambda a: a**2, normal(3, 2)),
    same("sqrt", "half", lambda a: a**0.5, positive(3, 2)),
    Sample(
        "where",
        "all",
        ts.where,
        lambda m, a, b: np.where(m != 0, a, b),
        lambda torch, m, a, b: torch.where(m != 0, a, b),
        (mask(3, 5), normal(3, 5), normal(3, 5)),
        (0,),
    ),
    Sample(
        "where",
        "row",
        ts.where,
        lambda m, a, b: np.where(m != 0, a, b),
        lambda torch, m, a, b: torch.where(m != 0, a, b),
        (mask(3, 1), normal(3, 5), normal(5)),
        (0,),
    ),
    *products(),
    *reduction("sum", np.sum, lambda torch, x, a, k: torch.sum(x, tuple(np.atleast_1d(a)), k)),
    *reduction("mean", np.mean, lambda torch, x, a, k: torch.mean(x, tuple(np.atleast_1d(a)), k)),
    *reduction("max", np.max, lambda torch, x, a, k: torch.amax(x, tuple(np.atleast_1d(a)), k), apart),
    *reduction(
        "norm",
        lambda x, axis, keepdims: np.sqrt((x * x).sum(axis=axis, keepdims=keepdims)),
        lambda torch, x, a, k: torch.sqrt(torch.sum(x * x, tuple(np.atleast_1d(a)), k)),
    ),
    same("reshape", "flat", lambda x: x.reshape(-1), normal(2, 3)),
    same("reshape", "axes", lambda x: x.reshape(3, -1, 2), normal(2, 6)),
    same("reshape", "scalar", lambda x: x.reshape(()), normal(1, 1)),
    moved("transpose", "matrix", ts.transpose, np.transpose, lambda torch, x: x.T, normal(3, 5)),
    *[
        moved(
            "transpose",
            label,
            lambda x, o=order: ts.transpose(x, o),
            lambda x, o=order: x.transpose(o),
            lambda torch, x, o=order: x.permute(o),
            normal(*range(2, 2 + len(order))),
        )
        for label, order in (("cube", (1, 2, 0)), ("swap", (0, 2, 1)), ("four", (3, 0, 2, 1)))
    ],
    same("transpose", "operand", lambda W: W.T + 1.0, normal(3, 5)),
    *[
        moved(
            "expand",
            label,
            lambda x, n=wanted: ts.expand(x, n),
            lambda x, n=wanted: np.ones(n, x.dtype) * x,
            lambda torch, x, n=wanted: x.expand(n),
            normal(*shape),
        )
        for label, shape, wanted in (
            ("rows", (3,), (2, 3)),
            ("middle", (2, 1, 3), (4, 2, 5, 3)),
            ("columns", (3, 1), (3, 4)),
            ("scalar", (), (2, 2)),
            ("corner", (1, 1), (2, 3)),
            ("alternate", (2, 1, 3, 1), (2, 2, 3, 4)),
            ("opposite", (1, 2, 1, 3), (2, 2, 2, 3)),
        )
    ],
    *[
        moved(
            "concatenate",
            label,
            lambda *x, a=axis: ts.concatenate(x, a),
            lambda *x, a=axis: np.concatenate(x, a),
            lambda torch, *x, a=axis: torch.cat(x, a),
            *[normal(*shape) for shape in shapes],
        )
        for label, axis, shapes in (
            ("last", -1, ((3, 2), (3, 4), (3, 1))),
            ("first", 0, ((2, 3), (4, 3))),
            ("middle", 1, ((2, 3, 2), (2, 1, 2))),
        )
    ],
    *[
        moved(
            "stack",
            label,
            lambda *x: ts.stack(x),
            lambda *x: np.stack(x),
            lambda torch, *x: torch.stack(x),
            *[normal(*shape)] * 3,
        )
        for label, shape in (("vectors", (3,)), ("matrices", (3, 2)), ("scalars", ()))
    ],
    same("slice", "columns", lambda x: x[:, 1:4], normal(3, 6)),
    same("slice", "rows", lambda x: x[-2:], normal(5, 2)),
    same("slice", "tail", lambda x: x[1:], normal(3, 2)),
    same("slice", "head", lambda x: x[:-1], normal(3, 2)),
    same("slice", "middle", lambda x: x[:, 1:2, :], normal(2, 3, 4)),
    same("slice", "column", lambda x: x[:, -1], normal(2, 3, 4)),
    same("slice", "nothing", lambda x: x[:, 3:3], normal(2, 4)),
    moved(
        "slice",
        "split",
        lambda x: ts.split(x, 3)[1],
        lambda x: np.split(x, 3, -1)[1],
        lambda torch, x: x.chunk(3, -1)[1],
        normal(2, 6),
    ),
    same("index", "row", lambda x: x[2], normal(4, 3)),
    same("index", "last", lambda x: x[-1], normal(4)),
    moved("window", "rows", lambda x: F.window(x, 1, 3), lambda x: x[1:4], lambda torch, x: x[1:4], normal(5, 2)),
    moved("window", "none", lambda x: F.window(x, 2, 0), lambda x: x[2:2], lambda torch, x: x[2:2], normal(5, 2)),
    *[
        moved("take", label, ts.take, lambda W, i: W[i], lambda torch, W, i: W[i], normal(*shape), whole(*index))
        for label, shape, index in (
            ("rows", (5, 3), (5, 7)),
            ("matrix", (3, 2), (3, 2, 4)),
            ("numbers", (4,), (4, 6)),
            ("cubes", (4, 2, 3), (4, 5)),
            ("one", (4, 3), (4,)),
        )
    ],
    *[
        moved(
            "take",
            f"columns-{len(index)}",
            lambda U, i: ts.take(U, i, axis=1),
            lambda U, i: U.T[i],
            lambda torch, U, i: U.T[i],
            normal(3, 5),
            whole(*index),
        )
        for index in ((5, 7), (5, 2, 3))
    ],
    *[
        moved(
            "gather",
            label,
            ts.gather,
            at_each,
            lambda torch, x, i: x.gather(-1, i[..., None])[..., 0],
            normal(*shape),
            whole(shape[-1], *shape[:-1]),
        )
        for label, shape in (("rows", (4, 3)), ("cube", (2, 4, 3)), ("one", (3,)))
    ],
    moved("one_hot", "rows", lambda i: ts.one_hot(i, 5, np.float64), lambda i: np.eye(5)[i], None, whole(5, 6)),
    moved("one_hot", "matrix", lambda i: ts.one_hot(i, 3, np.float64), lambda i: np.eye(3)[i], None, whole(3, 2, 4)),
    *[
        moved(
            op,
            label,
            getattr(ts, op),
            lambda x, name=op: getattr(special, name)(x, -1),
            lambda torch, x, name=op: getattr(torch, name)(x, -1),
            normal(*shape),
        )
        for op in ("softmax", "log_softmax")
        for label, shape in (("rows", (3, 5)), ("cube", (2, 3, 4)), ("vector", (5,)))
    ],
    *[
        moved(
            "cross_entropy",
            label,
            lambda x, y: ts.cross_entropy(x, y, reduction="none"),
            lambda x, y: -at_each(special.log_softmax(x, -1), y),
            lambda torch, x, y: -torch.log_softmax(x, -1).gather(-1, y[..., None])[..., 0],
            normal(*shape, 5),
            whole(5, *shape),
        )
        for label, shape in (("rows", (4,)), ("sequence", (3, 2)), ("one", ()))
    ],
    moved("constant", "zeros", lambda x: x + ts.zeros((2, 3), x.dtype), lambda x: x, None, normal(2, 3)),
    moved(
        "constant",
        "number",
        lambda x: ts.maximum(x, 0.25),
        lambda x: np.where(x > 0.25, x, 0.25),
        lambda torch, x: x.clamp(min=0.25),
        apart(3, 2),
    ),
    moved("input", "array", lambda x: x + np.ones((2, 3), x.dtype), lambda x: x + 1, None, normal(2, 3)),
    moved("parameter", "itself", as_tensor, lambda x: x, None, normal(2, 3)),
]
