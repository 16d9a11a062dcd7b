"""What the inputs of sequences and of trees have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Inputs:
    """Data with an array of inputs for each part: features, or tokens, the numbers of words in a vocabulary."""

    if TYPE_CHECKING:

        @property
        def x(self) -> Sequence[np.ndarray]:
            """The inputs of each part."""

        @property
        def vocabulary(self) -> Sequence[Any]:
            """The words that tokens stand for, if they are known."""

    @property
    def tokens(self) -> bool:
        """Whether the inputs are tokens."""
        return self.x[0].ndim == 1

    @property
    def input_size(self) -> int:
        """Features of a step or node, or how many tokens there are."""
        if not self.tokens:
            return int(self.x[0].shape[1])
        return len(self.vocabulary) or 1 + max(int(a.max()) for a in self.x if a.size)
