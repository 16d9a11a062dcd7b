"""Members of a class that do not lie evenly: some rows, matrices of their own, joins of two classes, lists."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinyseq as ts
from tests.conftest import Planned
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.nn import Cell

T, B, F = 4, 3, 3


def test_products_of_many_matrices_have_a_plan(rng: np.random.Generator) -> None:
    x, w, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, F, F)), rng.standard_normal((T, B, F))
    P = ts.Parameter(rng.standard_normal((T, B, F)), "P")
    with ts.Tape(executor=Planned):
        ts.sum(ts.matmul(ts.tensor(x) * P, ts.tensor(w)) * u).backward()
    np.testing.assert_allclose(P.grad, (u @ w.transpose(0, 2, 1)) * x, rtol=1e-12)


def test_products_of_matrices_that_each_member_has_for_itself(rng: np.random.Generator) -> None:
    x, w, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, F, F)), rng.standard_normal((T, B, F))
    P = ts.Parameter(rng.standard_normal((B, F)), "P")

    def step(x_t: Any, w_t: Any, h: Any) -> Any:
        return h, (x_t * P) @ ts.tanh(w_t)

    with ts.Tape(executor=Planned):
        y = ts.unfold(step, ts.Chain(T), (x, w), np.zeros(1)).outputs
        ts.sum(y * u).backward()
    np.testing.assert_allclose(y.value, (x * P.value) @ np.tanh(w), rtol=1e-12)
    np.testing.assert_allclose(P.grad, (u @ np.tanh(w).transpose(0, 2, 1) * x).sum(0), rtol=1e-12)


def test_gradients_of_products_that_read_some_rows_of_each_member(rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, 2, F))
    P, W = ts.Parameter(rng.standard_normal((B, F)), "P"), ts.Parameter(rng.standard_normal((F, F)), "W")

    def step(x_t: Any, h: Any) -> Any:
        return h, ts.tanh(x_t * P)[:2] @ W

    with ts.Tape(executor=Planned):
        ts.sum(ts.unfold(step, ts.Chain(T), x, np.zeros(1)).outputs * u).backward()
    h = np.tanh(x * P.value)
    inner = np.zeros_like(x)
    inner[:, :2] = u @ W.value.T
    np.testing.assert_allclose(P.grad, (inner * (1 - h**2) * x).sum(0), rtol=1e-12)
    np.testing.assert_allclose(W.grad, np.einsum("tbi,tbj->ij", h[:, :2], u), rtol=1e-12)


def test_a_join_of_members_of_two_classes_whose_numbers_follow_each_other(rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((2, 3, B, F))
    P = ts.Parameter(rng.standard_normal((B, F)), "P")

    def step(x_t: Any, h: Any) -> Any:
        return h, (ts.tanh(x_t * P), ts.exp(x_t * P))

    with ts.Tape(executor=Planned):
        net = ts.unfold(step, ts.Chain(3), x, np.zeros(1))
        made = [net.output(t) for t in range(3)]
        y = ts.stack([made[0][0], made[1][1], made[2][0]])
        loss = ts.sum(y * u)
        for pair in made:
            loss = loss + ts.sum(pair[0]) + ts.sum(pair[1])
        loss.backward()
    p = x * P.value
    wanted = np.stack([np.tanh(p[0]), np.exp(p[1]), np.tanh(p[2])])
    np.testing.assert_allclose(y.value, wanted, rtol=1e-13)
    slope = np.stack([1 - wanted[0] ** 2, wanted[1], 1 - wanted[2] ** 2])
    grad = (u * slope * x).sum(0) + ((1 - np.tanh(p) ** 2 + np.exp(p)) * x).sum(0)
    np.testing.assert_allclose(P.grad, grad, rtol=1e-12)


def test_rows_whose_gradient_nobody_wants_have_a_place_to_go_to(rng: np.random.Generator) -> None:
    """A cell reads now what depends on a parameter and now what does not: its gradients go to both by a list."""
    W, x = ts.Parameter(rng.standard_normal((F, F)), "W"), rng.standard_normal((T, B, F))

    class Grows(Cell):
        name = "grows"

        def step(self, a: Any, h: Any) -> Any:
            h = ts.exp(a) * h
            return h, h

    def step(x_t: Any, h: Any) -> Any:
        return h, (ts.tanh(x_t), ts.tanh(x_t @ W))

    with ts.Tape(executor=ts.Reference):
        net, cell, h = ts.unfold(step, ts.Chain(T), x, np.zeros(1)), Grows(), ts.tensor(np.ones((B, F)))
        for t in range(T):
            h, _ = cell(net.output(t)[t in (0, 3)], h)
        loss = ts.sum(h)
    plan = plan_tape(loss.tape, [loss.index], loss.index)
    assert [s.size for s in plan.storages if s.what == "gradients that nobody wants"] == [B * F]


def test_tables_that_each_member_has_for_itself(rng: np.random.Generator) -> None:
    """All rows that a member takes read one table, which is not that of the next member."""
    tables, u = rng.standard_normal((T, 5, F)), rng.standard_normal((T, 2, F))
    where = rng.integers(0, 5, (T, 2))
    P = ts.Parameter(rng.standard_normal((5, F)), "P")

    def step(table: Any, i: Any, h: Any) -> Any:
        return h, ts.take(table * P, i)

    with ts.Tape(executor=Planned):
        y = ts.unfold(step, ts.Chain(T), (tables, where), np.zeros(1)).outputs
        ts.sum(y * u).backward()
    times = np.arange(T)[:, None]
    np.testing.assert_allclose(y.value, (tables * P.value)[times, where], rtol=1e-13)
    grad = np.zeros((T, 5, F))
    np.add.at(grad, (times, where), u)
    np.testing.assert_allclose(P.grad, (grad * tables).sum(0), rtol=1e-12)
