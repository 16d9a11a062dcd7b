"""What all members of a level share, read element by element: masks, scales and context in cells over trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.users import agree, parameter, plan_of
from tinyseq.engine.validation.check import verify_plan
from tinyseq.errors import TapeError

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


@pytest.mark.parametrize("B", [1, 2])
@pytest.mark.parametrize("step", [-1, -2, 2])
def test_a_sequence_read_backwards_beside_the_recurrence(B: int, step: int, rng: np.random.Generator) -> None:
    """A kernel's rows go forwards: members that lie the other way are run one by one."""
    W, times = parameter(rng, H, H), range(8)[::step]

    def f(x: Any) -> Any:
        return ts.sum(ts.stack([ts.tanh(x[t]) @ W for t in [*times, *times, *times]]) ** 2)

    agree(f, rng.normal(size=(8, B, H)))


def test_a_kernel_that_steps_backwards_is_refused(rng: np.random.Generator) -> None:
    W = parameter(rng, H, H)
    plan = plan_of(lambda x: ts.sum(ts.stack([ts.tanh(x[t] @ W) for t in range(12)])), rng.normal(size=(12, 2, H)))
    tanh = next(i for block in plan.blocks for i in block.instructions if i.kernel.name == "tanh")
    tanh.d[2] = -tanh.d[2]
    with pytest.raises(TapeError, match="steps backwards"):
        verify_plan(plan)
