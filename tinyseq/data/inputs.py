"""What the inputs of sequences and of trees have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.errors import DataError


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


def chosen_groups(groups: np.ndarray | None, name: str, held_out: float, rng: Any) -> np.ndarray:
    """Which parts belong to the groups that are held out, at random; of a part no group is parted."""
    if groups is None:
        raise DataError(f"{name} has no groups to split by: read it with group='column', or give groups=")
    names = np.unique(groups)
    if len(names) < 2:
        raise DataError(f"{name} has one group only, {str(names[0])!r}: split by='order' or by='time'")
    order = generator(rng).permutation(len(names))
    return np.isin(groups, names[order[: max(1, round(held_out * len(names)))]])
