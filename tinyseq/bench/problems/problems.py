"""The benchmark's rows as neutral problems: NumPy inputs, targets and parameters from a seed, no framework.

Convention (the same for tinyseq and for every peer)
- float32; sequences x are (T, B, V); targets are (T, B) integers, -1 beyond the end of a sequence.
- Row vectors: x @ U with U (V, H), h @ W with W (H, H), logits o = h @ V + c with V (H, classes). `cells.py` has
  the equations. States start at zero, and the initial state has no gradient.
- Loss: softmax cross-entropy summed over all valid steps of all sequences, divided by the number of sequences
  (so with equal lengths: the sum over steps of the mean over the batch).
- Parameters are named as in the book: gate weights carry the gate's superscript (U_f, W_f, b_f: forget; _g: input
  gate; _o: output gate; _u: update; _r: reset), the cell's own carry none. The GRU's `d` is the bias inside the
  reset product. In stacks and bidirectional nets the names begin with `layer0.forward.` and so on; layer l + 1
  reads [forward, backward] of layer l, and the output reads those of the last layer.
- Trees: leaf h = tanh(x V + c), inner node h = tanh([left, right] W + b) with W (2H, H), logits at the root
  o = h @ O + d, one target per tree, loss summed over trees and divided by their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.bench.problems.cells import CELLS
from tinyseq.bench.problems.forest import Forest, random_forest
from tinyseq.errors import DataError

TREE = "tree"


@dataclass(frozen=True)
class Data:
    """Arrays of one problem. `lengths` (B,) is None if all sequences have T steps; `forest` is None for chains.

    x is (T, B, V) for chains and (leaves, V) for trees; targets (T, B) or (trees,).
    """

    x: np.ndarray
    targets: np.ndarray
    params: dict[str, np.ndarray]
    lengths: np.ndarray | None = None
    forest: Forest | None = None


@dataclass(frozen=True)
class Problem:
    """One row. V = `inputs`, H = `hidden`, T = `steps`, B = `batch` (trees: their number).

    `shortest`: lengths are drawn uniformly from shortest..steps. `leaves`: range of leaves of a tree.
    `recorded`: the row times recording too, so that peers which compile ahead are left out.
    """

    row: str
    cell: str
    inputs: int
    hidden: int
    steps: int = 0
    batch: int = 1
    layers: int = 1
    bidirectional: bool = False
    shortest: int | None = None
    leaves: tuple[int, int] | None = None
    balanced: bool = False
    classes: int = 0
    recorded: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cell != TREE and self.cell not in CELLS:
            raise DataError(f"no cell {self.cell!r} in the benchmark; expected one of {[TREE, *CELLS]}")
        if (self.cell == TREE) != (self.leaves is not None):
            raise DataError(f"cell {self.cell!r} with leaves={self.leaves}: trees, and only trees, have leaves")
        if self.shortest is not None and (self.bidirectional or self.layers > 1):
            raise DataError("lengths that differ are defined for one layer in one direction; drop shortest=")

    @property
    def outputs(self) -> int:
        """Number of classes of the softmax: that of the inputs unless given."""
        return self.classes or self.inputs

    @property
    def stacked(self) -> bool:
        return self.layers > 1 or self.bidirectional

    def prefixes(self) -> list[list[str]]:
        """Parameter name prefix of each direction of each layer."""
        if not self.stacked:
            return [[""]]
        directions = ("forward", "backward") if self.bidirectional else ("forward",)
        return [[f"layer{layer}.{name}." for name in directions] for layer in range(self.layers)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by name."""
        h = self.hidden
        if self.cell == TREE:
            return {"V": (self.inputs, h), "c": (h,), "W": (2 * h, h), "b": (h,)} | {
                "O": (h, self.outputs),
                "d": (self.outputs,),
            }
        found: dict[str, tuple[int, ...]] = {}
        width = self.inputs
        for layer in self.prefixes():
            for prefix in layer:
                inner = CELLS[self.cell].shapes(width, h)
                found |= {prefix + name: shape for name, shape in inner.items()}
            width = h * len(layer)
        return found | {"V": (width, self.outputs), "c": (self.outputs,)}

    def data(self) -> Data:
        """Inputs, targets and parameters; the same for the same problem."""
        rng = np.random.default_rng(self.seed)
        bound = 1 / np.sqrt(self.hidden)
        params = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in self.shapes().items()}
        if self.leaves is not None:
            forest = random_forest(rng, self.batch, self.leaves, self.balanced)
            x = rng.standard_normal((forest.leaves, self.inputs), dtype=np.float32)
            return Data(x, rng.integers(0, self.outputs, self.batch), params, forest=forest)
        x = rng.standard_normal((self.steps, self.batch, self.inputs), dtype=np.float32)
        targets = rng.integers(0, self.outputs, (self.steps, self.batch))
        if self.shortest is None:
            return Data(x, targets, params)
        lengths = rng.integers(self.shortest, self.steps + 1, self.batch)
        lengths[rng.integers(self.batch)] = self.steps
        beyond = np.arange(self.steps)[:, None] >= lengths
        x[beyond] = 0
        targets[beyond] = -1
        return Data(x, targets, params, lengths)


@dataclass(frozen=True)
class Packed:
    """Valid steps only: rows of step 0 of all sequences, then of step 1 of those still running, and so on.

    Sequences are sorted by falling length, which changes neither the loss nor a parameter's gradient. `sizes`:
    sequences that run at each step.
    """

    x: np.ndarray
    targets: np.ndarray
    sizes: list[int]


def packed(data: Data) -> Packed:
    """Chain data without padding, the layout a careful author would feed to a loop."""
    steps, batch = data.targets.shape
    lengths = np.full(batch, steps) if data.lengths is None else data.lengths
    order = np.argsort(-lengths, kind="stable")
    sizes = [int((lengths > t).sum()) for t in range(steps)]
    x = np.concatenate([data.x[t, order[:n]] for t, n in enumerate(sizes)])
    targets = np.concatenate([data.targets[t, order[:n]] for t, n in enumerate(sizes)])
    return Packed(x, targets, sizes)


def _chain(cell: str, inputs: int, hidden: int, steps: int, batch: int, prefix: str = "") -> Problem:
    return Problem(f"{prefix or cell} {inputs},{hidden},{steps},{batch}", cell, inputs, hidden, steps, batch)


ROWS: tuple[Problem, ...] = (
    _chain("rnn", 65, 128, 100, 32),
    _chain("lstm", 65, 128, 100, 32),
    _chain("gru", 65, 128, 100, 32),
    _chain("rnn", 32, 64, 100, 1),
    _chain("lstm", 32, 64, 100, 1),
    _chain("rnn", 8, 32, 5000, 1),
    _chain("lstm", 64, 256, 50, 64),
    Problem("lstm 2-layer bidirectional 32,64,60,16", "lstm", 32, 64, 60, 16, layers=2, bidirectional=True),
    Problem("lstm lengths 5-100 32,64,64 sequences", "lstm", 32, 64, 100, 64, shortest=5),
    Problem("tree balanced 1024 leaves H 64", TREE, 64, 64, leaves=(1024, 1024), balanced=True, classes=5),
    Problem("forest 32 trees 10-50 leaves H 64", TREE, 64, 64, batch=32, leaves=(10, 50), classes=5),
    Problem("recorded loop rnn 32,64,100,1", "rnn", 32, 64, 100, 1, recorded=True),
    _chain("peephole", 65, 128, 100, 32, "user: peephole lstm"),
    _chain("mgu", 65, 128, 100, 32, "user: minimal gated unit"),
    _chain("indrnn", 65, 128, 100, 32, "user: independent rnn"),
    _chain("mrnn", 65, 128, 100, 32, "user: multiplicative rnn"),
    _chain("lnrnn", 65, 128, 100, 32, "user: layer-normalised rnn"),
    _chain("antisymmetric", 65, 128, 100, 32, "user: antisymmetric rnn"),
)

MEMORY_ROWS: tuple[Problem, ...] = (
    _chain("rnn", 8, 32, 10_000, 1, "memory rnn"),
    _chain("rnn", 8, 32, 100_000, 1, "memory rnn"),
)


def problem(row: str) -> Problem:
    """The row of that name."""
    for found in (*ROWS, *MEMORY_ROWS):
        if found.row == row:
            return found
    names = ", ".join(repr(found.row) for found in (*ROWS, *MEMORY_ROWS))
    raise DataError(f"no benchmark row {row!r}; expected one of {names}")
