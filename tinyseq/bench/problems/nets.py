"""Whole nets of `tinyseq.nn` as rows: deep with skips, encoder–decoder with attention, a forest under a Tree-LSTM.

A net is made by the package from a seed; its weights, by the names of its `state_dict`, and its data go to the peers,
whose form of it is `net_equations.py`. The loss is the net's own: averaged over sequences or trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.bench.problems.forest import Forest, random_forest

KINDS = ("skips", "attention", "tree lstm")


@dataclass(frozen=True)
class Net:
    """One row: V = `inputs`, H = `hidden`, T = `steps`, B = `batch` (trees: their number), `leaves` of a tree."""

    row: str
    kind: str
    inputs: int
    hidden: int
    outputs: int
    steps: int = 0
    batch: int = 1
    layers: int = 1
    leaves: tuple[int, int] = (1, 1)
    seed: int = 0

    def model(self) -> Any:
        """The net with its first weights."""
        rng = np.random.default_rng(self.seed)
        V, H = self.inputs, self.hidden
        if self.kind == "skips":
            cells = [nn.LSTMCell(V if layer == 0 else H + V, H, rng=rng) for layer in range(self.layers)]
            return nn.ManyToMany(nn.StackedCells(cells, skip=True), self.outputs, rng=rng)
        if self.kind == "attention":
            return nn.EncoderDecoder(nn.LSTMCell(V, H, rng=rng), self.outputs, H, rng=rng, cell="lstm", attention=True)
        return nn.TreeLSTM(V, H, self.outputs, rng=rng)

    def data(self) -> NetData:
        """Inputs and targets; the same for the same net."""
        rng = np.random.default_rng(self.seed + 1)
        if self.kind == "tree lstm":
            trees = random_forest(rng, self.batch, self.leaves, balanced=False)
            x = rng.standard_normal((trees.leaves, self.inputs), dtype=np.float32)
            return NetData(x, rng.integers(0, self.outputs, self.batch), trees)
        x = rng.standard_normal((self.steps, self.batch, self.inputs), dtype=np.float32)
        return NetData(x, rng.integers(0, self.outputs, (self.steps, self.batch)))


@dataclass(frozen=True)
class NetData:
    """x (T, B, V) and targets (T, B); for trees x (leaves, V) and a target for each tree."""

    x: np.ndarray
    targets: np.ndarray
    trees: Forest | None = None


NETS: tuple[Net, ...] = (
    Net("lstm 3 layers with skips 65,128,50,32", "skips", 65, 128, 65, steps=50, batch=32, layers=3),
    Net("encoder-decoder lstm with attention 32,128,30,32", "attention", 32, 128, 32, steps=30, batch=32),
    Net("tree-lstm forest 32 trees 10-50 leaves H 64", "tree lstm", 64, 64, 5, batch=32, leaves=(10, 50)),
)
