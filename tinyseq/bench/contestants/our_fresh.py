"""tinyseq on batches that are all new: through ts.compile with the structure as an argument, or a tape a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.bench.contestants.ours import Ours, StepWithLoss, TreeStep, gradients_of, parameters
from tinyseq.bench.contestants.ours import forest as trees_of
from tinyseq.bench.problems.fresh import Fresh, Stream
from tinyseq.bench.problems.nets import Net, NetData
from tinyseq.bench.problems.problems import Data, Problem
from tinyseq.bench.variant import Gradients

Loss = Callable[..., ts.Tensor]


def _chain(problem: Problem, p: dict[str, ts.Parameter]) -> tuple[Loss, Callable[[Data], tuple]]:
    cell = StepWithLoss(problem.cell, p)

    def loss(chain: ts.Chain, x: Any, y: Any) -> ts.Tensor:
        state = cell.initial(problem.batch, problem.hidden)
        return ts.sum(ts.unfold(cell, chain, (x, y), state).outputs) / problem.batch

    return loss, lambda data: (data.x, data.targets, data.lengths)


def _packed(x: np.ndarray, y: np.ndarray, lengths: np.ndarray | None) -> tuple[ts.Chain, np.ndarray, np.ndarray]:
    """The chain of a batch, and the rows of its sequences as an unfolding wants them."""
    if lengths is None:
        return ts.Chain(len(x)), x, y
    chain = ts.Chain(lengths)
    sequence, time = chain.packed_rows().T
    return chain, x[time, sequence], y[time, sequence]


def _loop(problem: Problem, p: dict[str, ts.Parameter]) -> tuple[Loss, Callable[[Data], tuple]]:
    cell = StepWithLoss(problem.cell, p)

    def loss(x: Any, y: Any) -> ts.Tensor:
        state, total = cell.initial(problem.batch, problem.hidden), None
        for t in range(x.shape[0]):
            state, term = cell(x[t], y[t], state)
            total = ts.sum(term) if total is None else total + ts.sum(term)
        assert total is not None
        return total / problem.batch

    return loss, lambda data: (data.x, data.targets)


def _trees(problem: Problem, p: dict[str, ts.Parameter]) -> tuple[Loss, Callable[[Data], tuple]]:
    cell = TreeStep(p)

    def loss(trees: Any, x: Any, y: Any) -> ts.Tensor:
        logits = ts.unfold(cell, trees, x).roots @ p["O"] + p["d"]
        return ts.cross_entropy(logits, y, reduction="sum") / problem.batch

    return loss, lambda data: _grown(data.forest, data.x, data.targets)


def _grown(given: Any, x: np.ndarray, targets: np.ndarray) -> tuple:
    trees = trees_of(given)
    return trees, x[trees.labels[: trees.n_leaves].astype(np.int64)], targets


def _net(net: Net) -> tuple[Loss, Callable[[NetData], tuple], dict[str, ts.Parameter]]:
    model = net.model()
    return model.loss, lambda data: _grown(data.trees, data.x, data.targets), dict(model.named_parameters())


def _all(fresh: Fresh) -> tuple[Loss, Callable[[Any], tuple], Callable[..., tuple], dict[str, ts.Parameter]]:
    """The loss, what is read of a batch, what is made of that at each call, the parameters."""

    def as_it_is(*given: Any) -> tuple:
        return given

    if isinstance(fresh.of, Net):
        loss, read, p = _net(fresh.of)
        return loss, read, as_it_is, p
    p = parameters(fresh.params())
    if fresh.of.leaves is not None:
        return *_trees(fresh.of, p), as_it_is, p
    if fresh.of.recorded:
        return *_loop(fresh.of, p), as_it_is, p
    return *_chain(fresh.of, p), _packed, p


def _recorded(loss: Loss, given: tuple, executor: Any) -> ts.Tensor:
    with ts.Tape(executor):
        return loss(*[ts.tensor(a) if isinstance(a, np.ndarray) else a for a in given])


def variants(fresh: Fresh) -> dict[str, Ours]:
    """`compiled`: through ts.compile; for the plain loop `recorded`: a tape at each call."""
    loss, read, made, p = _all(fresh)
    stream = Stream(fresh, read)
    step = ts.compile(loss)
    by_tape = isinstance(fresh.of, Problem) and fresh.of.recorded

    def record() -> ts.Tensor:
        return _recorded(loss, made(*stream.take()), ts.Compiled)

    def recorded() -> float:
        value = record()
        value.backward()
        return value.item()

    def compiled() -> float:
        return float(step.backward(*made(*stream.take())))

    run = recorded if by_tape else compiled

    def gradients() -> Gradients:
        stream.go_to(0)
        return run(), gradients_of(p)

    name = "recorded" if by_tape else "compiled"
    return {name: Ours(run, gradients, before=stream.next, record=record)}


def reference(fresh: Fresh, number: int = 0) -> Gradients:
    """One batch on the reference executor, node by node."""
    loss, read, made, p = _all(fresh)
    value = _recorded(loss, made(*read(fresh.batch(number))), ts.Reference)
    value.backward()
    return value.item(), gradients_of(p)
