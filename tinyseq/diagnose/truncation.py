"""What does truncation cut? Counted on the graph: which losses still reach which uses of a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.errors import GradientError
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.ops.groups import LEAVES, PARAMETERS
from tinyseq.structure.truncation import Chunk, Truncation, Window
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.nesting import flatten
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.chain import Unfolded


def passes(op: str, position: int) -> bool:
    """Whether a gradient passes from a node to its input at a position."""
    record = OPS[op]
    return (0 if record.joins else position) in (record.vjp or ())


@advised
def reaches(net: Unfolded, W: Parameter) -> np.ndarray:
    """(T, T) of booleans: whether the gradient of what the step at t returned reaches the use of W at step s.

    Found by following the edges of the tape backwards, those alone that a gradient passes.
    """
    tape, T = net.tape, net.chain.T
    leaf = tape.node_of(W)
    if leaf is None:
        raise GradientError(f"{W!r} is not used on this tape: there is nothing to reach")
    losses = [0] * len(tape)  # bit t of a node: the output at t depends on it
    for t in range(T):
        for y in flatten(net.output(t)):
            losses[y.index] |= 1 << t
    pointers, inputs = tape.input_pointers.tolist(), tape.input_indices.tolist()
    ops, steps = [kind.op for kind in tape.kinds], tape.step.tolist()
    grid = np.zeros((T, T), bool)
    for i, kind in reversed(list(enumerate(tape.kind.tolist()))):
        if not losses[i]:
            continue
        for k, j in enumerate(inputs[pointers[i] : pointers[i + 1]]):
            if not passes(ops[kind], k):
                continue
            if j == leaf and 0 <= steps[i] < T:
                grid[[t for t in range(T) if losses[i] >> t & 1], steps[i]] = True
            losses[j] |= losses[i]
    return grid


@advised
def kept_bytes(loss: Tensor) -> int:
    """Bytes of the values that the backward pass from a loss reads, parameters and inputs aside."""
    loss._settled()
    tape = loss.tape
    pointers, inputs, kinds = tape.input_pointers.tolist(), tape.input_indices.tolist(), tape.kind.tolist()
    ops = [kind.op for kind in tape.kinds]

    def sources(i: int) -> list[tuple[int, int]]:
        found = enumerate(inputs[pointers[i] : pointers[i + 1]])
        return [(k, j) for k, j in found if passes(ops[kinds[i]], k)]

    learned = [ops[kinds[i]] in PARAMETERS for i in range(loss.index + 1)]
    for i in range(loss.index + 1):
        learned[i] = learned[i] or any(learned[j] for _, j in sources(i))
    wanted = {loss.index} if learned[loss.index] else set()
    kept: set[int] = set()
    for i in range(loss.index, -1, -1):
        if i not in wanted:
            continue
        operands, op = inputs[pointers[i] : pointers[i + 1]], OPS[ops[kinds[i]]]
        for k, j in sources(i):
            if learned[j]:
                wanted.add(j)
                kept.update(i if role == "y" else operands[int(role[1:])] for role in op.reads.get(k, ()))
    nodes = [i for i in kept if ops[kinds[i]] not in LEAVES]
    return sum(prod(tape.shape(i)) * tape.node(i).dtype.itemsize for i in nodes)


@dataclass(frozen=True)
class Cut:
    """One way of cutting: the loss, which is the same for all, and what is left of the gradient."""

    name: str
    grid: np.ndarray  # (loss time, use time)
    loss: float
    gradient: np.ndarray
    lost: float  # ‖∂L/∂W − the gradient left‖ / ‖∂L/∂W‖
    cosine: float
    nodes: int
    bytes: int

    @property
    def pairs(self) -> int:
        """How many (loss time, use time) are joined by a path."""
        return int(self.grid.sum())


@dataclass(frozen=True)
class Truncations:
    """The full gradient and truncated ones side by side; as text, a table."""

    parameter: str
    cuts: tuple[Cut, ...]

    def __getitem__(self, name: str) -> Cut:
        return {cut.name.split("(")[0].lower(): cut for cut in self.cuts}[name]

    def __str__(self) -> str:
        head = ("", "pairs", "L", f"‖∂L/∂{self.parameter}‖", "lost", "cos to full", "nodes", "bytes kept")
        rows = [
            (
                c.name,
                f"{c.pairs:,}",
                f"{c.loss:.6g}",
                f"{np.linalg.norm(c.gradient):.4e}",
                f"{100 * c.lost:.2f}%",
                f"{c.cosine:+.4f}",
                f"{c.nodes:,}",
                f"{c.bytes:,}",
            )
            for c in self.cuts
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in (head, *rows)]
        return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])

    __repr__ = __str__


@advised
def truncation(losses: Callable[[Truncation | None], tuple[Tensor, Unfolded]], W: Parameter, k: int) -> Truncations:
    """Compare full back-propagation through time with windows and chunks of k steps.

    ``losses(truncate) -> (loss, unfolded)`` records the net with that truncation; ``None`` is the full one::

        def losses(truncate):
            net = ts.unfold(cell, ts.Chain(T), x, h0, truncate=truncate)
            return ts.sum(net.outputs), net
    """
    cuts: list[Cut] = []
    for name, truncate in (("full", None), (f"window({k})", Window(k)), (f"chunk({k})", Chunk(k))):
        with Tape() as tape:
            loss, net = losses(truncate)
            loss.backward()
            g = np.zeros(W.shape) if W.grad is None else W.grad.astype(np.float64)
            full = cuts[0].gradient if cuts else g
            norm, size = float(np.linalg.norm(full)), float(np.linalg.norm(g))
            lost = float(np.linalg.norm(full - g)) / norm if norm else 0.0
            cosine = float(np.vdot(full, g)) / (norm * size) if norm * size else 0.0
            cuts.append(Cut(name, reaches(net, W), loss.item(), g, lost, cosine, len(tape), kept_bytes(loss)))
    name = name_of(tape, W) if tape.node_of(W) is not None else W.name or "W"
    return Truncations(name, tuple(cuts))
