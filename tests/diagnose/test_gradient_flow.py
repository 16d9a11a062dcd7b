"""Gradient flow against closed forms: powers of a matrix, transient growth, delays, leaky units; and any cell."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.diagnose import gradient_flow
from tinyseq.errors import DataError, GradientError, TapeError
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")


def linear(W: np.ndarray, steps: int, h0: Any = None, delays: tuple[int, ...] = (1,)) -> Any:
    """h(t) = W h(t−d), unfolded; the loss reads the last state."""
    weight = ts.Parameter(W, "W")

    def step(h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = ts.linear(h, weight).named("h")
        return h, h

    with Tape():
        start = np.random.default_rng(0).standard_normal((1, len(W))) if h0 is None else h0
        net = ts.unfold(step, ts.Chain(steps), (), start, delays=delays)
        return ts.sum(net.final), net


def symmetric(rho: float, n: int, rng: np.random.Generator) -> np.ndarray:
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    eigenvalues = rng.uniform(-0.9 * rho, 0.9 * rho, n)
    eigenvalues[0] = rho
    return Q @ np.diag(eigenvalues) @ Q.T


# -- closed forms -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rho", [0.8, 1.0, 1.25])
def test_a_symmetric_matrix_gives_the_powers_of_its_spectral_radius(rho: float, rng: np.random.Generator) -> None:
    flow = gradient_flow(*linear(symmetric(rho, 6, rng), 31), jacobians=True)
    np.testing.assert_allclose(flow.norms, rho ** np.arange(30, -1, -1.0), rtol=1e-11)
    assert flow.norm(20, 5) == pytest.approx(rho**15, rel=1e-12)
    assert flow.spectral_radius(20, 5) == pytest.approx(rho**15, rel=1e-12)
    assert flow.weights[0].name == "W"
    assert flow.weights[0].sigma_max == pytest.approx(rho, rel=1e-12)
    assert flow.weights[0].radius == pytest.approx(rho, rel=1e-12)


def test_a_non_normal_matrix_grows_first_though_its_spectral_radius_is_below_one() -> None:
    r, shear, steps = 0.8, 10.0, 40
    W = np.array([[r, shear], [0.0, r]])
    loss, net = linear(W, steps + 1)
    flow = gradient_flow(loss, net, jacobians=True)
    tau = np.arange(steps, -1, -1)
    powers = np.array([np.linalg.norm(np.array([[r**k, k * r ** (k - 1.0) * shear], [0.0, r**k]]), 2) for k in tau])
    np.testing.assert_allclose(flow.norms, powers, rtol=1e-11)
    assert flow.weights[0].radius == pytest.approx(r, rel=1e-7)
    assert flow.weights[0].sigma_max > 10
    k = np.arange(1, steps + 1)
    assert steps - np.argmax(flow.norms) == k[np.argmax(k * r ** (k - 1.0))]  # the hump is where k rᵏ⁻¹ is largest
    # the gradient itself: (1, 1) Wᵏ = (rᵏ, rᵏ + k rᵏ⁻¹ s)
    np.testing.assert_allclose(flow.carried, np.hypot(r**tau, r**tau + tau * r ** (tau - 1.0) * shear), rtol=1e-11)
    assert flow.verdict.startswith("vanishes: over 40 steps 0.047 of it is left")
    assert "first it grows" in flow.verdict
    assert f"in {steps - np.argmax(flow.carried)} steps" in flow.verdict


@pytest.mark.parametrize("d", [1, 3, 5])
def test_a_delay_of_d_steps_takes_the_dth_root(d: int) -> None:
    w, tau = 0.7, 15
    flow = gradient_flow(*linear(np.array([[w]]), tau + 1, np.ones((1, 1)), delays=(d,)), jacobians=True)
    assert flow.norm(tau, 0) == pytest.approx(w ** (tau / d), rel=1e-13)
    reached = np.arange(tau, -1, -1) % d == 0
    expected = np.where(reached, w ** (np.arange(tau, -1, -1) / d), 0.0)
    np.testing.assert_allclose(flow.norms, expected, rtol=1e-13)


def test_two_delays_sum_over_all_ways() -> None:
    a, b, tau = 0.5, 0.3, 12
    first, second = ts.Parameter(np.array([a]), "a"), ts.Parameter(np.array([b]), "b")

    def step(states: Any) -> tuple[ts.Tensor, ts.Tensor]:
        h = states[0] * first + states[1] * second
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(tau + 1), (), np.ones((1, 1)), delays=(1, 3))
        loss = ts.sum(net.final)
    ways = [1.0]
    for k in range(1, tau + 1):
        ways.append(a * ways[k - 1] + (b * ways[k - 3] if k >= 3 else 0.0))
    flow = gradient_flow(loss, net, jacobians=True)
    np.testing.assert_allclose(flow.norms[::-1], ways, rtol=1e-13)
    np.testing.assert_allclose(flow.gradient[::-1], ways, rtol=1e-13)


def test_the_impulse_response_of_a_leaky_unit() -> None:
    alpha, tau = 0.9, 20

    def step(v: ts.Tensor, mean: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        mean = (alpha * mean + (1 - alpha) * v).named("μ")
        return mean, mean

    w = ts.Parameter(np.ones((1, 1)), "w")
    values = np.random.default_rng(0).standard_normal((tau + 1, 1, 1))
    with Tape():
        inputs = [x * w for _, x in ts.steps(values)]
        net = ts.unfold(step, ts.Chain(tau + 1), ts.stack(inputs), np.zeros((1, 1)))
        loss = ts.sum(net.final)
    loss.backward()
    response = [(1 - alpha) * alpha**k for k in range(tau + 1)]
    np.testing.assert_allclose([v.grad.item() for v in inputs[::-1]], response, rtol=1e-12)
    flow = gradient_flow(loss, net, jacobians=True)
    np.testing.assert_allclose(flow.norms[::-1], [alpha**k for k in range(tau + 1)], rtol=1e-12)
    assert flow.rate == pytest.approx(alpha, rel=1e-12)
    assert flow.half_life == pytest.approx(np.log(0.5) / np.log(alpha), rel=1e-12)
    assert -1 / np.log(flow.rate) == pytest.approx(-1 / np.log(alpha), rel=1e-12)  # the time constant


# -- against products of Jacobians, for any cell --------------------------------------------------------------------
def tanh_net(T: int = 12, B: int = 3, H: int = 4) -> tuple[ts.nn.RNN, ts.Tensor, Any, np.ndarray]:
    rng = np.random.default_rng(5)
    net = ts.nn.RNN(3, H, 2, rng=rng, dtype=np.float64)
    net.W.value *= 1.7
    x, y = rng.standard_normal((T, B, 3)), rng.integers(0, 2, (T, B))
    with Tape():
        loss, unfolded = net.losses(x, y)
    h, states = np.zeros((B, H)), []
    for t in range(T):
        h = np.tanh(net.b.value + h @ net.W.value.T + x[t] @ net.U.value.T)
        states.append(h)
    return net, loss, unfolded, np.array(states)


def test_the_factors_of_the_vanilla_net() -> None:
    net, loss, unfolded, h = tanh_net()
    flow = gradient_flow(loss, unfolded)
    for t, k in [(11, 11), (7, 6), (11, 0), (9, 4)]:
        product = np.broadcast_to(np.eye(4), (3, 4, 4))
        for i in range(k + 1, t + 1):
            product = ((1 - h[i] ** 2)[:, :, None] * net.W.value) @ product
        np.testing.assert_allclose(flow.jacobian(t, k), product, rtol=1e-10, atol=1e-14)
        assert flow.norm(t, k) == pytest.approx(np.linalg.norm(product, 2, axis=(1, 2)).max(), rel=1e-10)
        assert flow.singular_values(t, k) == pytest.approx(np.linalg.svd(product, compute_uv=False), rel=1e-8)
        eigenvalues = np.abs(np.linalg.eigvals(product)).max()
        assert flow.spectral_radius(t, k) == pytest.approx(eigenvalues, rel=1e-8)
    np.testing.assert_allclose(flow.slopes["tanh′"][:, 0], (1 - h[1:] ** 2).mean(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(flow.slopes["tanh′"][:, 1], (1 - h[1:] ** 2).max(axis=(1, 2)), rtol=1e-12)
    (weight,) = flow.weights
    assert weight.sigma_max == pytest.approx(np.linalg.norm(net.W.value, 2), rel=1e-12)
    assert weight.radius == pytest.approx(np.abs(np.linalg.eigvals(net.W.value)).max(), rel=1e-12)
    for t in range(11):  # the bound that the two factors give
        assert flow.norm(t + 1, t) <= flow.slopes["tanh′"][t, 1] * weight.sigma_max * (1 + 1e-12)


def test_gradients_are_the_tapes_and_stay_as_they_are() -> None:
    net, loss, unfolded, _ = tanh_net()
    loss.backward()
    before = net.W.grad.copy()
    flow = gradient_flow(loss, unfolded)
    expected = [np.linalg.norm(unfolded.state(t).grad) for t in range(12)]
    np.testing.assert_allclose(flow.gradient, expected, rtol=1e-12)
    np.testing.assert_array_equal(net.W.grad, before)
    last = unfolded.state(11).grad
    carried = [np.linalg.norm(np.einsum("bi,bij->bj", last, flow.jacobian(11, t))) for t in range(12)]
    np.testing.assert_allclose(flow.carried, carried, rtol=1e-10)
    assert flow.rate == pytest.approx((flow.carried[0] / flow.carried[11]) ** (1 / 11), rel=1e-12)


def user_cell(rng: np.random.Generator, output_first: bool) -> Any:
    """A cell of a user's with two state tensors; its output may read s before h is made."""
    A, B_, C = (ts.Parameter(rng.normal(0, 0.6, (3, 3)), name) for name in "ABC")

    def step(x: ts.Tensor, state: Any) -> Any:
        h, s = state
        s = (ts.sigmoid(ts.linear(h, A)) * s + ts.tanh(x + ts.linear(s, C))).named("s")
        early = ts.exp(-s) if output_first else None
        h = (ts.tanh(s) * ts.sigmoid(ts.linear(h, B_))).named("h")
        return (h, s), early if output_first else ts.exp(-s)

    return step


def numbers(state: tuple[np.ndarray, np.ndarray], x: np.ndarray, A: Any, B: Any, C: Any) -> Any:
    h, s = state
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    new = sigmoid(h @ A.T) * s + np.tanh(x + s @ C.T)
    return np.tanh(new) * sigmoid(h @ B.T), new


@pytest.mark.parametrize("output_first", [False, True])
def test_a_state_of_two_tensors_counts_as_one_vector(output_first: bool, rng: np.random.Generator) -> None:
    """∂(h, s)(t)/∂(h, s)(k) against differences of a NumPy twin, whichever node was recorded first."""
    T, B, eps = 6, 2, 1e-6
    step = user_cell(rng, output_first)
    weights = {p.name: p.value for p in [c.cell_contents for c in step.__closure__] if isinstance(p, ts.Parameter)}
    x = rng.standard_normal((T, B, 3))
    start = rng.standard_normal((2, B, 3))
    with Tape():
        net = ts.unfold(step, ts.Chain(T), x, (start[0], start[1]))
        loss = ts.sum(net.outputs)
    flow = gradient_flow(loss, net, jacobians=True)
    states = [(start[0], start[1])]
    for t in range(T):
        states.append(numbers(states[-1], x[t], **weights))
    J = np.zeros((B, 6, 6))
    gradient = np.zeros((B, 6))  # of the loss by state(1), as one vector
    for j in range(6):
        sides = []
        for sign in (1, -1):
            h, s = (part.copy() for part in states[2])
            (h if j < 3 else s)[:, j % 3] += sign * eps
            total = np.exp(-s).sum(axis=1)
            for t in range(2, T):
                h, s = numbers((h, s), x[t], **weights)
                total += np.exp(-s).sum(axis=1)
            sides.append((np.concatenate([h, s], axis=1), total))
        J[:, :, j] = (sides[0][0] - sides[1][0]) / (2 * eps)
        gradient[:, j] = (sides[0][1] - sides[1][1]) / (2 * eps)
    np.testing.assert_allclose(flow.jacobian(5, 1), J, rtol=1e-6, atol=1e-8)
    assert flow.norms[1] == pytest.approx(np.linalg.norm(J, 2, axis=(1, 2)).max(), rel=1e-6)
    assert flow.gradient[1] == pytest.approx(np.linalg.norm(gradient), rel=1e-7)
    assert flow.parts["h"][1] == pytest.approx(np.linalg.norm(gradient[:, :3]), rel=1e-7)
    assert flow.parts["s"][1] == pytest.approx(np.linalg.norm(gradient[:, 3:]), rel=1e-7)
    assert {w.name for w in flow.weights} == {"A", "B", "C"} and set(flow.slopes) == {"tanh′", "σ′"}


@pytest.mark.parametrize("make", [ts.nn.LSTMCell, ts.nn.GRUCell])
def test_jacobians_of_a_pair_are_products_of_those_of_its_steps(make: Any, rng: np.random.Generator) -> None:
    cell = make(3, 4, rng=rng, dtype=np.float64)
    with Tape():
        net = ts.unfold(cell, ts.Chain(7), rng.standard_normal((7, 2, 3)), cell.initial_state(2))
        loss = ts.sum(net.output(6) ** 2)
    flow = gradient_flow(loss, net)
    product = flow.jacobian(2, 1)
    for t in range(3, 7):
        product = flow.jacobian(t, t - 1) @ product
    np.testing.assert_allclose(flow.jacobian(6, 1), product, rtol=1e-10, atol=1e-15)
    matrices = {p.name for p in cell.parameters() if p.name.startswith("W")}
    assert {w.name for w in flow.weights} == matrices


def test_plain_loops_layer_after_layer_are_the_same_as_step_after_step(rng: np.random.Generator) -> None:
    """Two layers as one state; the lower layer of later steps is recorded before the upper one of earlier steps."""
    below, above = (ts.nn.RNNCell(3, 3, rng=rng, dtype=np.float64) for _ in range(2))
    x, start = rng.standard_normal((5, 2, 3)), np.zeros((2, 3))

    def run(layerwise: bool) -> Any:
        with Tape():
            low, high = ts.tensor(start), ts.tensor(start)
            lows, highs = [], []
            for t in range(5):
                low, _ = below(ts.tensor(x[t]), low)
                lows.append(low)
                if not layerwise:
                    high, _ = above(low, high)
                    highs.append(high)
            for t in range(5 if layerwise else 0):
                high, _ = above(lows[t], high)
                highs.append(high)
            return gradient_flow(ts.sum(high**2), list(zip(lows, highs, strict=True)), jacobians=True)

    one, other = run(True), run(False)
    np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-12)
    np.testing.assert_allclose(one.norms, other.norms, rtol=1e-12)
    np.testing.assert_allclose(one.jacobian(3, 1), other.jacobian(3, 1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one.jacobian(3, 1), one.jacobian(3, 2) @ one.jacobian(2, 1), rtol=1e-11, atol=1e-15)
    assert list(one.parts) == ["h0", "h1"]


def test_rows_that_depend_on_one_another_are_one_row(rng: np.random.Generator) -> None:
    W = ts.Parameter(rng.standard_normal((2, 2)), "W")

    def step(h: ts.Tensor) -> Any:
        h = ts.tanh(ts.linear(h, W) - ts.mean(h, axis=0, keepdims=True))
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(2), (), rng.standard_normal((3, 2)))
        loss = ts.sum(net.final)
    J = gradient_flow(loss, net).jacobian(1, 0)
    assert J.shape == (1, 6, 6)
    slope = 1 - net.state(1).value ** 2
    expected = np.kron(np.eye(3), W.value) - np.kron(np.full((3, 3), 1 / 3), np.eye(2))
    np.testing.assert_allclose(J[0], slope.reshape(6, 1) * expected, rtol=1e-12, atol=1e-15)


def test_sequences_of_different_lengths(rng: np.random.Generator) -> None:
    cell = ts.nn.RNNCell(2, 3, rng=rng, dtype=np.float64)
    chain = ts.Chain([2, 4])
    x = rng.standard_normal((6, 2))
    with Tape():
        net = ts.unfold(cell, chain, x, np.zeros((2, 3)))
        loss = ts.sum(net.final)
    flow = gradient_flow(loss, net)
    assert flow.jacobian(3, 0).shape == (1, 3, 3)  # one sequence is left
    np.testing.assert_allclose(
        flow.jacobian(3, 0), flow.jacobian(3, 2) @ flow.jacobian(2, 1) @ flow.jacobian(1, 0)[:1], rtol=1e-12
    )


def test_reversed_chains_flow_from_the_start_of_time(rng: np.random.Generator) -> None:
    cell = ts.nn.RNNCell(2, 3, rng=rng, dtype=np.float64)
    with Tape():
        net = ts.unfold(cell, ts.Chain(5).reversed(), rng.standard_normal((5, 1, 2)), np.zeros((1, 3)))
        loss = ts.sum(net.final)
    flow = gradient_flow(loss, net)
    assert flow.step.tolist() == [4, 3, 2, 1, 0]
    assert flow.norm(0, 4) > 0
    with pytest.raises(DataError, match=r"h\(4\) comes before h\(0\).*jacobian\(0, 4\)"):
        flow.jacobian(4, 0)


def test_the_way_from_a_leaf_to_the_root(rng: np.random.Generator) -> None:
    net = ts.nn.RecursiveNet(2, 3, 2, rng=rng, dtype=np.float64)
    tree = ts.Tree.chain(6)
    with Tape():
        unfolded = net.unfold(tree, rng.standard_normal((6, 2)))
        loss = ts.sum(unfolded.root**2)
    flow = gradient_flow(loss, unfolded, jacobians=True)
    assert len(flow) == tree.depth + 1 and flow.step[-1] == tree.root and flow.step[0] < 6
    loss.backward()
    for place, position in enumerate(flow.step):
        assert flow.gradient[place] == pytest.approx(np.linalg.norm(unfolded.state(int(position)).grad), rel=1e-12)
    short = gradient_flow(loss, unfolded, leaf=int(np.argmin(tree.depths[:6])))
    assert len(short) == 2
    assert "position" in str(flow).splitlines()[0]


# -- words, tables, errors --------------------------------------------------------------------------------------------
def test_verdicts() -> None:
    assert gradient_flow(*linear(np.array([[0.5]]), 11)).verdict == (
        "vanishes: over 10 steps 0.00098 of it is left, ×0.5 a step, half-life 1 steps"
    )
    assert gradient_flow(*linear(np.array([[2.0]]), 11)).verdict == (
        "explodes: over 10 steps it grows 1e+03-fold, ×2 a step, doubling in 1 steps"
    )
    assert gradient_flow(*linear(np.array([[0.99]]), 11)).verdict == (
        "healthy: over 10 steps 0.9 of it is left, ×0.99 a step, half-life 69 steps"
    )
    assert gradient_flow(*linear(np.array([[1.0]]), 3)).verdict.endswith("1 of it is left, ×1 a step, for ever")
    assert gradient_flow(*linear(np.array([[0.9]]), 1)).verdict.startswith("one state")
    assert gradient_flow(*linear(np.array([[1e-40]]), 31)).verdict == ("vanishes: exactly 0 from 9 steps back, t = 21")
    with np.errstate(all="ignore"):
        assert gradient_flow(*linear(np.array([[1e40]]), 31, np.array([[1e-300]]))).verdict == (
            "explodes: no longer finite 8 steps back, at t = 22"
        )


def test_a_loss_at_every_step_hides_what_vanishes() -> None:
    W = ts.Parameter(np.array([[0.5]]), "W")

    def step(h: ts.Tensor) -> Any:
        h = ts.linear(h, W)
        return h, h

    with Tape():
        net = ts.unfold(step, ts.Chain(20), (), np.ones((1, 1)))
        flow = gradient_flow(ts.sum(net.outputs), net)
    np.testing.assert_allclose(flow.gradient[::-1], 2 - 0.5 ** np.arange(20), rtol=1e-12)
    np.testing.assert_allclose(flow.carried[::-1], 0.5 ** np.arange(20), rtol=1e-12)
    assert flow.verdict.startswith("vanishes")


def test_states_after_the_last_that_the_loss_reads_have_gradient_zero() -> None:
    _, net = linear(np.array([[0.5]]), 8)
    with net.tape:
        loss = ts.sum(net.state(4))
    flow = gradient_flow(loss, net)
    np.testing.assert_allclose(flow.gradient, [0.5**4, 0.5**3, 0.5**2, 0.5, 1, 0, 0, 0], rtol=1e-14)
    assert flow.last == 4 and "over 4 steps" in flow.verdict
    rows = [line.split() for line in str(flow).splitlines()[2:10]]
    assert rows[0] == ["7", "0.0000e+00"] and rows[3] == ["4", "1.0000e+00", "1.0000e+00"]
    assert rows[4] == ["3", "5.0000e-01", "5.0000e-01", "0.5000"]


def test_as_text_and_html() -> None:
    _, loss, unfolded, _ = tanh_net(T=40)
    flow = gradient_flow(loss, unfolded, jacobians=True)
    lines = str(flow).splitlines()
    assert lines[0].split("  ")[-1] == "‖∂h(39)/∂h(t)‖" and "mean tanh′" in lines[0]
    assert len(lines) == 2 + 17 + 2 and lines[10] == "… 24 more …"
    assert lines[2].split()[0] == "39" and lines[-3].split()[0] == "0"
    assert lines[-2].startswith("σ_max(W) = ") and "ρ(W) = " in lines[-2]
    assert lines[-1] == flow.verdict
    page = flow._repr_html_()
    assert page.count("<tr>") == 18 and "σ_max(W)" in page and page.endswith("</table>")


def test_lists_and_stacked_outputs_are_states_too() -> None:
    _, loss, unfolded, _ = tanh_net()
    expected = gradient_flow(loss, unfolded)
    listed = gradient_flow(loss, [unfolded.state(t) for t in range(12)])
    stacked = gradient_flow(loss, unfolded.states)
    for other in (listed, stacked):
        np.testing.assert_array_equal(other.gradient, expected.gradient)
        np.testing.assert_array_equal(other.carried, expected.carried)


def test_plot(tmp_path: Any) -> None:
    _, loss, unfolded, _ = tanh_net()
    flow = gradient_flow(loss, unfolded, jacobians=True)
    path = flow.plot(tmp_path / "flow.svg", title="a $ title")
    texts = ["".join(t.itertext()) for t in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert {"a $ title", "mean tanh′", "its part from t = 11", flow.verdict} <= set(texts)
    assert f"σ_max(W) = {flow.weights[0].sigma_max:.3g}" in texts
    with pytest.raises(DataError, match="no state at 12; there are states at t = 0 to 11"):
        flow.norm(12, 0)


def test_what_is_no_flow() -> None:
    loss, net = linear(np.eye(2), 3)
    with pytest.raises(GradientError, match="scalar loss, got Tensor of shape"):
        gradient_flow(net.final, net)
    with pytest.raises(DataError, match=r"needs the states of a net, got int: give what ts.unfold returned"):
        gradient_flow(loss, 3)
    with pytest.raises(DataError, match=r"one tensor; give the states of all steps"):
        gradient_flow(loss, net.final)
    with pytest.raises(DataError, match="leaf is for trees"):
        gradient_flow(loss, net, leaf=0)
    with net.tape:
        unrelated = ts.sum(ts.Parameter(np.ones(2), "w"))
    with pytest.raises(GradientError, match="depends on none of these states"):
        gradient_flow(unrelated, net)
    other, _ = linear(np.eye(2), 3)
    with pytest.raises(TapeError, match="two tapes"):
        gradient_flow(other, net)
