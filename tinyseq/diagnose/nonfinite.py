"""Where did the NaN come from? The first node of a tape whose value, or whose gradient, is not finite."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.diagnose.pullback import reference, through
from tinyseq.errors import TinyseqError
from tinyseq.habits import advised
from tinyseq.ops.groups import GIVEN
from tinyseq.tape import INT64, Node, Tape
from tinyseq.tensor.handles import Tensor

if TYPE_CHECKING:
    from tinyseq.engine.reference import Reference


LEFT_OUT = """  The gradient it gets there is 0: this is what a ts.where, a mask or a product with 0 leaves out, and
  0 · ∞ is NaN. Make what goes in safe, not only what comes out:
    safe = ts.where(mask, x, 1.0)          # a number at which f has a slope
    y = ts.where(mask, f(safe), 0.0)       # instead of ts.where(mask, f(x), 0.0)"""


@dataclass(frozen=True)
class NonFinite:
    """The node where NaN or infinity begins.

    direction   "forward": its value, though all it reads is finite; "backward": the gradient that it hands down, though
                the one it gets is finite
    node        op, name, cell, time step, the user's source line
    kind        "NaN" or "infinity"
    count       how many numbers of ``size`` are bad, the first at ``place``
    given       what it reads, in words, with ranges
    into        backward: the input whose gradient is bad
    left_out    backward: the gradient it gets is 0 where the bad numbers are, as that of a branch which a ``where``
                leaves out: 0 · ∞ is NaN
    """

    direction: str
    node: Node
    kind: str
    count: int
    size: int
    place: tuple[int, ...]
    given: tuple[str, ...]
    into: Node | None = None
    left_out: bool = False

    def __str__(self) -> str:
        node = self.node
        numbers = f"{self.count} of {self.size} numbers, the first at {self.place}" if self.place else "a scalar"
        if self.direction == "forward":
            what = f"{self.kind} begins in the forward pass, at {_called(node)}: {numbers}"
        else:
            assert self.into is not None
            what = (
                f"{self.kind} begins in the backward pass, at {_called(node)}, in the gradient it gives to "
                f"{_called(self.into)}: {numbers}"
            )
        file, number = node.line
        source = linecache.getline(file, number).strip() if number else ""
        lines = [what, *(f"  {one}" for one in self.given)]
        if number:
            lines.append(f"  {file}:{number}{f': {source}' if source else ''}")
        if self.left_out:
            lines.append(LEFT_OUT)
        return "\n".join(lines)

    __repr__ = __str__


@advised
def find_nonfinite(where: Any, *arguments: Any, **keywords: Any) -> NonFinite | None:
    """The node at which NaN or infinity begins, forward or else backward; None where all is finite.

    where       a tape (its last scalar is taken as the loss), or a loss; or a compiled function, with the arguments
                of the call that went wrong

    The tape is run again node by node, with the leaves it ran with, whatever executor had run it. Forward, the node
    named is the first of those through which the loss became what it is: an infinity that a mask hides is not blamed.
    """
    if isinstance(where, Tensor):
        where._settled()
        return _locate(_again(where.tape), where.index)
    if isinstance(where, Tape):
        return _locate(_again(where), _loss(where))
    if hasattr(where, "reference"):
        executor, loss = where.reference(*arguments, **keywords)
        return _locate(executor, loss)
    raise TinyseqError(f"find_nonfinite looks into a tape, a loss or a compiled function, got {type(where).__name__}")


def _again(tape: Tape) -> Reference:
    """An executor with the leaves of the tape's own and nothing computed yet."""
    before = reference(tape)
    executor, leaves = type(before)(tape), before.values
    ops = tape.column("op")
    executor.values.update({i: v for i, v in leaves.items() if ops[i] in GIVEN})
    return executor


def _loss(tape: Tape) -> int | None:
    """The last floating-point scalar."""
    floats = np.array([k.dtype != INT64 for k in tape.kinds], bool)[tape.kind] if len(tape) else np.zeros(0, bool)
    scalars = np.flatnonzero((tape.rows < 0) & floats)
    return int(scalars[-1]) if len(scalars) else None


def _locate(executor: Reference, loss: int | None) -> NonFinite | None:
    tape = executor.tape
    if loss is None:
        for i in range(len(tape)):
            executor.forward(i)
            if _bad(executor.values[i]):
                return _forward(executor, i)
        return None
    executor.forward(loss)
    if _bad(executor.values[loss]):
        return _forward(executor, _origin(executor, loss))
    if not executor.parameters_below(loss):
        return None
    return _backward(executor, loss)


def _bad(value: np.ndarray) -> bool:
    return value.dtype.kind == "f" and not np.isfinite(value).all()


def _origin(executor: Reference, loss: int) -> int:
    """The first node that is not finite among those that lead to the loss through others that are not."""
    stack, seen = [loss], {loss}
    while stack:
        for j in executor.tape.inputs(stack.pop()):
            if j not in seen and _bad(executor.values[j]):
                seen.add(j)
                stack.append(j)
    return min(seen)


def _forward(executor: Reference, i: int) -> NonFinite:
    node = executor.tape.node(i)
    if node.op in GIVEN:
        given: tuple[str, ...] = ("it was given so",)
    else:
        given = tuple(f"it reads {_called(executor.tape.node(j))}: {_range(executor.values[j])}" for j in node.inputs)
    return NonFinite("forward", node, *_counted(executor.values[i]), given)


def _backward(executor: Reference, loss: int) -> NonFinite | None:
    """The backward pass of the reference executor, stopped at the first gradient that is not finite."""
    tape, grads = executor.tape, {loss: executor.seed(loss, None)}
    for i in range(loss, -1, -1):
        if i not in grads:
            continue
        g, inputs = grads.pop(i), tape.inputs(i)
        through(executor, i, g, grads)
        bad = next((j for j in inputs if j in grads and _bad(grads[j])), None)
        if bad is not None:
            given = [f"the gradient it gets: {_range(g)}", f"its value: {_range(executor.values[i])}"]
            given += [f"it reads {_called(tape.node(n))}: {_range(executor.values[n])}" for n in inputs]
            found = _counted(grads[bad])
            return NonFinite("backward", tape.node(i), *found, tuple(given), tape.node(bad), _unread(g, grads[bad]))
    return None


def _unread(g: np.ndarray, passed: np.ndarray) -> bool:
    """Whether bad numbers were passed on where nothing came in: at the same elements, or else in rows without any."""
    bad = ~np.isfinite(passed)
    if g.shape == passed.shape and not g[bad].any():
        return True
    return not g.any()


def _counted(value: np.ndarray) -> tuple[str, int, int, tuple[int, ...]]:
    bad = ~np.isfinite(value)
    first = np.unravel_index(int(bad.argmax()), value.shape) if value.ndim else ()
    return "NaN" if np.isnan(value).any() else "infinity", int(bad.sum()), value.size, tuple(int(n) for n in first)


def _range(value: np.ndarray) -> str:
    if value.dtype.kind != "f" or not value.size:
        return f"{value.dtype} {value.shape}"
    finite = value[np.isfinite(value)]
    bad = value.size - finite.size
    if not finite.size:
        return "nothing finite"
    low, high = finite.min(), finite.max()
    return (f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}") + (f", {bad} not finite" if bad else "")


def _called(node: Node) -> str:
    """name = op, cell and time step."""
    what = f"{node.name} = {node.op}" if node.name and node.name != node.op else node.op
    where = f" of {node.cell}" if node.cell else ""
    when = f" at time step {node.step}" if node.step >= 0 else ""
    return f"{what} %{node.index}{where}{when}"
