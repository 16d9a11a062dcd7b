"""Dropout, with the mask as an input: the same mask gives the same loss, so gradients can be checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor


@advised
def dropout_mask(rng: np.random.Generator, shape: tuple[int, ...], rate: float, dtype: Any = np.float32) -> np.ndarray:
    """0 with probability ``rate``, else 1/(1 − rate), so that the mean stays (inverted dropout)."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise TinyseqError(f"the dropout rate is at least 0 and below 1, got {rate!r}")
    return ((generator(rng).random(shape) >= rate) / (1 - rate)).astype(dtype)


@advised
def dropout(x: Any, mask: Any) -> Tensor:
    """x ⊙ mask; a mask (B, F) on x (T, B, F) drops the same units at every step (Gal and Ghahramani 2016)."""
    x, mask = as_tensor(x), as_tensor(mask)
    if mask.shape != x.shape[x.ndim - mask.ndim :]:
        raise ShapeError(
            f"a dropout mask has the shape of what it masks, {x.shape}, or of its last axes; got {mask.shape}"
        )
    return F.mul(x, mask)
