"""How much is kept of recordings, for a while and for good."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.limits import LIMITS
from tinyseq.errors import RecordingWarning


def test_a_known_number_of_batches_is_kept_and_afterwards_what_held_before_holds() -> None:
    before = LIMITS.number, LIMITS.bytes
    with LIMITS.at_least(before[0] + 5, megabytes=2 * before[1] / (1 << 20)):
        assert (LIMITS.number, LIMITS.bytes) == (before[0] + 5, 2 * before[1])
        with LIMITS.at_least(1, megabytes=1):  # never less
            assert (LIMITS.number, LIMITS.bytes) == (before[0] + 5, 2 * before[1])
    assert (LIMITS.number, LIMITS.bytes) == before
    with pytest.raises(ZeroDivisionError), LIMITS.at_least(before[0] + 5, megabytes=4096):
        _ = 1 / 0
    assert (LIMITS.number, LIMITS.bytes) == before


def test_recordings_of_many_lengths_are_kept_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "bytes", 1)
    W = ts.Parameter(np.ones((2, 2)), "W")

    def kept() -> int:
        ran = ts.compile(lambda x: ts.sum(ts.matmul(x, W)))
        for x in [np.ones((n, 2)) for n in (2, 3, 4)] * 3:
            assert ran.backward(x) == pytest.approx(2 * x.size)
            np.testing.assert_allclose(W.grad, len(x))
        return len(ran._versions)

    with pytest.warns(RecordingWarning, match="records again what was dropped"):
        assert kept() == 1  # the newest
    with LIMITS.at_least(8, megabytes=64):
        assert kept() == 3
