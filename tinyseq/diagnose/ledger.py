"""Where does ∂L/∂W come from? Its terms, one per time step, and the ledger that adds them up.

A weight used at every step gets one summand from each: ∂L/∂W = Σ_t δ(t) h(t−1)ᵀ with δ(t) = D(t) ∇h(t) (10.26),
and likewise for every other parameter. Backpropagation only ever shows the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.diagnose.table import as_html, as_text, elided
from tinyseq.errors import GradientError, TinyseqError
from tinyseq.habits import advised
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter


@advised
def contributions(loss: Tensor, W: Parameter) -> dict[int, np.ndarray]:
    """The terms of ∂L/∂W by time step (−1: uses outside any cell), in the order in which backward meets them.

    Their sum is ``W.grad``. Runs ``loss.backward()``, which sets the gradients. Raises GradientError where the loss
    does not depend on W.
    """
    return {step: term for step, _, term in _terms(loss, W)[0]}


@dataclass(frozen=True)
class Ledger:
    """One row per time step, in the order of the backward pass; ``running`` sums the terms so far.

    step      time steps t
    delta     ‖δ(t)‖: gradient of the loss by what the step makes of the parameter, for W: a(t)
    term      ‖term of ∂L/∂W from step t‖
    cosine    of the angle between the term and ∂L/∂W
    running   ‖sum of the terms down to t‖; the last equals ``total``
    total     ‖∂L/∂W‖
    residual  ‖Σ terms − ∂L/∂W‖ / ‖∂L/∂W‖
    """

    name: str
    step: np.ndarray
    delta: np.ndarray
    term: np.ndarray
    cosine: np.ndarray
    running: np.ndarray
    total: float
    residual: float

    def __len__(self) -> int:
        return len(self.step)

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, its middle left out where it is long."""
        return elided(len(self), self._row)

    def _row(self, i: int) -> tuple[str, ...]:
        t = int(self.step[i])
        sizes = f"{self.delta[i]:.4e}", f"{self.term[i]:.4e}"
        return "—" if t < 0 else str(t), *sizes, f"{self.cosine[i]:+.3f}", f"{self.running[i]:.4e}"

    def _head(self) -> tuple[str, ...]:
        return ("t", "‖δ(t)‖", f"‖term of ∂L/∂{self.name}‖", "cos to total", "‖running sum‖")

    def _foot(self) -> str:
        return f"‖∂L/∂{self.name}‖ = {self.total:.4e}, residual of the sum {self.residual:.1e}"

    def __str__(self) -> str:
        return as_text(self._head(), self.rows(), self._foot())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._head(), self.rows(), self._foot())


@advised
def ledger(loss: Tensor, W: Parameter) -> Ledger:
    """The ledger of ∂L/∂W: one row per time step, last step first, as the backward pass meets them.

    Runs ``loss.backward()``. Raises GradientError where the loss does not depend on W.
    """
    terms, total = _terms(loss, W)
    norm = float(np.linalg.norm(total))
    running = np.zeros(total.shape, np.float64)
    columns = []
    for _, delta, term in terms:
        size = float(np.linalg.norm(term))
        inner = float(np.vdot(term.astype(np.float64), total))
        running += term
        columns.append((delta, size, inner / (size * norm) if size * norm else 0.0, float(np.linalg.norm(running))))
    deltas, sizes, cosines, sums = np.array(columns, np.float64).reshape(-1, 4).T
    gap = float(np.linalg.norm(running - total))
    steps = np.array([step for step, _, _ in terms], np.int64)
    return Ledger(name_of(loss.tape, W), steps, deltas, sizes, cosines, sums, norm, gap / norm if norm else gap)


def _terms(loss: Tensor, W: Parameter) -> tuple[list[tuple[int, float, np.ndarray]], np.ndarray]:
    """(step, ‖δ‖, term) for each step, later steps first, and ∂L/∂W."""
    if not isinstance(W, Parameter):
        raise TinyseqError(f"a ledger is of one parameter, such as cell.a.W; got {type(W).__name__}")
    tape: Any = loss.tape
    leaf = tape.node_of(W)
    loss.backward()
    total = None if leaf is None else tape.executor.grad(leaf)
    if total is None:
        raise GradientError(f"the loss does not depend on {W!r}: there is nothing to put into a ledger")
    squares: dict[int, float] = {}
    sums: dict[int, np.ndarray] = {}
    for node, step, term in tape.executor.terms(W):
        squares[step] = squares.get(step, 0.0) + float(np.linalg.norm(tape.executor.grad(node))) ** 2
        sums[step] = sums[step] + term if step in sums else term
    return [(step, squares[step] ** 0.5, sums[step]) for step in sums], np.asarray(total)
