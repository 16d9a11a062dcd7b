"""What all members of a level share, read element by element: masks, scales and context in cells over trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.users import agree, parameter, plan_of

H = 3
BODIES = {
    "a mask": lambda h, s, mask: ts.where(mask > 0, h, 0.5 * h),
    "a learned scale": lambda h, s, mask: h * s + ts.tanh(s),
    "both": lambda h, s, mask: ts.maximum(h * s, mask * h),
}


@pytest.mark.parametrize("shape", [(H,), (1, H), (2, H)])
@pytest.mark.parametrize("name", BODIES)
def test_in_a_tree(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    W, s, body = parameter(rng, H, H), parameter(rng, *shape), BODIES[name]
    mask = (rng.random(shape) > 0.5).astype(float)

    class Net(ts.nn.Cell):
        name = "net"

        def leaf(self, x: Any) -> Any:
            return ts.tanh(x)

        def merge(self, a: Any, b: Any) -> Any:
            return ts.tanh(body(a + b, s, ts.tensor(mask)) @ W)

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(Net(), ts.Tree.balanced(6), x).root ** 2)

    agree(f, rng.normal(size=(6, *shape)))


@pytest.mark.parametrize("name", BODIES)
def test_beside_a_chain_for_all_steps_at_once(name: str, rng: np.random.Generator) -> None:
    W, s, body = parameter(rng, H, H), parameter(rng, 2, H), BODIES[name]
    mask = (rng.random((2, H)) > 0.5).astype(float)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(body(h, s, ts.tensor(mask)) @ W + body(x, s, ts.tensor(mask)))
        return h, body(h, s, ts.tensor(mask))

    def f(x: Any) -> Any:
        return ts.sum(ts.unfold(step, ts.Chain(5), x, ts.zeros((2, H), np.float64)).outputs ** 2)

    x = rng.normal(size=(5, 2, H))
    agree(f, x)
    assert all(block.levels == 1 for block in plan_of(f, x).blocks if not block.recurrent)
