"""Every op on every sample: values, gradients and what its record promises, against independent oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tests.ops.samples import SAMPLES, Sample
from tinyseq.ops import OPS
from tinyseq.ops.op import Site
from tinyseq.tape import INT64

pytestmark = pytest.mark.usefixtures("executor")
WITHOUT_INFLUENCE = {"slice-nothing", "window-none", "constant-number"}  # results that change with no input
each = pytest.mark.parametrize("sample", SAMPLES, ids=str)


def seeded(sample: Sample, dtype: Any = np.float64) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The sample's inputs and a random ∂L/∂y."""
    arrays = sample.draw(dtype)
    y = naive.value(sample.f, *arrays)
    return arrays, np.random.default_rng(1).standard_normal(y.shape).astype(dtype)


def test_every_op_has_a_sample() -> None:
    missing = OPS.keys() - {sample.op for sample in SAMPLES}
    assert not missing, f"these ops have no row in tests/ops/samples.py: {sorted(missing)}"


@each
def test_a_sample_records_its_op_and_the_tape_verifies(sample: Sample) -> None:
    with ts.Tape() as tape:
        y = sample.f(*naive.leaves(sample.draw()))
    assert sample.op in {node.op for node in tape.nodes()}
    ts.verify(tape)
    assert y.shape == y.value.shape and y.dtype == y.value.dtype


@each
def test_value_in_float64(sample: Sample) -> None:
    arrays = sample.draw()
    np.testing.assert_allclose(naive.value(sample.f, *arrays), sample.numpy(*arrays), rtol=1e-14, atol=1e-15)


@each
def test_value_in_float32(sample: Sample) -> None:
    arrays = sample.draw(np.float32)
    y = naive.value(sample.f, *arrays)
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    assert y.dtype == (np.float32 if sample.op != "one_hot" else np.float64)
    np.testing.assert_allclose(y, sample.numpy(*wide), rtol=1e-6, atol=1e-6)


@each
def test_gradient_against_central_differences(sample: Sample) -> None:
    arrays, u = seeded(sample)
    if not any(a.dtype.kind == "f" for a in arrays):
        return
    if sample.op in ("greater", "detach"):
        return
    given = naive.gradients(sample.f, u, *arrays)
    wanted = naive.differences(sample.f, u, *arrays)
    for k, (g, w) in enumerate(zip(given, wanted, strict=True)):
        if k in sample.without_gradient or arrays[k].dtype.kind != "f":
            assert g is None
        else:
            np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-8, err_msg=f"input {k}")


@each
def test_gradient_by_the_public_checker(sample: Sample) -> None:
    arrays = sample.draw()
    places = [k for k, a in enumerate(arrays) if a.dtype.kind == "f" and k not in sample.without_gradient]
    if not places:
        return

    def f(*floats: Any) -> ts.Tensor:
        given: list[Any] = list(arrays)
        for k, x in zip(places, floats, strict=True):
            given[k] = x
        return sample.f(*given)

    report = ts.gradcheck(f, *[arrays[k] for k in places])
    if str(sample) in WITHOUT_INFLUENCE:  # there is nothing to check, and the checker says so
        assert not report and "NOTHING WAS CHECKED" in str(report)
    else:
        assert report, report


@each
def test_value_and_gradient_against_torch(sample: Sample, torch: Any) -> None:
    if sample.torch is None:
        return
    arrays, u = seeded(sample)
    theirs = [
        torch.tensor(a, requires_grad=a.dtype.kind == "f" and k not in sample.without_gradient)
        for k, a in enumerate(arrays)
    ]
    y = sample.torch(torch, *theirs)
    y.backward(torch.tensor(u))
    np.testing.assert_allclose(naive.value(sample.f, *arrays), y.detach().numpy(), rtol=1e-13, atol=1e-14)
    for g, x in zip(naive.gradients(sample.f, u, *arrays), theirs, strict=True):
        if x.grad is not None:
            np.testing.assert_allclose(g, x.grad.numpy(), rtol=1e-12, atol=1e-13)


@each
def test_gradient_in_float32_follows_float64(sample: Sample) -> None:
    arrays, u = seeded(sample)
    if sample.op in ("greater", "detach", "one_hot"):
        return
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    rounded = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in narrow]
    given = naive.gradients(sample.f, u.astype(np.float32), *narrow)
    wanted = naive.gradients(sample.f, u.astype(np.float32).astype(np.float64), *rounded)
    for g, w in zip(given, wanted, strict=True):
        assert (g is None) == (w is None)
        if g is not None and w is not None:
            assert g.dtype == np.float32
            np.testing.assert_allclose(g, w, rtol=3e-6, atol=3e-6)


@each
def test_a_tensor_read_twice_collects_both_gradients(sample: Sample) -> None:
    arrays, u = seeded(sample)
    if not any(a.dtype.kind == "f" for a in arrays) or sample.op in ("greater", "detach"):
        return

    def twice(*x: Any) -> ts.Tensor:
        return sample.f(*x) + 2.0 * sample.f(*x)

    once = naive.gradients(sample.f, u, *arrays)
    both = naive.gradients(twice, u, *arrays)
    for g, h in zip(once, both, strict=True):
        assert (g is None) == (h is None)
        if g is not None:
            np.testing.assert_allclose(h, 3 * g, rtol=1e-13, atol=1e-15)


@each
def test_a_vjp_reads_what_its_record_says(sample: Sample) -> None:
    with ts.Tape() as tape:
        sample.f(*naive.leaves(sample.draw()))
    for node in tape.nodes():
        op = OPS[node.op]
        if not op.vjp:
            continue
        site = Site(node.attrs, node.arg, tuple(tape.node(j).shape for j in node.inputs), node.shape)
        for k, calls in op.vjps(site):
            for call in calls:
                target, *read = call.operands
                assert target == f"gx{k}"
                allowed = {"g", "attr", *op.reads[0 if op.joins else k]}
                assert set(read) <= allowed, f"{op.name}: the vjp by input {k} reads {read}, its record says {allowed}"


def test_no_op_reads_an_unknown_input() -> None:
    for op in OPS.values():
        assert op.reads.keys() == op.vjp.keys(), op.name
        for roles in op.reads.values():
            assert set(roles) <= {"y", *(f"x{i}" for i in range(max(op.arity, 0)))}, op.name


def test_every_op_has_a_symbol_an_equation_and_a_shape_rule_that_refuses_integers() -> None:
    for op in OPS.values():
        assert op.symbol and op.equation, op.name
        if op.arity == 0 or op.name in ("one_hot", "reshape", "transpose", "expand", "slice", "index", "window"):
            continue
        arity = op.arity if op.arity > 0 else 2
        attrs: tuple = (("axis", 0), ("axes", (0, 1)))
        if op.name in ("concatenate", "stack"):
            continue
        with pytest.raises(ts.errors.DtypeError, match="float"):
            op.shape(attrs, ((3, 3),) * arity, (INT64,) * arity)
