"""Arithmetic and traffic of a problem, counted from its equations, for the floor below any implementation.

The equations of `cells.py` are run once on shadows, which have a shape and no values and count what they are put
through. Counted apart:
- `matmul`: 2mnk per product forward, and 2mnk for each operand that wants a gradient;
- `elementwise`: one per element of + - * /; backward one per factor of a product, 3 for a quotient's divisor, 3
  per tanh or sigmoid from its output, 1 per broadcast element summed; softmax cross-entropy 4 forward, 2 backward;
- `transcendental`: calls of tanh, sigmoid and exp per element, forward only.
Adding up the gradients of a value used twice is left out, as a kernel does it in place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyseq.bench.problems.cells import CELLS, EPSILON, Ops, Params, tree_leaf, tree_node
from tinyseq.bench.problems.eager import under
from tinyseq.bench.problems.problems import Data, Problem
from tinyseq.bench.problems.training import Training


@dataclass
class Counts:
    """Operations of forward and backward together, and the bytes that must cross memory at least."""

    matmul: int = 0
    elementwise: int = 0
    transcendental: int = 0
    bytes: int = 0

    def floor(self, flops_per_second: float, bytes_per_second: float) -> float:
        """Seconds that no implementation can beat: products at the FMA peak, or the traffic, whichever binds."""
        return max(self.matmul / flops_per_second, self.bytes / bytes_per_second)


class Shadow:
    """An array without values. `grad`: whether a gradient has to reach it."""

    def __init__(self, counts: Counts, shape: tuple[int, ...], grad: bool) -> None:
        self.counts, self.shape, self.grad = counts, shape, grad

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def _binary(self, other: Shadow | float, own: int, others: int) -> Shadow:
        """Count one elementwise operation whose backward costs `own` and `others` per element."""
        shape = other.shape if isinstance(other, Shadow) else ()
        out = Shadow(self.counts, np.broadcast_shapes(self.shape, shape), self.grad)
        self.counts.elementwise += out.size
        for operand, cost in ((self, own), (other, others)):
            if isinstance(operand, Shadow) and operand.grad:
                out.grad = True
                self.counts.elementwise += cost * out.size
                self.counts.elementwise += out.size if operand.shape != out.shape else 0
        return out

    def __add__(self, other: Shadow | float) -> Shadow:
        return self._binary(other, 0, 0)

    def __sub__(self, other: Shadow | float) -> Shadow:
        return self._binary(other, 0, 1)

    def __rsub__(self, other: float) -> Shadow:
        return self._binary(other, 1, 0)

    def __mul__(self, other: Shadow | float) -> Shadow:
        return self._binary(other, 1, 1)

    def __truediv__(self, other: Shadow | float) -> Shadow:
        return self._binary(other, 1, 3)

    def __rmul__(self, other: float) -> Shadow:
        return self._binary(other, 1, 0)

    @property
    def T(self) -> Shadow:
        """The transpose, which costs nothing."""
        return Shadow(self.counts, self.shape[::-1], self.grad)

    def __matmul__(self, other: Shadow) -> Shadow:
        flops = 2 * self.size * other.shape[-1]
        self.counts.matmul += flops * (1 + self.grad + other.grad)
        return Shadow(self.counts, (*self.shape[:-1], other.shape[-1]), self.grad or other.grad)

    def squash(self) -> Shadow:
        """tanh or sigmoid."""
        self.counts.transcendental += self.size
        self.counts.elementwise += 3 * self.size if self.grad else 0
        return Shadow(self.counts, self.shape, self.grad)

    def mean(self) -> Shadow:
        self.counts.elementwise += self.size * (1 + self.grad)
        return Shadow(self.counts, (*self.shape[:-1], 1), self.grad)


def _concat(parts: list[Shadow]) -> Shadow:
    width = sum(part.shape[-1] for part in parts)
    return Shadow(parts[0].counts, (*parts[0].shape[:-1], width), any(part.grad for part in parts))


def _split(x: Shadow, parts: int) -> list[Shadow]:
    return [Shadow(x.counts, (*x.shape[:-1], x.shape[-1] // parts), x.grad) for _ in range(parts)]


def _layer_norm(x: Shadow, gain: Shadow, bias: Shadow) -> Shadow:
    centred = x - x.mean()
    deviation = (centred * centred).mean() + EPSILON  # its square root is one per row: not counted
    return centred / deviation * gain + bias


def _cross_entropy(logits: Shadow, targets: object) -> Shadow:
    logits.counts.transcendental += logits.size
    logits.counts.elementwise += 6 * logits.size
    return Shadow(logits.counts, (), True)


OPS = Ops(
    tanh=Shadow.squash,
    sigmoid=Shadow.squash,
    concat=_concat,
    split=_split,
    layer_norm=_layer_norm,
    addmm=lambda a, x, w: x @ w + a,
    cross_entropy=_cross_entropy,
)


def _count_step(problem: Problem, params: Params, counts: Counts, rows: int) -> None:
    """One step of every layer and direction on `rows` rows, then output and loss."""
    cell = CELLS[problem.cell]
    x = Shadow(counts, (rows, problem.inputs), False)
    for layer in problem.prefixes():
        outs = []
        for prefix in layer:
            state = (Shadow(counts, (rows, problem.hidden), True),) * cell.states
            outs.append(cell.step(OPS, under(params, prefix), x, state)[0])
        x = _concat(outs)
    _cross_entropy(x @ params["V"] + params["c"], None)


def _count_trees(problem: Problem, data: Data, params: Params, counts: Counts) -> None:
    assert data.forest is not None
    tree_leaf(OPS, params, Shadow(counts, data.x.shape, False))
    tree_node(OPS, params, Shadow(counts, (data.forest.left.size, 2 * problem.hidden), True))
    roots = Shadow(counts, (problem.batch, problem.hidden), True)
    _cross_entropy(roots @ params["O"] + params["d"], None)


def count(problem: Problem, data: Data | None = None) -> Counts:
    """Counts of one forward and backward pass with the gradients of all parameters.

    The first step is counted like the others. Bytes: inputs and each state h once written or read by the forward
    pass and once read by the backward pass, parameters read, gradients written, all float32.
    """
    data = problem.data() if data is None else data
    one = Counts()
    params = {name: Shadow(one, shape, True) for name, shape in problem.shapes().items()}
    if data.forest is not None:
        _count_trees(problem, data, params, one)
        rows, states = data.x.shape[0], data.x.shape[0] + data.forest.left.size
        found = replace(one)
    else:
        rows = int((data.targets >= 0).sum())
        _count_step(problem, params, one, 1)
        found = Counts(one.matmul * rows, one.elementwise * rows, one.transcendental * rows)
        states = rows * sum(len(layer) for layer in problem.prefixes())
    weights = sum(array.size for array in data.params.values())
    found.bytes = 4 * 2 * (rows * problem.inputs + states * problem.hidden + weights)
    return found


def count_training(training: Training) -> Counts:
    """Counts of one step of training: the LSTM on embedding rows that want a gradient, then clipping and Adam.

    For each weight: 3 for the norm and the scaling, 12 for algorithm 1 of Kingma & Ba, one square root. Bytes: the
    tokens' states as in `count`, and each weight, its gradient and Adam's two moments read and written.
    """
    one = Counts()
    arrays = training.params()
    params = {name: Shadow(one, array.shape, True) for name, array in arrays.items()}
    cell = CELLS["lstm"]
    state = (Shadow(one, (1, training.hidden), True),) * cell.states
    h = cell.step(OPS, params, Shadow(one, (1, training.embedding), True), state)[0]
    _cross_entropy(h @ params["V"] + params["c"], None)
    tokens, weights = training.tokens_per_step, sum(array.size for array in arrays.values())
    return Counts(
        one.matmul * tokens,
        one.elementwise * tokens + 15 * weights,
        one.transcendental * tokens + weights,
        4 * 2 * (tokens * (training.embedding + training.hidden) + 4 * weights),
    )
