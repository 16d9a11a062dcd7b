"""Long trainings: memory stays flat, but for the numbers of the history, a few bytes a step."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq import data, nn, train
from tinyseq.tasks import Windows

STATM = Path("/proc/self/statm")
KEPT = 4 * 8 * 9 / 8  # losses, bits, norms, rates: floats in arrays that grow by an eighth


def resident() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def of_kind(kind: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    if kind == "text":
        return nn.LSTM(4, 4, 4, rng=rng), Windows(rng.integers(0, 4, 400), 5, 2)
    x = [rng.normal(size=(n, 2)) for n in rng.integers(1, 6, 12)]
    y = np.arange(12) % 2
    model = nn.ManyToOne(nn.recurrent("gru", 2, 3, dropout=0.2, rng=rng), 2, rng=rng)
    return model, data.Sequences.of(x, y)


def growth(kind: str, steps: int) -> float:
    """Bytes a training grew by, beside its history, from a twentieth of its steps on."""
    model, given = of_kind(kind)
    seen: list[int] = []

    def watch(history: Any) -> None:
        if history.step in (steps // 20, steps):
            seen.append(resident())

    history = train.fit(model, given, "adam", steps, batch=4, callbacks=[watch], progress=False, clip=1.0)
    assert history.step == steps and np.isfinite(history.losses[-1])
    return seen[1] - seen[0] - KEPT * 0.95 * steps


@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["text", "sequences"])
def test_a_thousand_steps_grow_by_nothing(kind: str) -> None:
    assert growth(kind, 1000) < 1.5e6


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["text", "sequences"])
def test_a_million_steps_grow_by_nothing(kind: str) -> None:
    assert growth(kind, 1_000_000) < 4e6
