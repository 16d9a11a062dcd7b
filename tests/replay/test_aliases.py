"""Arrays that share memory: what a call reads is what its inputs held when it was made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts


def square(seed: int = 0) -> ts.Parameter:
    return ts.Parameter(np.random.default_rng(seed).normal(size=(5, 5)), "W")


def gradient(W: np.ndarray, g: np.ndarray) -> np.ndarray:
    """∂/∂W Σ 1.5 tanh(g W), in NumPy."""
    return g.T @ (1.5 * (1 - np.tanh(g @ W) ** 2))


VIEWS: dict[str, Any] = {
    "itself": lambda g: g,
    "a view": lambda g: g[:],
    "reversed": lambda g: g[::-1],
    "transposed": lambda g: g.T,
    "of a copy's copy": lambda g: g.copy()[:],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_gradient_may_be_the_next_input(view: Any) -> None:
    W = square()
    run = ts.compile(lambda g: ts.sum(ts.tanh(g @ W) * 1.5))
    x = np.random.default_rng(1).normal(size=(5, 5))
    run.backward(x)
    for _ in range(4):
        given = view(W.grad)
        expected = gradient(W.value, np.array(given))
        run.backward(given)
        np.testing.assert_allclose(W.grad, expected, rtol=1e-11)


def test_memory_of_a_program_may_be_an_input() -> None:
    """Whatever it is a view of: gradients, values, part of either."""
    W = square()
    run = ts.compile(lambda g: (ts.sum(ts.tanh(g @ W) * 1.5), ts.tanh(g @ W)))
    run.backward(np.random.default_rng(1).normal(size=(5, 5)))
    version = next(iter(run.versions()))
    program = version.program(True)
    for memory in (program.gradients(), {node: program.value(node) for node in version.nodes[1:]}):
        for array in memory.values():
            given = array.reshape(5, 5)
            expected = gradient(W.value, given.copy())
            run.backward(given)
            np.testing.assert_allclose(W.grad, expected, rtol=1e-11)


def test_a_gradient_given_to_another_shape_and_to_several_arguments() -> None:
    W = square()
    run = ts.compile(lambda a, b: ts.sum(ts.tanh(a @ W)) + ts.sum(b * b))
    run.backward(np.ones((5, 5)), np.ones((5, 5)))
    g, keep = W.grad, W.grad.copy()
    loss = run.backward(g[:3], g)
    np.testing.assert_allclose(loss, np.tanh(keep[:3] @ W.value).sum() + (keep**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(W.grad, keep[:3].T @ (1 - np.tanh(keep[:3] @ W.value) ** 2), rtol=1e-11)


def test_a_parameter_whose_value_is_a_gradient() -> None:
    W = square()
    run = ts.compile(lambda x: ts.sum(ts.tanh(x @ W) * 1.5))
    x = np.random.default_rng(1).normal(size=(5, 5))
    run.backward(x)
    before = W.grad.copy()
    W.value = W.grad
    run.backward(x)
    np.testing.assert_allclose(W.grad, gradient(before, x), rtol=1e-11)


def test_a_parameters_value_and_views_of_it_may_be_inputs() -> None:
    W = square()
    run = ts.compile(lambda x: ts.sum(ts.tanh(x @ W) * 1.5))
    for given in (W.value, W.value[::-1], W.value.T):
        run.backward(given)
        np.testing.assert_allclose(W.grad, gradient(W.value, np.array(given)), rtol=1e-11)


def test_inputs_that_overlap_each_other() -> None:
    W = square()
    run = ts.compile(lambda a, b: ts.sum(ts.tanh(a @ W) * b))
    memory = np.random.default_rng(2).normal(size=(9, 5))
    a, b = memory[:5], memory[3:8]
    np.testing.assert_allclose(run.backward(a, b), (np.tanh(a @ W.value) * b).sum(), rtol=1e-12)
    np.testing.assert_allclose(W.grad, a.T @ (b * (1 - np.tanh(a @ W.value) ** 2)), rtol=1e-11)


def test_states_handed_on_are_not_overwritten() -> None:
    W = square()

    def loss(h: Any) -> Any:
        h = ts.tanh(h @ W)
        return ts.sum(h), h

    run, h = ts.compile(loss), np.ones((2, 5))
    expected = h
    states = []
    for _ in range(5):
        _, h = run.backward(h)
        expected = np.tanh(expected @ W.value)
        states.append((h, expected))
    for found, wanted in states:
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_tape_reads_what_its_arrays_held_when_it_was_recorded() -> None:
    W = square()
    x = np.random.default_rng(1).normal(size=(5, 5))
    keep = x.copy()
    with ts.Tape():
        loss = ts.sum(ts.tanh(ts.tensor(x) @ W) * 1.5)
    assert loss.value is not None
    x[:] = 0
    loss.backward()
    np.testing.assert_allclose(W.grad, gradient(W.value, keep), rtol=1e-11)
    with ts.Tape():
        again = ts.sum(ts.tanh(ts.tensor(W.grad) @ W) * 1.5)
    keep = W.grad.copy()
    again.backward()
    np.testing.assert_allclose(W.grad, gradient(W.value, keep), rtol=1e-11)
