"""Timing several callables against each other on a machine that is not quiet: they alternate, and medians count."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

ROUNDS = 7
SAMPLE_SECONDS = 5e-3
# the threads of pools spin after their work, those of OpenBLAS for 2²⁶ cycles (some 25 ms); without a pause they would
# run beside the next one
PAUSE_SECONDS = 0.05


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Inside, NumPy's BLAS and torch (if it is loaded) use `count` threads; None changes nothing."""
    if count is None:
        yield
        return
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with ThreadpoolController().limit(limits=count, user_api="blas"):
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def seconds(run: Callable[[], object], repeats: int = 1, before: Callable[[], object] | None = None) -> float:
    """Seconds of a call, of so many in a row; `before` is called before each and not timed."""
    if before is not None:
        total = 0.0
        for _ in range(repeats):
            before()
            total += seconds(run)
        return total / repeats
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def _repeats(run: Callable[[], object], sample_seconds: float, before: Callable[[], object] | None) -> int:
    """Calls that fill one sample, after a first call for what is done once (compiling, growing pools)."""
    seconds(run, 1, before)
    once = min(seconds(run, 1, before) for _ in range(2))
    return max(1, round(sample_seconds / max(once, 1e-9) + 0.5))


def alternate(
    runs: Mapping[str, Callable[[], object]],
    thread_counts: Mapping[str, int | None] | None = None,
    rounds: int = ROUNDS,
    sample_seconds: float = SAMPLE_SECONDS,
    progress: Callable[[str], object] | None = None,
    before: Mapping[str, Callable[[], object] | None] | None = None,
) -> dict[str, list[float]]:
    """Seconds per call of each run in each round; their median is the figure to show.

    In each of `rounds` rounds every run is sampled once, in turn, so that a disturbance falls on all of them. A
    sample is as many calls as last `sample_seconds`, after one call that is not timed. The garbage collector is
    off meanwhile. `thread_counts` gives the threads of a run (see `threads`); `progress` is told each name;
    what `before` gives of a run is called before each of its calls and not timed.
    """
    counts, first = thread_counts or {}, before or {}
    repeats: dict[str, int] = {}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for name, run in runs.items():
            with threads(counts.get(name)):
                repeats[name] = _repeats(run, sample_seconds, first.get(name))
        for _ in range(rounds):
            for name, run in runs.items():
                if progress is not None:
                    progress(name)
                time.sleep(PAUSE_SECONDS)
                with threads(counts.get(name)):
                    seconds(run, 1, first.get(name))
                    samples[name].append(seconds(run, repeats[name], first.get(name)))
            # a recorder may leave cycles behind; freed here, between rounds, they cost nobody's sample
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return samples


def fair_environment() -> dict[str, str]:
    """The environment to start a benchmark process in: ours without OPENBLAS_* overrides, JAX on the CPU.

    OpenBLAS reads them when NumPy is imported. A forced core type makes NumPy's products run on kernels for an older
    CPU (measured: OPENBLAS_CORETYPE=Haswell halves them where AVX-512 is wide), so timings in such a process
    would flatter every other row.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return kept | {"JAX_PLATFORMS": "cpu"}
