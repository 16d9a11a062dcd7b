"""Ω of equation 10.52: a closed form for the tanh net, differences with ∇h frozen for any cell, use in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, GradientError, ShapeError, TapeError
from tinyseq.tape import Tape
from tinyseq.train import SGD, Adam, TrainingStep, information_flow

pytestmark = pytest.mark.usefixtures("executor")
T, B, H = 7, 3, 4


def data(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((T, B, 2)), rng.integers(0, 5, (T, B))


def tanh_net() -> ts.nn.RNN:
    net = ts.nn.RNN(2, H, 5, rng=np.random.default_rng(0), dtype=np.float64)
    net.W.value *= 1.5
    return net


def closed_form(net: ts.nn.RNN, x: np.ndarray, g: np.ndarray) -> tuple[float, np.ndarray]:
    """Ω and ∂Ω/∂W of a tanh net by hand, the gradients g (T, B, H) given.

    v = Wᵀ(D ⊙ g/‖g‖) with D = 1 − h²; ∂Ω/∂v = 2 (‖v‖ − 1) v/‖v‖; W enters v itself, and every h by BPTT.
    """
    W, U, b = net.W.value, net.U.value, net.b.value
    h = [np.zeros((B, H))]
    for t in range(T):
        h.append(np.tanh(b + h[-1] @ W.T + x[t] @ U.T))
    omega, dW, dh = 0.0, np.zeros_like(W), np.zeros((T + 1, B, H))
    for t in range(1, T):
        u = g[t] / np.linalg.norm(g[t], axis=1, keepdims=True)
        D = 1 - h[t + 1] ** 2
        v = (D * u) @ W
        size = np.linalg.norm(v, axis=1, keepdims=True)
        omega += ((size - 1) ** 2).sum() / B
        dv = 2 * (size - 1) * v / size / B
        dW += (D * u).T @ dv
        dh[t + 1] += (dv @ W.T) * u * (-2 * h[t + 1])
    carry = np.zeros((B, H))
    for t in range(T, 0, -1):
        da = (dh[t] + carry) * (1 - h[t] ** 2)
        dW += da.T @ h[t - 1]
        carry = da @ W
    return omega, dW


def test_omega_and_its_gradient_of_the_tanh_net_by_hand() -> None:
    net, (x, y) = tanh_net(), data()
    with Tape():
        loss, unfolded = net.losses(x, y)
        omega = information_flow(loss, unfolded)
        assert omega.shape == () and omega.name == "Ω"
        value = omega.value
        omega.backward()
        gradient = net.W.grad.copy()
        loss.backward()
        g = np.array([unfolded.state(t).grad for t in range(T)])
    expected, dW = closed_form(net, x, g)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, dW, rtol=1e-10, atol=1e-13)


def user_cell(rng: np.random.Generator) -> Any:
    """A cell of a user's, written in ops: a gate that multiplies, layer normalisation, a residual way."""
    A, C, gain = (
        ts.Parameter(rng.normal(0, 0.7, shape), n) for n, shape in (("A", (H, H)), ("C", (H, 2)), ("g", (H,)))
    )

    def step(x: ts.Tensor, h: ts.Tensor) -> Any:
        z = ts.layer_norm(ts.linear(h, A) + ts.linear(x, C), gain, np.zeros(H))
        h = h * ts.sigmoid(z) + ts.softplus(z) * 0.3
        return h, h

    return step, [A, C, gain], np.zeros((B, H))


def made(kind: Any) -> tuple[Any, list[ts.Parameter], Any]:
    rng = np.random.default_rng(1)
    if kind == "user":
        return user_cell(rng)
    cell = kind(2, H, rng=rng, dtype=np.float64)
    start = np.zeros((B, H))
    return cell, cell.parameters(), (start, start) if kind is ts.nn.LSTMCell else start


@pytest.mark.parametrize("kind", [ts.nn.RNNCell, ts.nn.LSTMCell, ts.nn.GRUCell, "user"])
def test_against_differences_with_the_gradients_frozen(kind: Any) -> None:
    cell, learned, start = made(kind)
    x, _ = data()

    def run() -> tuple[ts.Tensor, Any]:
        net = ts.unfold(cell, ts.Chain(T), x, start)
        return ts.sum(net.outputs * net.outputs), net

    with Tape():
        loss, net = run()
        omega = information_flow(loss, net)
        value = float(omega.value)
        omega.backward()
        gradients = [p.grad.copy() for p in learned]
        parts = frozen(loss, net)
    assert ts.gradcheck(lambda: information_flow(*run(), parts), *learned)
    with Tape():  # the frozen gradients are those that were used
        omega = information_flow(*run(), parts)
        assert omega.value == pytest.approx(value, rel=1e-12)
        omega.backward()
        for p, gradient in zip(learned, gradients, strict=True):
            np.testing.assert_allclose(p.grad, gradient, rtol=1e-9, atol=1e-12)


def frozen(loss: ts.Tensor, net: Any) -> list[tuple[np.ndarray, ...]]:
    """∇ of each state as numbers, its tensors taken as independent."""
    from tinyseq.diagnose.cuts import states_of
    from tinyseq.diagnose.pullback import pullback

    return [tuple(parts) for parts in pullback(loss.tape, {loss.index: np.ones(())}, states_of(net).cuts)]


def test_omega_is_zero_where_the_gradient_keeps_its_size(rng: np.random.Generator) -> None:
    Q, _ = np.linalg.qr(rng.standard_normal((H, H)))
    W = ts.Parameter(Q, "W")

    def step(h: ts.Tensor) -> Any:
        h = ts.linear(h, W)
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(T), (), rng.standard_normal((B, H)))
        assert information_flow(ts.sum(net.final), net).value == pytest.approx(0, abs=1e-28)
    W.value[...] = 0.5 * Q
    with Tape():
        net = ts.unfold(step, ts.Chain(T), (), rng.standard_normal((B, H)))
        omega = information_flow(ts.sum(net.final), net)
        assert omega.value == pytest.approx((T - 1) * 0.25, rel=1e-12)  # (‖½ Qᵀ g‖/‖g‖ − 1)² at each of T − 1 steps


def test_a_plain_loop_is_the_same(rng: np.random.Generator) -> None:
    cell = ts.nn.GRUCell(2, H, rng=rng, dtype=np.float64)
    x, _ = data()
    with Tape():
        net = ts.unfold(cell, ts.Chain(T), x, np.zeros((B, H)))
        expected = information_flow(ts.sum(net.final), net).value
    with Tape():
        h, states = ts.tensor(np.zeros((B, H))), []
        for _, x_t in ts.steps(x):
            h, _ = cell(x_t, h)
            states.append(h)
        assert information_flow(ts.sum(h), states).value == pytest.approx(expected, rel=1e-13)


def test_sequences_of_different_lengths_are_averaged_one_by_one(rng: np.random.Generator) -> None:
    cell = ts.nn.RNNCell(2, H, rng=rng, dtype=np.float64)
    sequences = [rng.standard_normal((n, 2)) for n in (2, 5, 3)]
    alone = []
    for x in sequences:
        with Tape():
            net = ts.unfold(cell, ts.Chain(len(x)), x[:, None], np.zeros((1, H)))
            alone.append(float(information_flow(ts.sum(net.final), net).value))
    chain = ts.Chain([2, 5, 3])
    with Tape():
        net = ts.unfold(cell, chain, chain.pack(sequences), np.zeros((3, H)))
        assert information_flow(ts.sum(net.final), net).value == pytest.approx(np.mean(alone), rel=1e-12)


def test_steps_without_a_gradient_add_nothing() -> None:
    net, (x, y) = tanh_net(), data()
    with Tape():
        _, unfolded = net.losses(x, y)
        short = ts.sum(unfolded.state(3))
        omega = information_flow(short, unfolded)
        omega.backward()
        expected = information_flow(short, [unfolded.state(t) for t in range(4)])
        assert omega.value == pytest.approx(expected.item(), rel=1e-13)
    assert np.isfinite(net.W.grad).all()


@pytest.mark.parametrize("rule", [SGD, Adam])
def test_training_with_it_lowers_it(rule: Any) -> None:
    net, (x, y) = tanh_net(), data()
    net.W.value *= 0.3

    def loss(x: Any, y: Any) -> Any:
        total, unfolded = net.losses(x, y)
        omega = information_flow(total, unfolded)
        return total + 4.0 * omega, omega

    step = TrainingStep(loss, rule(net.parameters(), 0.02), clip=1.0)
    omegas = [float(step(x, y)[1]) for _ in range(60)]
    assert omegas[0] > 2 and omegas[-1] < 0.3 * omegas[0]


def test_bad_input() -> None:
    net, (x, y) = tanh_net(), data()
    with Tape():
        loss, unfolded = net.losses(x, y)
        with pytest.raises(GradientError, match="needs the scalar loss"):
            information_flow(unfolded.final, unfolded)
        with pytest.raises(GradientError, match="two states or more"):
            information_flow(loss, [unfolded.final])
        with pytest.raises(DataError, match="needs the states of a net"):
            information_flow(loss, 3)
        with pytest.raises(ShapeError, match="7 states need as many gradients, got 1"):
            information_flow(loss, unfolded, [np.zeros((B, H))])
        with pytest.raises(ShapeError, match=r"have its shapes, \[\(3, 4\)\]; got \[\(2,\)\]"):
            information_flow(loss, unfolded, [np.zeros(2)] * T)
    with Tape():
        other, _ = net.losses(x, y)
        with pytest.raises(TapeError, match="two tapes"):
            information_flow(other, unfolded)
