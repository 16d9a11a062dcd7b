"""Random graphs of ops: gradients against central differences and PyTorch, whatever the shape of the graph.

Each graph is a list of small integers that says which op to record on which earlier tensors, so that failures shrink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tinyseq as ts
from tests import naive
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")

Picks = list[tuple[int, int, int, int]]
graphs = st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=14)
checked = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ROWS, COLUMNS = 3, 4


class Tiny:
    """The functions a graph is made of, for tinyseq; ``Torch`` has the same."""

    tanh, sigmoid, softplus, exp, relu = ts.tanh, ts.sigmoid, ts.softplus, ts.exp, ts.relu
    maximum, softmax, log_softmax = ts.maximum, ts.softmax, ts.log_softmax
    sum, mean, detach = ts.sum, ts.mean, ts.detach

    @staticmethod
    def where(mask: np.ndarray, a: Any, b: Any) -> Any:
        return ts.where(mask, a, b)

    @staticmethod
    def concatenate(a: Any, b: Any) -> Any:
        return ts.concatenate([a, b])

    @staticmethod
    def stacked(a: Any, b: Any) -> Any:
        return ts.sum(ts.stack([a, b]), 0)

    @staticmethod
    def take(a: Any, i: np.ndarray) -> Any:
        return ts.take(a, i)

    @staticmethod
    def norm(a: Any) -> Any:
        return ts.norm(a, -1, True)

    @staticmethod
    def cross_entropy(a: Any, i: np.ndarray) -> Any:
        return ts.expand(ts.cross_entropy(a, i, reduction="none").reshape(ROWS, 1), (ROWS, COLUMNS))

    @staticmethod
    def product(a: Any, b: Any) -> Any:
        return a @ b.T @ b


def torch_functions(torch: Any) -> Any:
    class Torch:
        tanh, sigmoid, exp, relu, maximum = torch.tanh, torch.sigmoid, torch.exp, torch.relu, torch.maximum
        softplus = torch.nn.functional.softplus
        where = staticmethod(lambda m, a, b: torch.where(torch.tensor(m), a, b))
        concatenate = staticmethod(lambda a, b: torch.cat([a, b], -1))
        stacked = staticmethod(lambda a, b: torch.stack([a, b]).sum(0))
        take = staticmethod(lambda a, i: a[torch.tensor(i)])
        softmax = staticmethod(lambda a: torch.softmax(a, -1))
        log_softmax = staticmethod(lambda a: torch.log_softmax(a, -1))
        norm = staticmethod(lambda a: torch.linalg.vector_norm(a, dim=-1, keepdim=True))
        sum = staticmethod(lambda a, d: a.sum(d))
        mean = staticmethod(lambda a, d, k: a.mean(d, keepdim=k))
        detach = staticmethod(lambda a: a.detach())
        product = staticmethod(lambda a, b: a @ b.T @ b)

        @staticmethod
        def cross_entropy(a: Any, i: np.ndarray) -> Any:
            loss = torch.nn.functional.cross_entropy(a, torch.tensor(i), reduction="none")
            return loss[:, None].expand(ROWS, COLUMNS)

    return Torch


def build(F: Any, leaves: list[Any], picks: Picks, smooth: bool, cut: bool) -> Any:
    """Every tensor is (ROWS, COLUMNS). Later tensors are picked more often, so graphs are deep and shared."""
    nodes = list(leaves)
    fold: list[Callable[[Any, Any, int], Any]] = [
        lambda a, b, k: a + b,
        lambda a, b, k: a * b,
        lambda a, b, k: a - 0.5 * b,
        lambda a, b, k: a / (1.0 + F.exp(F.tanh(b))),
        lambda a, b, k: F.tanh(a),
        lambda a, b, k: F.sigmoid(a) * b,
        lambda a, b, k: F.softplus(a),
        lambda a, b, k: F.softmax(a) + b[k % ROWS],
        lambda a, b, k: F.log_softmax(a) * 0.3,
        lambda a, b, k: F.tanh(F.product(a, b)),
        lambda a, b, k: F.concatenate(a[:, : k % COLUMNS], b[:, k % COLUMNS :]),
        lambda a, b, k: F.stacked(a, b),
        lambda a, b, k: F.take(a, np.array([k % ROWS, (k + 1) % ROWS, k % ROWS])),
        lambda a, b, k: a * F.mean(b, 0, True),
        lambda a, b, k: F.sum(a, 0) - b,
        lambda a, b, k: F.where(np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % (k % 5 + 2) == 0, a, b),
        lambda a, b, k: a / (0.5 + F.norm(b)),
        lambda a, b, k: F.cross_entropy(a, np.array([k % COLUMNS, (k // 4) % COLUMNS, 0])),
        lambda a, b, k: (a.T + 0.5).reshape(ROWS, COLUMNS) * b,
    ]
    if not smooth:
        fold += [lambda a, b, k: F.maximum(a, b), lambda a, b, k: F.relu(a)]
    if cut:
        fold += [lambda a, b, k: F.detach(a) * b]
    for op, i, j, k in picks:
        a, b = nodes[-1 - i % min(len(nodes), 4)], nodes[-1 - j % len(nodes)]
        nodes.append(F.tanh(fold[op % len(fold)](a, b, k)))
    return F.sum(nodes[-1] * nodes[len(leaves)], 0)


def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((ROWS, COLUMNS)) for _ in range(3)]


U = np.array([1.0, -0.5, 2.0, 0.3])


@checked
@given(picks=graphs)
def test_gradients_against_central_differences(picks: Picks) -> None:
    def f(*leaves: Any) -> ts.Tensor:
        return build(Tiny, list(leaves), picks, smooth=True, cut=False)

    report = ts.gradcheck(f, *arrays(), directions=2)
    assert report, report


@checked
@given(picks=graphs)
def test_values_and_gradients_against_torch(picks: Picks, torch: Any) -> None:
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays()]
    y = build(torch_functions(torch), theirs, picks, smooth=False, cut=True)
    if y.requires_grad:
        y.backward(torch.tensor(U))

    def f(*leaves: Any) -> ts.Tensor:
        return build(Tiny, list(leaves), picks, smooth=False, cut=True)

    np.testing.assert_allclose(naive.value(f, *arrays()), y.detach().numpy(), rtol=1e-10, atol=1e-12)
    if not y.requires_grad:
        return
    for ours, their in zip(naive.gradients(f, U, *arrays()), theirs, strict=True):
        wanted = np.zeros((ROWS, COLUMNS)) if their.grad is None else their.grad.numpy()
        np.testing.assert_allclose(0 if ours is None else ours, wanted, rtol=1e-9, atol=1e-10)


@checked
@given(picks=graphs, dtype=st.sampled_from([np.float32, np.float64]))
def test_the_tape_of_a_random_graph_verifies_and_runs_twice_alike(picks: Picks, dtype: Any) -> None:
    leaves = [ts.Parameter(a.astype(dtype), "p") for a in arrays()]
    with Tape() as tape:
        y = build(Tiny, leaves, picks, smooth=False, cut=True)
        loss = ts.sum(y) + ts.sum(leaves[0] * 1.0)
    ts.verify(tape)
    assert loss.dtype == dtype
    loss.backward()
    first = [np.array(p.grad) for p in leaves if p.grad is not None]
    loss.backward()
    for p, g in zip([p for p in leaves if p.grad is not None], first, strict=True):
        np.testing.assert_array_equal(p.grad, g)
        assert p.grad is not None and p.grad.dtype == dtype


@checked
@given(
    picks=st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=6),
    steps=st.integers(1, 5),
    delay=st.integers(1, 3),
)
@example(picks=[(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 3, 0)], steps=3, delay=1)  # a row repeated within a recurrence
def test_random_cells_unfold_to_what_a_loop_gives(picks: Picks, steps: int, delay: int) -> None:
    w, start, xs = (*arrays()[:2], np.random.default_rng(1).standard_normal((steps, ROWS, COLUMNS)))
    parameter = ts.Parameter(w, "w")

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(build(Tiny, [x, h, parameter * 1.0], picks, smooth=True, cut=False) + h)
        return h, h

    def stamped() -> ts.Tensor:
        return ts.sum(parameter) + ts.sum(ts.unfold(step, ts.Chain(steps), xs, start, delays=(delay,)).outputs)

    def looped() -> ts.Tensor:
        states = [ts.tensor(start)] * delay
        for t in range(steps):
            states.append(step(ts.tensor(xs[t]), states[-delay])[0])
        return ts.sum(parameter) + ts.sum(ts.stack(states[delay:]))

    found = []
    for run in (stamped, looped):
        with Tape() as tape:
            loss = run()
        ts.verify(tape)
        loss.backward()
        found.append((loss.value, np.array(parameter.grad)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)
