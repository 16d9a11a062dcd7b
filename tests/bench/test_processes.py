"""Rows that take processes of their own. No test asserts a time."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from tinyseq.bench.measuring import process_rows
from tinyseq.bench.measuring.process_rows import memory_row, startup_row
from tinyseq.bench.measuring.processes import environment, memory, variant
from tinyseq.bench.measuring.startup import STARTUP, startup, timed
from tinyseq.bench.problems.problems import MEMORY_ROWS, problem
from tinyseq.bench.results.results import Settings
from tinyseq.bench.variant import Gradients
from tinyseq.errors import DataError

SETTINGS = Settings((), ("torch", "numpy"), 2, 0.0)


def naive_gradient() -> np.ndarray:
    """dL/dW of the start-up script's net, step by step backwards in float64 (equations 10.18 to 10.26)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 1, 32), dtype=np.float32)
    y = rng.integers(0, 32, 100)
    shapes = {"U": (32, 64), "W": (64, 64), "b": (64,), "V": (64, 32), "c": (32,)}
    p = {k: rng.uniform(-0.125, 0.125, s).astype(np.float32).astype(np.float64) for k, s in shapes.items()}
    hs = [np.zeros((1, 64))]
    for t in range(100):
        hs.append(np.tanh(x[t] @ p["U"] + hs[-1] @ p["W"] + p["b"]))
    total, d_h = np.zeros((64, 64)), np.zeros((1, 64))
    for t in range(99, -1, -1):
        o = np.exp(hs[t + 1] @ p["V"] + p["c"])
        o /= o.sum()
        o[0, y[t]] -= 1
        delta = (d_h + o @ p["V"].T) * (1 - hs[t + 1] ** 2)
        total += hs[t].T @ delta
        d_h = delta @ p["W"].T
    return total


@pytest.mark.parametrize("name", STARTUP)
def test_startup_scripts_compute_the_gradient(name: str) -> None:
    if not name.startswith("tinyseq"):
        pytest.importorskip(name.split()[0])
    seconds, gradient = startup(name)
    assert seconds > 0
    expected = naive_gradient()
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_failing_script_shows_its_error() -> None:
    with pytest.raises(DataError, match="ZeroDivisionError"):
        timed("1 / 0")


def fake(wrong: str = "", broken: str = "") -> tuple[list[str], Callable[..., tuple[float, Gradients]]]:
    """A measurement that notes the order of its calls; one variant may be wrong, one may fail."""
    order: list[str] = []

    def measure(*arguments: str) -> tuple[float, Gradients]:
        name = arguments[-1]
        order.append(name)
        if name == broken:
            raise DataError("the measured process failed")
        return 100.0 + len(order) ** 2, (1.0, {"W": np.full(3, 2.0 if name == wrong else 1.0)})

    return order, measure


def test_memory_is_compared_and_then_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    order, measure = fake()
    monkeypatch.setattr(process_rows, "memory", measure)
    row = memory_row(MEMORY_ROWS[0], SETTINGS, lambda what: None)
    names = ["tinyseq compiled", "torch nn, 1 thr", "numpy by hand, 1 thr"]
    assert order == ["torch nn, 1 thr", "tinyseq compiled", "numpy by hand, 1 thr", *names]
    assert list(row.samples.values()) == [[104.0, 116.0], [101.0, 125.0], [109.0, 136.0]]
    assert row.kind == "memory" and row.ratio == pytest.approx(113 / 110)


def test_a_process_that_computes_something_else_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(process_rows, "memory", fake(wrong="numpy by hand, 1 thr")[1])
    row = memory_row(MEMORY_ROWS[0], SETTINGS, lambda what: None)
    assert row.refused == {"numpy by hand, 1 thr": 1.0} and len(row.samples) == 2
    monkeypatch.setattr(process_rows, "memory", fake(wrong="tinyseq compiled")[1])
    row = memory_row(MEMORY_ROWS[0], SETTINGS, lambda what: None)
    assert "gradients differ" in row.error and not row.samples


@pytest.mark.parametrize("broken", ["tinyseq compiled", "torch nn, 1 thr"])
def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(process_rows, "memory", fake(broken=broken)[1])
    row = memory_row(MEMORY_ROWS[0], SETTINGS, lambda what: None)
    assert "the measured process failed" in row.error and not row.samples


def test_startup_without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_rows, "find_spec", lambda name: None)
    order, measure = fake()
    monkeypatch.setattr(process_rows, "startup", lambda name: (measure(name)[0], np.ones((2, 2))))
    row = startup_row(Settings((), (), 2, 0.0), lambda what: None)
    assert set(order) == {"tinyseq compiled"} and row.ours and row.ratio is None


def test_the_package_that_runs_is_the_one_that_is_measured() -> None:
    import tinyseq

    first = environment()["PYTHONPATH"].split(os.pathsep)[0]
    assert os.path.samefile(os.path.join(first, "tinyseq"), os.path.dirname(tinyseq.__file__))


def test_measured_processes_keep_bytecode_as_installed_packages_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment()


def test_a_variant_is_found_by_library_and_way() -> None:
    row = problem("rnn 32,64,100,1")
    assert variant(row, "numpy by hand, 1 thr").threads == 1
    with pytest.raises(DataError, match="has compiled"):
        variant(row, "tinyseq magic")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["numpy by hand, 1 thr", "tinyseq compiled"])
def test_memory_grows_with_the_steps(name: str) -> None:
    """The states alone are 32 floats per step, and each must be kept for the backward pass."""
    short, long = (memory(f"memory rnn 8,32,{t},1", name)[0] for t in (10_000, 100_000))
    assert long > 100_000 * 32 * 4 and long > 4 * short
