"""What a peer hands over: named ways to run a problem, each to be checked and to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Gradients = tuple[float, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Variant:
    """One way of one peer to run one problem.

    `run()` is what is timed: forward, loss and the gradients of all parameters, left in the peer's own arrays,
    finished when it returns. Calling the variant gives (loss, gradients by the problem's names in NumPy).
    `threads` is the thread count that the harness sets while it runs; None leaves the peer its own pool. `before` is
    called before each timed run, untimed, where every run takes a new batch.
    """

    run: Callable[[], object]
    gradients: Callable[[], Gradients]
    threads: int | None = None
    before: Callable[[], object] | None = None

    def __call__(self) -> Gradients:
        return self.gradients()
