"""What one step of training reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Batch:
    """What one step of training reads.

    x       (T, B, F) or tokens (T, B) where all have one length, else a list of arrays; of trees (forest, tokens)
    y       targets: of sequences (B,) or (B, K), of steps in the form of x; None where there are none
    masks   0 where the state is held, in the form of x; None where nothing is masked
    rows    which sequences or trees they are
    gaps    whether the data have steps or nodes without a class, −1
    """

    x: Any
    y: Any
    masks: Any
    rows: np.ndarray
    gaps: bool = False

    @property
    def count(self) -> int:
        """Sequences or trees."""
        return len(self.rows)


def together(arrays: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Sequences of one length as an array (T, B, …), others as they are."""
    if all(len(a) == len(arrays[0]) for a in arrays) and len(arrays[0]):
        return np.stack(arrays, axis=1)
    return arrays
