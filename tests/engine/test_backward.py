"""What backward does to gradients: it sets them, once, for all that the loss depends on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")


def chain_of(w: ts.Parameter) -> tuple[Tape, ts.Tensor, list[ts.Tensor]]:
    with Tape() as tape:
        a = w * 3.0
        b = ts.tanh(a)
        loss = ts.sum(b * b)
    return tape, loss, [a, b]


def weights() -> ts.Parameter:
    return ts.Parameter(np.array([0.1, -0.4, 0.7]), "w")


def closed_form(w: np.ndarray) -> np.ndarray:
    """d/dw Σ tanh²(3w)."""
    return 2 * np.tanh(3 * w) * (1 - np.tanh(3 * w) ** 2) * 3


def test_gradients_are_none_before_backward_and_where_the_loss_does_not_reach() -> None:
    w, other = weights(), ts.Parameter(np.ones(3), "other")
    tape, loss, (a, b) = chain_of(w)
    assert w.grad is None and a.grad is None and loss.grad is None
    with tape:
        aside = ts.sum(other * b)
        after = loss * 2.0
    assert aside.value.shape == ()
    assert w.grad is None
    loss.backward()
    np.testing.assert_allclose(w.grad, closed_form(w.value), rtol=1e-13)
    assert other.grad is None and aside.grad is None and after.grad is None
    np.testing.assert_array_equal(loss.grad, 1.0)
    np.testing.assert_allclose(b.grad, 2 * b.value, rtol=1e-14)
    np.testing.assert_allclose(a.grad, 2 * b.value * (1 - b.value**2), rtol=1e-13)


def test_a_second_backward_sets_the_same_gradients() -> None:
    w = weights()
    _, loss, _ = chain_of(w)
    loss.backward()
    first = np.array(w.grad)
    loss.backward()
    np.testing.assert_array_equal(w.grad, first)


def test_accumulate_adds_to_parameters() -> None:
    w = weights()
    _, loss, (a, _) = chain_of(w)
    loss.backward()
    first, inner = np.array(w.grad), np.array(a.grad)
    loss.backward(accumulate=True)
    np.testing.assert_allclose(w.grad, 2 * first, rtol=1e-15)
    np.testing.assert_array_equal(a.grad, inner)
    _, again, _ = chain_of(w)
    again.backward(accumulate=True)
    np.testing.assert_allclose(w.grad, 3 * first, rtol=1e-15)
    w.grad = None
    again.backward(accumulate=True)
    np.testing.assert_array_equal(w.grad, first)


def test_backward_of_another_loss_replaces_all_gradients() -> None:
    w, v = weights(), ts.Parameter(np.ones(3), "v")
    with Tape():
        one = ts.sum(w * v)
        two = ts.sum(v * v)
    one.backward()
    two.backward()
    np.testing.assert_array_equal(v.grad, [2, 2, 2])
    assert w.grad is None and one.grad is None


def test_a_gradient_is_the_users_to_keep() -> None:
    w = weights()
    _, loss, _ = chain_of(w)
    loss.backward()
    kept, copy = w.grad, np.array(w.grad)
    assert kept is not None
    w.value[...] = 0.5
    loss.backward()
    np.testing.assert_array_equal(kept, copy)
    kept[...] = 0
    loss.backward()
    np.testing.assert_array_equal(w.grad, copy)


def test_a_node_with_two_readers_adds_both_gradients() -> None:
    w = weights()
    with Tape():
        a = ts.exp(w)
        loss = ts.sum(a * a) + ts.sum(ts.tanh(a)) + ts.sum(a)
    loss.backward()
    e = np.exp(w.value)
    np.testing.assert_allclose(w.grad, (2 * e + 1 - np.tanh(e) ** 2 + 1) * e, rtol=1e-13)


def test_a_seed_weighs_the_elements_of_a_tensor() -> None:
    w = weights()
    with Tape() as tape:
        y = w * w
    tape.backward(y, seed=np.array([1.0, 0.0, -2.0]))
    np.testing.assert_allclose(w.grad, 2 * w.value * [1, 0, -2])
    y.backward(seed=[1, 1, 1])
    np.testing.assert_allclose(w.grad, 2 * w.value)
    y.backward(seed=np.arange(6.0)[::2])
    np.testing.assert_allclose(w.grad, 2 * w.value * [0, 2, 4])
    with tape:
        total = ts.sum(y)
    total.backward(seed=3.0)
    np.testing.assert_allclose(w.grad, 6 * w.value)


def test_the_seed_is_not_changed() -> None:
    w, seed = weights(), np.array([1.0, 2.0, 3.0])
    with Tape():
        y = w + w
        z = y + w
    z.backward(seed=seed)
    np.testing.assert_array_equal(seed, [1, 2, 3])
    np.testing.assert_array_equal(w.grad, 3 * seed)


def test_detach_lets_the_value_cross_and_not_the_gradient() -> None:
    w = weights()
    with Tape():
        a = w * 2.0
        cut = ts.detach(a)
        loss = ts.sum(cut * a)
    np.testing.assert_array_equal(cut.value, a.value)
    loss.backward()
    np.testing.assert_allclose(w.grad, 2 * cut.value)  # not 4 w · 2
    assert cut.grad is not None and a.detach().value is not None


def test_input_leaves_get_gradients_too() -> None:
    w = weights()
    with Tape():
        x, i = ts.tensor(np.array([1.0, 2.0, 3.0])), ts.tensor([0, 1, 2])
        loss = ts.sum(ts.take(w * x, i))
    loss.backward()
    np.testing.assert_allclose(x.grad, w.value)
    assert i.grad is None


def test_parameter_leaf_and_parameter_have_the_same_gradient() -> None:
    w = weights()
    tape, loss, _ = chain_of(w)
    loss.backward()
    node = tape.node_of(w)
    assert node is not None
    np.testing.assert_array_equal(tape.executor.grad(node), w.grad)


# -- values --------------------------------------------------------------------------------------------------------
def test_values_read_between_ops_do_not_disturb_recording() -> None:
    w = weights()
    with Tape() as tape:
        h = w * 1.0
        seen = []
        for _ in range(5):
            h = ts.tanh(h)
            seen.append(np.array(h.value))
            assert len(tape.kind) == len(tape)
        loss = ts.sum(h)
        before = loss.value
        extra = loss * 2.0
    np.testing.assert_array_equal(extra.value, 2 * before)
    ts.verify(tape)
    loss.backward()
    middle = np.array(w.grad)
    with Tape() as other:
        g = w * 1.0
        for _ in range(5):
            g = ts.tanh(g)
        ts.sum(g).backward()
    assert tape.same_graph(other) is False  # the extra node
    np.testing.assert_allclose(middle, w.grad, rtol=1e-14)
    expected = w.value
    for value in seen:
        expected = np.tanh(expected)
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_recording_goes_on_after_backward() -> None:
    w = weights()
    tape, loss, (_, b) = chain_of(w)
    loss.backward()
    with tape:
        more = loss + ts.sum(b)
    more.backward()
    t = np.tanh(3 * w.value)
    np.testing.assert_allclose(w.grad, closed_form(w.value) + 3 * (1 - t * t), rtol=1e-13)


def test_a_value_is_computed_once_and_parameters_may_change_afterwards() -> None:
    w = weights()
    _, _, (a, _) = chain_of(w)
    before = np.array(a.value)
    w.value[...] = 9.0
    np.testing.assert_array_equal(a.value, before)
    _, _, (fresh, _) = chain_of(w)
    np.testing.assert_array_equal(fresh.value, 27.0)


def test_an_array_may_change_after_it_was_put_on_the_tape() -> None:
    x = np.ones(3)
    with Tape():
        t = ts.tensor(x)
        x[...] = 5.0
        np.testing.assert_array_equal((t * 2.0).value, 2.0)


def test_integers_have_values_and_no_gradients() -> None:
    with Tape():
        i = ts.tensor([[1, 2], [3, 4]])
        assert i.dtype == np.int64 and i[1].value.tolist() == [3, 4]
        assert i.reshape(4)[2].item() == 3


# -- long chains: no recursion anywhere -----------------------------------------------------------------------------
def long_chain(n: int) -> None:
    """x ← 1·x + 1/n, n times, then the same with a weight: values and gradients in closed form."""
    w = ts.Parameter(np.array([1.0]), "w")
    with Tape() as tape:
        h = w * 1.0
        for _ in range(n // 2):
            h = h + 1.0 / n
        for _ in range(n // 2):
            h = h * (1.0 + 1.0 / n)
        loss = ts.sum(h)
    assert len(tape) > n
    ts.verify(tape)
    growth = (1 + 1 / n) ** (n // 2)
    np.testing.assert_allclose(loss.value, 1.5 * growth, rtol=1e-7)
    loss.backward()
    np.testing.assert_allclose(w.grad, growth, rtol=1e-7)
    assert tape.node(n // 2).op == "affine" and len(tape.dump(5).splitlines()) == 6


def test_a_chain_of_100_000_ops_records_runs_and_differentiates() -> None:
    long_chain(100_000)


@pytest.mark.slow
def test_a_chain_of_1_000_000_ops_records_runs_and_differentiates() -> None:
    long_chain(1_000_000)


def test_a_chain_unfolded_over_many_steps_differentiates() -> None:
    w = ts.Parameter(np.array([0.9]), "w")
    steps = 20_000
    with Tape():
        y = ts.unfold(lambda h: ((n := h * w + 0.1), n), ts.Chain(steps), (), np.zeros(1)).final
        loss = ts.sum(y)
    loss.backward()
    np.testing.assert_allclose(loss.value, 0.1 / (1 - 0.9), rtol=1e-12)
    # d/dw 0.1/(1−w)
    np.testing.assert_allclose(w.grad, 0.1 / (1 - 0.9) ** 2, rtol=1e-9)


def test_two_tapes_keep_their_gradients_apart(rng: np.random.Generator) -> None:
    w: Any = weights()
    _, one, _ = chain_of(w)
    with Tape():
        two = ts.sum(w * 2.0)
    one.backward()
    kept = np.array(w.grad)
    two.backward()
    np.testing.assert_array_equal(w.grad, 2.0)
    one.backward()
    np.testing.assert_array_equal(w.grad, kept)
