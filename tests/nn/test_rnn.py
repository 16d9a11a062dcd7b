"""The vanilla net against the book's own equations, PyTorch, and itself run in other ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import bptt
from tinyseq.nn import RNN
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H, O = 7, 4, 5, 6, 3  # noqa: E741


@pytest.fixture
def net(rng: np.random.Generator) -> RNN:
    net = RNN(F, H, O, rng=rng, dtype=np.float64)
    for parameter in net.parameters():  # biases too
        parameter.value = rng.standard_normal(parameter.shape) * 0.7
    return net


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.standard_normal((T, B, F)), rng.integers(0, O, (T, B)), rng.standard_normal((B, H))


def values(net: RNN) -> dict[str, np.ndarray]:
    return {name: parameter.value for name, parameter in net.named_parameters()}


def relative(a: Any, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def test_bptt_identity(net: RNN, data: Any) -> None:
    """Autodiff equals 10.17–10.28 coded by hand, to 1e-12, for parameters, every ∇h(t) and every ∇o(t)."""
    x, y, h0 = data
    with Tape() as tape:
        loss, unfolded = net.losses(x, y, h0)
    loss.backward()
    wanted = bptt.gradients(values(net), x, y, h0)
    assert relative(loss.value, np.array(bptt.loss(values(net), x, y, h0))) < 1e-13
    for name, parameter in net.named_parameters():
        assert relative(parameter.grad, wanted[name]) < 1e-12, name
    hs, y_hat = bptt.forward(values(net), x, h0)
    for t in range(T):
        o, _ = unfolded.output(t)
        assert relative(unfolded.state(t).grad, wanted["h"][t]) < 1e-12
        assert relative(o.grad, wanted["o"][t]) < 1e-12
        assert relative(unfolded.state(t).value, hs[t + 1]) < 1e-12
        with tape:
            assert relative(ts.softmax(o).value, y_hat[t]) < 1e-12


def test_the_hand_coded_equations_are_the_derivative(net: RNN, data: Any) -> None:
    """The oracle itself, against central differences of its own loss: not of anything in tinyseq."""
    x, y, h0 = data
    p = values(net)
    wanted = bptt.gradients(p, x, y, h0)
    for name in ("U", "W", "V", "b", "c"):
        for place in list(np.ndindex(p[name].shape))[::3]:
            above, below = (p | {name: p[name].copy()} for _ in range(2))
            above[name][place] += 1e-6
            below[name][place] -= 1e-6
            slope = (bptt.loss(above, x, y, h0) - bptt.loss(below, x, y, h0)) / 2e-6
            assert abs(slope - wanted[name][place]) < 1e-8, (name, place)


def test_equation_10_21_as_printed_fails(net: RNN, data: Any) -> None:
    x, y, h0 = data
    with Tape():
        net.loss(x, y, h0).backward()
    printed = bptt.gradients(values(net), x, y, h0, misprinted=True)
    for name in ("W", "U", "b"):
        assert relative(getattr(net, name).grad, printed[name]) > 1e-2, name
    for name in ("V", "c"):  # they do not pass through the recurrence
        assert relative(getattr(net, name).grad, printed[name]) < 1e-12, name


def test_misprint_and_equation_agree_where_the_order_does_not_matter(net: RNN, data: Any) -> None:
    """With a scalar state Wᵀ and diag(1 − h²) commute, so the printed form would pass: the test above can fail."""
    x, y, _ = data
    p = {"U": np.ones((1, F)), "W": np.array([[0.7]]), "b": np.zeros(1), "V": np.ones((O, 1)), "c": np.arange(3.0)}
    right = bptt.gradients(p, x, y, np.zeros((B, 1)))
    printed = bptt.gradients(p, x, y, np.zeros((B, 1)), misprinted=True)
    np.testing.assert_allclose(right["W"], printed["W"], rtol=1e-13)


def test_tokens_are_one_hot_inputs(net: RNN, data: Any, rng: np.random.Generator) -> None:
    _, y, h0 = data
    tokens = rng.integers(0, F, (T, B))
    wanted = bptt.gradients(values(net), np.eye(F)[tokens], y, h0)
    with Tape():
        loss = net.loss(tokens, y, h0)
    loss.backward()
    for name, parameter in net.named_parameters():
        assert relative(parameter.grad, wanted[name]) < 1e-12, name


def test_the_initial_state_is_zero_or_learned(data: Any, rng: np.random.Generator) -> None:
    x, y, _ = data
    for learned in (False, True):
        net = RNN(F, H, O, rng=np.random.default_rng(3), dtype=np.float64, learn_initial_state=learned)
        start = np.zeros(H)
        if net.h0 is not None:
            start = rng.standard_normal(H)
            net.h0.value = start
        with Tape():
            net.loss(x, y).backward()
        wanted = bptt.gradients(values(net), x, y, np.tile(start, (B, 1)))
        assert relative(net.W.grad, wanted["W"]) < 1e-12
        if net.h0 is not None:
            assert relative(net.h0.grad, wanted["h0"].sum(0)) < 1e-12
            assert "h0" in dict(net.named_parameters())


def test_loss_in_a_plain_loop_is_the_same_tape(net: RNN, data: Any) -> None:
    x, y, h0 = data
    with Tape() as stamped:
        loss = net.loss(x, y, h0)
    with Tape() as looped:
        xs = ts.tensor(x).named("x")
        ys, h = ts.tensor(y).named("y"), ts.tensor(h0)
        step = _LossCell(net)
        outputs, losses = [], []
        for t in range(T):
            h, (o, loss_t) = step(xs[t], ys[t], h)
            outputs.append(o)
            losses.append(loss_t)
        ts.stack(outputs)
        total = ts.sum(ts.stack(losses)).named("L")
    assert stamped.same_graph(looped)
    np.testing.assert_array_equal(loss.value, total.value)


class _LossCell(ts.nn.Cell):
    name = "rnn"

    def __init__(self, net: RNN) -> None:
        self.net = net

    def step(self, x: Any, y: Any, h: Any) -> tuple[Any, Any]:
        return self.net.loss_step(x, y, h)


def test_carried_state_continues_the_sequence(net: RNN, data: Any) -> None:
    x, y, h0 = data
    with Tape():
        whole, unfolded = net.losses(x, y, h0)
        final = unfolded.final.value
    with Tape():
        first, unfolded = net.losses(x[:3], y[:3], h0)
        state = unfolded.final.value
    with Tape():
        second, unfolded = net.losses(x[3:], y[3:], state)
        np.testing.assert_allclose(unfolded.final.value, final, rtol=1e-13)
    np.testing.assert_allclose(first.value + second.value, whole.value, rtol=1e-13)


def test_two_losses_on_one_tape_carry_state_and_gradient(net: RNN, data: Any) -> None:
    x, y, h0 = data
    with Tape() as tape:
        first, unfolded = net.losses(x[:3], y[:3], h0)
        second, _ = net.losses(x[3:], y[3:], unfolded.final)
        loss = first + second
    loss.backward()
    wanted = bptt.gradients(values(net), x, y, h0)
    assert relative(net.W.grad, wanted["W"]) < 1e-12
    assert {n.cell for n in tape.nodes()} == {"", "rnn"}
    assert {n.step for n in tape.nodes() if n.cell} == set(range(T))


def test_central_differences(net: RNN, data: Any) -> None:
    x, y, h0 = data
    report = ts.gradcheck(lambda h: net.loss(x, y, h), h0, *net.parameters())
    assert report, report


def test_float32_follows_float64(net: RNN, data: Any) -> None:
    x, y, h0 = data
    narrow = RNN(F, H, O, rng=np.random.default_rng(0))
    narrow.load_state_dict({k: v.astype(np.float32) for k, v in net.state_dict().items()})
    with Tape():
        net.loss(x, y, h0).backward()
    with Tape():
        loss = narrow.loss(x.astype(np.float32), y, h0.astype(np.float32))
    loss.backward()
    assert loss.dtype == np.float32
    for p, q in zip(narrow.parameters(), net.parameters(), strict=True):
        assert p.grad is not None and p.grad.dtype == np.float32
        assert q.grad is not None and relative(p.grad, q.grad) < 1e-5


def test_against_torch(net: RNN, data: Any, torch: Any) -> None:
    """Weights copied into torch.nn.RNN give the same outputs and gradients."""
    x, y, h0 = data
    theirs = torch.nn.RNN(F, H, dtype=torch.float64)
    head = torch.nn.Linear(H, O, dtype=torch.float64)
    with torch.no_grad():
        for target, source in (
            (theirs.weight_ih_l0, net.U),
            (theirs.weight_hh_l0, net.W),
            (theirs.bias_ih_l0, net.b),
            (head.weight, net.V),
            (head.bias, net.c),
        ):
            target.copy_(torch.tensor(source.value))
        theirs.bias_hh_l0.zero_()
    start = torch.tensor(h0)[None].requires_grad_()
    hidden, _ = theirs(torch.tensor(x), start)
    outputs = head(hidden)
    total = torch.nn.functional.cross_entropy(outputs.reshape(-1, O), torch.tensor(y).reshape(-1), reduction="sum") / B
    total.backward()
    with Tape():
        h = ts.tensor(h0)
        loss, unfolded = net.losses(x, y, h)
    loss.backward()
    o, _ = unfolded.outputs
    assert relative(o.value, outputs.detach().numpy()) < 1e-12
    assert relative(loss.value, total.detach().numpy()) < 1e-13
    assert relative(h.grad, start.grad[0].numpy()) < 1e-12
    for parameter, twin in (
        (net.U, theirs.weight_ih_l0),
        (net.W, theirs.weight_hh_l0),
        (net.b, theirs.bias_ih_l0),
        (net.V, head.weight),
        (net.c, head.bias),
    ):
        assert relative(parameter.grad, twin.grad.numpy()) < 1e-12, parameter


def test_lengths_that_differ(net: RNN, rng: np.random.Generator) -> None:
    lengths = [2, 5, 3]
    sequences = [rng.standard_normal((n, F)) for n in lengths]
    chain = ts.Chain(lengths)
    with Tape():
        unfolded = ts.unfold(net, chain, chain.pack(sequences), net.initial_state(3))
        packed = unfolded.outputs.value[chain.unpack_rows()]
    start = 0
    for n, s in zip(lengths, sequences, strict=True):
        h, _ = bptt.forward(values(net), s[:, None], np.zeros((1, H)))
        wanted = (net.c.value + h[1:] @ net.V.value.T)[:, 0]
        np.testing.assert_allclose(packed[start : start + n], wanted, rtol=1e-12)
        start += n


def test_initialisation_is_the_generators_and_within_bounds() -> None:
    one = RNN(20, 30, 10, rng=np.random.default_rng(5))
    two = RNN(20, 30, 10, rng=np.random.default_rng(5))
    other = RNN(20, 30, 10, rng=np.random.default_rng(6))
    for p, q, r in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert p.dtype == np.float32
        np.testing.assert_array_equal(p.value, q.value)
        if p.ndim == 2:
            assert not np.array_equal(p.value, r.value)
            bound = 1 / np.sqrt(30)
            assert np.abs(p.value).max() <= bound and p.value.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        else:
            np.testing.assert_array_equal(p.value, 0)
