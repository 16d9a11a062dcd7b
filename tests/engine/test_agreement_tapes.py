"""The compiled executor on tapes: the reference's protocol, with plans behind it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.strategies import Graph, seeded
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.engine.plan_cache import CACHE
from tinyseq.errors import DataError, FallbackWarning, GradientError, ShapeError


class Planned(ts.Compiled):
    """Plans tapes of any size."""

    small = 0


Gradients = dict[str, np.ndarray | None]


def net(seed: int = 1) -> ts.nn.RNN:
    return ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(seed), dtype=np.float64)


def record(model: ts.nn.RNN, executor: Any, seed: int = 2, T: int = 6, B: int = 3) -> tuple[ts.Tape, ts.Tensor, Any]:
    rng = np.random.default_rng(seed)
    with ts.Tape(executor=executor) as tape:
        loss, unfolded = model.losses(rng.normal(size=(T, B, 3)), rng.integers(0, 3, (T, B)))
    return tape, loss, unfolded


def gradients(model: ts.nn.RNN) -> Gradients:
    return {name: None if p.grad is None else p.grad.copy() for name, p in model.named_parameters()}


def assert_same(found: Gradients, expected: Gradients, factor: float = 1.0) -> None:
    for name, grad in expected.items():
        other = found[name]
        assert (grad is None) == (other is None), name
        if grad is not None and other is not None:
            np.testing.assert_allclose(other, factor * grad, rtol=1e-10, atol=1e-13, err_msg=name)


def test_a_plan_runs_and_gives_the_reference_gradients() -> None:
    model = net()
    tape, loss, _ = record(model, Planned)
    loss.backward()
    found = gradients(model)
    assert tape.executor.fallback == ""
    assert tape.executor.reference.grads == {}, "the reference ran as well"
    _, other, _ = record(model, ts.Reference)
    other.backward()
    assert_same(found, gradients(model))
    np.testing.assert_allclose(loss.value, other.value, rtol=1e-12)


def test_any_single_value_and_gradient_can_be_looked_at_afterwards() -> None:
    model = net()
    tape, loss, _ = record(model, Planned)
    loss.backward()
    known, other, _ = record(model, ts.Reference)
    other.backward()
    for i in range(len(tape)):
        np.testing.assert_allclose(tape.executor.value(i), known.executor.value(i), rtol=1e-12, atol=1e-14)
        found, expected = tape.executor.grad(i), known.executor.grad(i)
        assert (found is None) == (expected is None), tape.node(i)
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_backward_sets_and_accumulate_adds() -> None:
    model = net()
    tape, loss, _ = record(model, Planned)
    loss.backward()
    once = gradients(model)
    loss.backward()
    assert_same(gradients(model), once)
    loss.backward(accumulate=True)
    assert_same(gradients(model), once, 2.0)
    tape.backward(loss, accumulate=True)
    assert_same(gradients(model), once, 3.0)


def test_a_tape_shows_the_state_it_was_run_in_after_the_parameters_have_changed() -> None:
    model = net()
    tape, loss, unfolded = record(model, Planned)
    _, other, known = record(net(), ts.Reference)
    other.backward()
    loss.backward()
    before, value = gradients(model), loss.value.copy()
    for parameter in model.parameters():
        parameter.value[...] -= 0.5 * parameter.grad
    assert loss.value == value
    np.testing.assert_allclose(tape.executor.grad(tape.node_of(model.W)), before["W"], rtol=1e-12)
    np.testing.assert_allclose(unfolded.state(3).value, known.state(3).value, rtol=1e-12)
    np.testing.assert_allclose(unfolded.state(3).grad, known.state(3).grad, rtol=1e-10)
    loss.backward()
    assert_same(gradients(model), before)
    _, loss, _ = record(model, Planned)
    assert loss.value < value


def test_a_value_asked_for_first_fixes_the_parameters_for_backward() -> None:
    results = []
    for executor in (ts.Reference, Planned):
        model = net()
        _, loss, unfolded = record(model, executor)
        assert np.isfinite(loss.value)
        for parameter in model.parameters():
            parameter.value[...] *= 2
        loss.backward()
        results.append((gradients(model), unfolded.final.value))
    assert_same(results[1][0], results[0][0])
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-12)


def test_two_losses_and_a_tape_that_grows() -> None:
    results = []
    for executor in (ts.Reference, Planned):
        model = net()
        tape, loss, unfolded = record(model, executor)
        loss.backward()
        seen = [gradients(model), unfolded.state(1).grad.copy()]
        with tape:
            other = ts.sum(unfolded.final**2) + 0.1 * loss
        other.backward()
        seen += [gradients(model), unfolded.state(1).grad.copy()]
        loss.backward()
        seen += [gradients(model), unfolded.state(1).grad.copy()]
        results.append(seen)
    for k in range(0, 6, 2):
        assert_same(results[1][k], results[0][k])
        np.testing.assert_allclose(results[1][k + 1], results[0][k + 1], rtol=1e-10)
    assert_same(results[1][4], results[1][0])


def test_seeds_terms_and_errors_are_the_references() -> None:
    model = net()
    tape, loss, unfolded = record(model, Planned)
    loss.backward()
    once = gradients(model)
    np.testing.assert_allclose(sum(term for _, _, term in tape.executor.terms(model.W)), once["W"], rtol=1e-10)
    tape.backward(loss, seed=np.array(-2.0))
    assert_same(gradients(model), once, -2.0)
    tape.backward(unfolded.final, seed=np.ones((3, 4)))
    assert model.V.grad is None
    with pytest.raises(ShapeError, match="seed has shape"):
        tape.backward(unfolded.final, seed=np.ones(3))
    with tape:
        constant = ts.sum(ts.tensor(np.ones(3)))
    with pytest.raises(GradientError, match="no parameter"):
        constant.backward()
    loss.backward()
    assert_same(gradients(model), once)


def test_a_parameter_that_the_loss_does_not_reach_has_no_gradient() -> None:
    model, beside = net(), ts.Parameter(np.ones(3), "beside")
    tape, loss, _ = record(model, Planned)
    with tape:
        ts.sum(beside * 2.0)
    beside.grad = np.ones(3)
    loss.backward()
    assert beside.grad is None


def test_plans_are_shared_by_tapes_of_one_structure_and_not_by_others() -> None:
    CACHE.clear()
    for seed in (2, 3):
        model = net(seed)
        _, loss, _ = record(model, Planned, seed)
        loss.backward()
    assert len(CACHE._programs) == 1
    _, loss, _ = record(model, Planned, T=7)
    loss.backward()
    assert len(CACHE._programs) == 2
    for T in range(1, CACHE.most + 10):
        record(model, Planned, T=T)[1].backward()
    assert len(CACHE._programs) == CACHE.most


def test_two_cells_of_one_shape_keep_their_weights_apart() -> None:
    """A cached plan must tell which of two parameters of one shape is read where."""
    a, b = ts.Parameter(np.eye(3), "a"), ts.Parameter(2 * np.eye(3), "b")
    x = np.ones((2, 3))
    for first, second in ((a, b), (b, a), (a, a)):
        with ts.Tape(executor=Planned) as tape:
            loss = ts.sum(ts.tanh(ts.linear(ts.linear(ts.tensor(x), first), second)) * np.arange(3.0))
        tape.backward(loss)
        expected = np.tanh(x @ (first.value @ second.value).T * 1.0) * np.arange(3.0)
        np.testing.assert_allclose(loss.value, expected.sum(), rtol=1e-12)


def test_small_tapes_are_left_to_the_reference() -> None:
    model = net()
    tape, loss, _ = record(model, ts.Compiled, T=1)
    assert len(tape) < ts.Compiled.small
    loss.backward()
    assert tape.executor.reference.grads


def test_where_there_is_no_plan_the_reference_runs_and_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Unplannable("not today")

    model = net()
    _, other, _ = record(model, ts.Reference, seed=77)
    other.backward()
    expected = gradients(model)
    CACHE.clear()
    monkeypatch.setattr("tinyseq.engine.planned.plan_tape", refuse)
    tape, loss, _ = record(model, Planned, seed=77)
    with pytest.warns(FallbackWarning, match="not today"):
        loss.backward()
    assert tape.executor.fallback == "not today"
    assert_same(gradients(model), expected)
    CACHE.clear()


def test_bad_indices_and_exceptions_leave_tapes_usable() -> None:
    table = ts.Parameter(np.arange(6.0).reshape(3, 2), "table")
    with ts.Tape(executor=Planned) as tape:
        with pytest.raises(DataError, match="out of range"):
            ts.take(table, np.array([0, 3]))
        good = ts.sum(ts.take(table, np.array([0, 2, 2])))
    tape.backward(good)
    np.testing.assert_array_equal(table.grad, [[1, 1], [0, 0], [2, 2]])


def test_two_threads_run_tapes_at_once() -> None:
    """Of one structure, which share a program, and of two."""
    expected = {}
    for key in ((6, 2), (6, 3), (9, 4)):
        model = net()
        record(model, ts.Reference, seed=key[1], T=key[0])[1].backward()
        expected[key] = gradients(model)
    wrong: list[str] = []

    def work(keys: list[tuple[int, int]]) -> None:
        for k in range(60):
            T, seed = keys[k % len(keys)]
            model = net()
            record(model, Planned, seed=seed, T=T)[1].backward()
            try:
                assert_same(gradients(model), expected[(T, seed)])
            except AssertionError as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=work, args=(keys,)) for keys in ([(6, 2), (9, 4)], [(6, 3), (9, 4)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:2]


@pytest.mark.parametrize("seed", range(300, 330))
def test_random_tapes(seed: int) -> None:
    """Parameters' gradients by plan, everything else by the reference, as a user meets them."""
    results = []
    for executor in (ts.Reference, Planned):
        with ts.Tape(executor=executor) as tape:
            graph = Graph(seeded(seed), np.float64)
        graph.loss.backward()
        grads = {name: p.grad for name, p in graph.pool.parameters.items()}
        results.append((graph.loss.value, grads, [t.value for t in graph.wanted], tape.executor.grad(0)))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-10)
    for name, grad in results[0][1].items():
        other = results[1][1][name]
        if grad is None:
            assert other is None or not other.any()
        else:
            np.testing.assert_allclose(other, grad, rtol=1e-9, atol=1e-10 * (1 + np.abs(grad).max()))
    for found, value in zip(results[1][2], results[0][2], strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "pick",
    [
        lambda s: s[0],
        lambda s: s[2],
        lambda s: ts.sum(s[1:]),
        lambda s: (s[0] + s[0]) * 0.5,
        lambda s: ts.concatenate([s, s])[4],
        lambda s: ts.reshape(s, (3, 1))[1][0],
    ],
    ids=["first", "last", "slice", "twice", "of a join", "of a view"],
)
def test_a_loss_that_is_a_part_of_something_has_no_gradient_in_the_rest(pick: Any) -> None:
    w = ts.Parameter(np.array([1.5, -2.0, 0.5]), "w")
    found = []
    for executor in (ts.Reference, Planned):
        with ts.Tape(executor=executor) as tape:
            x = w * 1.0
            a = x * x
            pick(a * x + a * x).backward()
        assert executor is ts.Reference or tape.executor.fallback == ""
        found.append(w.grad)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-14)
