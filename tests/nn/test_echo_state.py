"""Echo state networks against a plain loop and closed forms, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DataError
from tinyseq.train import SGD

F64: Any = {"dtype": np.float64}


def twin(r: nn.Reservoir, x: Any, y: Any, h: np.ndarray) -> np.ndarray:
    """h(t) = (1 − α) h(t−1) + γ f(b + W h + U x + R y(t−1)), number by number of time and batch."""
    W, out = r.matrix, []
    for t in range(len(x if x is not None else y)):
        a = h @ W.T
        a = a if r.b is None else a + r.b.value
        a = a if x is None else a + x[t] @ r.U.value.T
        a = a if y is None or t == 0 else a + y[t - 1] @ r.R.value.T
        h = (1 - r.leak) * h + r.gain * (np.tanh(a) if r.activation == "tanh" else a)
        out.append(h)
    return np.stack(out)


@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("feedback", [0, 2])
@pytest.mark.parametrize("options", [{}, {"leak": 0.4}, {"leak": 0.396, "gain": 0.44}, {"activation": "linear"}])
def test_states_are_those_of_a_plain_loop(
    rng: np.random.Generator, density: float, feedback: int, options: dict
) -> None:
    r = nn.Reservoir(
        3, 30, rng=rng, density=density, bias_scaling=0.3, feedback_size=feedback, input_scaling=[0.5, 1, 2],
        **F64, **options,
    )  # fmt: skip
    assert (r.places is None) == (density == 1.0)
    net = nn.EchoStateNetwork(r, 2)
    x, y = rng.standard_normal((531, 2, 3)), 0.1 * rng.standard_normal((531, 2, 2))
    h, end = net.run(x, y)
    np.testing.assert_allclose(h, twin(r, x, y if feedback else None, np.zeros((2, 30))), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(end.h, h[-1])
    first, middle = net.run(x[:200], y[:200])
    second, _ = net.run(x[200:], y[200:], middle)
    np.testing.assert_allclose(np.concatenate([first, second]), h, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("executor")
def test_the_cell_on_a_tape_is_the_run_and_gradients_stop_at_the_reservoir(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(2, 12, rng=rng, leak=0.5, bias_scaling=0.1, **F64), 1)
    x, y = rng.standard_normal((20, 2, 2)), rng.standard_normal((20, 2, 1))
    net.fit(x, y)
    with ts.Tape() as tape:
        o = ts.unfold(net, ts.Chain(20), x, net.initial_state(2)).outputs
        loss = ts.sum(ts.squared_error(o, y))
    ts.verify(tape)
    np.testing.assert_allclose(o.value, net.predict(x), rtol=1e-10, atol=1e-12)
    loss.backward()
    assert all((p.grad is not None) == p.trainable for p in net.parameters())
    h, _ = net.run(x)
    np.testing.assert_allclose(net.V.grad, 2 * np.einsum("tbo,tbn->on", o.value - y, h), rtol=1e-9, atol=1e-11)
    W = net.reservoir.W.value.copy()
    SGD(net.parameters(), 0.1).step()
    np.testing.assert_array_equal(net.reservoir.W.value, W)


@pytest.mark.parametrize(("units", "density"), [(50, 0.1), (50, 1.0), (450, 0.05)])
def test_the_spectral_radius_is_exact(rng: np.random.Generator, units: int, density: float) -> None:
    r = nn.Reservoir(1, units, rng=rng, spectral_radius=0.79, density=density, **F64)
    assert np.abs(np.linalg.eigvals(r.matrix)).max() == pytest.approx(0.79, rel=1e-10)


def test_weights_of_ones_own_stay_as_they_are_unless_scaled(rng: np.random.Generator) -> None:
    W = rng.standard_normal((8, 8))
    for given in (W, sp.csr_array(W)):
        np.testing.assert_array_equal(nn.Reservoir(1, 8, rng=rng, W=given, **F64).matrix, W)
    half = nn.Reservoir(1, 8, rng=rng, W=W, spectral_radius=0.5, **F64).matrix
    np.testing.assert_allclose(half, W * (0.5 / np.abs(np.linalg.eigvals(W)).max()), rtol=1e-12)


def test_two_starts_converge(rng: np.random.Generator) -> None:
    """The echo state property."""
    net = nn.EchoStateNetwork(nn.Reservoir(1, 40, rng=rng, spectral_radius=0.8, **F64), 1)
    x = rng.uniform(-1, 1, (400, 1, 1))
    one, _ = net.run(x)
    other, _ = net.run(x, state=nn.EchoState(rng.uniform(-1, 1, (1, 40)), np.zeros((1, 1))))
    distance = np.linalg.norm(one - other, axis=(1, 2))
    assert distance[0] > 0.1 and distance[-1] < 1e-12


def test_fit_is_ridge_regression_of_the_states(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(2, 20, rng=rng, **F64), 2, ridge=0.3, direct=True)
    x, y = rng.standard_normal((200, 3, 2)), rng.standard_normal((200, 3, 2))
    net.fit(x, y, washout=50)
    h, _ = net.run(x)
    z, t = np.concatenate([h, x], 2)[50:].reshape(-1, 22), y[50:].reshape(-1, 2)
    zc, tc = z - z.mean(0), t - t.mean(0)
    w = np.linalg.solve(zc.T @ zc + 0.3 * np.eye(22), zc.T @ tc).T
    np.testing.assert_allclose(np.hstack([net.V.value, net.V_x.value]), w, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(net.c.value, t.mean(0) - w @ z.mean(0), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(net.predict(x), np.concatenate([h, x], 2) @ w.T + net.c.value, rtol=1e-8, atol=1e-10)


def test_a_tanh_output_is_fitted_before_its_squash_and_stays_within_it(rng: np.random.Generator) -> None:
    r = nn.Reservoir(0, 20, rng=rng, bias_scaling=0.2, feedback_size=1, leak=0.7, **F64)
    y = 0.9 * np.sin(0.3 * np.arange(400))[:, None, None]
    net = nn.EchoStateNetwork(r, 1, ridge=0.1, output_activation="tanh").fit(None, y, washout=50)
    h, _ = net.run(None, y)
    z, t = h[50:, 0], np.arctanh(y[50:, 0])
    w = np.linalg.solve((z - z.mean(0)).T @ (z - z.mean(0)) + 0.1 * np.eye(20), (z - z.mean(0)).T @ (t - t.mean(0))).T
    np.testing.assert_allclose(net.V.value, w, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(net.predict(None, y)[50:, 0], np.tanh(z @ w.T + net.c.value), rtol=1e-10, atol=1e-12)
    net.V.value *= 100  # a readout that runs off
    assert np.abs(net.free_run(50, net.warm_up(None, y))).max() <= 1
    told, _ = nn.EchoStateNetwork(r, 1, output_activation="tanh").learn(None, y, delta=0.2)
    linear = nn.RecursiveLeastSquares(20, 1, 1.0, 0.2).update(h[:, 0], np.arctanh(y[:, 0]))
    np.testing.assert_allclose(told[:, 0], np.tanh(linear), rtol=1e-9, atol=1e-12)
    for act in (lambda: net.fit(None, y / 0.9 + 0.1), lambda: net.learn(None, 2 * y)):
        with pytest.raises(DataError, match="between −1 and 1"):
            act()


def test_several_sequences_and_streaming_give_what_one_fit_gives(rng: np.random.Generator) -> None:
    def fresh() -> nn.EchoStateNetwork:
        return nn.EchoStateNetwork(nn.Reservoir(1, 15, rng=np.random.default_rng(5), **F64), 1, ridge=0.1)

    x, y = rng.standard_normal((700, 1, 1)), rng.standard_normal((700, 1, 1))
    whole, parts, listed, batch = fresh().fit(x, y, 10), fresh(), fresh(), fresh()
    state = parts.accumulate(x[:300], y[:300], washout=10)
    parts.accumulate(x[300:], y[300:], state=state)
    np.testing.assert_allclose(parts.solve().V.value, whole.V.value, rtol=1e-9)
    listed.fit([x[:350, 0], x[350:, 0]], [y[:350, 0], y[350:, 0]], washout=10)
    batch.fit(np.hstack([x[:350], x[350:]]), np.hstack([y[:350], y[350:]]), washout=10)
    np.testing.assert_allclose(listed.V.value, batch.V.value, rtol=1e-9)


def test_outputs_are_fed_back(rng: np.random.Generator) -> None:
    r = nn.Reservoir(0, 20, rng=rng, bias_scaling=0.2, feedback_size=1, leak=0.7, **F64)
    net = nn.EchoStateNetwork(r, 1, ridge=1e-8, direct=True)
    y = np.sin(0.3 * np.arange(601))[:, None, None]
    net.fit(None, y[:500], washout=50)
    state = net.warm_up(None, y[:500])
    h, last, expected = state.h[0], y[499, 0, 0], []
    for _ in range(40):
        h = (1 - r.leak) * h + r.gain * np.tanh(r.b.value + r.matrix @ h + r.R.value[:, 0] * last)
        last = (net.c.value + net.V.value @ h + net.V_y.value[:, 0] * last).item()
        expected.append(last)
    np.testing.assert_allclose(net.free_run(40, state)[:, 0, 0], expected, rtol=1e-8, atol=1e-10)
    assert np.abs(net.free_run(100, state) - y[500:600]).max() < 0.01


def test_a_net_reads_its_own_outputs_as_inputs(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(1, 40, rng=rng, leak=0.8, **F64), 1, ridge=1e-8)
    s = np.sin(0.3 * np.arange(700))[:, None, None]
    net.fit(s[:500], s[1:501], washout=50)
    free = net.free_run(60, net.warm_up(s[:500]))
    np.testing.assert_allclose(free, s[501:561], atol=0.02)


def test_noise_comes_from_the_generator_and_is_bounded(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(1, 10, rng=rng, activation="linear", spectral_radius=0.0, **F64), 1)
    x = np.zeros((50, 1, 1))
    one, same, other = (net.run(x, noise=0.1, rng=np.random.default_rng(s))[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other) and 0.08 < np.abs(one).max() <= 0.1
    with pytest.raises(ts.TinyseqError, match="Generator"):
        net.run(x, noise=0.1)


def test_learning_online_is_ridge_regression(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(1, 10, rng=rng, **F64), 1)
    x, y = rng.standard_normal((300, 1, 1)), rng.standard_normal((300, 1, 1))
    predicted, state = net.learn(x[:200], y[:200], washout=20, delta=0.2)
    assert predicted.shape == (180, 1, 1)
    net.learn(x[200:], y[200:], state=state, delta=0.2)
    z = np.concatenate([np.ones((280, 1)), net.run(x)[0][20:, 0]], 1)
    w = np.linalg.solve(z.T @ z + 0.2 * np.eye(11), z.T @ y[20:, 0])[:, 0]
    np.testing.assert_allclose(np.append(net.c.value, net.V.value[0]), w, rtol=1e-8, atol=1e-10)


def test_what_does_not_fit_is_said(rng: np.random.Generator) -> None:
    net = nn.EchoStateNetwork(nn.Reservoir(1, 5, rng=rng, density=1.0, **F64), 1)
    x = rng.standard_normal((20, 1, 1))
    bad = x.copy()
    bad[7] = np.nan
    for call, words in (
        (lambda: net.predict(x), "fit"),
        (lambda: net.fit(x, x, washout=20), "washout of 20"),
        (lambda: net.fit(x, x, washout=-1), "whole number"),
        (lambda: net.fit(bad, x), "step 7"),
        (lambda: net.fit(x, bad), "step 7"),
        (lambda: net.fit(x[:, 0], x), r"\[:, None\]"),
        (lambda: net.fit(x[:10], x), "step by step"),
        (lambda: net.fit(x.astype(np.float32), x), "astype"),
        (lambda: net.fit([x], [x, x]), "1 sequences x"),
        (lambda: net.free_run(5, None), "warm_up"),
        (lambda: nn.Reservoir(0, 5, rng=rng), "drive"),
        (lambda: nn.Reservoir(1, 5, rng=rng, leak=0), "leak"),
        (lambda: nn.Reservoir(1, 5, rng=rng, density=0), "density"),
        (lambda: nn.Reservoir(1, 5, rng=rng, W=np.triu(np.ones((5, 5)), 1), spectral_radius=0.9), "no eigenvalue"),
        (lambda: nn.Reservoir(1, 5, rng=rng, W=np.ones((4, 4))), r"\(5, 5\)"),
        (lambda: nn.Reservoir(1, 5, rng=rng, activation="exp"), "'linear'"),
        (lambda: nn.EchoStateNetwork(nn.Reservoir(1, 5, rng=rng), 1, output_activation="exp"), "'linear' or 'tanh'"),
        (
            lambda: nn.EchoStateNetwork(nn.Reservoir(1, 5, rng=rng, density=1.0, feedback_size=2), 1),
            "feedback_size of 2",
        ),
        (
            lambda: nn.EchoStateNetwork(nn.Reservoir(0, 5, rng=rng, density=1.0, feedback_size=1, **F64), 1).predict(
                None
            ),
            "steps",
        ),
    ):
        with pytest.raises(ts.TinyseqError, match=words):
            call()
