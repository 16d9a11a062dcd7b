"""`engine.gemm` and `engine.panels`, each tile on any CPU, against NumPy in float64, BLAS and a plain loop."""

import os
import subprocess
import sys
from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from tests.engine import blas
from tinyseq.engine.kernels.batched import WEIGHT_GRADIENT
from tinyseq.engine.kernels.gemm import make_gemm, make_gemm_from
from tinyseq.engine.kernels.panels import make_pack, packed_size, panel_width
from tinyseq.engine.kernels.tile import TILES, _host_tile

DTYPES = [np.float32, np.float64]
CASES = [(name, dtype) for name in TILES for dtype in DTYPES]
each_case = pytest.mark.parametrize(("name", "dtype"), CASES, ids=[f"{n}-{d.__name__}" for n, d in CASES])
reproducible = settings(derandomize=True, deadline=None, max_examples=60, database=None)


@cache
def product(name):
    """The product with the tile `name`, callable from Python."""
    gemm = make_gemm(TILES[name])

    @numba.njit
    def call(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate):
        gemm(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate)

    return call


@cache
def product_from(name):
    """The product that starts from other rows, callable from Python."""
    gemm_from = make_gemm_from(TILES[name])

    @numba.njit
    def call(m, n, k, A, P, width, C, S, s_rs):
        gemm_from(m, n, k, A, 0, k, 1, P, 0, width, k * width, C, 0, n, 1, S, 0, s_rs)

    return call


@each_case
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (7, 40, 30), (16, 33, 600), (3, 5, 0)])
def test_a_product_starts_from_one_row_or_from_many(name, dtype, m, n, k):
    rng = np.random.default_rng(0)
    A, B, S = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    width = TILES[name].panel_width(np.dtype(dtype).itemsize)
    P, C = np.empty(packed_size(k, n, width), dtype), np.full((m, n), np.nan, dtype)
    packing(name)(B.ravel(), 0, n, 1, k, n, P, 0)
    tolerance = 1e-3 if dtype is np.float32 else 1e-11
    for stride, start in ((n, S), (0, S[:1])):
        product_from(name)(m, n, k, A.ravel(), P, width, C.ravel(), S.ravel(), stride)
        np.testing.assert_allclose(C, start.astype(float) + A.astype(float) @ B, atol=tolerance)


@cache
def packing(name):
    pack = make_pack(TILES[name])

    @numba.njit
    def call(B, b_off, b_rs, b_cs, k, n, P, p_off):
        pack(B, b_off, b_rs, b_cs, k, n, P, p_off)

    return call


@numba.njit
def blas_product(m, n, k, A, a_off, lda, trans_a, B, b_off, ldb, trans_b, C, c_off, ldc, beta):
    blas.gemm(m, n, k, A, a_off, lda, trans_a, B, b_off, ldb, trans_b, C, c_off, ldc, beta)


def width_of(name, dtype):
    return TILES[name].panel_width(np.dtype(dtype).itemsize)


def plain_loop(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, c_off, c_rs, accumulate, width):
    """The definition of gemm, element by element."""
    for i in range(m):
        for j in range(n):
            total = C[c_off + i * c_rs + j] if accumulate else 0.0
            for p in range(k):
                b = B[b_off + j // width * b_js + p * b_ks + j % width]
                total += float(A[a_off + i * a_rs + p * a_cs]) * float(b)
            C[c_off + i * c_rs + j] = total


def whole_numbers(rng, *shape):
    """So small that their products sum without rounding, in whatever order."""
    return rng.integers(-8, 9, shape)


def embed(matrix, row_stride, column_stride, margin, fill):
    """A flat array of `fill` that holds `matrix` with these strides (of any sign), and the offset of its (0, 0)."""
    rows, columns = matrix.shape
    reach = [stride * max(count - 1, 0) for stride, count in ((row_stride, rows), (column_stride, columns))]
    offset = margin - sum(min(r, 0) for r in reach)
    flat = np.full(offset + sum(max(r, 0) for r in reach) + 1 + margin, fill, matrix.dtype)
    index = offset + row_stride * np.arange(rows)[:, None] + column_stride * np.arange(columns)
    flat[index] = matrix
    return flat, offset


def strides(order, rows, columns, gap):
    """Row and column stride of a stored matrix."""
    return {
        "rows": (columns + gap, 1),
        "columns": (1, rows + gap),
        "spread": (2 * columns + gap, 2),
        "backwards": (-(columns + gap), 1),
    }[order]


def check(name, dtype, m, n, k, order, packed, accumulate, gap, seed):
    """Compare one product in guarded arrays with NumPy; all but the product's elements must stay as they are."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    width, margin = width_of(name, dtype), 70
    a_rs, a_cs = strides(order, m, k, gap)
    A, a_off = embed(a, a_rs, a_cs, margin, np.nan)
    B, b_off = embed(b, n + gap, 1, margin, np.nan)
    b_ks, b_js = n + gap, width
    if packed:
        P = np.full(packed_size(k, n, width) + 2 * margin, np.nan, dtype)
        packing(name)(B, b_off, n + gap, 1, k, n, P, margin)
        B, b_off, b_ks, b_js = P, margin, width, k * width
    outside = rng.standard_normal(m * (n + gap) + 2 * margin).astype(dtype)
    C, rows = outside.copy(), margin + (n + gap) * np.arange(m)[:, None] + np.arange(n)
    C[rows] = c if accumulate else np.nan

    product(name)(m, n, k, A, a_off, a_rs, a_cs, B, b_off, b_ks, b_js, C, margin, n + gap, accumulate)

    a, b, c = (x.astype(np.float64) for x in (a, b, c * accumulate))
    bound = np.finfo(dtype).eps * (k + 2) * (abs(a) @ abs(b) + abs(c))
    assert np.all(abs(C[rows] - (a @ b + c)) <= bound)
    C[rows] = outside[rows]
    np.testing.assert_array_equal(C, outside)


sizes = st.integers(0, 70)


@each_case
@reproducible
@given(
    m=sizes,
    n=sizes,
    k=sizes,
    order=st.sampled_from(["rows", "columns", "spread", "backwards"]),
    packed=st.booleans(),
    accumulate=st.integers(0, 1),
    gap=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
@example(m=1, n=1, k=0, order="rows", packed=False, accumulate=0, gap=0, seed=1)
@example(m=270, n=33, k=530, order="columns", packed=False, accumulate=0, gap=3, seed=2)
@example(m=9, n=100, k=257, order="rows", packed=True, accumulate=1, gap=0, seed=3)
@example(m=8, n=65, k=600, order="spread", packed=True, accumulate=0, gap=1, seed=4)
def test_product_equals_numpy_and_touches_nothing_else(name, dtype, m, n, k, order, packed, accumulate, gap, seed):
    check(name, dtype, m, n, k, order, packed, accumulate, gap, seed)


@each_case
def test_every_tail_of_rows_and_columns(name, dtype):
    width = width_of(name, dtype)
    for m in range(1, 2 * TILES[name].rows + 1):
        for n in {1, 2, width // 2, width // 2 + 1, width - 1, width, width + 1}:
            check(name, dtype, m, n, 5, "rows", n % 2 == 0, m % 2, 1, seed=100 * m + n)


@each_case
def test_plain_loop_gives_the_same(name, dtype):
    rng = np.random.default_rng(11)
    width = width_of(name, dtype)
    m, n, k = 3, width + 2, 4
    A, B, C = (rng.standard_normal(500).astype(dtype) for _ in range(3))
    for b_ks, b_js, a_rs, a_cs in ((n + 1, width, k, 1), (width, k * width, 1, m), (width, k * width, 0, -2)):
        arguments = (m, n, k, A, 20, a_rs, a_cs, B, 3, b_ks, b_js)
        ours, expected = C.copy(), C.astype(np.float64)
        product(name)(*arguments, ours, 5, n + 2, 1)
        plain_loop(*arguments, expected, 5, n + 2, 1, width)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=30 * np.finfo(dtype).eps)


@each_case
def test_one_array_may_hold_all_operands(name, dtype):
    rng = np.random.default_rng(12)
    arena = rng.standard_normal(3000).astype(dtype)
    a, b = arena[10:70].reshape(6, 10).copy(), arena[100:350].reshape(10, 25).copy()
    product(name)(6, 25, 10, arena, 10, 10, 1, arena, 100, 25, width_of(name, dtype), arena, 1000, 25, 0)
    np.testing.assert_allclose(arena[1000:1150].reshape(6, 25), a @ b, atol=100 * np.finfo(dtype).eps)


@each_case
def test_nan_and_infinity_propagate(name, dtype):
    m, n, k, width = 11, 21, 9, width_of(name, dtype)
    a, b = np.ones((m, k), dtype), np.ones((k, n), dtype)
    a[2, 3], a[7, 0], b[8, 20], b[0, 4] = np.nan, np.inf, np.nan, 0
    with np.errstate(invalid="ignore"):
        expected = a @ b
    C = np.zeros(m * n, dtype)
    product(name)(m, n, k, a.ravel(), 0, k, 1, b.ravel(), 0, n, width, C, 0, n, 0)
    np.testing.assert_array_equal(C.reshape(m, n), expected)
    assert np.isnan(C.reshape(m, n)[7, 4])
    C[:] = 0
    C[5] = np.nan
    product(name)(m, n, 0, a.ravel(), 0, k, 1, b.ravel(), 0, n, width, C, 0, n, 1)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(C)), [5])


@each_case
@reproducible
@given(k=sizes, n=sizes, order=st.sampled_from(["rows", "columns", "spread", "backwards"]), gap=st.integers(0, 5))
def test_packing(name, dtype, k, n, order, gap):
    matrix = np.random.default_rng(k * 71 + n).standard_normal((k, n)).astype(dtype)
    b_rs, b_cs = strides(order, k, n, gap)
    B, b_off = embed(matrix, b_rs, b_cs, 40, np.nan)
    width, margin = width_of(name, dtype), 40
    size = packed_size(k, n, width)
    P = np.full(size + 2 * margin, 7.5, dtype)
    packing(name)(B, b_off, b_rs, b_cs, k, n, P, margin)
    panels = -(-n // width)
    padded = np.full((k, panels * width), 7.5, dtype)  # places past the last column stay as they are
    padded[:, :n] = matrix
    expected = padded.reshape(k, panels, width).transpose(1, 0, 2).ravel()
    assert size == expected.size
    np.testing.assert_array_equal(P, np.pad(expected, margin, constant_values=7.5))


@pytest.mark.parametrize("dtype", DTYPES)
@reproducible
@given(m=sizes, n=sizes, k=sizes, trans_a=st.booleans(), trans_b=st.booleans(), beta=st.sampled_from([0, 1, 0.5]))
def test_blas(dtype, m, n, k, trans_a, trans_b, beta):
    rng = np.random.default_rng(m + 71 * n + 5041 * k)
    a, b, c = (whole_numbers(rng, *shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    lda, ldb, ldc = (m if trans_a else k) + 3, (k if trans_b else n) + 2, n + 1
    A, a_off = embed(a, *((1, lda) if trans_a else (lda, 1)), 5, np.nan)
    B, b_off = embed(b, *((1, ldb) if trans_b else (ldb, 1)), 6, np.nan)
    C, c_off = embed(c if beta else c * np.nan, ldc, 1, 7, 3.0)
    before = C.copy()
    blas_product(m, n, k, A, a_off, lda, trans_a, B, b_off, ldb, trans_b, C, c_off, ldc, beta)
    inside = c_off + ldc * np.arange(m)[:, None] + np.arange(n)
    np.testing.assert_array_equal(C[inside], a @ b + beta * c)
    C[inside] = before[inside]
    np.testing.assert_array_equal(C, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 31, 32, 65])
@pytest.mark.parametrize("n", [1, 32, 65, 130])
@pytest.mark.parametrize("rows", [0, 1, 31, 32, 128, 129, 300])
def test_weight_gradient_of_any_size(dtype, m, n, rows):
    """Exact in whole numbers, overwriting and adding, from rows with gaps; nothing beside the result is written."""
    rng = np.random.default_rng(m + 100 * n + rows)
    x, g, c = (whole_numbers(rng, *shape).astype(dtype) for shape in ((rows, m + 3), (rows, n + 2), (m, n + 1)))
    product = x[:, :m].T @ g[:, :n]
    for accumulate in (0, 1):
        y = c.copy()
        if not accumulate:
            y[:, :n] = np.nan
        d = np.array([rows, n + 1, m + 3, n + 2, accumulate, m, n])
        WEIGHT_GRADIENT.function(d, y.ravel(), x.ravel(), g.ravel())
        np.testing.assert_array_equal(y[:, :n], product + accumulate * c[:, :n])
        np.testing.assert_array_equal(y[:, n], c[:, n])


@each_case
def test_weight_gradient_agrees_with_blas(name, dtype):
    rng = np.random.default_rng(13)
    m, n, k = 40, 72, 3200
    A, B = whole_numbers(rng, 2, k * n).astype(dtype)
    ours, theirs = np.full((2, m * n), np.nan, dtype)
    product(name)(m, n, k, A, 0, 1, m, B, 0, n, width_of(name, dtype), ours, 0, n, 0)
    blas_product(m, n, k, A, 0, m, 1, B, 0, n, 0, theirs, 0, n, 0.0)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours.reshape(m, n), A[: k * m].reshape(k, m).T @ B.reshape(k, n))


def test_panel_width_in_kernels():
    @numba.njit
    def width_and_size(array):
        return panel_width(array), panel_width(array.dtype), packed_size(3, 100, panel_width(array))

    for dtype in DTYPES:
        width = panel_width(dtype)
        assert width_and_size(np.zeros(1, dtype)) == (width, width, packed_size(3, 100, width))


def test_arrays_that_do_not_fit_are_named():
    single, double = np.zeros(64, np.float32), np.zeros(64)
    call = product("avx512")
    with pytest.raises(TypingError, match="gemm expects contiguous arrays of one dtype, got array"):
        call(1, 1, 1, single, 0, 1, 1, double, 0, 1, 1, single, 0, 1, 0)
    with pytest.raises(TypingError, match="gemm expects arrays of float32 or float64, got array"):
        call(1, 1, 1, single.view(np.int32), 0, 1, 1, single, 0, 1, 1, single, 0, 1, 0)
    with pytest.raises(TypingError, match="pack expects contiguous arrays of one dtype"):
        packing("avx512")(single[::2], 0, 1, 1, 1, 1, single, 0)


def test_an_unknown_tile_is_named(monkeypatch):
    monkeypatch.setenv("TINYSEQ_TILE", "avx1024")
    with pytest.raises(ValueError, match="TINYSEQ_TILE='avx1024' names no tile: unset it or use one of"):
        _host_tile()


def run(script, *arguments, **environment):
    command = [sys.executable, str(script), *arguments]
    path = os.pathsep.join(filter(None, sys.path))
    variables = {**os.environ, "PYTHONPATH": path, **environment}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr}"
    return result.stdout.strip()


CACHED = """
import sys
import numpy as np
from tinyseq.jit import kernel
from tinyseq.engine.kernels.gemm import gemm, pack, packed_size, panel_width

@kernel
def product(A, B, P, C):
    width = panel_width(P)
    pack(B, 0, 40, 1, 30, 40, P, 0)
    gemm(7, 40, 30, A, 0, 30, 1, P, 0, width, 30 * width, C, 0, 40, 0)

assert "scipy.linalg" not in sys.modules
A, B = np.random.default_rng(0).standard_normal((2, 1200))
P, C = np.empty(packed_size(30, 40, panel_width(A.dtype))), np.empty(280)
product(A, B, P, C)
np.testing.assert_allclose(C.reshape(7, 40), A[:210].reshape(7, 30) @ B.reshape(30, 40), atol=1e-12)
print(panel_width(A.dtype), sum(product.stats.cache_hits.values()))
"""


def test_a_cached_kernel_belongs_to_its_tile(tmp_path):
    script = tmp_path / "cached.py"
    script.write_text(CACHED)
    for hits in (0, 1):
        for name in ("avx512", "sse2"):
            printed = run(script, TINYSEQ_TILE=name, TINYSEQ_CACHE_DIR=str(tmp_path / "kernels"))
            assert printed == f"{width_of(name, np.float64)} {hits}"


# The operands end where the readable memory ends: one element more, read or written, kills the process.
AT_THE_EDGE = """
import ctypes, mmap, sys
import numba
import numpy as np
from tinyseq.engine.kernels.gemm import make_gemm
from tinyseq.engine.kernels.batched import WEIGHT_GRADIENT
from tinyseq.engine.kernels.panels import make_pack
from tinyseq.engine.kernels.tile import TILES

tile = TILES[sys.argv[1]]
gemm, pack = make_gemm(tile), make_pack(tile)

@numba.njit
def both(m, n, k, A, B, P, C, width):
    pack(B, 0, n, 1, k, n, P, 0)
    gemm(m, n, k, A, 0, k, 1, B, 0, n, width, C, 0, n, 0)
    gemm(m, n, k, A, 0, k, 1, P, 0, width, k * width, C, 0, n, 1)

pages = []

def at_the_edge(values):
    page = mmap.PAGESIZE
    size = -(-values.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(start + size), ctypes.c_size_t(page), 0) == 0
    pages.append(memory)
    array = np.frombuffer(memory, values.dtype, values.size, size - values.nbytes)
    array[:] = values
    return array

for dtype in (np.float32, np.float64):
    width = tile.panel_width(np.dtype(dtype).itemsize)
    for m, n, k in [(1, 1, 1), (3, 5, 7), (9, width - 1, 4), (6, width + 1, 3), (2, 2 * width, 5), (7, 41, 6)]:
        a, b = np.ones((m, k), dtype), np.arange(k * n, dtype=dtype).reshape(k, n)
        A, B, C = at_the_edge(a.ravel()), at_the_edge(b.ravel()), at_the_edge(np.zeros(m * n, dtype))
        P = at_the_edge(np.zeros(-(-n // width) * width * k, dtype))
        both(m, n, k, A, B, P, C, width)
        np.testing.assert_array_equal(C.reshape(m, n), 2 * a @ b)
print("whole")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs mprotect")
@pytest.mark.parametrize("name", TILES)
def test_nothing_past_the_end_is_touched(tmp_path, name):
    script = tmp_path / "edge.py"
    script.write_text(AT_THE_EDGE)
    assert run(script, name) == "whole"
