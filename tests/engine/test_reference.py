"""The reference executor by itself: what it computes when, and its protocol."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine import reference
from tinyseq.engine.reference import Reference
from tinyseq.errors import DataError, GradientError
from tinyseq.tape import Tape


def tape_of(n: int = 3) -> tuple[Tape, list[ts.Tensor], ts.Parameter]:
    w = ts.Parameter(np.array([0.5, -0.25]), "w")
    with Tape(executor=Reference) as tape:
        nodes = [w * 1.0]
        for _ in range(n):
            nodes.append(ts.tanh(nodes[-1]))
    return tape, nodes, w


def test_recording_computes_nothing_and_asking_computes_what_is_needed() -> None:
    tape, nodes, _ = tape_of()
    executor = tape.executor
    assert executor.values == {}
    np.testing.assert_allclose(nodes[1].value, np.tanh([0.5, -0.25]), rtol=1e-14)
    assert sorted(executor.values) == [0, 1, 2]
    seen = executor.values[2]
    assert nodes[3].value is not None and executor.values[2] is seen


def test_every_node_below_the_loss_has_a_gradient_and_no_other() -> None:
    tape, nodes, _ = tape_of()
    with tape:
        loss = ts.sum(nodes[2])
        beside = ts.exp(nodes[1])
    loss.backward()
    assert set(tape.executor.grads) == {0, 1, 2, 3, loss.index}
    assert beside.grad is None and nodes[3].grad is None


def test_the_executor_is_handed_to_the_tape() -> None:
    class Counting(Reference):
        calls = 0

        def forward(self, index: int) -> None:
            type(self).calls += 1
            super().forward(index)

    with Tape(executor=Counting) as tape:
        x = ts.tensor([1.0]) * 2.0
    assert isinstance(tape.executor, Counting) and x.value == 2.0 and Counting.calls == 1


def test_the_two_loops_fit_on_a_screen() -> None:
    for loop in (reference.Reference.forward, reference.Reference.backward):
        assert len(inspect.getsource(loop).splitlines()) <= 24
        assert inspect.getsource(loop).count("for ") <= 6


def test_terms_are_the_summands_of_a_gradient_last_use_first() -> None:
    w = ts.Parameter(np.array([2.0]), "w")
    with Tape(executor=Reference) as tape:
        a = w * 3.0
        b = a * w
        loss = ts.sum(b * b + w)
    with pytest.raises(GradientError, match=r"run loss\.backward"):
        tape.executor.terms(w)
    loss.backward()
    terms = tape.executor.terms(w)
    assert [tape.node(node).op for node, _, _ in terms] == ["add", "mul", "affine"]
    assert [step for _, step, _ in terms] == [-1, -1, -1]
    # b = 3w²: L = 9w⁴ + w
    np.testing.assert_allclose([term for _, _, term in terms], [[1], [2 * 12 * 6], [2 * 12 * 2 * 3]])
    np.testing.assert_allclose(sum(term for _, _, term in terms), w.grad)


def test_bounds_of_integer_leaves_follow_leaves_that_move() -> None:
    """Leaves made in a step move when it is folded: their bounds must move with them."""
    W = ts.Parameter(np.eye(9), "W")
    small, large = np.array([0, 1]), np.array([7, 8])

    def step(h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = h + ts.take(W, small) + ts.take(W, large)
        return h, h

    with Tape(executor=Reference) as tape:
        ts.unfold(step, ts.Chain(3), (), np.zeros((2, 9)))
        for limit in (3, 9):
            table = ts.Parameter(np.ones(limit), "table")
            for leaf in [n.index for n in tape.nodes() if n.op == "input" and n.dtype == np.int64]:
                low, high = tape.executor.bounds(leaf)
                assert (low, high) == (tape.executor.values[leaf].min(), tape.executor.values[leaf].max())
        with pytest.raises(DataError, match=r"[78] is out of range"):
            ts.take(table[:3], large)


def test_values_of_leaves_are_not_the_callers_arrays() -> None:
    x, w = np.ones(2), ts.Parameter(np.ones(2), "w")
    with Tape(executor=Reference):
        y = ts.tensor(x) * w
    assert y.value is not None
    x[...] = 3
    w.value[...] = 5
    np.testing.assert_array_equal(y.value, 1)
