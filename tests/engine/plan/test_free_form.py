"""Tapes as people write them in plain loops: planned, and the same as the reference to 1e-10."""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.test_agreement_tapes import Planned
from tinyseq.engine import compiled, plan_cache

B, F, H, V = 2, 3, 4, 5
Weights = dict[str, ts.Parameter]


def weights() -> Weights:
    rng = np.random.default_rng(3)
    shapes = {"U": (F, H), "W": (H, H), "b": (H,), "Q": (H, H), "R": (H, H), "O": (H, V), "E": (V, F)}
    return {name: ts.Parameter(rng.normal(0, 0.4, shape), name) for name, shape in shapes.items()}


def data(T: int, seed: int = 0) -> tuple[ts.Tensor, ts.Tensor]:
    rng = np.random.default_rng(seed)
    return ts.tensor(rng.normal(size=(T, B, F))), ts.tensor(rng.integers(0, V, (T, B)))


def step(p: Weights, x: Any, h: Any) -> ts.Tensor:
    return ts.tanh(x @ p["U"] + h @ p["W"] + p["b"])


def start() -> ts.Tensor:
    return ts.zeros((B, H), np.float64)


class Plain(ts.nn.Cell):
    name = "plain"

    def __init__(self, p: Weights, gate: str = "W") -> None:
        self.p, self.gate = p, gate

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(x @ self.p["U"] + h @ self.p[self.gate] + self.p["b"]).named("h")
        return h, h


def nested(p: Weights) -> Any:
    """Three steps of thought for each step of the sequence."""
    x, y = data(6)
    h, loss = start(), 0.0
    for t in range(6):
        h = step(p, x[t], h)
        for _ in range(3):
            h = ts.tanh(h @ p["Q"]) + 0.5 * h
        loss = ts.cross_entropy(h @ p["O"], y[t], reduction="sum") + loss
    return loss


def in_turn(p: Weights) -> Any:
    """Three cells one after the other, two of one class, and one that is called every second step."""
    x, y = data(8)
    one, two, slow = Plain(p), Plain(p, "Q"), Plain(p, "R")
    h, loss = start(), 0.0
    for t in range(8):
        h, _ = one(x[t], h)
        h, _ = two(x[t], h)
        if t % 2:
            h, _ = slow(x[t], h)
        loss = loss + ts.cross_entropy(h @ p["O"], y[t])
    return loss


def lengths(p: Weights) -> Any:
    """Sequences one by one, each as long as it is."""
    loss: Any = 0.0
    for n, T in enumerate((5, 2, 7, 1, 5, 3)):
        x, y = data(T, n)
        h = start()
        for t in range(T):
            h = step(p, x[t], h)
        loss = loss + ts.cross_entropy(h @ p["O"], y[T - 1])
    return loss / 6


def lists(p: Weights) -> Any:
    """Lists of states: two layers, all states stacked, a mean over them, the last one twice."""
    x, y = data(7)
    layers, tops = [start(), start()], []
    for t in range(7):
        inner = x[t]
        for k in range(2):
            a = inner @ p["U"] if k == 0 else inner @ p["R"]
            layers[k] = ts.tanh(a + layers[k] @ p["W"])
            inner = layers[k]
        tops.append(inner)
    every = ts.stack(tops)
    return ts.sum(every**2) + ts.cross_entropy(
        ts.concatenate([tops[-1], tops[-1]]) @ ts.concatenate([p["O"], p["O"]], 0), y[6]
    )


def delayed(p: Weights) -> Any:
    """h(t) from h(t − 1) and h(t − 3), kept in a deque."""
    x, y = data(9)
    past = deque([start() for _ in range(3)], maxlen=3)
    loss: Any = 0.0
    for t in range(9):
        h = ts.tanh(x[t] @ p["U"] + past[-1] @ p["W"] + past[0] @ p["Q"])
        past.append(h)
        loss = loss + ts.cross_entropy(h @ p["O"], y[t])
    return loss


def cut(p: Weights) -> Any:
    """Truncation by detach at every fourth step."""
    x, y = data(10)
    h, loss = start(), 0.0
    for t in range(10):
        h = step(p, x[t], ts.detach(h) if t % 4 == 0 else h)
        loss = loss + ts.cross_entropy(h @ p["O"], y[t])
    return loss


def tokens(p: Weights) -> Any:
    """Tokens looked up in a loop, the weights of input and output tied."""
    _, y = data(8)
    h, loss = start(), 0.0
    for t in range(7):
        h = step(p, ts.take(p["E"], y[t]), h)
        loss = loss + ts.cross_entropy(h @ p["U"].T @ p["E"].T, y[t + 1], reduction="sum")
    return loss


def own_leaves(p: Weights) -> Any:
    """Arrays of NumPy put on the tape step by step."""
    rng = np.random.default_rng(5)
    h, loss = start(), 0.0
    for _ in range(6):
        h = step(p, rng.normal(size=(B, F)), h) * rng.integers(0, 2, (B, H)).astype(float)
        loss = loss + ts.cross_entropy(h @ p["O"], rng.integers(0, V, B))
    return loss


def both_ways(p: Weights) -> Any:
    """Forwards, backwards, joined step by step; the same weights in both."""
    x, y = data(6)
    there, back = [start()], [start()]
    for t in range(6):
        there.append(step(p, x[t], there[-1]))
    for t in reversed(range(6)):
        back.append(ts.tanh(x[t] @ p["U"] + back[-1] @ p["Q"]))
    loss: Any = 0.0
    for t in range(6):
        loss = loss + ts.cross_entropy((there[t + 1] + back[6 - t]) @ p["O"], y[t])
    return loss


def tree(p: Weights) -> Any:
    """Merges of a list in pairs until one is left."""
    x, y = data(7)
    states = [ts.tanh(x[t] @ p["U"]) for t in range(7)]
    while len(states) > 1:
        states = [ts.tanh(a @ p["W"] + b @ p["Q"]) for a, b in zip(states[::2], states[1::2], strict=False)] + (
            states[-1:] if len(states) % 2 else []
        )
    return ts.cross_entropy(states[0] @ p["O"], y[0])


def teacher(p: Weights) -> Any:
    """Free running: the output is the next input, after two steps of warming up."""
    x, _ = data(6)
    h, fed, loss = start(), x[0], 0.0
    for t in range(5):
        h = step(p, x[t] if t < 2 else fed, h)
        fed = ts.tanh(h @ p["O"] @ p["E"])
        loss = loss + ts.mean(ts.squared_error(fed, x[t + 1]))
    return loss


PROGRAMS: list[Callable[[Weights], Any]] = [
    nested, in_turn, lengths, lists, delayed, cut, tokens, own_leaves, both_ways, tree, teacher,
]  # fmt: skip


def results(build: Callable[[Weights], Any], executor: Any) -> tuple[float, dict[str, Any], ts.Tape]:
    p = weights()
    with ts.Tape(executor) as tape:
        loss = build(p)
    loss.backward()
    return loss.item(), {name: w.grad for name, w in p.items()}, tape


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, grad in expected.items():
        assert (grad is None) == (found[name] is None), name
        if grad is not None:
            np.testing.assert_allclose(found[name], grad, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda build: build.__name__)
def test_a_plain_loop_is_planned_and_gives_the_reference_gradients(build: Callable[[Weights], Any]) -> None:
    value, grads, tape = results(build, Planned)
    ts.verify(tape)
    assert tape.executor.fallback == "" and tape.executor.reference.grads == {}, "run by the reference"
    expected, wanted, _ = results(build, ts.Reference)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_same(grads, wanted)
    assert any(grad is not None and np.abs(grad).max() > 1e-3 for grad in wanted.values())


def test_values_read_in_the_middle_steer_what_is_recorded_after() -> None:
    """A loop that stops, and chooses, by what it reads; two losses; backward twice."""

    def run(executor: Any) -> tuple[list[Any], list[dict[str, Any]]]:
        p = weights()
        with ts.Tape(executor) as tape:
            x, y = data(12)
            h, total, read = start(), 0.0, []
            for t in range(12):
                h = step(p, x[t], h)
                read.append(float(h.value.sum()))
                if read[-1] > 0:
                    h = h @ p["Q"]
                total = total + ts.cross_entropy(h @ p["O"], y[t])
                if total.value.item() > 14:
                    break
            other = ts.sum(h**2) + total
        found = []
        for loss in (total, other, total):
            for parameter in p.values():
                parameter.grad = None
            loss.backward()
            found.append({name: w.grad for name, w in p.items()})
        total.backward(accumulate=True)
        found.append({name: None if w.grad is None else w.grad / 2 for name, w in p.items()})
        ts.verify(tape)
        return [len(tape), *read, total.item()], found

    read, grads = run(Planned)
    expected, wanted = run(ts.Reference)
    np.testing.assert_allclose(read, expected, rtol=1e-12)
    assert 5 < len(read) < 13 and min(read[1:-1]) < 0 < max(read[1:-1])
    for found, known in zip(grads, wanted, strict=True):
        assert_same(found, known)
    assert_same(grads[2], grads[0])
    assert_same(grads[3], grads[0])


@pytest.mark.parametrize("executor", [Planned, ts.Reference])
def test_a_tape_goes_when_its_last_tensor_goes(executor: Any) -> None:
    """Without waiting for the garbage collector, which does not know how large arrays are."""
    p = weights()
    gc.collect()
    gc.disable()
    try:
        with ts.Tape(executor):
            loss = tokens(p)
            unfolded = ts.unfold(Plain(p), ts.Chain(4), data(4)[0], start()).final
            loss = loss + ts.sum(unfolded)
        loss.backward()
        assert loss.item() > 0
        gone = weakref.ref(loss.tape)
        assert gone() is not None
        del loss, unfolded
        assert gone() is None
    finally:
        gc.enable()


def test_plans_kept_are_few_and_hold_no_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "CACHE", plan_cache.PlanCache(3))
    p = weights()
    for T in (2, 3, 4, 5, 6, 4, 5, 6):
        with ts.Tape(Planned):
            x = data(T)[0]
            h = start()
            for t in range(T):
                h = step(p, x[t], h)
            loss = ts.sum(h)
        loss.backward()
        tape = weakref.ref(loss.tape)
        assert len(compiled.CACHE._programs) <= 3
        del loss, h, x
        assert tape() is None


def test_the_same_loop_recorded_again_and_again_keeps_nothing() -> None:
    """What lives after 320 recordings is what lives after 20."""
    p = weights()

    def once() -> None:
        with ts.Tape(Planned):
            loss = delayed(p)
        loss.backward()

    def alive() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(20):
        once()
    before = alive()
    for _ in range(300):
        once()
    assert alive() - before < 50
