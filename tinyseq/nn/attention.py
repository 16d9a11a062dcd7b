"""Attention over a sequence of keys: what the decoder of section 10.4 reads in place of one fixed C."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import ShapeError
from tinyseq.nn.module import Module, uniform
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

NEVER = -1e30  # a score whose softmax weight is exactly 0


class Attention(Module):
    """C(i) = Σ_j α_ij h(j),  α_i = softmax_j(e_i),  e_ij = sᵀ A h(j), with s the decoder's state (Luong et al. 2015).

    Shapes: A (state, key); s (B, state); keys h (B, T, key) and their mask (B, T), 0 where there is no step: such
    steps get weight exactly 0.
    """

    def __init__(self, state_size: int, key_size: int, *, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        positive(state_size=state_size, key_size=key_size)
        self.state_size, self.key_size = state_size, key_size
        self.A = Parameter(uniform(generator(rng), (state_size, key_size), key_size, dtype), "A")

    def __call__(self, s: Tensor, keys: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """s (B, state), keys (B, T, key), mask (B, T) → C (B, key), weights α (B, T)."""
        if s.shape[1] != self.state_size or keys.ndim != 3 or keys.shape[2] != self.key_size:
            raise ShapeError(
                f"attention reads states (B, {self.state_size}) and keys (B, T, {self.key_size}), "
                f"got {s.shape} and {keys.shape}"
            )
        batch, T, size = keys.shape
        query = F.matmul(s, self.A).reshape((batch, size, 1))
        scores = F.matmul(keys, query).reshape((batch, T))
        weights = F.softmax(scores + (1 - mask) * NEVER).named("α")
        C = F.matmul(weights.reshape((batch, 1, T)), keys).reshape((batch, size)).named("C")
        return C, weights
