"""What needs a process of its own: peak memory of one pass, and the compilation of all kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinyseq
from tinyseq.bench.contestants import ours, peers
from tinyseq.bench.measuring.timing import fair_environment
from tinyseq.bench.problems.problems import ROWS, Problem, problem
from tinyseq.bench.results.results import OURS
from tinyseq.bench.variant import Gradients, Variant
from tinyseq.errors import DataError

# Of each library what keeps least; the loops of torch keep more than its nn, autograd and mygrad take minutes.
MEMORY_VARIANTS = (
    "tinyseq compiled",
    "torch nn, 1 thr",
    "jax jit scan",
    "jax jit packed scan",
    "jax jit hoisted scan",
    "numpy by hand, 1 thr",
)
MEMORY_WARM_UP = 16
_LOSS = "loss"


def environment() -> dict[str, str]:
    """`fair_environment`, in which this very package is the one that is imported, and keeps its bytecode as installed
    packages do."""
    found = fair_environment()
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    path = [str(Path(tinyseq.__file__).parents[1]), found.get("PYTHONPATH", "")]
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def run(arguments: Sequence[str], more: Mapping[str, str] | None = None) -> str:
    """What a fresh interpreter prints last. Raises DataError with what it wrote to stderr where it fails."""
    env = environment() | dict(more or {})
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"the measured process failed with:\n{done.stderr.strip()[-2000:]}")
    return done.stdout.split()[-1]


def variant(given: Problem, name: str) -> Variant:
    """The variant "library way" of a problem."""
    library, _, way = name.partition(" ")
    found = ours.variants(given) if library == OURS else _without_library(peers.variants(given, [library]))
    if way not in found:
        raise DataError(f"no variant {name!r} of row {given.row!r}; {library} has {', '.join(found) or 'none'}")
    return found[way]


def _without_library(found: Mapping[str, Variant]) -> dict[str, Variant]:
    return {name.partition(" ")[2]: way for name, way in found.items()}


def memory(row: str, name: str) -> tuple[int, Gradients]:
    """Bytes by which one forward and backward pass of "library way" raises the peak of a new process, and what it
    computed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gradients.npz"
        found = int(run(["-m", "tinyseq.bench.measuring.processes", "memory", row, name, str(path)]))
        with np.load(path) as arrays:
            grads = {key: arrays[key] for key in arrays.files}
        return found, (float(grads.pop(_LOSS)), grads)


def _peak_and_now() -> tuple[int, int]:
    """Peak and present resident bytes. Where the kernel allows it the peak is first reset to the present, so that
    what an import once needed does not hide what the pass needs."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024, int(fields["VmRSS"].split()[0]) * 1024


def _reset_peak() -> None:
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def measure_memory(row: str, name: str, path: str) -> int:
    """In this process: warm the variant up on a short copy of the row, then the rise of the peak in bytes. The
    problem's own arrays are there before; recording, planning and compiling for the row's length count."""
    full = problem(row)
    variant(replace(full, steps=MEMORY_WARM_UP), name).run()
    way = variant(full, name)
    _reset_peak()
    before = _peak_and_now()[1]
    way.run()
    rise = _peak_and_now()[0] - before
    loss, grads = way()
    arrays: dict[str, Any] = {_LOSS: np.float64(loss)} | grads
    np.savez(path, **arrays)
    return rise


def compile_seconds(cache: str) -> float:
    """Seconds of the first gradients of all rows, made short, in a new process with that kernel cache."""
    return float(run(["-m", "tinyseq.bench.measuring.processes", "compile"], {"TINYSEQ_CACHE_DIR": cache}))


def measure_compiling() -> float:
    """In this process: seconds of the first gradients of all rows, cut to a few steps so that compiling is what
    takes time."""
    seconds = 0.0
    for row in ROWS:
        short = replace(
            row,
            steps=min(row.steps, 6),
            hidden=32,
            batch=min(row.batch, 4),
            shortest=row.shortest and 2,
            leaves=row.leaves and (8, 8),
        )
        for way in ours.variants(short).values():
            start = time.perf_counter()
            way.run()
            seconds += time.perf_counter() - start
    return seconds


def main(arguments: Sequence[str]) -> None:
    """`memory ROW VARIANT FILE` or `compile`."""
    if arguments[0] == "memory":
        print(measure_memory(*arguments[1:]))
    else:
        print(measure_compiling())


if __name__ == "__main__":
    main(sys.argv[1:])
