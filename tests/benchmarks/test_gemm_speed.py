"""Speed of `engine.gemm` beside SciPy's BLAS, one thread: `pytest -m slow -s tests/benchmarks/test_gemm_speed.py`."""

import time

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.engine import blas
from tinyseq.engine.kernels.gemm import gemm
from tinyseq.engine.kernels.panels import pack, packed_size, panel_width

pytestmark = pytest.mark.slow

RECURRENT = [(1, 32, 32), (1, 64, 64), (1, 256, 64), (1, 512, 128), (2, 512, 128), (16, 512, 128)]
RECURRENT += [(32, 512, 128), (32, 128, 512), (64, 1024, 256), (31, 65, 67), (3200, 65, 128)]
WEIGHT_GRADIENTS = [(128, 512, 3200), (64, 256, 3200), (65, 512, 3200), (32, 32, 5000)]


@numba.njit
def pack_once(B, k, n, P):
    pack(B, 0, n, 1, k, n, P, 0)


@numba.njit
def repeat(times, m, n, k, A, a_rs, a_cs, B, b_ks, b_js, C):
    for _ in range(times):
        gemm(m, n, k, A, 0, a_rs, a_cs, B, 0, b_ks, b_js, C, 0, n, 1)


@numba.njit
def repeat_blas(times, m, n, k, A, lda, trans_a, B, C):
    for _ in range(times):
        blas.gemm(m, n, k, A, 0, lda, trans_a, B, 0, n, 0, C, 0, n, 1.0)


def aligned(values):
    """A flat copy at an address divisible by 64, as in an arena."""
    buffer = np.zeros(values.size + 64 // values.itemsize, values.dtype)
    start = -buffer.ctypes.data % 64 // values.itemsize
    copy = buffer[start : start + values.size]
    copy[:] = values.ravel()
    return copy


def measure(benchmark, dtype, m, n, k, transposed):
    """Benchmark one shape; print GFLOP/s of both and their ratio."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if transposed else (m, k)).astype(dtype)
    b = rng.standard_normal((k, n)).astype(dtype)
    width, times = panel_width(dtype), max(1, int(2e7 / (m * n * k)))
    A, B, C = aligned(a), aligned(b), aligned(np.zeros(m * n, dtype))
    a_rs, a_cs, b_ks, b_js = 1, m, n, width
    if not transposed:
        P = aligned(np.zeros(packed_size(k, n, width), dtype))
        pack_once(B, k, n, P)
        B, a_rs, a_cs, b_ks, b_js = P, k, 1, width, k * width
    arguments = (times, m, n, k, A, a_rs, a_cs, B, b_ks, b_js, C)
    benchmark.pedantic(repeat, arguments, rounds=9, warmup_rounds=1)
    ours = benchmark.stats.stats.min / times

    arguments = (times, m, n, k, A, m if transposed else k, transposed, aligned(b), C)
    theirs = float("inf")
    with threadpool_limits(1):
        for _ in range(10):
            start = time.perf_counter()
            repeat_blas(*arguments)
            theirs = min(theirs, (time.perf_counter() - start) / times)
    speeds = [2e-9 * m * n * k / seconds for seconds in (ours, theirs)]
    benchmark.extra_info.update(gflops=speeds[0], blas_gflops=speeds[1], ratio=theirs / ours)
    shape = f"{m}x{k} {k}x{n} {np.dtype(dtype).name}{' transposed A, B as it is' if transposed else ''}"
    print(f"\n{shape}: {ours * 1e9:.0f} ns, {speeds[0]:.0f} GFLOP/s; BLAS {speeds[1]:.0f}; ratio {theirs / ours:.2f}")
    assert np.isfinite(C).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", RECURRENT, ids=str)
def test_packed_weights(benchmark, shape, dtype):
    measure(benchmark, dtype, *shape, transposed=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", WEIGHT_GRADIENTS, ids=str)
def test_weight_gradient(benchmark, shape, dtype):
    measure(benchmark, dtype, *shape, transposed=True)
