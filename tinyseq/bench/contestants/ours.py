"""tinyseq's own way to run each problem: the equations of `cells.py` on tensors, unfolded, through `ts.compile`.

The cells are those that every peer gets, one primitive at a time, so to the planner they are a user's. Nothing here
is written for a row, and nothing is compiled or planned before the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.bench.problems.cells import CELLS, EPSILON, Ops, tree_leaf, tree_node
from tinyseq.bench.problems.eager import under
from tinyseq.bench.problems.forest import Forest
from tinyseq.bench.problems.problems import Data, Problem, packed
from tinyseq.bench.variant import Gradients, Variant
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.engine.plan.pipeline import plan_tape

OPS = Ops(
    tanh=ts.tanh,
    sigmoid=ts.sigmoid,
    concat=ts.concatenate,
    split=ts.split,
    layer_norm=lambda x, gain, bias: ts.layer_norm(x, gain, bias, EPSILON),
    addmm=lambda a, x, w: a + x @ w,
    cross_entropy=lambda logits, y: ts.cross_entropy(logits, y, reduction="sum"),
)

Parameters = Mapping[str, ts.Parameter]


@dataclass(frozen=True)
class Prepared:
    """What the first call does once: nodes recorded, seconds to record and to plan them, or why there is no plan."""

    nodes: int
    record_seconds: float
    plan_seconds: float
    fallback: str


@dataclass(frozen=True)
class Ours(Variant):
    """A variant that can also say what its first call costs. `record` records the loss on a tape of its own."""

    record: Callable[[], ts.Tensor] | None = None

    def prepare(self) -> Prepared:
        """Record and plan afresh, beside what `run` keeps."""
        assert self.record is not None
        start = perf_counter()
        loss = self.record()
        recorded = perf_counter()
        fallback = ""
        try:
            Program(plan_tape(loss.tape, [loss.index], loss.index))
        except Unplannable as reason:
            fallback = str(reason) or "no plan"
        return Prepared(len(loss.tape), recorded - start, perf_counter() - recorded, fallback)


class Step(ts.nn.Cell):
    """A cell of the benchmark with its parameters: `step(x, state) -> state, h`."""

    def __init__(self, cell: str, params: Parameters) -> None:
        self.name, self.cell, self.own = cell, CELLS[cell], dict(params)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """One step of the equations."""
        state = self.cell.step(OPS, self.own, x, state)
        return state, state[0]

    def initial(self, rows: int, hidden: int) -> tuple[ts.Tensor, ...]:
        """A state of zeros."""
        return tuple(ts.zeros((rows, hidden)) for _ in range(self.cell.states))


class StepWithLoss(Step):
    """The same with output and loss inside the step, as figure 10.3: `step(x, y, state) -> state, L`, one L a row."""

    def step(self, x: Any, y: Any, state: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """One step of the equations and its loss."""
        state, h = super().step(x, state)
        return state, ts.cross_entropy(h @ self.own["V"] + self.own["c"], y, reduction="none")


class TreeStep(ts.nn.Cell):
    """The tree cell of the benchmark: `leaf` and `merge`."""

    name = "tree"

    def __init__(self, params: Parameters) -> None:
        self.own = dict(params)

    def leaf(self, x: Any) -> Any:
        """State of a leaf."""
        return tree_leaf(OPS, self.own, x)

    def merge(self, left: Any, right: Any) -> Any:
        """State of an inner node from those of its children."""
        return tree_node(OPS, self.own, ts.concatenate([left, right]))


def parameters(params: Mapping[str, np.ndarray]) -> dict[str, ts.Parameter]:
    """Parameters by the problem's names."""
    return {name: ts.Parameter(array, name) for name, array in params.items()}


def forest(given: Forest) -> ts.Forest:
    """The benchmark's trees as tinyseq's; a leaf's label is its row in the benchmark's x."""
    tree_of = np.empty(given.leaves + given.left.size, np.int64)
    tree_of[given.roots] = np.arange(given.roots.size)
    below: list[list[int]] = [[] for _ in tree_of]
    for i in range(given.left.size - 1, -1, -1):
        below[given.leaves + i] = [int(given.left[i]), int(given.right[i])]
        tree_of[below[given.leaves + i]] = tree_of[given.leaves + i]
    trees = []
    for number in range(given.roots.size):
        nodes = np.flatnonzero(tree_of == number).tolist()
        local = {node: place for place, node in enumerate(nodes)}
        trees.append(ts.Tree.from_children([[local[child] for child in below[node]] for node in nodes], nodes))
    return trees[0] if len(trees) == 1 else ts.Forest(trees)


Loss = Callable[[Any, Any], ts.Tensor]


def _chain(problem: Problem, data: Data, p: Parameters) -> tuple[Loss, np.ndarray, np.ndarray]:
    """One layer in one direction: the whole step unfolded, over the valid steps only where lengths differ."""
    cell = StepWithLoss(problem.cell, p)
    flat = packed(data)
    x, y = (data.x, data.targets) if data.lengths is None else (flat.x, flat.targets)
    chain = ts.Chain(problem.steps if data.lengths is None else data.lengths)

    def loss(x: Any, y: Any) -> ts.Tensor:
        state = cell.initial(problem.batch, problem.hidden)
        return ts.sum(ts.unfold(cell, chain, (x, y), state).outputs) / problem.batch

    return loss, x, y


def _stack(problem: Problem, data: Data, p: Parameters) -> tuple[Loss, np.ndarray, np.ndarray]:
    """Layer after layer, each direction unfolded over its chain and laid side by side."""
    layers = [[(prefix, Step(problem.cell, under(p, prefix))) for prefix in layer] for layer in problem.prefixes()]
    chain = ts.Chain(problem.steps)

    def loss(x: Any, y: Any) -> ts.Tensor:
        hs = x
        for layer in layers:
            outs = []
            for prefix, cell in layer:
                over = chain.reversed() if "backward" in prefix else chain
                outs.append(ts.unfold(cell, over, hs, cell.initial(problem.batch, problem.hidden)).outputs)
            hs = outs[0] if len(outs) == 1 else ts.concatenate(outs)
        return ts.cross_entropy(hs @ p["V"] + p["c"], y, reduction="sum") / problem.batch

    return loss, data.x, data.targets


def _trees(problem: Problem, data: Data, p: Parameters) -> tuple[Loss, np.ndarray, np.ndarray]:
    """The cell unfolded over all trees; x in the order in which the forest numbers its leaves."""
    assert data.forest is not None
    cell, trees = TreeStep(p), forest(data.forest)
    order = trees.labels[: trees.n_leaves].astype(np.int64)

    def loss(x: Any, y: Any) -> ts.Tensor:
        logits = ts.unfold(cell, trees, x).roots @ p["O"] + p["d"]
        return ts.cross_entropy(logits, y, reduction="sum") / problem.batch

    return loss, data.x[order], data.targets


def _loop(problem: Problem, data: Data, p: Parameters) -> tuple[Loss, np.ndarray, np.ndarray]:
    """A plain Python loop that calls the cell at each step."""
    cell = StepWithLoss(problem.cell, p)

    def loss(x: Any, y: Any) -> ts.Tensor:
        state, total = cell.initial(problem.batch, problem.hidden), None
        for t in range(problem.steps):
            state, term = cell(x[t], y[t], state)
            total = ts.sum(term) if total is None else total + ts.sum(term)
        assert total is not None
        return total / problem.batch

    return loss, data.x, data.targets


def _problem(problem: Problem, p: Parameters, data: Data) -> tuple[Loss, np.ndarray, np.ndarray]:
    if problem.recorded:
        return _loop(problem, data, p)
    if data.forest is not None:
        return _trees(problem, data, p)
    return (_stack if problem.stacked else _chain)(problem, data, p)


def variants(problem: Problem) -> dict[str, Ours]:
    """`compiled`: through ts.compile; for rows that time recording, `recorded`: a fresh tape at each call."""
    data = problem.data()
    p = parameters(data.params)
    loss, x, y = _problem(problem, p, data)

    def record() -> ts.Tensor:
        with ts.Tape(ts.Compiled):
            return loss(ts.tensor(x), ts.tensor(y))

    def recorded() -> float:
        value = record()
        value.backward()
        return value.item()

    step = ts.compile(loss)
    run: Callable[[], Any] = recorded if problem.recorded else lambda: step.backward(x, y)

    def gradients() -> Gradients:
        return float(run()), gradients_of(p)

    return {"recorded" if problem.recorded else "compiled": Ours(run, gradients, record=record)}


def reference(problem: Problem) -> Gradients:
    """The same problem on the reference executor, node by node: the standard where PyTorch is not installed."""
    data = problem.data()
    p = parameters(data.params)
    loss, x, y = _problem(problem, p, data)
    with ts.Tape(ts.Reference):
        value = loss(ts.tensor(x), ts.tensor(y))
        value.backward()
        return value.item(), gradients_of(p)


def gradients_of(p: Parameters) -> dict[str, np.ndarray]:
    """Copies of all gradients; zeros where the loss does not depend on a parameter."""
    return {k: np.zeros_like(v.value) if v.grad is None else v.grad.copy() for k, v in p.items()}
