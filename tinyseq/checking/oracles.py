"""What a program is held against besides the reference: central differences, PyTorch, and its own rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.checking.running import Arrays, Run, gap
from tinyseq.checking.twin import NoTwinError, by_torch

NOISE = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 1e-6}
STEP, DIFFERENCE = 1e-6, 1e-5


class Rounded(ts.Reference):
    """The reference, with every value off by as much as rounding may make it."""

    rng = np.random.default_rng(0)

    def forward(self, index: int) -> None:
        """As the reference; values of floating point are then moved a little, but for those that an op only picks
        among its inputs: it rounds nothing, and its vjp may look for them there."""
        for i in self._missing(index):
            super().forward(i)
            value = self.values[i]
            inputs = [self.values[j].reshape(-1) for j in self.tape.inputs(i)]
            picked = bool(inputs) and np.isin(value, np.concatenate(inputs)).all()
            if value.dtype.kind == "f" and not picked:
                value *= 1 + NOISE[value.dtype] * self.rng.standard_normal(value.shape)


def tied(run: Run, expected: Arrays, most: float, number: int = 0) -> bool:
    """Whether rounding alone changes the results: two numbers equal but for rounding, of which the larger is taken, or
    a comparison of them. Who is right is then nobody's to say, and a difference is no failure."""
    leaves = run.leaves(number)
    for _ in range(3):
        executor = Rounded(run.tape)
        executor.values.update({i: v.copy() for i, v in leaves.items()})
        executor.differentiate(run.loss)
        found: Arrays = {f"result {k}": executor.value(i) for k, i in enumerate(run.nodes)}
        found |= {f"d{name}": executor.grad(i) for name, i in run.where.items()}
        if not gap(found, expected) <= most:
            return True
    return False


def differentiable(run: Run) -> bool:
    """Whether the gradient is that of the loss: nothing is detached or cut, and all numbers are finite."""
    source = run.program.source
    blanks = any(array.blank for array in run.program.inputs.values())
    return not blanks and "detach" not in source and "truncate" not in source and run.dtype == np.float64


def by_differences(run: Run, expected: Arrays, seed: int) -> float | None:
    """The error of the derivative along a random direction of all parameters, relative to 1 + its size; None where the
    loss has a kink nearby, as two widths of the difference tell."""
    rng = np.random.default_rng(seed)
    way = {name: rng.choice([-1.0, 1.0], np.shape(p.value)) for name, p in run.parameters.items()}
    along = sum(float(np.sum(way[n] * expected[f"d{n}"])) for n in run.where if expected[f"d{n}"] is not None)
    leaves = run.leaves(0)

    def slope(step: float) -> float:
        losses = []
        for sign in (1, -1):
            executor = ts.Reference(run.tape)
            moved = {i: leaves[i] + sign * step * way[name] for name, i in run.where.items()}
            executor.values.update({i: v.copy() for i, v in (leaves | moved).items()})
            losses.append(float(executor.value(run.loss).sum()))
        return (losses[0] - losses[1]) / (2 * step)

    near, wide = slope(STEP), slope(8 * STEP)
    scale = 1 + abs(near) + abs(float(np.sum(expected["result 0"])))  # type: ignore[arg-type]
    if not np.isfinite(near) or abs(near - wide) > DIFFERENCE / 4 * scale:
        return None
    return abs(near - along) / scale


def beside_torch(run: Run, expected: Arrays) -> float | None:
    """The largest difference from PyTorch; None where something has no twin."""
    try:
        found: Any = by_torch(run.program)
    except NoTwinError:
        return None
    return gap(found, expected)
