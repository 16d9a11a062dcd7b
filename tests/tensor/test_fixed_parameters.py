"""Fixed parameters, the weights of a reservoir: they take part in the forward pass, and nothing ever changes them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.train import SGD, Adam

T, B = 40, 2


def net(rng: np.random.Generator, **fixed: bool) -> tuple[dict[str, ts.Parameter], np.ndarray]:
    shapes = {"W": (4, 4), "U": (4, 3), "V": (2, 4)}
    p = {
        name: ts.Parameter(0.4 * rng.standard_normal(shape), name, trainable=not fixed.get(name, False))
        for name, shape in shapes.items()
    }
    return p, rng.standard_normal((T, B, 3))


def loss(p: dict[str, ts.Parameter], x: np.ndarray) -> ts.Tensor:
    def step(x, h):
        h = ts.tanh(ts.linear(h, p["W"]) + ts.linear(x, p["U"])).named("h")
        return h, ts.linear(h, p["V"])

    return ts.sum(ts.unfold(step, ts.Chain(T), x, ts.zeros((B, 4), np.float64)).outputs ** 2)


def gradients(seed: int, **fixed: bool) -> dict[str, np.ndarray | None]:
    p, x = net(np.random.default_rng(seed), **fixed)
    with ts.Tape() as tape:
        L = loss(p, x)
    ts.verify(tape)
    L.backward()
    return {name: parameter.grad for name, parameter in p.items()}


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("fixed", [("W",), ("W", "U"), ("V",)])
def test_a_fixed_parameter_has_no_gradient_and_the_others_keep_theirs(fixed: tuple[str, ...]) -> None:
    free, held = gradients(3), gradients(3, **dict.fromkeys(fixed, True))
    for name, grad in held.items():
        if name in fixed:
            assert grad is None
        else:
            np.testing.assert_allclose(grad, free[name], rtol=1e-12)


@pytest.mark.usefixtures("executor")
def test_accumulating_leaves_a_fixed_parameter_without_a_gradient(rng: np.random.Generator) -> None:
    p, x = net(rng, W=True)
    with ts.Tape():
        L = loss(p, x)
    L.backward()
    once = p["V"].grad.copy()
    L.backward(accumulate=True)
    assert p["W"].grad is None
    np.testing.assert_allclose(p["V"].grad, 2 * once, rtol=1e-14)


@pytest.mark.usefixtures("executor")
def test_a_loss_of_fixed_parameters_alone_says_what_is_missing(rng: np.random.Generator) -> None:
    p, x = net(rng, W=True, U=True, V=True)
    with ts.Tape():
        L = loss(p, x)
    with pytest.raises(ts.errors.GradientError, match="without trainable=False"):
        L.backward()


def test_compiled_functions_read_fixed_parameters_as_they_are_now(rng: np.random.Generator) -> None:
    p, x = net(rng, W=True, U=True)
    compiled = ts.compile(lambda x: loss(p, x))
    first = compiled.backward(x)
    assert p["W"].grad is None and p["U"].grad is None and p["V"].grad is not None
    p["W"].value *= 0.5
    with ts.Tape(ts.Reference):
        assert compiled.backward(x) == pytest.approx(loss(p, x).item(), rel=1e-13) != first


def test_a_plan_has_no_way_back_through_a_fixed_recurrence(rng: np.random.Generator) -> None:
    def blocks(**fixed: bool) -> list[str]:
        p, x = net(rng, **fixed)
        return [block.note for block in ts.compile(lambda x: loss(p, x))._version((x,)).program(True).plan.blocks]

    assert any(note.startswith("backward through") for note in blocks())
    assert not any(note.startswith("backward through") for note in blocks(W=True, U=True))


def test_optimisers_leave_fixed_parameters_alone(rng: np.random.Generator) -> None:
    for rule in (SGD, Adam):
        p, x = net(rng, W=True)
        before, array = p["W"].value.copy(), p["W"].value
        optimiser = rule(list(p.values()), 0.1)
        assert [q.name for q in optimiser.parameters] == ["U", "V"]
        with ts.Tape():
            loss(p, x).backward()
        optimiser.step()
        assert p["W"].value is array and np.array_equal(array, before)
    with pytest.raises(ts.TinyseqError, match="fixed"):
        SGD([p["W"]], 0.1)


def test_gradients_beside_fixed_parameters_pass_gradcheck(rng: np.random.Generator) -> None:
    p, x = net(rng, W=True, U=True)
    assert ts.gradcheck(lambda: loss(p, x), p["V"])


def test_a_copy_stays_fixed_and_the_name_says_so() -> None:
    W = ts.Parameter(np.ones((2, 2)), "W", trainable=False)
    assert not copy.deepcopy(W).trainable
    assert repr(W) == "Parameter(W, (2, 2), float64, fixed)"
