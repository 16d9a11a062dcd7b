"""The ops as nodes of ONNX, opset 18."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.exchange.forms import Onnx, Writer
from tinyseq.exchange.net import Operation

LAST = np.iinfo(np.int64).max


def _affine(w: Writer, o: Operation, x: list[str]) -> str:
    k, c = o.attrs["k"], o.attrs["c"]
    y = x[0] if k == 1 else w.node("Neg", x[0]) if k == -1 else w.node("Mul", x[0], w.array(k, o.dtype))
    return w.node("Add", y, w.array(c, o.dtype)) if c or y == x[0] else y


def _greater(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Cast", w.node("Greater", *x), to=o.dtype)


def _where(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Where", w.node("Not", w.node("Equal", x[0], w.array(0.0, o.dtype))), x[1], x[2])


def _squared_error(w: Writer, o: Operation, x: list[str]) -> str:
    difference = w.node("Sub", *x)
    return w.node("Mul", difference, difference)


def _bernoulli(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Sub", _softplus(w, o, [x[0]]), w.node("Mul", x[1], x[0]))


def _softplus(w: Writer, o: Operation, x: list[str]) -> str:
    """max(a, 0) + log(1 + e^−|a|): right for numbers of any size, in any dtype."""
    small = w.node("Log", w.node("Add", w.array(1.0, o.dtype), w.node("Exp", w.node("Neg", w.node("Abs", x[0])))))
    return w.node("Add", w.node("Max", x[0], w.array(0.0, o.dtype)), small)


def _constant(w: Writer, o: Operation, x: list[str]) -> str:
    value = w.array(o.attrs["value"], o.dtype)
    return w.node("Expand", value, w.shape(o.shape)) if o.shape else value


def _take(w: Writer, o: Operation, x: list[str]) -> str:
    table = w.node("Transpose", x[0], perm=[1, 0]) if o.attrs.get("axis") else x[0]
    return w.node("Gather", table, x[1], axis=0)


def _gather(w: Writer, o: Operation, x: list[str]) -> str:
    index = w.node("Unsqueeze", x[1], w.array([-1], "int64"))
    return w.node("Squeeze", w.node("GatherElements", x[0], index, axis=-1), w.array([-1], "int64"))


def _one_hot(w: Writer, o: Operation, x: list[str]) -> str:
    index = w.node("Unsqueeze", x[0], w.array([-1], "int64"))
    return w.node("Cast", w.node("Equal", index, w.array(np.arange(o.attrs["classes"]), "int64")), to=o.dtype)


def _cross_entropy(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Neg", _gather(w, o, [w.node("LogSoftmax", x[0], axis=-1), x[1]]))


def _matmul(w: Writer, o: Operation, x: list[str]) -> str:
    last = [0, 2, 1] if len(o.shape) == 3 else [1, 0]
    a = w.node("Transpose", x[0], perm=last) if o.attrs.get("transpose_a") else x[0]
    b = w.node("Transpose", x[1], perm=last) if o.attrs.get("transpose_b") else x[1]
    return w.node("MatMul", a, b)


def _reduction(kind: str) -> Onnx:
    def form(w: Writer, o: Operation, x: list[str]) -> str:
        first, last = o.attrs["axes"]
        if first == last:
            return w.node("Abs" if kind == "ReduceL2" else "Identity", x[0])
        axes = w.array(list(range(first, last)), "int64")
        return w.node(kind, x[0], axes, keepdims=int(bool(o.attrs.get("keepdims"))))

    return form


def _slice(w: Writer, x: str, start: Any, stop: Any, axis: int) -> str:
    return w.node("Slice", x, w.shape((start,)), w.shape((stop,)), w.array([axis], "int64"))


def _window(w: Writer, o: Operation, x: list[str]) -> str:
    if o.arg:
        raise TinyseqError(f"{o.where} reads rows from {o.arg} on: such a window is of sequences of unequal lengths")
    return _slice(w, x[0], 0, o.shape[0], 0)


def _index(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Squeeze", w.node("Gather", x[0], w.shape((o.arg,)), axis=0), w.array([0], "int64"))


def _sparse(w: Writer, o: Operation, x: list[str]) -> str:
    columns, starts = w.known(o, 2), w.known(o, 3)
    if columns is None or starts is None:
        raise TinyseqError(f"{o.where}: the places of a sparse matrix must be known when it is exported")
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    places = w.array(np.stack([columns, rows], 1), "int64")
    shape = w.node("Concat", w.node("Shape", x[0], start=1, end=2), w.array([len(starts) - 1], "int64"), axis=0)
    empty = w.node("Expand", w.array(0.0, o.dtype), shape)
    return w.node("MatMul", x[0], w.node("ScatterND", empty, places, x[1], reduction="add"))


def _stack(w: Writer, o: Operation, x: list[str]) -> str:
    return w.node("Concat", *[w.node("Unsqueeze", one, w.array([0], "int64")) for one in x], axis=0)


def _mask(w: Writer, o: Operation, x: list[str]) -> str:
    """1 at the steps of each sequence, given their lengths: (T, B)."""
    steps = w.node("Range", w.array(0, "int64"), w.node("Squeeze", w.shape(o.shape[:1])), w.array(1, "int64"))
    column = w.node("Unsqueeze", steps, w.array([1], "int64"))
    return w.node("Cast", w.node("Less", column, w.node("Unsqueeze", x[0], w.array([0], "int64"))), to=o.dtype)


ONNX: dict[str, Onnx | str] = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "power": "Pow", "abs": "Abs", "maximum": "Max", "tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu",
    "softplus": _softplus, "greater": _greater, "where": _where, "squared_error": _squared_error,
    "bernoulli_cross_entropy": _bernoulli, "detach": "Identity", "affine": _affine, "constant": _constant,
    "take": _take, "gather": _gather, "one_hot": _one_hot, "cross_entropy": _cross_entropy, "matmul": _matmul,
    "softmax": lambda w, o, x: w.node("Softmax", x[0], axis=-1),
    "log_softmax": lambda w, o, x: w.node("LogSoftmax", x[0], axis=-1),
    "sum": _reduction("ReduceSum"), "mean": _reduction("ReduceMean"), "max": _reduction("ReduceMax"),
    "norm": _reduction("ReduceL2"),
    "reshape": lambda w, o, x: w.node("Reshape", x[0], w.shape(o.shape), allowzero=1),
    "transpose": lambda w, o, x: w.node("Transpose", x[0], perm=list(o.attrs["axes"])),
    "expand": lambda w, o, x: w.node("Expand", x[0], w.shape(o.shape)),
    "slice": lambda w, o, x: _slice(w, x[0], o.attrs["start"], o.attrs["stop"], o.attrs["axis"]),
    "index": _index, "window": _window, "sparse": _sparse, "stack": _stack,
    "concatenate": lambda w, o, x: w.node("Concat", *x, axis=o.attrs["axis"]),
    "steps_of": _mask,
}  # fmt: skip
