"""What compiled functions keep: bounded, and gone with them."""

from __future__ import annotations

import gc
import tracemalloc
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.limits import LIMITS
from tinyseq.engine.plan_cache import CACHE
from tinyseq.errors import RecordingWarning, TinyseqError
from tinyseq.train import SGD, TrainingStep


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TINYSEQ_CHECK", "0")  # thousands of plans of kinds that other tests verify
    before = ts.keep_recordings()
    yield
    ts.keep_recordings(*before)


def net() -> ts.nn.RNN:
    return ts.nn.RNN(3, 5, 4, rng=np.random.default_rng(0), dtype=np.float64)


def batch(T: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(T)
    return rng.normal(size=(T, 2, 3)), rng.integers(0, 4, (T, 2))


def test_the_least_recently_used_are_dropped_and_recorded_again() -> None:
    ts.keep_recordings(number=4)
    model = net()
    run = ts.compile(model.loss)
    expected = {T: float(run(*batch(T))) for T in range(2, 6)}
    run(*batch(2))
    with pytest.warns(RecordingWarning, match=r"more than 4 kinds.*ts\.keep_recordings\(number=16\)") as told:
        for T in range(6, 12):
            expected[T] = float(run(*batch(T)))
            run(*batch(2))
            assert len(run.versions()) <= 4
    assert len(told) == 1 and told[0].filename == __file__
    kept = {len(v.tape) for v in run.versions()}
    assert len(run.tape(*batch(2))) in kept  # used again and again
    for T, loss in expected.items():
        np.testing.assert_allclose(run.backward(*batch(T)), loss, rtol=1e-12)


def test_bytes_of_all_functions_are_bounded() -> None:
    ts.keep_recordings(number=1000, megabytes=2)
    models = [net() for _ in range(3)]
    runs = [ts.compile(model.loss) for model in models]
    for T in range(10, 30):
        for run in runs:
            run.backward(*batch(4 * T))
    versions = [v for run in runs for v in run.versions()]
    assert 1 <= len(versions) < 50
    newest = max(versions, key=lambda v: v.used)
    assert sum(v.nbytes for v in versions) <= 2 << 20
    assert newest.key == next(v.key for v in runs[-1].versions() if v.used == newest.used)
    ts.keep_recordings(megabytes=1)
    runs[0].backward(*batch(400))
    versions = [v for run in runs for v in run.versions()]
    assert sum(v.nbytes for v in versions) <= 1 << 20 or len(versions) == 1


def test_what_is_dropped_for_its_bytes_and_wanted_again_is_told_once() -> None:
    ts.keep_recordings(number=1000, megabytes=1)
    run = ts.compile(net().loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is not wanted again is nobody's business
        for T in range(10, 60):
            run.backward(*batch(T))
    assert len(run.versions()) < 50
    with pytest.warns(RecordingWarning, match=r"more than 1 megabytes.*ts\.keep_recordings\(megabytes=4\)") as told:
        for T in (10, 11):
            run.backward(*batch(T))
    assert len(told) == 1 and told[0].filename == __file__


def test_bytes_are_counted_as_they_are_taken() -> None:
    """Of what recordings share, one memory to run in, none counts; what is left is counted within a factor of 2."""
    run, rng = (
        ts.compile(ts.nn.LSTM(8, 32, 4, rng=np.random.default_rng(0), dtype=np.float64).loss),
        np.random.default_rng(0),
    )
    batches = [(rng.normal(size=(T, 16, 8)), rng.integers(0, 4, (T, 16))) for T in range(40, 60)]
    for x in batches[:8]:
        run.backward(*x)
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for x in batches[8:]:
            run.backward(*x)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = sum(v.nbytes for v in run.versions()[8:])
    assert len(run.versions()) == 20 and counted / 2 <= taken <= 2 * counted


def test_settings_are_checked_and_told() -> None:
    assert ts.keep_recordings(number=7, megabytes=3) == (7, 3.0)
    assert ts.keep_recordings() == (7, 3.0)
    for wrong in ({"number": 0}, {"megabytes": -1}, {"number": True}, {"number": "many"}):
        with pytest.raises(TinyseqError, match=r"at least 1.*keep_recordings"):
            ts.keep_recordings(**wrong)


def test_recordings_go_with_their_function() -> None:
    model = net()
    run = ts.compile(model.loss)
    run.backward(*batch(5))
    run(*batch(6))
    versions = [weakref.ref(v) for v in run.versions()]
    programs = [weakref.ref(v.program(True)) for v in run.versions()]
    tapes = [weakref.ref(v.tape) for v in run.versions()]
    parameter = weakref.ref(model.W)
    step = TrainingStep(run, SGD(model.parameters(), 0.1))
    step(*batch(5))
    del run, model, step
    gc.collect()
    assert not any(ref() for ref in (*versions, *programs, *tapes, parameter))


def test_recordings_keep_no_tensors_and_no_arguments() -> None:
    model = net()
    run = ts.compile(model.loss)
    x, y = batch(5)
    first = weakref.ref(x)
    run(x, y)
    run(*batch(5))
    del x, y
    gc.collect()
    assert first() is None
    with_states = ts.compile(lambda x: (ts.sum(x * model.W[0, 0]), {"h": x * 2.0}))
    with_states(np.ones(3))
    version = with_states.versions()[0]
    assert version.nesting == (version.nodes[0], {"h": version.nodes[1]})
    assert version.tape.places.known() == 0


def test_plans_of_tapes_are_bounded_by_bytes() -> None:
    CACHE.clear()
    ts.keep_recordings(megabytes=2)
    model = net()
    for T in range(20, 60):
        with ts.Tape():
            loss = model.loss(*[ts.tensor(a) for a in batch(4 * T)])
        loss.backward()
    assert CACHE.nbytes <= 4 << 20  # the last may take what it wants
    assert 1 <= len(CACHE) < 30
    CACHE.clear()


def resident() -> float:
    """Megabytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def growth(step: Any, warm: int, steps: int) -> float:
    """Megabytes by which memory has grown over some steps, once what is kept has come to its bound."""
    for k in range(warm):
        step(k)
    before = resident()
    for k in range(warm, warm + steps):
        step(k)
    return resident() - before


def forest(rng: np.random.Generator, trees: int) -> ts.Forest:
    return ts.Forest([ts.Tree.random(int(n), rng) for n in rng.integers(2, 9, trees)])


def training(kind: str) -> Any:
    """A training step on data whose lengths are new at each step."""
    rng = np.random.default_rng(0)
    cell = ts.nn.LSTMCell(4, 12, rng=rng)
    model = ts.nn.ManyToOne(cell, 3, rng=rng)
    optimiser = SGD(model.parameters(), 0.01)

    def batch() -> Any:
        return ts.nn.pack([rng.standard_normal((k, 4)).astype(np.float32) for k in rng.integers(5, 40, 6)])

    if kind == "compiled":
        step = TrainingStep(model.loss, optimiser)
        return lambda k: step(batch(), np.zeros(6, int))

    def recorded(k: int) -> None:
        with ts.Tape():
            loss = model.loss(batch(), np.zeros(6, int))
        loss.backward()
        optimiser.step()

    return recorded


has_statm = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@has_statm
@pytest.mark.filterwarnings("ignore::tinyseq.errors.RecordingWarning")
@pytest.mark.parametrize("kind", ["compiled", "recorded"])
def test_memory_is_flat_over_steps_with_new_lengths(kind: str) -> None:
    ts.keep_recordings(number=4, megabytes=8)
    CACHE.clear()
    assert growth(training(kind), 25, 60) < 12


@has_statm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tinyseq.errors.RecordingWarning")
@pytest.mark.parametrize("kind", ["compiled", "recorded"])
def test_memory_is_flat_over_2000_steps_with_new_lengths(kind: str) -> None:
    assert growth(training(kind), 200, 2000) < 40


def test_the_bound_is_what_is_documented() -> None:
    assert (LIMITS.number, LIMITS.bytes) == (32, 256 << 20)
