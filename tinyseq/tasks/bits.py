"""Streams of bits with a known answer: what was read some steps ago; the parity of all that was read."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError


def delayed_bits(rng: np.random.Generator, steps: int, batch: int, delay: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """x(t) fair and independent, y(t) = x(t − delay), 0 before there is any: x, y (T, B) of 0 and 1.

    With delay ≥ 1 the targets up to t − 1 and x(t) say nothing about y(t): a net that is told no more than these stays
    at ln 2 nats a step, however it is trained.
    """
    positive(steps=steps, batch=batch)
    if not isinstance(delay, (int, np.integer)) or not 0 <= delay < steps:
        raise DataError(f"the delay is 0 to {steps - 1}, fewer than the {steps} steps; got {delay!r}")
    x = generator(rng).integers(0, 2, (steps, batch))
    y = np.zeros_like(x)
    y[delay:] = x[: steps - delay]
    return x, y


def parity(rng: np.random.Generator, steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """x(t) fair bits, y(t) = x(1) ⊕ … ⊕ x(t) = y(t−1) ⊕ x(t): x, y (T, B) of 0 and 1."""
    positive(steps=steps, batch=batch)
    x = generator(rng).integers(0, 2, (steps, batch))
    return x, np.bitwise_xor.accumulate(x, axis=0)
