"""The harness: who is called when, and that it leaves the process as it found it. No test asserts a time."""

from __future__ import annotations

import gc

import pytest
from threadpoolctl import threadpool_info

from tinyseq.bench.measuring import machine
from tinyseq.bench.measuring.timing import alternate, fair_environment, threads


def test_runs_alternate_and_are_warmed_up() -> None:
    order: list[str] = []
    told: list[str] = []
    runs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    samples = alternate(runs, rounds=3, sample_seconds=0, progress=told.append)
    assert samples.keys() == {"a", "b"}
    assert all(len(taken) == 3 and min(taken) > 0 for taken in samples.values())
    assert told == ["a", "b"] * 3
    # three calls to warm up and to choose the repeats; then per sample one call untimed and one timed
    assert order == ["a"] * 3 + ["b"] * 3 + ["a", "a", "b", "b"] * 3


def test_short_runs_are_repeated() -> None:
    calls = []
    alternate({"a": lambda: calls.append(1)}, rounds=1, sample_seconds=1e-3)
    assert len(calls) > 10


def test_the_collector_is_off_inside_and_on_again_after_an_error() -> None:
    seen = []

    def fail() -> None:
        seen.append(gc.isenabled())
        raise KeyError

    with pytest.raises(KeyError):
        alternate({"a": fail})
    assert seen == [False] and gc.isenabled()


def test_threads_are_set_and_restored() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    assert torch.get_num_threads() == before


def test_fair_environment_drops_only_blas_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("KEPT", "1")
    found = fair_environment()
    assert found["KEPT"] == "1" and not any(name.startswith("OPENBLAS_") for name in found)
    assert found["JAX_PLATFORMS"] == "cpu"


def test_machine_figures_are_those_of_a_computer() -> None:
    """A kernel that LLVM had emptied would show as a peak beyond any core; one made scalar as a few GFLOP/s."""
    machine._fma_kernel(machine.vector_length())
    assert 2e9 < machine.fma_peak(trials=2, count=200_000) < 2e12
    assert 5e8 < machine.bandwidth(trials=1, megabytes=32) < 1e13


def test_fma_kernel_computes_its_sums() -> None:
    """Each chain goes to the fixed point of x = x / 2 + 1 / 2, which is 1."""
    width = machine.vector_length()
    assert machine._fma_kernel(width)(60) == pytest.approx(width * machine.CHAINS)


def test_the_machine_describes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "limits", dict)
    monkeypatch.setattr(machine, "load", lambda: 10.0 * machine.cores())
    found = machine.describe()
    assert found["busy"] and found["processor"] and 1 <= found["threads"] <= found["cores"]
    monkeypatch.setattr(machine, "load", lambda: None)
    assert not machine.describe()["busy"]
    assert machine.versions().keys() >= {"tinyseq", "numpy", "numba"}
