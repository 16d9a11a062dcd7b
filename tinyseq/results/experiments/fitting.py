"""What several experiments share: Adam with clipping on new batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.replay import compile
from tinyseq.train.clipping import clip_global_norm
from tinyseq.train.optimisers import Adam

OWN = "settings of our own, by guess; nothing was changed after a test."


def fit(
    net: Any, batch: Any, updates: int, rate: float, clip: float = 1.0, *, cosine: bool = False
) -> list[list[float]]:
    """Adam with the gradient's norm clipped, on new batches; the running loss. ``cosine``: the rate falls so."""
    optimiser, loss, smooth, curve = Adam(net.parameters(), rate), compile(net.loss), 0.0, []
    for step in range(1, updates + 1):
        if cosine:
            optimiser.rate = rate * 0.5 * (1 + np.cos(np.pi * (step - 1) / updates)) + 1e-6
        value = float(loss.backward(*batch()))
        clip_global_norm(net.parameters(), clip)
        optimiser.step()
        smooth = value if step == 1 else smooth + 0.03 * (value - smooth)
        if step % max(1, updates // 100) == 0:
            curve.append([step, smooth])
    return curve
