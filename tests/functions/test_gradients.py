"""Recorded gradients: every op's against the executor's, second derivatives against differences and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.ops.samples import SAMPLES, Sample
from tinyseq.errors import GradientError, OpError, TapeError
from tinyseq.functions.vjps import RULES, Passing, recorded
from tinyseq.ops import OPS
from tinyseq.tape import Tape

both = pytest.mark.usefixtures("executor")
# max: its gradient goes to the first of equals, which no op finds; sparse: no op gathers pairs of rows and columns.
NOT_RECORDED = {"max", "sparse"}
DIFFERENTIABLE = [s for s in SAMPLES if OPS[s.op].vjp and s.op not in NOT_RECORDED]


def test_every_op_that_has_a_vjp_has_a_recorded_one() -> None:
    missing = {name for name, op in OPS.items() if op.vjp and not op.slopes and name not in RULES}
    assert missing == NOT_RECORDED


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "there is no op 'nothing'"),
        ("one_hot", "op 'one_hot' passes no gradient on"),
        ("tanh", "op 'tanh' is elementwise: its vjp is recorded from its slopes"),
        ("take", "op 'take' has a recorded vjp already, _through_take"),
    ],
)
def test_a_recorded_vjp_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(OpError, match=message):
        recorded("max", name)(lambda at: at.g)
    assert "max" not in RULES


@both
def test_a_recorded_vjp_of_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(at: Passing) -> ts.Tensor:
        return at.g[:2]

    monkeypatch.setitem(RULES, "softmax", wrong)
    w = ts.Parameter(np.ones(3), "w")
    with Tape():
        x = w * 1.0
        with pytest.raises(GradientError, match=r"of softmax gives float64 \(2,\) for input 0, of float64 \(3,\)"):
            ts.gradients(ts.sum(ts.softmax(x)), [x])


def parameters(sample: Sample) -> tuple[list[Any], list[ts.Parameter]]:
    arguments = [ts.Parameter(x, f"x{i}") if x.dtype.kind == "f" else x for i, x in enumerate(sample.draw())]
    return arguments, [a for a in arguments if isinstance(a, ts.Parameter)]


@both
@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=str)
def test_the_recorded_vjp_is_that_of_the_kernels(sample: Sample) -> None:
    arguments, learned = parameters(sample)
    with Tape() as tape:
        leaves = [p * 1.0 for p in learned]
        supply = iter(leaves)
        y = sample.f(*[next(supply) if isinstance(a, ts.Parameter) else a for a in arguments])
        seed = np.random.default_rng(1).standard_normal(y.shape)
        recorded = ts.gradients(y, leaves, seed)
        tape.backward(y, seed=seed)
        for leaf, g in zip(leaves, recorded, strict=True):
            assert g.shape == leaf.shape
            expected = leaf.grad if leaf.grad is not None else np.zeros(leaf.shape)
            np.testing.assert_allclose(g.value, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=str)
def test_second_derivatives_agree_with_differences(sample: Sample) -> None:
    """Σ u ⊙ ∂(Σ v ⊙ y)/∂x is differentiated again and checked."""
    arguments, learned = parameters(sample)
    rng = np.random.default_rng(2)
    v: list[np.ndarray] = []
    u: list[np.ndarray] = []

    def f() -> ts.Tensor:
        leaves = [p * 1.0 for p in learned]
        supply = iter(leaves)
        y = sample.f(*[next(supply) if isinstance(a, ts.Parameter) else a for a in arguments])
        if not v:
            v.append(rng.standard_normal(y.shape))
            u.extend(rng.standard_normal(p.shape) for p in learned)
        total = sum(p.sum() for p in leaves) * 1e-3  # so that it depends on all
        for w, g in zip(u, ts.gradients(y, leaves, v[0]), strict=True):
            total = total + ts.sum(g * w)
        return total

    assert ts.gradcheck(f, *learned, tolerance=1e-5)


@both
def test_the_hessian_of_a_polynomial() -> None:
    w = ts.Parameter(np.array([1.5, -2.0]), "w")
    with Tape():
        x = w * 1.0
        (first,) = ts.gradients(ts.sum(x * x * x) + x[0] * x[1], [x])
        np.testing.assert_allclose(first.value, [3 * 1.5**2 - 2.0, 3 * 4.0 + 1.5])
        for i, row in enumerate([[6 * 1.5, 1.0], [1.0, 6 * -2.0]]):
            (second,) = ts.gradients(first[i], [x])
            np.testing.assert_allclose(second.value, row)
        first[0].backward()
        np.testing.assert_allclose(w.grad, [9.0, 1.0])


@both
def test_a_recorded_backward_pass_through_time_is_bptt(rng: np.random.Generator) -> None:
    net = ts.nn.RNN(3, 4, 5, rng=rng, dtype=np.float64)
    x, y = rng.standard_normal((6, 2, 3)), rng.integers(0, 5, (6, 2))
    with Tape():
        loss, unfolded = net.losses(x, y)
        states = [unfolded.state(t) for t in range(6)]
        recorded = ts.gradients(loss, states)
        values = [g.value for g in recorded]
        loss.backward()
        for state, value in zip(states, values, strict=True):
            np.testing.assert_allclose(value, state.grad, rtol=1e-12)


@both
def test_recorded_nodes_say_where_they_belong(rng: np.random.Generator) -> None:
    net = ts.nn.RNN(3, 4, 5, rng=rng, dtype=np.float64)
    with Tape() as tape:
        loss, unfolded = net.losses(rng.integers(0, 3, (6, 2)), rng.integers(0, 5, (6, 2)))
        first = len(tape)
        ts.gradients(loss, [unfolded.state(0)])
    nodes = tape.nodes(range(first, len(tape)))
    assert {n.cell for n in nodes} == {"", "∂rnn"}
    assert [n.step for n in nodes if n.op == "matmul" and n.cell] == sorted(
        (n.step for n in nodes if n.op == "matmul" and n.cell), reverse=True
    )
    assert tape.scope == ("", -1)
    ts.verify(tape)


@both
def test_tensors_the_loss_does_not_read_have_zeros() -> None:
    w = ts.Parameter(np.ones(2), "w")
    with Tape():
        x, other = w * 1.0, w * 2.0
        a, b = ts.gradients(ts.sum(x), [x, other])
    np.testing.assert_array_equal(a.value, 1)
    np.testing.assert_array_equal(b.value, 0)


@both
def test_what_cannot_be_recorded() -> None:
    w = ts.Parameter(np.ones(3), "w")
    with Tape():
        x = w * 1.0
        with pytest.raises(GradientError, match=r"max \(node %\d+\) has no vjp that can be recorded"):
            ts.gradients(ts.max(x), [x])
        with pytest.raises(GradientError, match=r"of shape \(3,\) needs a seed of that shape"):
            ts.gradients(x, [x])

        def step(h: ts.Tensor) -> Any:
            h = h * w
            ts.gradients(ts.sum(h), [h])
            return h, h

        with pytest.raises(TapeError, match="recorded after unfold"):
            ts.unfold(step, ts.Chain(3), (), np.ones(3))
