"""How far rounding may lead: the reference with every number shaken by 1e-12 of itself, to and fro at random.

Of a sum whose terms cancel no digit may be right, though every step of the way to it was exact to the last bit. So
"within 1e-12" means of each element: within 1e-12 of itself, or within what changes of 1e-12 of the numbers that it
comes from make of it. An element that is no difference of larger ones has no other bound than the first.

Three ops are such a difference inside themselves: log softmax, softmax and cross-entropy, whose kernels subtract what
a row adds up to. −log(1 + 10⁻⁹) has seven digits on any machine, and its bound is that of its terms, 10⁻¹² of 1.
"""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq.ops.op import MOVES
from tinyseq.tape import Tape

CLOSE = 1e-12
TIMES = 4  # that all signs lie so that the changes cancel does not happen so often
SMALLEST = np.finfo(np.float64).smallest_subnormal


def inner_value(op: str, y: np.ndarray, x: list[np.ndarray]) -> np.ndarray | float:
    """The size of what an op's kernel subtracts on its way to a value."""
    if op not in ("log_softmax", "cross_entropy"):
        return 0.0
    apart = np.abs(x[0] - x[0].max(-1, keepdims=True))
    total = 1 + np.log(np.exp(-apart).sum(-1, keepdims=True))
    return apart + total if op == "log_softmax" else np.abs(y) + total[..., 0]


def inner_term(op: str, g: np.ndarray, y: np.ndarray, x: list[np.ndarray]) -> np.ndarray | float:
    """The size of what an op's vjp subtracts on its way to (∂y/∂x)ᵀ g."""
    size = np.abs(g)
    if op == "log_softmax":
        return size + np.exp(y) * size.sum(-1, keepdims=True)
    if op == "softmax":
        return y * (size + (size * y).sum(-1, keepdims=True))
    if op == "cross_entropy":
        shares = np.exp(x[0] - x[0].max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return size[..., None] * (shares + (np.arange(x[0].shape[-1]) == x[1][..., None]))
    return 0.0


class Shaken(ts.Reference):
    """The two loops, each number that they come to multiplied by 1 ± 1e-12."""

    def __init__(self, tape: Tape, given: dict[int, np.ndarray], seed: int) -> None:
        super().__init__(tape)
        self.rng = np.random.default_rng(seed)
        self.values.update({i: self.shaken(v) for i, v in given.items()})

    def shaken(self, x: np.ndarray, inner: np.ndarray | float = 0.0) -> np.ndarray:
        """Each number with a change of up to 1e-12 of itself and of ``inner``; integers and infinities as they are."""
        if x.dtype == np.int64:
            return x
        with np.errstate(all="ignore"):
            size = self.rng.uniform(0.5, 1.0, x.shape)  # equal ones would cancel in every sum of two
            moved = x + CLOSE * (np.abs(x) + inner) * self.rng.choice([-1.0, 1.0], x.shape) * size
            return np.where(np.isinf(x), x, moved)

    def forward(self, index: int) -> None:
        for i in self._missing(index):
            super().forward(i)
            op = self.place(i).op
            if op.jacobian == MOVES or op.name == "max":
                continue  # they round nothing, and the vjp of max asks which input it was
            with np.errstate(all="ignore"):
                inner = inner_value(
                    self.place(i).op.name, self.values[i], [self.values[j] for j in self.tape.inputs(i)]
                )
            self.values[i] = self.shaken(self.values[i], inner)

    def differentiate(self, index: int, seed: np.ndarray | None = None) -> None:
        self.forward(index)
        grads = self.grads = {index: self.shaken(self.seed(index, seed))}
        for i in range(index, -1, -1):
            if i not in grads:
                continue
            place, inputs = self.place(i), self.tape.inputs(i)
            roles = {"y": self.values[i], "g": grads[i], "attr": place.floats}
            roles.update({f"x{k}": self.values[j] for k, j in enumerate(inputs)})
            for k, calls in place.vjps:
                term = np.empty_like(self.values[inputs[k]])
                self.add(calls, roles, f"gx{k}", term, True)
                with np.errstate(all="ignore"):
                    inner = inner_term(place.op.name, grads[i], self.values[i], [self.values[j] for j in inputs])
                    grads[inputs[k]] = grads.get(inputs[k], 0) + self.shaken(term, inner)


class Bounds:
    """For each value and gradient of a tape that the reference has run: how far another executor may be from it."""

    def __init__(self, executor: ts.Reference, given: dict[int, np.ndarray], loss: int | None, seed: object) -> None:
        self.executor, self.others = executor, [Shaken(executor.tape, given, k) for k in range(TIMES)]
        for other in self.others:
            for i in range(len(executor.tape)):
                other.forward(i)
            if loss is not None:
                other.differentiate(loss, seed)

    def value(self, i: int) -> np.ndarray:
        return self._of(self.executor.values[i], [other.values[i] for other in self.others])

    def gradient(self, i: int) -> np.ndarray:
        return self._of(self.executor.grads[i], [other.grads[i] for other in self.others])

    @staticmethod
    def _of(want: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
        want = np.asarray(want, np.float64).reshape(-1)
        with np.errstate(all="ignore"):
            apart = np.max([np.abs(np.asarray(x, np.float64).reshape(-1) - want) for x in others], axis=0)
            return np.maximum(CLOSE * np.abs(want), np.where(np.isnan(apart), 0, apart)) + SMALLEST
