"""Every kernel that an op calls, against its plain-loop twin: strides, rows, accumulation, both dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tests.ops.samples import SAMPLES
from tinyseq.engine.kernels import batched as engine_kernels
from tinyseq.ops import OPS
from tinyseq.ops.op import Call, Kernel, Site, size
from tinyseq.tape import INT64, Tape

# These write their result whatever the accumulate flag says: nothing adds to the value of a node.
OVERWRITE = {
    "max",
    "norm",
    "fill",
    "take",
    "take_columns",
    "gather",
    "one_hot",
    "softmax",
    "log_softmax",
    "cross_entropy",
}
# These add whatever the flag says: they write parts of a gradient, zeroed before.
ADD = {"strided_add", "take_vjp", "take_columns_vjp", "gather_vjp", "sparse_vjp_x", "sparse_vjp_values"}


def calls_of(tape: Tape) -> Iterator[tuple[Call, Site, dict[str, tuple[int, ...]], dict[str, int], int]]:
    """(call, site, shape of each role, largest index of integer roles, dtype) of all nodes of a tape."""
    for node in tape.nodes():
        op = OPS[node.op]
        inputs = [tape.node(j) for j in node.inputs]
        site = Site(node.attrs, node.arg, tuple(x.shape for x in inputs), node.shape)
        shapes = {"y": node.shape, "g": node.shape, "attr": (2,)}
        limits = {}
        for k, x in enumerate(inputs):
            shapes[f"x{k}"] = shapes[f"gx{k}"] = x.shape
            if x.dtype == np.int64:
                table = site.shapes[0]
                columns = dict(node.attrs).get("axis") or node.op in ("gather", "cross_entropy")
                limits[f"x{k}"] = node.shape[-1] if node.op == "one_hot" else table[-1 if columns else 0]
        integer = [k for k, x in enumerate(inputs) if x.dtype == np.int64]
        vjps = [call for k, calls in op.vjps(site) if k not in integer for call in calls] if op.vjp else []
        for call in [*op.forward(site), *vjps]:
            yield call, site, shapes, limits, INT64


def all_calls() -> dict[str, list[tuple[Call, dict[str, tuple[int, ...]], dict[str, int]]]]:
    found: dict[str, list] = {}
    seen = set()
    for sample in SAMPLES:
        with ts.Tape() as tape:
            sample.f(*naive.leaves(sample.draw()))
        for call, _, shapes, limits, _ in calls_of(tape):
            key = (call.kernel.name, call.d.tobytes())
            if key not in seen:
                seen.add(key)
                found.setdefault(call.kernel.name, []).append((call, shapes, limits))
    return found


CALLS = all_calls()
each_kernel = pytest.mark.parametrize("name", sorted(CALLS))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def operands(
    call: Call, shapes: dict, limits: dict, dtype: Any, rng: np.random.Generator, copies: int = 1
) -> list[np.ndarray]:
    arrays = []
    for role in call.operands:
        n = copies * size(shapes[role])
        if role in limits:
            arrays.append(rng.integers(0, limits[role], n))
        else:
            arrays.append(rng.uniform(0.2, 2.0, n).astype(dtype))
    if call.kernel.name in ("max_vjp", "norm_vjp"):  # these read the value that the forward kernel left
        roles = dict(zip(call.operands, arrays, strict=True))
        outer, reduced, inner = call.d[0] * copies, *call.d[6:8]
        forward = np.array([outer, inner, reduced * inner, 0, reduced, inner], np.int64)
        naive.TWINS[call.kernel.name.removesuffix("_vjp")](forward, roles["y"], roles["x0"])
    return arrays


def close(kernel: Kernel, ours: np.ndarray, theirs: np.ndarray) -> None:
    tolerance = 3e-6 if ours.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=kernel.name)


def run_both(call: Call, d: np.ndarray, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    out, twin = arrays[0].copy(), arrays[0].copy()
    call.kernel(d, out, *arrays[1:])
    naive.twin_of(call.kernel)(d, twin, *arrays[1:])
    return out, twin


def test_every_kernel_of_the_ops_is_called_by_a_sample() -> None:
    batching = {kernel.name for kernel in vars(engine_kernels).values() if isinstance(kernel, Kernel)}
    twins = {f"{name}_integers" for name in Kernel.registry}  # the same functions, made while a tape is planned
    assert Kernel.registry.keys() - batching - twins == CALLS.keys()


@each_dtype
@each_kernel
def test_kernel_equals_its_twin(name: str, dtype: Any, rng: np.random.Generator) -> None:
    for call, shapes, limits in CALLS[name]:
        arrays = operands(call, shapes, limits, dtype, rng)
        for accumulate in (0, 1):
            d = call.d.copy()
            d[call.accumulate_slot] = accumulate
            close(call.kernel, *run_both(call, d, arrays))


@pytest.mark.parametrize("name", ["copy_block", "strided_read", "strided_add", "sum", "spread"])
def test_the_plain_function_of_a_kernel_equals_its_twin_too(name: str, rng: np.random.Generator) -> None:
    """Machine code does not look at bounds, Python does: no slice may end before the loop that goes through it."""
    for call, shapes, limits in CALLS[name]:
        arrays = operands(call, shapes, limits, np.float64, rng)
        out, twin = arrays[0].copy(), arrays[0].copy()
        call.kernel.function.py_func(call.d, out, *arrays[1:])
        naive.twin_of(call.kernel)(call.d, twin, *arrays[1:])
        close(call.kernel, out, twin)


@each_dtype
@each_kernel
def test_accumulating_adds_to_what_is_there(name: str, dtype: Any, rng: np.random.Generator) -> None:
    for call, shapes, limits in CALLS[name]:
        arrays = operands(call, shapes, limits, dtype, rng)
        d = call.d.copy()
        d[call.accumulate_slot] = 0
        fresh = np.zeros_like(arrays[0])
        call.kernel(d, fresh, *arrays[1:])
        d[call.accumulate_slot] = 1
        out = arrays[0].copy()
        call.kernel(d, out, *arrays[1:])
        call.kernel(d, out, *arrays[1:])
        if name in OVERWRITE:
            close(call.kernel, out, fresh)
        elif call.partial or name not in ADD:
            close(call.kernel, out, arrays[0] + 2 * fresh)


@each_kernel
def test_a_kernel_that_does_not_accumulate_ignores_what_is_there(name: str, rng: np.random.Generator) -> None:
    for call, shapes, limits in CALLS[name]:
        if call.partial or name in ADD:
            continue
        arrays = operands(call, shapes, limits, np.float64, rng)
        dirty, other = np.full_like(arrays[0], np.nan), np.full_like(arrays[0], 7.0)
        call.kernel(call.d, dirty, *arrays[1:])
        call.kernel(call.d, other, *arrays[1:])
        untouched = np.isnan(dirty) & (other == 7.0)
        np.testing.assert_array_equal(dirty[~untouched], other[~untouched])
        assert call.kernel.name == "copy_block" or not untouched.any()


@each_kernel
def test_more_rows_are_more_instances(name: str, rng: np.random.Generator) -> None:
    """Where a call has one row, three rows with strides are three calls; stride 0 shares an operand."""
    for call, shapes, limits in CALLS[name]:
        if call.d[0] != 1 or name.startswith("take") or 0 in [size(shapes[role]) for role in call.operands]:
            continue
        for shared in (None, *range(1, len(call.operands))):
            arrays = operands(call, shapes, limits, np.float64, rng, copies=3)
            sizes = [size(shapes[role]) for role in call.operands]
            d = call.d.copy()
            d[0] = 3
            for k, role in enumerate(call.operands):
                d[1 + k] = 0 if k == shared or role == "attr" else sizes[k]
            d[call.accumulate_slot] = 0
            together = np.zeros_like(arrays[0])
            call.kernel(d, together, *arrays[1:])
            single = call.d.copy()
            single[call.accumulate_slot] = 0
            for r in range(3):
                parts = [
                    a[:n] if k == shared or role == "attr" else a[r * n : (r + 1) * n]
                    for k, (a, n, role) in enumerate(zip(arrays, sizes, call.operands, strict=True))
                ]
                alone = np.zeros(sizes[0])
                call.kernel(single, alone, *parts[1:])
                close(call.kernel, together[r * sizes[0] : (r + 1) * sizes[0]], alone)


@each_dtype
@each_kernel
def test_where_the_arrays_lie_does_not_change_a_digit(name: str, dtype: Any, rng: np.random.Generator) -> None:
    """Vector loops fall back to scalar ones where arrays lie close together: with the same result, bit for bit."""
    for call, shapes, limits in CALLS[name][:3]:
        arrays = operands(call, shapes, limits, dtype, rng)
        for accumulate in (0, 1):
            d = call.d.copy()
            d[call.accumulate_slot] = accumulate
            results = set()
            for gap in (0, 1, 3, 8, 17, 64):
                sizes = [a.size + gap for a in arrays]
                buffer, integers = np.zeros(sum(sizes), dtype), np.zeros(sum(sizes), np.int64)
                ends = np.cumsum(sizes)
                placed = []
                for a, end, n in zip(arrays, ends, sizes, strict=True):
                    part = (integers if a.dtype == np.int64 else buffer)[end - n : end - n + a.size]
                    part[:] = a
                    placed.append(part)
                call.kernel(d, *placed)
                results.add(placed[0].tobytes())
            assert len(results) == 1


@each_kernel
def test_no_rows_is_no_work(name: str, rng: np.random.Generator) -> None:
    call, shapes, limits = CALLS[name][0]
    arrays = operands(call, shapes, limits, np.float64, rng)
    before = arrays[0].copy()
    d = call.d.copy()
    d[0] = 0
    call.kernel(d, *arrays)
    np.testing.assert_array_equal(arrays[0], before)
