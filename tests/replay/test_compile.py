"""``ts.compile``: one recording for each signature, replayed on any arrays like those, with the reference's numbers."""

from __future__ import annotations

import threading
from collections import namedtuple
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, DtypeError, FallbackWarning, GradientError, TapeError

Pair = namedtuple("Pair", "x y")


def net(dtype: Any = np.float64, seed: int = 0) -> ts.nn.RNN:
    model = ts.nn.RNN(3, 5, 4, rng=np.random.default_rng(seed), dtype=dtype)
    for parameter in model.parameters():
        parameter.value = parameter.value + np.asarray(0.05, dtype)
    return model


def data(T: int = 6, B: int = 2, seed: int = 1, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, B, 3)).astype(dtype), rng.integers(0, 4, (T, B))


def by_reference(model: ts.nn.RNN, function: Any, *arguments: Any) -> tuple[float, dict[str, np.ndarray | None]]:
    """The loss and all gradients; those on the parameters stay as they are."""
    before = [p.grad for p in model.parameters()]
    with ts.Tape(executor=ts.Reference) as tape:
        loss = function(*[ts.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments])
    tape.backward(loss)
    found = {name: p.grad for name, p in model.named_parameters()}
    for parameter, grad in zip(model.parameters(), before, strict=True):
        parameter.grad = grad
    return loss.item(), found


def assert_same(
    model: ts.nn.RNN, found: Any, expected: tuple[float, dict[str, np.ndarray | None]], rtol: float = 1e-11
) -> None:
    loss, grads = expected
    np.testing.assert_allclose(found, loss, rtol=rtol)
    for name, parameter in model.named_parameters():
        grad = grads[name]
        assert (grad is None) == (parameter.grad is None), name
        if grad is not None:
            np.testing.assert_allclose(parameter.grad, grad, rtol=rtol, atol=rtol, err_msg=name)


def recordings(function: Any) -> int:
    return len(function._versions)


def test_replays_on_other_inputs_of_the_same_signature() -> None:
    model = net()
    step = ts.compile(model.loss)
    for seed in range(4):
        x, y = data(seed=seed)
        assert_same(model, step.backward(x, y), by_reference(model, model.loss, x, y))
        np.testing.assert_allclose(step(x, y), by_reference(model, model.loss, x, y)[0], rtol=1e-11)
    assert recordings(step) == 1
    assert not isinstance(step.program(x, y), str)


def test_sees_changed_parameters_in_place_or_replaced() -> None:
    model = net()
    step, (x, y) = ts.compile(model.loss), data()
    step.backward(x, y)
    model.W.value[...] *= -0.5
    model.U.value = model.U.value + 0.3
    assert_same(model, step.backward(x, y), by_reference(model, model.loss, x, y))


def test_a_training_loop_goes_where_the_reference_goes() -> None:
    one, other, (x, y) = net(), net(), data()
    step = ts.compile(one.loss)
    for _ in range(20):
        step.backward(x, y)
        _, grads = by_reference(other, other.loss, x, y)
        for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
            p.value -= 0.1 * p.grad
            q.value -= 0.1 * grads[name]
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "arrange",
    [
        lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=2)[:, :, ::2], lambda x: x[::-1][::-1],
        lambda x: np.broadcast_to(x[:1], x.shape), lambda x: np.ma.asarray(x).data.copy(),
    ],
    ids=["fortran order", "every second number", "reversed twice", "broadcast", "copy"],
)  # fmt: skip
def test_arrays_may_lie_in_memory_as_they_like(arrange: Any) -> None:
    model = net()
    step, (x, y) = ts.compile(model.loss), data()
    step.backward(x, y)
    x = arrange(x)
    assert_same(model, step.backward(x, y), by_reference(model, model.loss, np.ascontiguousarray(x), y))
    assert recordings(step) == 1


def test_unaligned_arrays_are_read_rightly() -> None:
    model = net()
    step, (x, y) = ts.compile(model.loss), data()
    expected = step(x, y)
    unaligned = np.frombuffer(b"!" + x.tobytes(), np.float64, offset=1).reshape(x.shape)
    assert not unaligned.flags.aligned
    assert step(unaligned, y) == expected


def test_read_only_arrays_and_their_contents_stay_as_they_are() -> None:
    model = net()
    step, (x, y) = ts.compile(model.loss), data()
    x.setflags(write=False)
    before = x.copy()
    step.backward(x, y)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
def test_integers_of_any_width_are_one_kind_of_leaf(dtype: Any) -> None:
    model = net()
    step, (x, y) = ts.compile(model.loss), data()
    assert step(x, y.astype(dtype)) == step(x, y)


def test_another_shape_or_dtype_is_another_version() -> None:
    model, single = net(), net(np.float32)
    step, other = ts.compile(model.loss), ts.compile(single.loss)
    for T, B in ((6, 2), (7, 2), (6, 3), (6, 2)):
        x, y = data(T, B)
        assert_same(model, step.backward(x, y), by_reference(model, model.loss, x, y))
    assert recordings(step) == 3
    x, y = data(dtype=np.float32)
    assert other(x, y).dtype == np.float32
    assert_same(single, other.backward(x, y), by_reference(single, single.loss, x, y), 2e-5)
    with pytest.raises(DtypeError, match=r"float32.*float64"):
        step(x, y)
    x, y = data()
    step(x, y)


def test_equal_chains_share_a_version() -> None:
    model = net()
    rng = np.random.default_rng(5)
    cell = lambda x, chain: ts.sum(ts.unfold(model, chain, x, ts.zeros((3, 5), np.float64)).outputs)  # noqa: E731
    step = ts.compile(cell)
    for lengths in ([4, 2, 3], [4, 2, 3], np.array([4, 2, 3]), [2, 4, 3]):
        chain = ts.Chain(lengths)
        x = rng.normal(size=(9, 3))
        np.testing.assert_allclose(step(x, chain), by_reference(model, cell, x, chain)[0], rtol=1e-11)
    assert recordings(step) == 2
    step(x, ts.Chain([2, 4, 3]).reversed())
    assert recordings(step) == 3


def test_equal_trees_share_a_version() -> None:
    model = ts.nn.RecursiveNet(3, 4, 2, rng=np.random.default_rng(0), dtype=np.float64)
    step = ts.compile(lambda tree, x: ts.sum(model.output(tree, x)))
    x = np.random.default_rng(1).normal(size=(4, 3))
    first = step(ts.Tree.balanced(4), x)
    assert step(ts.Tree.balanced(4), x) == first
    assert recordings(step) == 1
    assert step(ts.Tree.chain(4), x) != first
    assert recordings(step) == 2


def test_numbers_are_part_of_the_signature() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    step = ts.compile(lambda x, k: ts.sum(w * x) * k)
    x = np.ones(2)
    assert [step(x, k) for k in (2, 3.0, np.float32(4), np.float32(4), 2)] == [6, 9, 12, 12, 6]
    assert recordings(step) == 3
    assert step(x, np.array(5.0)) == 15 and step(x, np.array(6.0)) == 18
    assert recordings(step) == 4


def test_arguments_may_be_nested_and_results_keep_their_nesting() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")

    def function(batch: dict[str, Any], more: Any) -> Any:
        x, (y, z) = batch["x"], more
        return {"loss": ts.sum(w * x), "rest": (y * 2, [z + x, None])}

    x, y, z = np.array([1.0, 1.0]), np.array([3.0]), np.array([5.0, 6.0])
    found = ts.compile(function)({"x": x}, (y, [z][0]))
    assert found["loss"] == 3.0
    np.testing.assert_array_equal(found["rest"][0], [6.0])
    np.testing.assert_array_equal(found["rest"][1][0], [6.0, 7.0])
    assert found["rest"][1][1] is None


def test_a_named_tuple_is_an_argument_like_any_other() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    step = ts.compile(lambda pair: ts.sum(w * pair.x) + ts.sum(pair.y))
    assert step(Pair(np.array([1.0, 1.0]), np.array([4.0]))) == 7.0


def test_results_are_the_callers_own() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    step = ts.compile(lambda x: (ts.sum(w * x), x * 1.0, x))
    x = np.array([3.0, 4.0])
    _, first, given = step(x)
    given[:] = 0
    np.testing.assert_array_equal(x, [3.0, 4.0])
    step(np.array([5.0, 6.0]))
    np.testing.assert_array_equal(first, [3.0, 4.0])


def test_parameters_and_arrays_may_be_results() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    step = ts.compile(lambda x: (ts.sum(w * x), w, ts.zeros((2,), np.float64)))
    _, value, zeros = step(np.ones(2))
    np.testing.assert_array_equal(value, [1.0, 2.0])
    np.testing.assert_array_equal(zeros, [0.0, 0.0])


def test_an_index_out_of_range_on_replay_is_a_data_error_and_nothing_breaks() -> None:
    model = net()
    step = ts.compile(model.loss)
    x, y = data()
    expected = step.backward(x, y)
    for wrong in (4, -1, 1 << 40):
        bad = y.copy()
        bad[2, 1] = wrong
        with pytest.raises(DataError, match=str(wrong)):
            step.backward(x, bad)
        assert step.backward(x, y) == expected


def test_reading_a_value_while_recording_is_an_error_and_nothing_breaks() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")

    def function(x: ts.Tensor, look: bool) -> ts.Tensor:
        y = ts.sum(w * x)
        return y * y.item() if look else y

    step = ts.compile(function)
    with pytest.raises(TapeError, match=r"cannot read values"):
        step(np.ones(2), True)
    assert not ts.Tape.recording()
    assert step.backward(np.ones(2), False) == 3.0
    np.testing.assert_array_equal(w.grad, [1.0, 1.0])


def test_an_exception_in_the_function_leaves_everything_usable() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    broken = [True]

    def function(x: ts.Tensor) -> ts.Tensor:
        if broken[0]:
            raise KeyError("mine")
        return ts.sum(w * x)

    step = ts.compile(function)
    with pytest.raises(KeyError, match="mine"):
        step(np.ones(2))
    broken[0] = False
    assert step(np.ones(2)) == 3.0
    with ts.Tape():
        assert ts.sum(w * 2.0).value == 6.0


def test_errors_say_what_to_do() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    with pytest.raises(GradientError, match=r"scalar loss first.*ts\.sum"):
        ts.compile(lambda x: w * x).backward(np.ones(2))
    with pytest.raises(GradientError, match="no parameter"):
        ts.compile(lambda x: ts.sum(x)).backward(np.ones(2))
    with pytest.raises(TapeError, match=r"tensor\.value"), ts.Tape():
        ts.compile(lambda x: ts.sum(w * x))(ts.tensor(np.ones(2)))
    with pytest.raises(TapeError, match="must return a tensor"):
        ts.compile(lambda x: None)(np.ones(2))


def test_values_of_a_function_without_a_scalar_first() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    np.testing.assert_array_equal(ts.compile(lambda x: w * x)(np.array([3.0, 4.0])), [3.0, 8.0])


def test_two_functions_share_parameters() -> None:
    model = net()
    losses, penalty = ts.compile(model.loss), ts.compile(lambda: ts.sum(model.W * model.W))
    x, y = data()
    losses.backward(x, y)
    expected = by_reference(model, model.loss, x, y)
    assert penalty.backward() == pytest.approx(float((model.W.value**2).sum()))
    np.testing.assert_allclose(model.W.grad, 2 * model.W.value)
    assert_same(model, losses.backward(x, y), expected)


def test_captured_arrays_are_read_as_they_are_now() -> None:
    w, scale = ts.Parameter(np.array([1.0, 2.0]), "w"), np.array([10.0, 10.0])
    step = ts.compile(lambda x: ts.sum(w * x * ts.tensor(scale)))
    assert step(np.ones(2)) == 30.0
    scale[:] = 0
    assert step(np.ones(2)) == 0.0


def test_without_a_plan_the_reference_runs() -> None:
    a, b = ts.Parameter(np.ones(2, np.float32), "a"), ts.Parameter(np.ones(2), "b")
    step = ts.compile(lambda x: (ts.sum(a * 2.0), ts.sum(b * x)))
    x = np.array([3.0, 4.0])
    assert isinstance(step.program(x), str) and "float32 and float64" in step.program(x)
    for k in (1, 2):
        with pytest.warns(FallbackWarning, match="one dtype") if k == 1 else nullcontext() as told:  # once
            first, second = step.backward(k * x)
        assert k == 2 or told[0].filename == __file__
        assert (first, second) == (4.0, 7.0 * k)
        np.testing.assert_array_equal(a.grad, [2.0, 2.0])
        assert b.grad is None


def test_empty_arrays_give_what_the_reference_gives() -> None:
    w = ts.Parameter(np.ones((3, 4)), "w")
    step = ts.compile(lambda x: ts.sum(ts.linear(x, w)))
    assert step(np.ones((0, 4))) == 0.0
    step.backward(np.ones((0, 4)))
    np.testing.assert_array_equal(w.grad, np.zeros((3, 4)))


def test_threads_of_python_may_call_one_function_at_once() -> None:
    model = net()
    step = ts.compile(model.loss)
    inputs = [data(T=40, B=4, seed=k) for k in range(2)]
    expected = [float(step(*each)) for each in inputs]
    wrong = [0, 0]

    def work(k: int) -> None:
        for _ in range(400):
            wrong[k] += float(step(*inputs[k])) != expected[k]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0, 0]
