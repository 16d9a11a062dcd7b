"""What one backward step does on one arrow: the local Jacobian ∂y/∂x, and the increment (∂y/∂x)ᵀ g that it makes.

Everything is asked of the op's own vjp, the one that the executors run. A Jacobian is kept in the smallest form:

    none      no gradient passes            constant   c I
    diagonal  elementwise ops               reduce     each y reads inputs of its own: its weights, as an array like x
    dense     rows by columns, if small     product    matmul: the other operand is the Jacobian
    rows      softmax, log softmax          moves      ops that only move or copy numbers
    opaque    none of these: its norm alone
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.op import BY_ROWS, DIAGONAL, MOVES, MULTIPLIES, REDUCES, size
from tinyseq.tape import Tape

FORMS = ("none", "constant", "diagonal", "reduce", "dense", "product", "rows", "moves", "opaque")
DENSE = 1024  # numbers of a dense Jacobian that are kept
PROBES = 8


class Edge(NamedTuple):
    """A local Jacobian: its form, the array that the form needs, its Frobenius norm (``exact`` or estimated)."""

    form: int
    data: np.ndarray | None
    norm: float
    exact: bool
    increment: np.ndarray | None


NOTHING = Edge(0, None, 0.0, True, None)


class Edges:
    """Jacobians and increments of a tape that has been differentiated."""

    def __init__(self, tape: Tape) -> None:
        self.tape, self.executor = tape, tape.executor
        self.grads: dict[int, np.ndarray] = tape.executor.grads
        self.values: dict[int, np.ndarray] = tape.executor.values
        self._random = np.random.default_rng(0)

    def vjp(self, index: int, place: int, g: np.ndarray) -> np.ndarray | None:
        """(∂y/∂x)ᵀ g for one input of a node, None where no gradient passes."""
        spot, inputs = self.executor.place(index), self.tape.inputs(index)
        calls = next((calls for k, calls in spot.vjps if k == place), None)
        if calls is None:
            return None
        roles = {"y": self.values[index], "g": g, "attr": spot.floats}
        roles.update({f"x{k}": self.values[j] for k, j in enumerate(inputs)})
        out = np.empty_like(self.values[inputs[place]])
        self.executor.add(calls, roles, f"gx{place}", out, True)
        return out

    def increment(self, index: int, place: int) -> np.ndarray | None:
        """What the backward step of a node adds to the gradient of one of its inputs."""
        g = self.grads.get(index)
        return None if g is None else self.vjp(index, place, g)

    def form(self, index: int, place: int) -> int:
        """The form of a Jacobian as far as shapes decide it, whatever its numbers; 0 where no gradient passes."""
        spot, j = self.executor.place(index), self.tape.inputs(index)[place]
        if all(k != place for k, _ in spot.vjps):
            return 0
        said, y, x = spot.op.jacobian, self.tape.shape(index), self.tape.shape(j)
        if said == DIAGONAL and x == y:
            return FORMS.index("diagonal")
        if said in (MULTIPLIES, REDUCES, MOVES, BY_ROWS):
            return FORMS.index(said)
        return FORMS.index("dense" if size(x) * size(y) <= DENSE else "opaque")

    def edge(self, index: int, place: int) -> Edge:
        """The arrow from one input of a node."""
        increment = self.increment(index, place)
        if increment is None:
            return NOTHING
        form = OPS[self.tape.kinds[int(self.tape.kind[index])].op].jacobian
        y, x = self.values[index], self.values[self.tape.inputs(index)[place]]
        if form == DIAGONAL and x.shape == y.shape:
            return self._diagonal(index, place, y, x, increment)
        if form == MULTIPLIES:
            return self._product(index, place, increment)
        if form == REDUCES:
            weights = self.vjp(index, place, np.ones_like(y))
            assert weights is not None
            return Edge(FORMS.index("reduce"), _shortest(weights), _norm(weights), True, increment)
        if form == MOVES:
            return self._moves(index, place, y, increment)
        dense = y.size * x.size <= DENSE
        jacobian = self._dense(index, place, y, x) if dense else None
        norm = _norm(jacobian) if jacobian is not None else self._probed(index, place, y)
        form = BY_ROWS if form == BY_ROWS else "dense" if dense else "opaque"
        return Edge(FORMS.index(form), jacobian, norm, dense, increment)

    def _diagonal(self, index: int, place: int, y: np.ndarray, x: np.ndarray, increment: np.ndarray) -> Edge:
        diagonal = self.vjp(index, place, np.ones_like(y))
        assert diagonal is not None
        short = _shortest(diagonal)
        form = "constant" if short.size == 1 and diagonal.size != 1 else "diagonal"
        return Edge(FORMS.index(form), short, _norm(diagonal), True, increment)

    def _product(self, index: int, place: int, increment: np.ndarray) -> Edge:
        """y = a b: each row (column) of the other side meets the same matrix."""
        inputs, x = self.tape.inputs(index), self.values
        other = x[inputs[1 - place]]
        y = x[index]
        repeats = y.shape[-2] if place == 0 else y.shape[-1]
        return Edge(FORMS.index("product"), None, sqrt(repeats) * _norm(other), True, increment)

    def _moves(self, index: int, place: int, y: np.ndarray, increment: np.ndarray) -> Edge:
        ones = self.vjp(index, place, np.ones_like(y))  # how often each number of x is read
        assert ones is not None
        return Edge(FORMS.index("moves"), None, sqrt(float(ones.sum())), True, increment)

    def _dense(self, index: int, place: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        rows = np.empty((y.size, x.size), x.dtype)
        for i in range(y.size):
            seed = np.zeros_like(y)
            seed.reshape(-1)[i] = 1
            rows[i] = self.vjp(index, place, seed).reshape(-1)  # type: ignore[union-attr]
        return rows

    def _probed(self, index: int, place: int, y: np.ndarray) -> float:
        """‖J‖ from E ‖Jᵀ r‖² = ‖J‖², r of random signs."""
        total = 0.0
        for _ in range(PROBES):
            signs = self._random.choice(np.array([-1, 1], y.dtype), y.shape)
            total += _norm(self.vjp(index, place, signs)) ** 2  # type: ignore[arg-type]
        return sqrt(total / PROBES)


def _norm(array: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(np.asarray(array, np.float64).reshape(-1)))


def _shortest(array: np.ndarray) -> np.ndarray:
    """One number where all are equal."""
    flat = array.reshape(-1)
    return flat[:1] if flat.size and (flat == flat[0]).all() else flat
