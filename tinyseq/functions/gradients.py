"""Gradients recorded as nodes of the graph: what they are made of can be differentiated again, drawn and compiled.

``tape.backward`` computes numbers. Here each vjp is written down as ops instead: an elementwise op's from the
expression in its record, the others' by what stands below ``@recorded`` beside the function that records the op. So a
penalty on a gradient is an expression like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinyseq.errors import GradientError, TapeError
from tinyseq.functions import elementwise as A
from tinyseq.functions.shapes import zeros
from tinyseq.functions.vjps import RULES, Passing, Rule
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.tape import Node, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import here
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
def vjps(tape: Tape, node: Node, g: Tensor, wanted: Sequence[int]) -> list[tuple[int, Tensor]]:
    """(input position, g · ∂y/∂x recorded) for the wanted inputs that get a gradient."""
    op = OPS[node.op]
    made = []
    for k in wanted:
        if (not op.joins and k not in op.vjp) or tape.node(node.inputs[k]).dtype.kind == "i":
            continue
        x = [_tensor(tape, j) for j in node.inputs]
        passing = Passing(node, x, _tensor(tape, node.index), g, k)
        if op.slopes:
            expression = op.slopes[k]
            assert expression is not None
            part = _elementwise(expression, passing)
        elif node.op in RULES:
            part = _by_rule(RULES[node.op], passing)
        else:
            raise GradientError(
                f"{node.op} (node %{node.index}) has no vjp that can be recorded, so gradients through it are numbers "
                "only: use loss.backward(); for an op of your own write its vjp as ops, below @recorded(its name)"
            )
        made.append((k, part))
    return made


def _by_rule(rule: Rule, passing: Passing) -> Tensor:
    """What a rule records, once it is sure that it is a gradient by the input."""
    part, x = rule(passing), passing.x[passing.k]
    if not isinstance(part, Tensor) or (part.shape, part.dtype) != (x.shape, x.dtype):
        raise GradientError(
            f"the recorded vjp of {passing.node.op} gives {_said(part)} for input {passing.k}, of {_said(x)}: "
            "it returns g · ∂y/∂x as a tensor like that input"
        )
    return part


def _said(x: Any) -> str:
    return f"{x.dtype} {x.shape}" if isinstance(x, Tensor) else repr(x)


def _tensor(tape: Tape, i: int) -> Tensor:
    return Tensor.at(tape, i)


@cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


NUMBERS = {"zero": 0.0, "one": 1.0, "half": 0.5, "two": 2.0}
BINARY: dict[type, Callable[..., Any]] = {ast.Add: A.add, ast.Sub: A.sub, ast.Mult: A.mul, ast.Div: A.div}


def _elementwise(expression: str, passing: Passing) -> Tensor:
    names: dict[str, Any] = {**NUMBERS, "g": passing.g, "y": passing.y, **{f"x{i}": x for i, x in enumerate(passing.x)}}
    names |= {f"attr{i}": passing.attrs[key] for i, key in enumerate(OPS[passing.node.op].floats)}
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
