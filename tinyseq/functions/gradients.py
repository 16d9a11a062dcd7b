"""Gradients recorded as nodes of the graph: what they are made of can be differentiated again, drawn and compiled.

``tape.backward`` computes numbers. Here each vjp is written down as ops instead: an elementwise op's from the
expression in its record, the others' from the rules below. So a penalty on a gradient is an expression like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import GradientError, TapeError
from tinyseq.functions import elementwise as A
from tinyseq.functions.picks import one_hot
from tinyseq.functions.reductions import sum
from tinyseq.functions.shapes import concatenate, expand, index, reshape, slice_axis, transpose, zeros
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.tape import Node, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import here
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


@advised
def gradients(loss: Tensor, tensors: Sequence[Tensor], seed: Any = None) -> list[Tensor]:
    """∂loss/∂t for each tensor t, recorded on the tape: tensors that depend on all that the gradient depends on.

    Differentiating them again gives second derivatives; ``ts.detach`` makes constants of them. ``seed`` is ∂L/∂loss,
    needed unless the loss is a scalar. A tensor that the loss does not depend on has zeros.

    Raises GradientError where an op on the way has no recorded vjp (``max``).
    """
    if loss.shape and seed is None:
        raise GradientError(
            f"gradients of a tensor of shape {loss.shape} needs a seed of that shape; or write ts.sum(y)"
        )
    with loss.tape:
        here(loss, "gradients")
        start = here(A.broadcast(1.0 if seed is None else seed, loss)[0], "gradients: the seed")
        cuts = [(here(t, "gradients: a tensor to differentiate by").index,) for t in tensors]
        return [parts[0] for parts in recorded_pullback(loss.tape, {loss.index: start}, cuts)]


def recorded_pullback(tape: Tape, seeds: dict[int, Tensor], cuts: Sequence[tuple[int, ...]]) -> list[list[Tensor]]:
    """The gradients of Σ ⟨seed, node⟩ by the nodes of each cut, as nodes; the nodes of one cut count as independent.

    The recording twin of ``tinyseq.diagnose.pullback``: gradients are those from nodes after the cut, and from nodes
    between its first and its last that are read past it.
    """
    if tape.folding:
        raise TapeError("gradients are recorded after unfold(...), not inside the step that is being unfolded")
    lowest, last = min(min(cut) for cut in cuts), max(seeds)
    on = _ways(tape, {i for cut in cuts for i in cut}, last)
    due: dict[int, list[int]] = {}
    for number, cut in enumerate(cuts):
        due.setdefault(max(cut), []).append(number)
    grads: dict[int, list[Tensor]] = {i: [seed] for i, seed in seeds.items()}
    found: list[list[Tensor]] = [[] for _ in cuts]
    outer = tape.scope
    try:
        for i in range(max(last, *due), lowest - 1, -1):
            for number in due.get(i, ()):
                found[number] = _at(tape, cuts[number], grads, on)
            if i in grads and on[i]:
                _through(tape, i, grads.pop(i), grads, on)
    finally:
        tape.scope = outer
    return found


def _ways(tape: Tape, sources: set[int], last: int) -> np.ndarray:
    """Which nodes up to ``last`` depend on one of the sources, these included."""
    pointers, edges = tape.input_pointers, tape.input_indices
    on = np.zeros(len(tape), bool)
    on[list(sources)] = True
    first = min(sources)
    starts, flat = pointers[first : last + 2].tolist(), edges.tolist()
    flags = on.tolist()
    for i in range(first, last + 1):
        if not flags[i]:
            flags[i] = any(flags[j] for j in flat[starts[i - first] : starts[i - first + 1]])
    return np.array(flags)


def _at(tape: Tape, cut: tuple[int, ...], grads: dict[int, list[Tensor]], on: np.ndarray) -> list[Tensor]:
    low, high = min(cut), max(cut)
    local = {i: list(parts) for i, parts in grads.items() if low <= i <= high}
    if any(i not in cut for i in local):
        for i in range(high, low, -1):
            if i in local and i not in cut and on[i]:
                _through(tape, i, local.pop(i), local, on)
    made = []
    for c in cut:
        _scope(tape, tape.node(c))
        made.append(_total(local[c]) if c in local else zeros(tape.shape(c), tape.node(c).dtype))
    return made


def _through(tape: Tape, i: int, parts: list[Tensor], grads: dict[int, list[Tensor]], on: np.ndarray) -> None:
    """Record g · ∂y/∂x of one node for those inputs that are on a way."""
    node = tape.node(i)
    wanted = [k for k, j in enumerate(node.inputs) if on[j]]
    if not wanted:
        return
    _scope(tape, node)
    g = _total(parts)
    for k, part in vjps(tape, node, g, wanted):
        grads.setdefault(node.inputs[k], []).append(part)


def _total(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _scope(tape: Tape, node: Node) -> None:
    tape.scope = (f"∂{node.cell}", node.step) if node.cell else ("", -1)


# -- one op -------------------------------------------------------------------------------------------------------
class Here(NamedTuple):
    """A node to be differentiated: the node, its inputs, its value, the gradient by it, the input to go to."""

    node: Node
    x: list[Tensor]
    y: Tensor
    g: Tensor
    k: int


def vjps(tape: Tape, node: Node, g: Tensor, wanted: Sequence[int]) -> list[tuple[int, Tensor]]:
    """(input position, g · ∂y/∂x recorded) for the wanted inputs that get a gradient."""
    op = OPS[node.op]
    made = []
    for k in wanted:
        if (not op.joins and k not in op.vjp) or tape.node(node.inputs[k]).dtype.kind == "i":
            continue
        x = [_tensor(tape, j) for j in node.inputs]
        here = Here(node, x, _tensor(tape, node.index), g, k)
        if op.slopes:
            expression = op.slopes[k]
            assert expression is not None
            made.append((k, _elementwise(expression, here)))
        elif node.op in RULES:
            made.append((k, RULES[node.op](here)))
        else:
            raise GradientError(
                f"{node.op} (node %{node.index}) has no vjp that can be recorded, so gradients through it are numbers "
                "only: use loss.backward()"
            )
    return made


def _tensor(tape: Tape, i: int) -> Tensor:
    return Tensor.at(tape, i)


@cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


NUMBERS = {"zero": 0.0, "one": 1.0, "half": 0.5, "two": 2.0}
BINARY: dict[type, Callable[..., Any]] = {ast.Add: A.add, ast.Sub: A.sub, ast.Mult: A.mul, ast.Div: A.div}


def _elementwise(expression: str, here: Here) -> Tensor:
    names: dict[str, Any] = {**NUMBERS, "g": here.g, "y": here.y, **{f"x{i}": x for i, x in enumerate(here.x)}}
    flags = dict(here.node.attrs)
    names |= {f"attr{i}": flags[key] for i, key in enumerate(OPS[here.node.op].floats)}
    return _evaluate(_parsed(expression), names)


def _evaluate(e: ast.expr, names: dict[str, Any]) -> Any:
    """An expression of a kernel, as ops: numbers stay numbers, a choice becomes a ``where``."""
    if isinstance(e, ast.Name):
        return names[e.id]
    if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        return -_evaluate(e.operand, names)
    if isinstance(e, ast.BinOp):
        return BINARY[type(e.op)](_evaluate(e.left, names), _evaluate(e.right, names))
    if isinstance(e, ast.Call) and isinstance(e.func, ast.Name):
        return getattr(A, e.func.id)(*[_evaluate(a, names) for a in e.args])
    if isinstance(e, ast.IfExp):
        return _choice(e.test, _evaluate(e.body, names), _evaluate(e.orelse, names), names)
    raise GradientError(f"the vjp expression {ast.unparse(e)!r} cannot be recorded as ops")


def _choice(test: ast.expr, a: Any, b: Any, names: dict[str, Any]) -> Tensor:
    """``a if test else b``."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in reversed(test.values):
            a = _choice(part, a, b, names)
        return a
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = _evaluate(test.left, names), _evaluate(test.comparators[0], names)
        kind = type(test.ops[0])
        if kind in (ast.Gt, ast.LtE):
            mask = A.greater(left, right)
            return A.where(mask, a, b) if kind is ast.Gt else A.where(mask, b, a)
        if kind in (ast.Lt, ast.GtE):
            mask = A.greater(right, left)
            return A.where(mask, a, b) if kind is ast.Lt else A.where(mask, b, a)
        if kind is ast.Eq:
            return A.where(A.sub(left, right), b, a)
    raise GradientError(f"the condition {ast.unparse(test)!r} of a vjp cannot be recorded as ops")


# -- ops that are not elementwise -----------------------------------------------------------------------------------
def _product(a: Tensor, b: Tensor, flip_a: bool, flip_b: bool) -> Tensor:
    return record("matmul", (a, b), (("transpose_a", flip_a), ("transpose_b", flip_b)) if flip_a or flip_b else ())


def _matmul(here: Here) -> Tensor:
    """∂L/∂A = G Bᵀ, ∂L/∂B = Aᵀ G, transposed where the operand was."""
    flags = dict(here.node.attrs)
    flip_a, flip_b = bool(flags.get("transpose_a")), bool(flags.get("transpose_b"))
    a, b = here.x
    if here.k == 0:
        return _product(b, here.g, flip_b, True) if flip_a else _product(here.g, b, False, not flip_b)
    return _product(here.g, a, True, flip_a) if flip_b else _product(a, here.g, not flip_a, False)


def _spread(here: Here, value: Tensor) -> Tensor:
    """A reduced value, repeated over the axes that were reduced."""
    shape, (first, end) = here.x[0].shape, dict(here.node.attrs)["axes"]
    kept = shape[:first] + (1,) * (end - first) + shape[end:]
    value = value if value.shape == kept else reshape(value, kept)
    return value if value.shape == shape else expand(value, shape)


def _mean(here: Here) -> Tensor:
    first, end = dict(here.node.attrs)["axes"]
    return _spread(here, here.g) / float(prod(here.x[0].shape[first:end]))


def _norm(here: Here) -> Tensor:
    """g x / ‖x‖, and 0 where the norm is 0."""
    safe = here.y + (1.0 - A.greater(here.y, 0.0))
    return here.x[0] * _spread(here, here.g / safe)


def _expand(here: Here) -> Tensor:
    given, shape = here.x[0].shape, here.g.shape
    padded = (1,) * (len(shape) - len(given)) + given
    axes = [i for i, (a, b) in enumerate(zip(padded, shape, strict=True)) if a != b]
    g = sum(here.g, axes) if axes else here.g
    return g if g.shape == given else reshape(g, given)


def _padded(g: Tensor, axis: int, start: int, length: int) -> Tensor:
    """g amid zeros along an axis."""

    def gap(width: int) -> list[Tensor]:
        return [zeros((*g.shape[:axis], width, *g.shape[axis + 1 :]), g.dtype)] if width else []

    parts = [*gap(start), g, *gap(length - start - g.shape[axis])]
    return g if len(parts) == 1 else concatenate(parts, axis)


def _slice(here: Here) -> Tensor:
    flags = dict(here.node.attrs)
    return _padded(here.g, flags["axis"], flags["start"], here.x[0].shape[flags["axis"]])


def _index(here: Here) -> Tensor:
    return _padded(reshape(here.g, (1, *here.g.shape)), 0, here.node.arg, here.x[0].shape[0])


def _concatenate(here: Here) -> Tensor:
    axis = dict(here.node.attrs)["axis"]
    widths = [x.shape[axis] for x in here.x]
    start = int(np.sum(widths[: here.k], dtype=np.int64))
    return slice_axis(here.g, start, start + widths[here.k], axis)


def _transpose(here: Here) -> Tensor:
    return transpose(here.g, [int(i) for i in np.argsort(dict(here.node.attrs)["axes"])])


def _one_hot_rows(here: Here, classes: int) -> tuple[Tensor, Tensor]:
    """The integers as one-hot rows (N, classes), and g as rows (N, …)."""
    i = here.x[1]
    count = prod(i.shape)
    hot = one_hot(reshape(i, (count,)), classes, here.g.dtype)
    return hot, reshape(here.g, (count, prod(here.g.shape[i.ndim :])))


def _take(here: Here) -> Tensor:
    """Rows (or columns) of the table collect g: a product with one-hot rows."""
    table = here.x[0].shape
    if dict(here.node.attrs).get("axis"):
        hot, g = _one_hot_rows(here, table[1])
        return _product(g, hot, True, False)
    hot, g = _one_hot_rows(here, table[0])
    return reshape(_product(hot, g, True, False), table)


def _gather(here: Here) -> Tensor:
    hot, g = _one_hot_rows(here, here.x[0].shape[-1])
    return reshape(hot * g, here.x[0].shape)


def _softmax(here: Here) -> Tensor:
    return here.y * (here.g - sum(here.g * here.y, -1, keepdims=True))


def _log_softmax(here: Here) -> Tensor:
    return here.g - A.exp(here.y) * sum(here.g, -1, keepdims=True)


def _cross_entropy(here: Here) -> Tensor:
    """g (softmax(o) − 1_y), equation 10.18."""
    logits, target = here.x
    hot = one_hot(target, logits.shape[-1], logits.dtype)
    return reshape(here.g, (*here.g.shape, 1)) * (A.softmax(logits) - hot)


RULES: dict[str, Callable[[Here], Tensor]] = {
    "matmul": _matmul,
    "sum": lambda here: _spread(here, here.g),
    "mean": _mean,
    "norm": _norm,
    "reshape": lambda here: reshape(here.g, here.x[0].shape),
    "transpose": _transpose,
    "expand": _expand,
    "slice": _slice,
    "index": _index,
    "window": lambda here: _padded(here.g, 0, here.node.arg, here.x[0].shape[0]),
    "concatenate": _concatenate,
    "stack": lambda here: index(here.g, here.k),
    "take": _take,
    "gather": _gather,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cross_entropy": _cross_entropy,
}
