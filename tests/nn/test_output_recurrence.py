"""Output recurrence and teacher forcing against a NumPy loop; steps that are independent; what it cannot see."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq.diagnose.path_length import path_length
from tinyseq.nn import OutputRecurrence
from tinyseq.nn.output_recurrence import chosen
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H, O = 5, 3, 2, 4, 3  # noqa: E741


@pytest.fixture
def net(rng: np.random.Generator) -> OutputRecurrence:
    return twins.randomise(OutputRecurrence(F, H, O, rng=rng, dtype=np.float64), rng)


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((T, B, F))


@pytest.fixture
def y(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, O, (T, B))


def output(net: OutputRecurrence, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    h = np.tanh(net.b.value + net.W.value @ v + net.U.value @ x)
    return net.c.value + net.V.value @ h


def softmax(o: np.ndarray) -> np.ndarray:
    return np.exp(twins.log_softmax(o))


def loop(net: OutputRecurrence, x: np.ndarray, y: np.ndarray, keep: np.ndarray, noise: np.ndarray | None) -> float:
    """One sequence: the loss with the target fed back where keep is 1, else a draw, or the softmax without noise."""
    v, total = np.full(O, 1 / O), 0.0
    for t in range(len(x)):
        o = output(net, x[t], v)
        total -= twins.log_softmax(o)[y[t]]
        own = softmax(o) if noise is None else np.eye(O)[(o + noise[t]).argmax()]
        v = np.eye(O)[y[t]] if keep[t] else own
    return total


def test_losses_follow_the_equations(net: OutputRecurrence, x: np.ndarray, y: np.ndarray, rng) -> None:
    keep, noise = rng.integers(0, 2, (T, B)), net.noise(rng, (T, B))
    for teacher, given, kept in ((True, None, np.ones((T, B))), (False, None, np.zeros((T, B))), (keep, noise, keep)):
        with Tape():
            loss = net.loss(x, y, teacher=teacher, noise=given).value
        wanted = [loop(net, x[:, b], y[:, b], kept[:, b], None if given is None else given[:, b]) for b in range(B)]
        np.testing.assert_allclose(loss, np.mean(wanted), rtol=1e-12)
        report = ts.gradcheck(
            lambda teacher=teacher, given=given: net.loss(x, y, teacher=teacher, noise=given), *net.parameters()
        )
        assert report, report


def test_teacher_forcing_decouples_the_steps(net: OutputRecurrence, x: np.ndarray, y: np.ndarray) -> None:
    """Its gradient is the sum of the gradients of T nets of one step each, told y(t−1)."""
    with Tape():
        net.loss(x, y).backward()
    ours = [p.grad.copy() for p in net.parameters()]
    total = [np.zeros(p.shape) for p in net.parameters()]
    for t in range(T):
        v = np.eye(O)[y[t - 1]] if t else np.full((B, O), 1 / O)
        with Tape():
            o = net.output(ts.tensor(x[t]), ts.tensor(v))
            ts.cross_entropy(o, y[t]).backward()
        for sum_, p in zip(total, net.parameters(), strict=True):
            sum_ += 0 if p.grad is None else p.grad
    for one, two in zip(ours, total, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)


def test_ways_through_time(net: OutputRecurrence, x: np.ndarray, y: np.ndarray) -> None:
    def hidden(tape: Tape) -> list[ts.Tensor]:
        return [ts.Tensor.at(tape, n.index) for n in tape.nodes() if n.name == "h"]

    with Tape() as free:
        net.loss(x, y, teacher=False)
    with Tape() as forced:
        net.loss(x, y, teacher=True)
    assert path_length(hidden(free)[0], hidden(free)[1], ops=("tanh", "softmax")) == 2
    assert path_length(hidden(forced)[0], hidden(forced)[1]) is None


def test_lengths_that_differ(net: OutputRecurrence, rng: np.random.Generator) -> None:
    lengths = (2, 4, 3)
    xs, ys = [rng.standard_normal((n, F)) for n in lengths], [rng.integers(0, O, n) for n in lengths]
    wanted = [loop(net, a, b, np.ones(len(a)), None) for a, b in zip(xs, ys, strict=True)]
    with Tape():
        np.testing.assert_allclose(net.loss(xs, ys).value, np.mean(wanted), rtol=1e-12)
        np.testing.assert_allclose(net.log_prob(xs, ys).value, -np.array(wanted), rtol=1e-12)


def test_free_running(net: OutputRecurrence, x: np.ndarray) -> None:
    """Greedy by a plain loop; drawn: the frequencies of the first two outputs are the net's probabilities."""
    for b in range(B):
        v = np.full(O, 1 / O)
        for t, ours in enumerate(net.generate(x)[:, b]):
            o = output(net, x[t, b], v)
            assert ours == o.argmax()
            v = np.eye(O)[ours]
    many = np.tile(x[:2, :1], (1, 20_000, 1))
    drawn = net.generate(many, rng=np.random.default_rng(1))
    first = softmax(output(net, x[0, 0], np.full(O, 1 / O)))
    joint = np.array([first[i] * softmax(output(net, x[1, 0], np.eye(O)[i])) for i in range(O)])
    counts = np.zeros((O, O))
    np.add.at(counts, (drawn[0], drawn[1]), 1)
    np.testing.assert_allclose(counts / 20_000, joint, atol=0.015)


def test_planned_equals_reference(
    net: OutputRecurrence, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> None:
    keep, noise = rng.integers(0, 2, (T, B)).astype(float), net.noise(rng, (T, B))
    for loss, arguments in (
        (net.loss, (x, y)),
        (lambda x, y: net.loss(x, y, teacher=False), (x, y)),
        (lambda x, y, k, n: net.loss(x, y, teacher=k, noise=n), (x, y, keep, noise)),
    ):
        step = ts.compile(loss)
        value = step.backward(*arguments)
        assert not isinstance(step.program(*arguments), str), step.program(*arguments)
        ours = [p.grad.copy() for p in net.parameters()]
        with Tape(executor=ts.Reference):
            wanted = loss(*arguments)
        wanted.backward()
        np.testing.assert_allclose(value, wanted.value, rtol=1e-12)
        for g, p in zip(ours, net.parameters(), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_errors_name_the_item(net: OutputRecurrence, x: np.ndarray, y: np.ndarray) -> None:
    for message, act in {
        r"give noise=net.noise\(rng, y.shape\)": lambda: net.loss(x, y, teacher=np.ones((T, B))),
        r"teacher 2 of 5": lambda: net.loss(x, y, teacher=np.ones((T, 2)), noise=np.zeros((T, B, O))),
        r"target y: class 9 is out of range": lambda: net.loss(x, y * 0 + 9),
        r"F = 2 features": lambda: net.outputs(np.zeros((T, B, 3))),
        r"generate takes sequences of one length": lambda: net.generate([x[:, 0], x[:2, 0]]),
    }.items():
        with Tape(), pytest.raises(ts.TinyseqError, match=message):
            act()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_equals_the_first_is_chosen(dtype) -> None:
    z = np.array([[1, 3, 3], [2, 2, 2], [0, 1, 0], [-1, -5, -1]], dtype)
    with Tape():
        found = chosen(ts.tensor(z)).value
    np.testing.assert_array_equal(found, np.eye(3)[z.argmax(-1)])
