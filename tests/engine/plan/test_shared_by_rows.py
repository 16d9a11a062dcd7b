"""Steps over sequences of different lengths that read what has no rows of its own: learned scalars, numbers computed
from weights, biases of other axes, weights made in the step. Each sequence run by itself is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.conftest import Planned
from tinyseq.engine.plan import write_gradients
from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.errors import TapeError
from tinyseq.ops.op import Call
from tinyseq.tape.tape import Tape

N, F = 4, 4
LENGTHS = ([3, 6, 4, 6], [1, 2, 5], [2, 2], [4])
SHAPES: dict[str, tuple[int, ...]] = {
    "s": (), "one": (1,), "row": (1, 1), "b": (F,), "W": (F, F), "V": (F, 1), "M": (2, 1), "K": (2, 2), "R": (1, 2, 1),
}  # fmt: skip
Step = Callable[[Any, Any, dict[str, Any]], Any]
STEPS: dict[str, Step] = {
    "a scalar": lambda x, h, p: p["s"] * (x + h),
    "a number in a vector": lambda x, h, p: h - p["one"] * x,
    "a number in a row": lambda x, h, p: p["row"] * x + h,
    "a learned leak": lambda x, h, p: (1 - ts.sigmoid(p["s"])) * h + ts.sigmoid(p["s"]) * (x @ p["W"]),
    "a sum of weights": lambda x, h, p: x + h * ts.sum(p["W"]),
    "a norm of weights": lambda x, h, p: x / ts.norm(p["W"]) + h,
    "weights of norm 1": lambda x, h, p: x + h @ (p["W"] / ts.norm(p["W"], axis=0, keepdims=True)),
    "weights made in the step": lambda x, h, p: x + h @ ts.tanh(p["W"] * p["s"]),
    "a bias along the second axis": lambda x, h, p: flat(split(h) + p["M"]) * x,
    "many matrices times one": lambda x, h, p: x + flat(ts.matmul(split(h), p["K"])),
    "a gate": lambda x, h, p: ts.sigmoid(h @ p["V"]) * x + h,
    "the larger of two": lambda x, h, p: ts.maximum(h, p["one"]) + x * p["b"],
}


def split(h: Any) -> Any:
    return ts.reshape(h, (h.shape[0], 2, 2))


def flat(h: Any) -> Any:
    return ts.reshape(h, (h.shape[0], F))


def parameters(rng: np.random.Generator) -> dict[str, ts.Parameter]:
    return {name: ts.Parameter(rng.standard_normal(shape) * 0.5, name) for name, shape in SHAPES.items()}


def cell(step: Step, given: dict[str, Any]) -> Any:
    def run(x: Any, h: Any) -> Any:
        h = ts.tanh(step(x * given["b"], h, given))
        return h, h

    return run


def gradients(given: dict[str, ts.Parameter]) -> dict[str, np.ndarray]:
    return {name: np.zeros(p.shape) if p.grad is None else p.grad.copy() for name, p in given.items()}


@pytest.mark.parametrize("off", ["", "once", "hoist,once"])
@pytest.mark.parametrize("what", ["outputs", "final"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", STEPS)
def test_lengths_together_are_each_sequence_by_itself(
    rng: np.random.Generator, name: str, lengths: list[int], what: str, off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYSEQ_WITHOUT", off)
    given = parameters(rng)
    xs = [rng.standard_normal((length, 1, F)) for length in lengths]
    initial = rng.standard_normal((len(lengths), F))
    chain = ts.Chain(lengths)
    with Tape(executor=Planned) as tape:
        u = ts.unfold(cell(STEPS[name], given), chain, chain.pack([x[:, 0] for x in xs]), initial)
        loss = ts.sum(getattr(u, what) ** 2)
        plan_tape(tape, [loss.index], loss.index)  # which raises where there is no plan
        tape.backward(loss)
    found = gradients(given)
    for p in given.values():
        p.grad = None
    total = 0.0
    expected = {key: np.zeros(p.shape) for key, p in given.items()}
    for x, h in zip(xs, initial, strict=True):
        with Tape():
            u = ts.unfold(cell(STEPS[name], given), ts.Chain(len(x)), x, h[None])
            alone = ts.sum(getattr(u, what) ** 2)
            alone.backward()
        total += float(alone.value)
        for key, grad in gradients(given).items():
            expected[key] += grad
    assert float(loss.value) == pytest.approx(total, rel=1e-12)
    for key, grad in expected.items():
        np.testing.assert_allclose(found[key], grad, rtol=1e-9, atol=1e-12, err_msg=key)


def parts_alone(graph: Graph, cls: Class, j: int, calls: list[Call]) -> bool:
    """As though rows that add to one place were one write of it."""
    return len(calls) == 1 and not calls[0].partial


@pytest.mark.parametrize("name", ["a learned leak", "a sum of weights", "weights of norm 1"])
@pytest.mark.parametrize("who", ["the pass write", "the elements"])
def test_rows_that_overwrite_each_other_are_refused(
    rng: np.random.Generator, name: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, chain = parameters(rng), ts.Chain([3, 6, 4, 6])
    with Tape() as tape:
        xs = chain.pack([rng.standard_normal((int(n), F)) for n in chain.lengths])
        u = ts.unfold(cell(STEPS[name], given), chain, xs, rng.standard_normal((4, F)))
        loss = ts.sum(u.outputs**2)
    where, off = [loss.index], frozenset({"hoist", "once"})
    verify_plan(plan_tape(tape, where, loss.index, off, check=True))
    monkeypatch.setattr(write_gradients, "writes_whole", parts_alone)
    if who == "the pass write":
        with pytest.raises(TapeError, match=r"^write: .* overwrites the gradient of class .* one after the other"):
            plan_tape(tape, where, loss.index, off, check=True)
    else:
        plan = plan_tape(tape, where, loss.index, off, check=False)
        with pytest.raises(TapeError, match=r"overwrites '∂L/∂.*' by several rows of one call"):
            verify_plan(plan)
