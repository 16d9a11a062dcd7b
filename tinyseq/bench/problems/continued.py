"""The cells that came after the chapter as rows, each beside the library's nearest cell, at one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.bench.problems.nets import NetData

INPUTS, HIDDEN, STEPS, BATCH = 32, 64, 50, 16
HIDDEN_OF = {"LegS": 16}  # by Euler's rule more coefficients overflow float32 within so few steps
Make = Callable[..., Any]


@dataclass(frozen=True)
class OfCell:
    """A net with an output at each step over one cell; what `our_nets` asks of a net."""

    cell: Make
    inputs: int = INPUTS
    hidden: int = HIDDEN
    steps: int = STEPS
    batch: int = BATCH

    def model(self) -> Any:
        """The net with its first weights."""
        rng = np.random.default_rng(0)
        return nn.ManyToMany(self.cell(self.inputs, self.hidden, rng=rng), 8, rng=rng)

    def data(self) -> NetData:
        """Inputs and targets."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.steps, self.batch, self.inputs), dtype=np.float32)
        return NetData(x, rng.integers(0, 8, (self.steps, self.batch)))


def _legs(inputs: int, hidden: int, *, rng: np.random.Generator) -> Any:
    """LegS reads one signal: a linear layer makes it of the inputs."""
    return nn.Sequential([nn.Linear(inputs, 1, rng=rng), nn.LegSCell(hidden, dtype=np.float32)])


def sizes(name: str) -> str:
    """The sizes of a cell's row, as its name has them."""
    return f"{INPUTS},{HIDDEN_OF.get(name, HIDDEN)},{STEPS},{BATCH}"


# name → (the cell, the nearest of the library, its name)
CONTINUED: dict[str, tuple[Make, Make, str]] = {
    "diagonal gate": (nn.DiagonalCell, nn.LeakyCell, "leaky"),
    "minGRU": (nn.MinGRUCell, nn.GRUCell, "gru"),
    "minLSTM": (nn.MinLSTMCell, nn.LSTMCell, "lstm"),
    "sLSTM": (nn.SLSTMCell, nn.LSTMCell, "lstm"),
    "fast weights": (nn.FastWeightsCell, nn.LSTMCell, "lstm"),
    "LRU": (nn.LRUCell, nn.RNNCell, "rnn"),
    "LegS": (_legs, nn.RNNCell, "rnn"),
}
