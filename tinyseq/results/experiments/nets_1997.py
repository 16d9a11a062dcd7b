"""The net of the LSTM's first paper (Hochreiter and Schmidhuber 1997), and its training until a run is all right."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq import nn
from tinyseq.engine.limits import LIMITS
from tinyseq.nn.lstm_1997 import SPREAD, LSTM1997Cell
from tinyseq.nn.module import Module
from tinyseq.replay import compile
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.clipping import clip_global_norm
from tinyseq.train.optimisers import SGD, Adam

RECENT = 2000
Task = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


class LastOutput(Module):
    """σ(c + V y(τ)) of the memory cells at the end; the loss is the squared error, added over outputs."""

    def __init__(self, cell: Any, outputs: int, rng: np.random.Generator) -> None:
        self.cell = cell
        self.V = Parameter(rng.uniform(-SPREAD, SPREAD, (outputs, cell.output_size)), "V")
        self.c = Parameter(rng.uniform(-SPREAD, SPREAD, outputs), "c")

    def outputs(self, x: Any) -> Any:
        """(B, outputs) in 0 … 1."""
        return F.sigmoid(self.c + F.linear(self.cell.encode(x).last, self.V))

    def loss(self, x: Any, y: Any) -> Any:
        """Σ (o − y)² and o."""
        o = self.outputs(x)
        return F.sum((o - y) ** 2), o


def long_short_term(
    rng: np.random.Generator, inputs: int, blocks: int, outputs: int, biases: tuple[float, ...], truncate: bool = True
) -> LastOutput:
    """The paper's net: blocks of two cells, all weights and biases in ±0.1 but for those of the input gates."""
    cell = LSTM1997Cell(inputs, blocks, 2, rng=rng, dtype=np.float64, truncate=truncate)
    for affine in (cell.a, cell.gate_out):
        affine.b.value[...] = rng.uniform(-SPREAD, SPREAD, affine.b.shape)
    cell.gate_in.b.value[...] = biases[:blocks]
    return LastOutput(cell, outputs, rng)


def plain_tanh(rng: np.random.Generator, inputs: int, blocks: int, outputs: int, biases: Any = None) -> LastOutput:
    """The control: a tanh net of as many units as the other has in its hidden layer, its weights and output alike."""
    return LastOutput(nn.RNNCell(inputs, 4 * blocks, rng=rng, dtype=np.float64), outputs, rng)


def online(
    net: LastOutput,
    task: Task,
    right: Callable[[np.ndarray, np.ndarray], np.ndarray],
    below: float,
    *,
    rate: float,
    most: int,
    tests: int,
    rng: np.random.Generator,
    batch: int = 0,
) -> dict[str, Any]:
    """Sequence by sequence until the last 2000 were all right and their mean error is below a bound; then a test on
    new sequences. ``sequences`` is None where ``most`` did not suffice. By plain SGD, or with a ``batch`` by Adam, so
    many sequences an update, the norm of their mean gradient clipped at 1."""
    recent: deque[float] = deque(maxlen=RECENT)
    row, curve = 0, []
    optimiser = (Adam if batch else SGD)(net.parameters(), rate)
    with LIMITS.at_least(256, megabytes=2048):
        step = compile(net.loss)
        for count in range(batch or 1, most + 1, batch or 1):
            x, y = task(rng, batch or 1)
            _, o = step.backward(x, y)
            if batch:
                clip_global_norm(net.parameters(), float(batch))  # the gradient is of the batch's sum
            optimiser.step()
            recent.extend(np.abs(o - y).mean(axis=1).tolist())
            for good in right(o, y):
                row = row + 1 if good else 0
            if count % 1000 == 0:
                curve.append([count, float(np.mean(recent))])
            if row >= RECENT and np.mean(recent) < below:
                break
    solved = bool(row >= RECENT and np.mean(recent) < below)
    wrong = _wrong(net, task, right, tests, rng)
    return {
        "solved": float(solved), "sequences": count if solved else None, "wrong": wrong if solved else None,
        "wrong_share": wrong / tests, "curves": {"mean error of the last 2000": _thinned(curve)},
    }  # fmt: skip


def _wrong(net: LastOutput, task: Task, right: Any, tests: int, rng: np.random.Generator) -> int:
    """How many of new sequences are wrong, in batches of one length each."""
    outputs, wrong, batch = compile(net.outputs), 0, max(1, tests // 20)
    for _ in range(tests // batch):
        x, y = task(rng, batch)
        wrong += int((~right(outputs(x), y)).sum())
    return wrong


def _thinned(curve: list[list[float]], most: int = 200) -> list[list[float]]:
    return curve[:: max(1, len(curve) // most)]
