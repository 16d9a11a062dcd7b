"""What a training says of itself while nothing happens yet."""

from __future__ import annotations

import time

import pytest

from tinyseq.train.progress import Progress

SAID = "the first step compiles kernels"


def test_a_first_step_that_takes_long_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(Progress, "patience", 0.01)
    with Progress(3) as bar:
        time.sleep(0.3)
        bar.advance(1.0, 4)
    assert capsys.readouterr().err.count(SAID) == 1
    with Progress(3, shown=False):
        time.sleep(0.1)
    monkeypatch.setattr(Progress, "patience", 30.0)
    with Progress(3) as bar:
        bar.advance(1.0, 4)
        assert bar.waiting is None
    assert SAID not in capsys.readouterr().err
