"""The ops as expressions of NumPy, and the functions that such a script begins with."""

from __future__ import annotations

from typing import Any

from tinyseq.exchange.forms import Numpy
from tinyseq.exchange.net import Operation

HELPERS = {
    "sigmoid": '''def sigmoid(a):
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))''',
    "softplus": '''def softplus(a):
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))''',
    "softmax": '''def softmax(a):
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)''',
    "log_softmax": '''def log_softmax(a):
    a = a - a.max(-1, keepdims=True)
    return a - np.log(np.exp(a).sum(-1, keepdims=True))''',
    "picked": '''def picked(a, index):
    return np.take_along_axis(a, index[..., None], -1)[..., 0]''',
    "sparse": '''def sparse(x, values, columns, starts):
    y = np.zeros((len(x), len(starts) - 1), x.dtype)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    np.add.at(y.T, rows, (x[:, columns] * values).T)
    return y''',
}  # fmt: skip


def _matmul(o: Operation, x: list[str], shape: Any) -> str:
    flip = ".swapaxes(-1, -2)" if len(o.shape) == 3 else ".T"
    a, b = (f"{one}{flip}" if o.attrs.get(f"transpose_{key}") else one for one, key in zip(x, "ab", strict=True))
    return f"({a} @ {b})"


def _affine(o: Operation, x: list[str], shape: Any) -> str:
    k, c = o.attrs["k"], o.attrs["c"]
    scaled = x[0] if k == 1 else f"-{x[0]}" if k == -1 else f"{_number(k)} * {x[0]}"
    return f"({scaled} + {_number(c)})" if c or k == 1 else f"({scaled})"


def _number(value: float) -> str:
    """A number as Python reads it back; NumPy keeps the dtype of the arrays beside it."""
    return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(float(value)), repr(float(value)))


def _reduction(call: str) -> Numpy:
    def form(o: Operation, x: list[str], shape: Any) -> str:
        first, last = o.attrs["axes"]
        keep = ", keepdims=True" if o.attrs.get("keepdims") else ""
        axes = tuple(range(first, last))
        if not axes:
            return f"np.abs({x[0]})" if call == "norm" else x[0]
        if call == "norm":
            return f"np.sqrt(({x[0]} * {x[0]}).sum({axes}{keep}))"
        return f"{x[0]}.{call}({axes}{keep})"

    return form


def _slice(o: Operation, x: list[str], shape: Any) -> str:
    before = ":, " * o.attrs["axis"]
    return f"{x[0]}[{before}{o.attrs['start']}:{o.attrs['stop']}]"


def _take(o: Operation, x: list[str], shape: Any) -> str:
    return f"{x[0]}.T[{x[1]}]" if o.attrs.get("axis") else f"{x[0]}[{x[1]}]"


def _constant(o: Operation, x: list[str], shape: Any) -> str:
    value = o.attrs["value"]
    if not o.shape:
        return f"np.{o.dtype}({_number(value)})"
    if value == 0:
        return f"np.zeros({shape(o.shape)}, np.{o.dtype})"
    return f"np.full({shape(o.shape)}, {_number(value)}, np.{o.dtype})"


NUMPY: dict[str, Numpy | str] = {
    "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})", "neg": "(-{0})",
    "exp": "np.exp({0})", "log": "np.log({0})", "sqrt": "np.sqrt({0})", "power": "({0} ** {1})", "abs": "np.abs({0})",
    "maximum": "np.maximum({0}, {1})", "tanh": "np.tanh({0})", "sigmoid": "sigmoid({0})",
    "relu": "np.maximum({0}, 0)", "softplus": "softplus({0})",
    "greater": lambda o, x, shape: f"({x[0]} > {x[1]}).astype(np.{o.dtype})",
    "where": "np.where({0} != 0, {1}, {2})", "squared_error": "(({0} - {1}) ** 2)",
    "bernoulli_cross_entropy": "(softplus({0}) - {1} * {0})", "detach": "{0}", "affine": _affine,
    "constant": _constant, "take": _take, "gather": "picked({0}, {1})",
    "one_hot": lambda o, x, shape: f"np.eye({o.attrs['classes']}, dtype=np.{o.dtype})[{x[0]}]",
    "softmax": "softmax({0})", "log_softmax": "log_softmax({0})",
    "cross_entropy": "(-picked(log_softmax({0}), {1}))", "matmul": _matmul,
    "sum": _reduction("sum"), "mean": _reduction("mean"), "max": _reduction("max"), "norm": _reduction("norm"),
    "reshape": lambda o, x, shape: f"{x[0]}.reshape({shape(o.shape)})",
    "transpose": lambda o, x, shape: f"{x[0]}.transpose({tuple(o.attrs['axes'])})",
    "expand": lambda o, x, shape: f"np.broadcast_to({x[0]}, {shape(o.shape)})",
    "slice": _slice, "index": lambda o, x, shape: f"{x[0]}[{o.arg}]",
    "window": lambda o, x, shape: f"{x[0]}[{o.arg}:{o.arg} + {o.shape[0]}]",
    "concatenate": lambda o, x, shape: f"np.concatenate([{', '.join(x)}], {o.attrs['axis']})",
    "stack": lambda o, x, shape: f"np.stack([{', '.join(x)}])", "sparse": "sparse({0}, {1}, {2}, {3})",
    "steps_of": lambda o, x, shape: f"(np.arange({o.shape[0]})[:, None] < {x[0]}).astype(np.{o.dtype})",
}  # fmt: skip
