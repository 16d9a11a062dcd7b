"""Where backpropagation through time is cut: by chunks, or by a window behind each loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.errors import ShapeError


@dataclass(frozen=True)
class Truncation:
    """Where back-propagation through time is cut: ``ts.Chunk(k)`` or ``ts.Window(k)``, for ``ts.unfold``.

    The value of the state crosses a cut, its gradient does not. Both count steps in the order of running.
    """

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, (int, np.integer)) or self.k < 1:
            name = type(self).__name__
            raise ShapeError(f"{name} needs a whole number of steps of at least 1, got {self.k!r}; write ts.{name}(10)")

    def signature(self) -> tuple:
        """What tells truncations apart for ``ts.compile``."""
        return type(self).__name__, int(self.k)


class Chunk(Truncation):
    """The state is detached every k steps: the loss at t reaches the steps of its own chunk, ⌊t/k⌋·k to t."""


class Window(Truncation):
    """The loss at t reaches exactly the k last steps, t−k+1 to t.

    Each t gets a window of its own: the cell applied k times again, from the detached state k steps before. That costs
    k times the steps.
    """
