"""What ``value``, ``grad`` and results hand out, and what becomes of arrays that are given: nobody's memory is changed
behind his back, and any array of numbers will do, however it lies in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, train
from tinyseq.errors import DtypeError, ShapeError
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import as_tensor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 3, 4))


def step(W: Any) -> Callable[..., Any]:
    def run(x: Any, h: Any) -> Any:
        h = ts.tanh(ts.linear(h, W) + x)
        return h, h

    return run


@pytest.mark.usefixtures("executor")
def test_values_and_gradients_cannot_be_written_to() -> None:
    def net() -> tuple[Any, ...]:
        W = ts.Parameter(np.linspace(-1, 1, 16).reshape(4, 4), "W")
        with Tape():
            x = ts.tensor(X)
            unfolded = ts.unfold(step(W), ts.Chain(5), x, np.ones((3, 4)))
            tensors = [x, unfolded.outputs, unfolded.final, unfolded.output(2), as_tensor(W), ts.sum(unfolded.outputs)]
            return W, tensors, tensors[-1]

    W, tensors, loss = net()
    loss.backward()
    expected = [t.value.copy() for t in tensors], [t.grad.copy() for t in tensors[1:]], W.grad.copy()
    W, tensors, loss = net()
    for t in tensors:
        with pytest.raises(ValueError, match="read-only"):
            t.value[...] = 7.0
        with pytest.raises(ValueError, match="read-only"):
            np.divide(t.value, 2.0, out=t.value)
        t.value.copy()[...] = 7.0
    loss.backward()
    for t in tensors[1:]:
        with pytest.raises(ValueError, match="read-only"):
            t.grad[...] = 7.0
    W.grad[...] *= 1.0
    for got, want in zip([t.value for t in tensors], expected[0], strict=True):
        np.testing.assert_array_equal(got, want)
    for got, want in zip([t.grad for t in tensors[1:]], expected[1], strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(W.grad, expected[2])


@pytest.mark.usefixtures("executor")
def test_a_parameters_gradient_is_its_own() -> None:
    W, b = ts.Parameter(np.ones(3), "W"), ts.Parameter(np.ones(3), "b")
    with Tape():
        leaf = as_tensor(W)
        loss = ts.sum(W * W * W + b)
        loss.backward()
    first = W.grad
    W.grad *= 0.5
    np.testing.assert_array_equal(leaf.grad, [3.0, 3.0, 3.0])
    loss.backward(accumulate=True)
    np.testing.assert_array_equal(W.grad, [4.5, 4.5, 4.5])
    np.testing.assert_array_equal(first, [1.5, 1.5, 1.5])
    loss.backward()
    np.testing.assert_array_equal(W.grad, [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(b.grad, np.ones(3))


def test_assigning_copies() -> None:
    best, shared = np.array([1.0, 2.0]), np.ones(2)
    p, a, b = (ts.Parameter(np.zeros(2), name) for name in "pab")
    optimiser = train.SGD([p, a, b], 0.1)
    p.value, a.value, b.value = best, shared, shared
    with Tape():
        ts.sum(p * p + a + 3.0 * b).backward()
    optimiser.step()
    np.testing.assert_array_equal(best, [1.0, 2.0])
    np.testing.assert_array_equal(shared, [1.0, 1.0])
    np.testing.assert_allclose(p.value, [0.8, 1.6])
    np.testing.assert_allclose(a.value, [0.9, 0.9])
    np.testing.assert_allclose(b.value, [0.7, 0.7])
    best[...] = 9.0
    np.testing.assert_allclose(p.value, [0.8, 1.6])


def test_a_gradient_that_is_assigned_is_copied_and_checked() -> None:
    p, g = ts.Parameter(np.zeros(2, np.float32), "p"), np.array([1.0, 2.0])
    p.grad = g
    p.grad *= 3.0
    assert g.tolist() == [1.0, 2.0] and p.grad.tolist() == [3.0, 6.0] and p.grad.dtype == np.float32
    with pytest.raises(ShapeError, match=r"the gradient of Parameter\(p.* has its shape, \(2,\); got \(3,\)"):
        p.grad = np.ones(3)
    with pytest.raises(DtypeError, match="real numbers"):
        p.grad = np.ones(2, complex)
    p.grad = None
    assert p.grad is None


@pytest.mark.parametrize("rule", [train.SGD, train.RMSprop, train.Adam])
def test_a_value_changed_in_place_is_the_parameters(rule: Any) -> None:
    """As in ``p.value -= rate * p.grad``: for a parameter alone, and for one that an optimiser has moved."""
    p, q = ts.Parameter(np.array([1.0, 2.0]), "p"), ts.Parameter(np.array([3.0]), "q")
    fast = ts.compile(lambda: ts.sum(p * p) + ts.sum(q * q))
    for optimiser in (None, rule([p, q], 0.1)):
        p.value[...] = [1.0, 2.0]
        assert fast.backward() == pytest.approx(5.0 + q.value[0] ** 2)
        p.value -= 0.5 * p.grad
        p.value += 1.0
        q.value *= 2.0
        np.testing.assert_array_equal(p.value, [1.0, 1.0])
        assert fast.backward() == pytest.approx(2.0 + q.value[0] ** 2)
        np.testing.assert_array_equal(p.grad, [2.0, 2.0])
        if optimiser is not None:
            optimiser.step()
            before = p.value.copy()
            p.value = p.value + 1.0
            fast.backward()
            optimiser.step()
            assert (p.value < before + 1.0).all() and (p.value > before).all()


def test_the_value_before_an_assignment_stays() -> None:
    """Set another value, look, set the old one again: what finite differences do."""
    p = ts.Parameter(np.array([1.0, 2.0]), "p")
    train.SGD([p], 0.1)
    old = p.value
    p.value = old + 1e-3
    np.testing.assert_array_equal(old, [1.0, 2.0])
    p.value = old
    np.testing.assert_array_equal(p.value, [1.0, 2.0])
    p.value[0] = 5.0
    np.testing.assert_array_equal(old, [1.0, 2.0])


@pytest.mark.usefixtures("executor")
def test_what_a_compiled_function_gives_is_never_written_again() -> None:
    W = ts.Parameter(np.linspace(-1, 1, 16).reshape(4, 4), "W")

    def f(x: Any, h: Any) -> Any:
        unfolded = ts.unfold(step(W), ts.Chain(5), x, h)
        return ts.sum(unfolded.outputs), {"outputs": unfolded.outputs, "h": [unfolded.final]}, x

    fast = ts.compile(f)
    kept, wanted, grads = [], [], []
    state = np.zeros((3, 4))
    for n in range(4):
        loss, made, same = fast.backward(X + n, state)
        state = made["h"][0]
        kept += [made["outputs"], state, same, W.grad]
        wanted += [a.copy() for a in kept[-4:]]
        grads.append(float(loss))
        fast(X - n, state)
    for got, want in zip(kept, wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    assert len({a.tobytes() for a in kept[3::4]}) == 4
    kept[0][...] = 0.0  # and they are the caller's to change
    np.testing.assert_array_equal(fast(X, np.zeros((3, 4)))[1]["outputs"], wanted[0])


def test_a_gradient_can_be_given_back_as_an_input() -> None:
    W = ts.Parameter(np.array([1.0, -2.0, 3.0]), "W")
    fast = ts.compile(lambda x: ts.sum(W * W * x))
    fast.backward(np.ones(3))
    for _ in range(3):
        given = W.grad.copy()
        fast.backward(W.grad)
        np.testing.assert_allclose(W.grad, 2 * W.value * given)


# -- arrays, however they lie in memory -----------------------------------------------------------------------------
def read_only(a: np.ndarray, folder: Path) -> np.ndarray:
    a.flags.writeable = False
    return a


def mapped(a: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "a.npy", a)
    return np.load(folder / "a.npy", mmap_mode="r")


def repeated(a: np.ndarray, folder: Path) -> np.ndarray:
    """Rows that are all the same memory."""
    return np.broadcast_to(a[:1], a.shape)


def strided(a: np.ndarray, folder: Path) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2]


def column_major(a: np.ndarray, folder: Path) -> np.ndarray:
    return np.asfortranarray(a)


def backwards(a: np.ndarray, folder: Path) -> np.ndarray:
    return a[::-1].copy()[::-1]


def unaligned(a: np.ndarray, folder: Path) -> np.ndarray:
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    view = np.ndarray(a.shape, a.dtype, raw)
    view[...] = a
    assert not view.flags.aligned
    return view


LAYOUTS = [read_only, mapped, repeated, strided, column_major, backwards, unaligned]


def by_tape(x: np.ndarray, h: np.ndarray, W: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
    p = ts.Parameter(np.zeros((4, 4)), "W")
    p.value = W
    with Tape():
        net = ts.unfold(step(p), ts.Chain(5), x, h)
        y = net.outputs + ts.take(ts.Parameter(W), tokens)
        as_tensor(y).backward(x)
    return [y.value, p.grad]


def by_program(x: np.ndarray, h: np.ndarray, W: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
    p, table = ts.Parameter(np.zeros((4, 4)), "W"), ts.Parameter(W, "table")
    p.value = W

    def f(x: Any, h: Any, tokens: Any) -> Any:
        y = ts.unfold(step(p), ts.Chain(5), x, h).outputs + ts.take(table, tokens)
        return ts.sum(y * x), y

    fast = ts.compile(f)
    fast.backward(x, h, tokens)
    return [fast(x, h, tokens)[1], p.grad, table.grad]


def by_optimiser(x: np.ndarray, h: np.ndarray, W: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
    made = []
    for rule in (train.SGD, train.RMSprop, train.Adam):
        p, q = ts.Parameter(W, "p"), ts.Parameter(W[0], "q")
        optimiser = rule([p, q], 0.1)
        for _ in range(2):
            p.value, p.grad, q.value, q.grad = W, W, W[1], W[2]
            train.clip_global_norm([p, q], 0.5)
            train.clip_elements([p, q], 0.2)
            optimiser.step()
        made += [p.value, q.value]
    return made


def by_reservoir(x: np.ndarray, h: np.ndarray, W: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
    net = nn.EchoStateNetwork(
        nn.Reservoir(4, 6, density=0.9, rng=np.random.default_rng(3), dtype=np.float64), 4, ridge=1e-2
    )
    net.fit(x, x, 1)
    predicted, state = net.learn(x, x, 1)
    return [net.predict(x), predicted, *state, *net.run(x, state=nn.echo_state.EchoState(*state))[1]]


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("way", [by_tape, by_program, by_optimiser, by_reservoir])
def test_arrays_as_they_come(way: Callable[..., Any], layout: Callable[..., Any], tmp_path: Path) -> None:
    plain = [X, RNG.standard_normal((3, 4)), RNG.standard_normal((4, 4)), RNG.integers(0, 4, (5, 3))]
    given = [
        layout(a.copy(), tmp_path) if n < 3 else layout(a.copy(), make(tmp_path / "i")) for n, a in enumerate(plain)
    ]
    before = [np.array(a) for a in given]
    same = [np.array(a, order="C") for a in given]
    for got, want in zip(way(*given), way(*same), strict=True):
        np.testing.assert_array_equal(got, want)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bytes_in_another_order_are_refused_by_name() -> None:
    p, swapped = ts.Parameter(np.zeros(3), "p"), np.ones(3, ">f8")
    fast = ts.compile(lambda x: ts.sum(x * p))
    fast(np.ones(3))
    with Tape():
        for use in (lambda: ts.tensor(swapped), lambda: fast(swapped), lambda: ts.Parameter(swapped)):
            with pytest.raises(DtypeError, match=">f8"):
                use()
    with pytest.raises(ShapeError, match="cannot hold >f8"):
        p.value = swapped


def make(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_the_state_of_a_reservoir_is_not_the_teachers_memory() -> None:
    net = nn.EchoStateNetwork(
        nn.Reservoir(4, 6, density=0.9, feedback_size=4, rng=np.random.default_rng(3), dtype=np.float64), 4
    )
    y = X.copy()
    state = net.run(X, y)[1]
    end = state.y.copy()
    y[...] = 0
    np.testing.assert_array_equal(state.y, end)


def test_a_checkpoint_of_values_in_a_vector_and_out_of_it(tmp_path: Path) -> None:
    net = nn.RNN(5, 4, 5, rng=np.random.default_rng(0))
    optimiser = train.Adam(net.parameters(), 1e-2)
    net.W.value = np.eye(4, dtype=np.float32)
    net.U.value *= 2
    train.save(tmp_path, net, optimiser=optimiser)
    again = train.load(tmp_path).model
    for (name, p), (_, q) in zip(net.named_parameters(), again.named_parameters(), strict=True):
        np.testing.assert_array_equal(p.value, q.value, err_msg=name)
    kept = net.state_dict()
    net.W.value[...] = 0
    assert kept["W" if "W" in kept else next(k for k in kept if k.endswith("W"))].any()
    net.load_state_dict(kept)
    np.testing.assert_array_equal(net.W.value, np.eye(4))
