"""Outputs at the end and at each step; both directions; lengths that differ. Oracles: NumPy twins, PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H, O = 3, 4, 3  # noqa: E741
LENGTHS = (2, 5, 1, 4)
ENCODERS = ("one direction", "concatenate", "sum")


def encoder(kind: str, rng: np.random.Generator) -> Any:
    forward = nn.GRUCell(F, H, rng=rng, dtype=np.float64)
    if kind == "one direction":
        return forward
    return nn.Bidirectional(forward, nn.RNNCell(F, H, rng=rng, dtype=np.float64), merge=kind)


def features(enc: Any, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The twin's features at each step of one sequence, and after the last."""
    if isinstance(enc, nn.GRUCell):
        h, last = twins.run(enc, xs)
        return h, last
    h, h_last = twins.run(enc.forward, xs)
    g, g_last = twins.run(enc.backward, xs[::-1])
    g = g[::-1]
    if enc.merge == "sum":
        return h + g, h_last + g_last
    return np.concatenate([h, g], axis=1), np.concatenate([h_last, g_last])


@pytest.fixture(params=ENCODERS)
def enc(request: pytest.FixtureRequest, rng: np.random.Generator) -> Any:
    return twins.randomise(encoder(request.param, rng), rng)


@pytest.fixture
def xs(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal((n, F)) for n in LENGTHS]


def test_features_of_both_directions(enc: Any, xs: list[np.ndarray]) -> None:
    with Tape():
        encoded = enc.encode(xs)
        for b, ours in enumerate(encoded.unpacked()):
            h, last = features(enc, xs[b])
            np.testing.assert_allclose(ours, h, rtol=1e-12)
            np.testing.assert_allclose(encoded.last.value[b], last, rtol=1e-12)
        if encoded.backward is not None:
            g = encoded.backward.unpacked()
            np.testing.assert_allclose(g[1][0], encoded.backward.last.value[1], rtol=1e-13)  # final state is g(1)
            np.testing.assert_allclose(encoded.forward.unpacked()[1][-1], encoded.forward.last.value[1], rtol=1e-13)
        rows, mask = encoded.batch_first()
        assert mask.sum(1).tolist() == list(LENGTHS)
        np.testing.assert_array_equal(rows.value[3, :4], encoded.unpacked()[3])


@pytest.mark.parametrize("real", [False, True])
def test_one_output_at_the_end(enc: Any, xs: list[np.ndarray], rng: np.random.Generator, real: bool) -> None:
    net = twins.randomise(nn.ManyToOne(enc, O, rng=rng), rng)
    y = rng.standard_normal((4, O)) if real else rng.integers(0, O, 4)
    with Tape():
        loss = net.loss(xs, y)
    outputs = [net.c.value + net.V.value @ features(enc, x)[1] for x in xs]
    each = [((o - t) ** 2).sum() if real else -twins.log_softmax(o)[t] for o, t in zip(outputs, y, strict=True)]
    np.testing.assert_allclose(loss.value, np.mean(each), rtol=1e-12)
    if not real:
        with Tape():
            np.testing.assert_allclose(net.log_prob(xs, y).value, -np.array(each), rtol=1e-12)
    report = ts.gradcheck(lambda: net.loss(xs, y), *net.parameters())
    assert report, report


@pytest.mark.parametrize("real", [False, True])
def test_an_output_at_each_step(enc: Any, xs: list[np.ndarray], rng: np.random.Generator, real: bool) -> None:
    net = twins.randomise(nn.ManyToMany(enc, O, rng=rng), rng)
    y = [rng.standard_normal((n, O)) if real else rng.integers(0, O, n) for n in LENGTHS]
    with Tape():
        loss = net.loss(xs, y)
        outputs = nn.unpack(net.outputs(xs).value, LENGTHS)
    total = []
    for x, t, ours in zip(xs, y, outputs, strict=True):
        o = net.c.value + features(enc, x)[0] @ net.V.value.T
        np.testing.assert_allclose(ours, o, rtol=1e-12)
        rows = zip(o, t, strict=True)
        total.append(sum(((a - b) ** 2).sum() if real else -twins.log_softmax(a)[b] for a, b in rows))
    np.testing.assert_allclose(loss.value, np.mean(total), rtol=1e-12)
    if not real:
        with Tape():
            np.testing.assert_allclose(net.log_prob(xs, y).value, -np.array(total), rtol=1e-12)
    report = ts.gradcheck(lambda: net.loss(xs, y), *net.parameters())
    assert report, report


def test_log_prob_of_one_length(enc: Any, rng: np.random.Generator) -> None:
    net = nn.ManyToMany(enc, O, rng=rng)
    x, y = rng.standard_normal((5, 2, F)), rng.integers(0, O, (5, 2))
    with Tape():
        alone = [net.log_prob(x[:, [b]], y[:, [b]]).value[0] for b in range(2)]
        np.testing.assert_allclose(net.log_prob(x, y).value, alone, rtol=1e-12)
        np.testing.assert_allclose(net.loss(x, y).value, -np.mean(alone), rtol=1e-12)


def test_padding_does_not_leak(enc: Any, rng: np.random.Generator) -> None:
    """Into outputs, loss or gradients, of inputs or of targets; a bidirectional net starts at each sequence's end."""
    net = nn.ManyToMany(enc, O, rng=rng)
    x, y = rng.standard_normal((5, 4, F)), rng.integers(0, O, (5, 4))
    results = []
    for filling, other in ((0.0, 0), (np.nan, 10**6)):
        for b, n in enumerate(LENGTHS):
            x[n:, b], y[n:, b] = filling, other
        with Tape():
            loss = net.loss(x, y, LENGTHS)
        loss.backward()
        results.append([loss.value, *[p.grad for p in net.parameters()]])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_planned_equals_reference(enc: Any, xs: list[np.ndarray], rng: np.random.Generator) -> None:
    net = nn.ManyToMany(enc, O, rng=rng)
    y = [rng.integers(0, O, n) for n in LENGTHS]
    for x, t in ((nn.pack(xs), nn.pack(y)), (rng.standard_normal((5, 2, F)), rng.integers(0, O, (5, 2)))):
        step = ts.compile(net.loss)
        loss = step.backward(x, t)
        assert not isinstance(step.program(x, t), str), step.program(x, t)
        ours = [p.grad.copy() for p in net.parameters()]
        with Tape(executor=ts.Reference):
            wanted = net.loss(x, t)
        wanted.backward()
        np.testing.assert_allclose(loss, wanted.value, rtol=1e-12)
        for g, p in zip(ours, net.parameters(), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def errors() -> dict[str, Any]:
    x = np.zeros((5, 2, F))
    return {
        r"one target for each sequence: y \(2,\)": lambda one, many: one.loss(x, np.zeros(3, int)),
        r"target y: class 7 is out of range": lambda one, many: one.loss(x, np.array([0, 7])),
        r"class numbers are integers, write y.astype": lambda one, many: one.loss(x, np.zeros((2, 2))),
        r"y looks batch-first": lambda one, many: many.loss(x, np.zeros((2, 5), int)),
        r"x has 2 sequences of 5 steps, y 3 of 5": lambda one, many: many.loss(x, np.zeros((5, 3), int)),
        r"\(sequence 1 has 2 steps, 3 targets\)": lambda one, many: many.loss(
            [x[:5, 0], x[:2, 0]], [np.zeros(5, int), np.zeros(3, int)]
        ),
        r"expected a cell or an encoder": lambda one, many: nn.ManyToOne(3, 3, rng=np.random.default_rng(0)),
    }


@pytest.mark.parametrize("message", errors())
def test_errors_name_the_item(message: str) -> None:
    rng = np.random.default_rng(0)
    cell = nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    with Tape(), pytest.raises(ts.TinyseqError, match=message):
        errors()[message](nn.ManyToOne(cell, O, rng=rng), nn.ManyToMany(cell, O, rng=rng))


def test_directions_that_do_not_fit() -> None:
    rng = np.random.default_rng(0)
    one, two, wide = (nn.RNNCell(F, n, rng=rng) for n in (4, 4, 5))
    with pytest.raises(ts.TinyseqError, match="same cell twice"):
        nn.Bidirectional(one, one)
    with pytest.raises(ts.TinyseqError, match="merge='sum' needs directions of one size, got 4 and 5"):
        nn.Bidirectional(one, wide, merge="sum")
    with pytest.raises(ts.TinyseqError, match="'concatenate' or 'sum', got 'mean'"):
        nn.Bidirectional(one, two, merge="mean")
    with pytest.raises(ts.TinyseqError, match="forward takes 3 features, backward 2"):
        nn.Bidirectional(one, nn.RNNCell(2, 4, rng=rng))
