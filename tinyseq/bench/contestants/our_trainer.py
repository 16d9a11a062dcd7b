"""tinyseq: training the character LSTM, `ts.compile` with the package's own clipping and Adam."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.bench.contestants.ours import Ours, StepWithLoss, parameters
from tinyseq.bench.problems.training import ADAM_EPSILON, BETA1, BETA2, CHECKED_STEPS, Training
from tinyseq.bench.variant import Gradients
from tinyseq.train import Adam, clip_global_norm


class _TokenStep(StepWithLoss):
    """The LSTM's step on tokens: x is the token's row of E."""

    def step(self, x: Any, y: Any, state: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """One step and its loss."""
        return super().step(ts.take(self.own["E"], x), y, state)


class _Trainer:
    def __init__(self, training: Training) -> None:
        self.training, self.p = training, parameters(training.params())
        self.cell, self.chain = _TokenStep("lstm", self.p), ts.Chain(training.steps)
        self.gradients = ts.compile(self.loss)
        self.adam = Adam(list(self.p.values()), training.rate, BETA1, BETA2, ADAM_EPSILON)
        self.batches = cycle([(batch[:-1].copy(), batch[1:].copy()) for batch in training.tokens()[0]])

    def loss(self, x: Any, y: Any) -> ts.Tensor:
        state = self.cell.initial(self.training.batch, self.training.hidden)
        return ts.sum(ts.unfold(self.cell, self.chain, (x, y), state).outputs) / self.training.batch

    def record(self) -> ts.Tensor:
        x, y = next(self.batches)
        with ts.Tape(ts.Compiled):
            return self.loss(ts.tensor(x), ts.tensor(y))

    def by_reference(self, x: np.ndarray, y: np.ndarray) -> float:
        with ts.Tape(ts.Reference):
            loss = self.loss(ts.tensor(x), ts.tensor(y))
            loss.backward()
            return loss.item()

    def step(self, plain: bool = False) -> float:
        loss = (self.by_reference if plain else self.gradients.backward)(*next(self.batches))
        clip_global_norm(self.adam.parameters, self.training.clip)
        self.adam.step()
        return float(loss)


def trainers(training: Training) -> dict[str, Ours]:
    """`run` trains on; calling the variant trains afresh for a few steps: (last loss, parameters)."""

    running = _Trainer(training)
    return {"compiled": Ours(running.step, lambda: _steps(training, plain=False), record=running.record)}


def reference(training: Training) -> Gradients:
    """The same few steps with gradients from the reference executor."""
    return _steps(training, plain=True)


def _steps(training: Training, plain: bool) -> Gradients:
    fresh = _Trainer(training)
    losses = [fresh.step(plain) for _ in range(CHECKED_STEPS)]
    return losses[-1], {name: parameter.value.copy() for name, parameter in fresh.p.items()}
