"""Values joined side by side for a product: what flows back to those that want no gradient is not computed."""

from __future__ import annotations

from typing import Any

import pytest

import tinyseq as ts
from tests.engine.machine.test_sharing import B, H, V, numbers, parameter, planned
from tinyseq.engine.plan.pipeline import Plan

T, LENGTHS = 5, [7, 5, 5, 2, 1, 1]


def widths_back(plan: Plan) -> list[int]:
    """Columns of the products that carry a gradient through a recurrence."""
    back = [b for b in plan.blocks if b.recurrent and b.phase != "forward"]
    return [i.d[6] for b in back for i in b.instructions if i.kernel.name == "gemm_packed"]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("place", ["first", "last", "middle"])
def test_only_the_columns_of_the_state_go_back(place: str, learned: bool, lengths: bool) -> None:
    """`learned`: x comes from an embedding, whose columns are wanted too."""
    E = parameter(V, V, name="E")
    others = 2 if place == "middle" else 1
    W, Q = parameter(others * V + H, H), parameter(others * V + H, H, name="Q")
    chain, batch = (ts.Chain(LENGTHS), len(LENGTHS)) if lengths else (ts.Chain(T), B)
    x = numbers(sum(LENGTHS), V) if lengths else numbers(T, batch, V)

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        embedded = x @ E if learned else x
        parts = {"first": [h, embedded], "last": [embedded, h], "middle": [embedded, h, x]}[place]
        joined = ts.concatenate(parts)
        h = ts.tanh(joined @ W) * ts.sigmoid(joined @ Q)
        return h, h

    def build() -> ts.Tensor:
        return ts.sum(ts.unfold(step, chain, ts.tensor(x), ts.tensor(numbers(batch, H, seed=1))).outputs ** 2)

    assert set(widths_back(planned(build))) == {V + H if learned else H}


class Remembers(ts.nn.Cell):
    """Reads what it joined at the step before, the first time something learned."""

    name = "remembers"

    def __init__(self) -> None:
        self.W, self.U = parameter(V + H, H), parameter(V + H, H, name="U")

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, before = state
        joined = ts.concatenate([x, h])
        h = ts.tanh(before @ self.U + joined @ self.W)
        return (h, joined), h


def test_what_stood_before_the_first_gets_all_of_its_gradient() -> None:
    cell, start = Remembers(), parameter(B, V + H, name="start")

    def build() -> ts.Tensor:
        state = ts.tensor(numbers(B, H)), start * 1.0
        return ts.sum(ts.unfold(cell, ts.Chain(T), ts.tensor(numbers(T, B, V)), state).outputs ** 2)

    planned(build)


def test_a_joined_value_that_others_read_gets_all_of_its_gradient() -> None:
    W, E = parameter(V + H, H), parameter(V, V, name="E")

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        joined = ts.concatenate([x @ E, h])
        h = ts.tanh(joined @ W)
        return h, ts.tanh(joined)

    def build() -> ts.Tensor:
        x = ts.tensor(numbers(T, B, V))
        return ts.sum(ts.unfold(step, ts.Chain(T), x, ts.tensor(numbers(B, H, seed=1))).outputs ** 2)

    planned(build)
