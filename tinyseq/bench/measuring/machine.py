"""What this machine is, and what it can do at best, measured: floating-point peak and memory bandwidth."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

THREADS = 2
"""Most threads that a peer's variants ask for, so the floor is that of as many cores."""
BUSY = 0.25
"""Load average for each core above which other work is in the way."""
PACKAGES = (
    "tinyseq", "numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "autograd", "mygrad", "reservoirpy"
)  # fmt: skip

CHAINS = 12
"""Independent sums: more than latency times FMA units of any current core, fewer than its vector registers."""


def vector_length() -> int:
    """Floats in the widest vector register that LLVM finds on this CPU."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


@cache
def _fma_kernel(width: int) -> Callable[[int], float]:
    """run(n): n times CHAINS fused multiply-adds of `width` floats, without touching memory."""
    from llvmlite import ir
    from numba import njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def chains(typing_context: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.FloatType(), width)
            kind = ir.FunctionType(vector, [vector] * 3)
            fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{width}f32")
            sums = [cgutils.alloca_once(builder, vector) for _ in range(CHAINS)]
            for start, place in enumerate(sums):
                builder.store(ir.Constant(vector, [float(start)] * width), place)
            factor = ir.Constant(vector, [0.5] * width)
            with cgutils.for_range(builder, arguments[0]):
                for place in sums:
                    builder.store(builder.call(fma, [builder.load(place), factor, factor]), place)
            total = builder.load(sums[0])
            for place in sums[1:]:
                total = builder.fadd(total, builder.load(place))
            lanes = [builder.extract_element(total, ir.Constant(ir.IntType(32), k)) for k in range(width)]
            result = lanes[0]
            for lane in lanes[1:]:
                result = builder.fadd(result, lane)
            return result

        return types.float32(types.int64), generate

    @njit(nogil=True)
    def run(count):  # type: ignore[no-untyped-def]
        return chains(count)

    run(1)
    return run  # type: ignore[no-any-return]


def _together(work: Callable[[int], object], threads: int) -> float:
    """Seconds until work(0) .. work(threads - 1), each in its own thread, are done."""
    pool = [Thread(target=work, args=(k,)) for k in range(threads)]
    start = time.perf_counter()
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return time.perf_counter() - start


def fma_peak(threads: int = 1, trials: int = 20, count: int = 4_000_000) -> float:
    """Float32 operations per second of `threads` cores that do nothing but fused multiply-adds (best trial)."""
    width = vector_length()
    kernel = _fma_kernel(width)
    seconds = min(_together(lambda _: kernel(count), threads) for _ in range(trials))
    return 2.0 * width * CHAINS * count * threads / seconds


def bandwidth(threads: int = 1, trials: int = 5, megabytes: int = 128) -> float:
    """Bytes per second that `threads` cores move when copying (read plus write) arrays too large for caches."""
    floats = megabytes * 2**20 // 4
    sources = [np.ones(floats, np.float32) for _ in range(threads)]
    copies = [np.empty(floats, np.float32) for _ in range(threads)]

    def copy(k: int) -> None:
        np.copyto(copies[k], sources[k])

    _together(copy, threads)
    seconds = min(_together(copy, threads) for _ in range(trials))
    return 2.0 * 4 * floats * threads / seconds


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Processes that wanted to run during the last minute, on average; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def busy(load: float | None) -> bool:
    """Whether so much else runs that times would be those of a crowd."""
    return load is not None and load > BUSY * cores()


def name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine()


def describe() -> dict[str, Any]:
    """The machine: its name, its cores, what else it is doing, and its `limits`."""
    before = load()
    return {
        "processor": name(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": before,
        "busy": busy(before),
        "vector_floats": vector_length(),
        "threads": min(THREADS, cores()),
    } | limits()


def limits() -> dict[str, float]:
    """Floating-point peak of one core and of the compared cores, and the bandwidth of those."""
    used, single = min(THREADS, cores()), fma_peak(1)
    return {
        "flops_per_second_1": single,
        "flops_per_second": max(single, fma_peak(used)),
        "bytes_per_second": bandwidth(used),
    }


def versions() -> dict[str, str]:
    """Versions of what is compared and of what it stands on, where installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
