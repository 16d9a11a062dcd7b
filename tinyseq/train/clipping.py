"""Clipping a gradient that is too large, section 10.11.1: by its norm, or element by element.

Where the loss falls off like a cliff (figure 10.17) the gradient says which way to go, but not how far: the step it
asks for leads past everything that was learned. Clipping bounds the step and keeps the direction, or nearly so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt

import numpy as np

from tinyseq.habits import advised
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.optimisers import positive_number
from tinyseq.train.update_kernels import square_sum

SAFE = 1e-280  # sums of squares between it and its inverse have lost nothing to underflow or overflow


@advised
def global_norm(parameters: Sequence[Parameter]) -> float:
    """‖g‖ of all gradients together, in float64 and without overflow; parameters without a gradient count 0."""
    grads = [p.grad for p in parameters if p.grad is not None and p.grad.size]
    squares = sum(square_sum(g.reshape(-1)) for g in grads)
    if SAFE < squares < 1 / SAFE:
        return sqrt(squares)
    largest = max((float(np.abs(g).max()) for g in grads), default=0.0)
    if largest == 0.0 or not isfinite(largest):
        return largest
    return largest * sqrt(sum(float(np.square(g / largest, dtype=np.float64).sum()) for g in grads))


@advised
def clip_global_norm(parameters: Sequence[Parameter], limit: float) -> float:
    """Clip by norm (Pascanu et al. 2013); returns ‖g‖ as it was.

        if ‖g‖ > v        (10.48)
        g ← g v / ‖g‖     (10.49)

    g is the gradient by all parameters together, so they keep their proportions: the step has the gradient's direction
    and at most the length ε v. A norm that is not finite has no direction to keep: gradients are then left alone, and
    the caller sees the norm.
    """
    positive_number("limit", limit)
    norm = global_norm(parameters)
    if limit < norm < float("inf"):
        for p in parameters:
            if p.grad is not None:
                p.grad *= limit / norm
    return norm


@advised
def clip_elements(parameters: Sequence[Parameter], limit: float) -> float:
    """Clip element by element (Mikolov 2012), g_i ← max(−v, min(v, g_i)); returns the largest |g_i| as it was.

    The step no longer has the gradient's direction, only its signs: still one that goes down for small steps. NaN stays
    NaN; infinity becomes ±v, so look at what is returned.
    """
    positive_number("limit", limit)
    grads = [p.grad for p in parameters if p.grad is not None and p.grad.size]
    largest = max((float(np.abs(g).max()) for g in grads), default=0.0)
    if not largest <= limit:
        for g in grads:
            np.clip(g, -limit, limit, out=g)
    return largest
