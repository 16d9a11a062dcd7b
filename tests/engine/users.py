"""What a user's function gives by plan, in one to three threads, beside the reference executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinyseq as ts
from tests.engine.agreement import planned, reference
from tinyseq.engine.plan.pipeline import Plan, plan_tape


def recorded(f: Callable[..., Any], *arrays: np.ndarray) -> tuple[ts.Tape, int]:
    """A function of tensors on a tape of its own, and its loss."""
    with ts.Tape(executor=ts.Reference) as tape:
        loss = f(*[ts.tensor(a) for a in arrays])
    return tape, loss.index


def plan_of(f: Callable[..., Any], *arrays: np.ndarray) -> Plan:
    """The plan for a function's loss and its gradients."""
    tape, loss = recorded(f, *arrays)
    return plan_tape(tape, [loss], loss)


def agree(f: Callable[..., Any], *arrays: np.ndarray, threads: Sequence[int] = (1, 2, 3), plans: bool = True) -> None:
    """The loss and all gradients by plan are the reference's, NaN in the same places; the plan is verified."""
    for count in threads:
        tape, loss = recorded(f, *arrays)
        expected = reference(tape, [loss], loss)
        found = planned(tape, [loss], loss, count)
        assert not (plans and found.reason), found.reason
        if found.reason:
            continue
        np.testing.assert_allclose(found.values[loss], expected.values[loss], rtol=1e-10, atol=1e-12)
        for i, grad in expected.gradients.items():
            other = found.gradients[i]
            if grad is None:
                assert other is None or not other.any()
            else:
                assert other is not None
                scale = np.nanmax(np.abs(grad), initial=1e-300)
                np.testing.assert_allclose(other, grad, rtol=1e-9, atol=1e-10 * scale)


def parameter(rng: np.random.Generator, *shape: int, scale: float = 0.6) -> ts.Parameter:
    """Some numbers to learn."""
    return ts.Parameter(rng.normal(0, scale, shape), "P" + "x".join(map(str, shape)))


def attending(rng: np.random.Generator, H: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A step of one sequence, its state beside an attention over four rows of a memory: scores of [query; place]."""
    W, V, A = parameter(rng, H, H), parameter(rng, 2 * H, H), parameter(rng, H, H)
    M = rng.normal(size=(4, H))

    def attend(h: Any) -> Any:
        both = ts.concatenate([ts.expand(h @ A, (4, H)), ts.tensor(M)], axis=1)
        return ts.softmax(ts.reshape(ts.sum(ts.tanh(both @ V), axis=1), (1, 4))) @ ts.tensor(M)

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h @ W + x + attend(h))
        return h, h

    return step
