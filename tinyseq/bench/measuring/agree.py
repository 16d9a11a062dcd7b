"""Whether two implementations computed the same, before either is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyseq.bench.variant import Gradients

BOUND = 1e-4
"""Of the largest element of each gradient; float32 leaves about 1e-6 between right implementations."""

TRAINED_BOUND = 1e-2
"""Of the mean distance walked: Adam divides by the size of the gradient, so where that is about zero a rounding
error can turn a weight's first step round."""


TINY = 1e-30


def deviation(found: Gradients, standard: Gradients) -> float:
    """Largest distance of an element of a gradient over the largest element of the standard's; that of the loss, if
    it is larger. Infinity where names or shapes differ or something is not finite."""
    scales = {name: float(np.abs(grad).max()) for name, grad in standard[1].items()}
    return _worst(found, standard, scales, np.max)


def trained_deviation(found: Gradients, standard: Gradients, start: Mapping[str, np.ndarray]) -> float:
    """The same for parameters after a few steps of training: mean distance over the mean distance walked."""
    scales = {name: float(np.abs(end - start[name]).mean()) for name, end in standard[1].items()}
    return _worst(found, standard, scales, np.mean)


def _worst(
    found: Gradients, standard: Gradients, scales: Mapping[str, float], total: Callable[[np.ndarray], Any]
) -> float:
    (loss, arrays), (expected_loss, expected) = found, standard
    if arrays.keys() != expected.keys() or any(arrays[k].shape != expected[k].shape for k in expected):
        return float("inf")
    worst = [abs(loss - expected_loss) / max(abs(expected_loss), TINY)]
    for name, array in arrays.items():
        distance = float(total(np.abs(array.astype(np.float64) - expected[name])))
        worst.append(distance / max(scales[name], TINY))
    return float(np.max(worst)) if np.isfinite(worst).all() else float("inf")
