"""Encoder–decoder nets with a fixed C and with attention: enumeration, a NumPy loop, padding, decoding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H, D, K = 2, 3, 4, 2


def model(rng: np.random.Generator, attention: bool, cell: str = "gru", both: bool = False) -> nn.EncoderDecoder:
    encoder: Any = nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    if both:
        encoder = nn.Bidirectional(encoder, nn.RNNCell(F, H, rng=rng, dtype=np.float64))
    return twins.randomise(nn.EncoderDecoder(encoder, K, D, rng=rng, cell=cell, attention=attention), rng)


def log_prob(m: nn.EncoderDecoder, x: np.ndarray, y: np.ndarray) -> float:
    """A plain loop over one pair."""
    keys, last = twins.run(m.encoder, x)
    if m.attention is None:
        C = last
    state, before, total = twins.zero_state(m.cell), np.zeros(K + 1), 0.0
    for symbol in [*y.tolist(), K]:
        if m.attention is not None:
            s = state[0] if isinstance(state, tuple) else state
            weights = np.exp(twins.log_softmax(keys @ (s @ m.attention.A.value)))
            C = weights @ keys
        state, s = twins.TWINS[type(m.cell).__name__](m.cell, before, state, C)
        total += twins.log_softmax(m.c.value + m.V.value @ s + m.Q.value @ C)[symbol]
        before = np.eye(K + 1)[symbol]
    return total


def strings(low: int, high: int) -> list[np.ndarray]:
    return [np.array(s, int) for n in range(low, high + 1) for s in itertools.product(range(K), repeat=n)]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("attention", [False, True])
def test_log_prob_follows_the_equations(attention: bool, cell: str, rng: np.random.Generator) -> None:
    m = model(rng, attention, cell)
    xs, ys = [rng.standard_normal((n, F)) for n in (3, 1, 5)], [rng.integers(0, K, n) for n in (2, 4, 1)]
    wanted = [log_prob(m, x, y) for x, y in zip(xs, ys, strict=True)]
    with Tape():
        np.testing.assert_allclose(m.log_prob(xs, ys).value, wanted, rtol=1e-11)
        np.testing.assert_allclose(m.loss(xs, ys).value, -np.mean(wanted), rtol=1e-11)
    x, y = rng.standard_normal((4, 2, F)), rng.integers(0, K, (3, 2))
    with Tape():
        wanted = [log_prob(m, x[:, b], y[:, b]) for b in range(2)]
        np.testing.assert_allclose(m.log_prob(x, y).value, wanted, rtol=1e-11)
    report = ts.gradcheck(lambda: m.loss(xs, ys), *m.parameters())
    assert report, report


@pytest.mark.parametrize("attention", [False, True])
def test_probabilities_sum_to_one_and_samples_follow_them(attention: bool, rng: np.random.Generator) -> None:
    m = model(rng, attention)
    m.c.value = np.array([0.0, 0.0, 2.0])  # ends soon
    x, ys = rng.standard_normal((3, 1, F)), strings(0, 9)
    with Tape():
        p = np.exp(m.log_prob(np.tile(x, (1, len(ys), 1)), ys).value)
    assert 0.99 < p.sum() <= 1 + 1e-12
    drawn = m.sample(np.tile(x, (1, 20_000, 1)), rng=np.random.default_rng(5), max_length=60)
    for y, wanted in zip(ys[:7], p, strict=False):
        assert np.mean([np.array_equal(s, y) for s in drawn]) == pytest.approx(wanted, abs=0.012)


@pytest.mark.parametrize("attention", [False, True])
def test_padding_does_not_leak(attention: bool, rng: np.random.Generator) -> None:
    """A batch is its members one by one, whatever the padding; both directions, gradients too."""
    m = model(rng, attention, both=True)
    lengths, ys = (2, 5, 3), [rng.integers(0, K, n) for n in (3, 1, 2)]
    x = rng.standard_normal((5, 3, F))
    results = []
    for filling in (0.0, np.nan):
        for b, n in enumerate(lengths):
            x[n:, b] = filling
        with Tape():
            loss = m.loss(x, ys, lengths)
        loss.backward()
        results.append([loss.value, *[p.grad for p in m.parameters()]])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    with Tape():
        alone = [m.loss(x[:n, [b]], [ys[b]]).value for b, n in enumerate(lengths)]
    np.testing.assert_allclose(np.mean(alone), results[0][0], rtol=1e-12)


@pytest.mark.parametrize("attention", [False, True])
def test_decoding(attention: bool, rng: np.random.Generator) -> None:
    """A beam wide enough finds the best string of all; greedy takes the best symbol at each step."""
    m = model(rng, attention)
    xs = [rng.standard_normal((n, F)) for n in (2, 4, 3)]
    longest = 4
    possible = strings(0, longest)
    for x, found, stepwise in zip(
        xs, m.decode(xs, max_length=longest, beam=K**longest), m.decode(xs, max_length=longest), strict=True
    ):
        scores = [log_prob(m, x, y) for y in possible]
        assert found.ended and found.log_prob == pytest.approx(max(scores), rel=1e-10)
        np.testing.assert_array_equal(found.tokens, possible[int(np.argmax(scores))])
        if stepwise.ended:
            assert stepwise.log_prob == pytest.approx(log_prob(m, x, stepwise.tokens), rel=1e-10)
            assert stepwise.log_prob <= found.log_prob + 1e-12
    for one in m.decode(xs, max_length=longest, beam=2):
        assert isinstance(one, nn.Decoded)


def test_greedy_by_a_plain_loop(rng: np.random.Generator) -> None:
    m = model(rng, True)
    m.c.value = np.array([1.0, 0.9, 0.6])
    xs = [rng.standard_normal((n, F)) for n in (2, 4, 3, 3)]
    for x, ours in zip(xs, m.decode(xs, max_length=5), strict=True):
        y: list[int] = []
        while True:
            options = [log_prob(m, x, np.array([*y, k], int)) for k in range(K)]
            # the probability of symbol k next, by what ends right after it, minus the end's own share
            state_scores = step_scores(m, x, np.array(y, int))
            best = int(np.argmax(state_scores))
            if best == K or len(y) == 5:
                assert ours.ended == (best == K)
                break
            assert options[best] <= 0
            y.append(best)
        assert ours.tokens.tolist() == y


def step_scores(m: nn.EncoderDecoder, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log p of each symbol after y, by differences of the loop's log-probabilities."""
    ended = log_prob(m, x, y)
    prefix = prefix_log_prob(m, x, y)
    scores = [prefix_log_prob(m, x, np.append(y, k)) - prefix for k in range(K)]
    return np.array([*scores, ended - prefix])


def prefix_log_prob(m: nn.EncoderDecoder, x: np.ndarray, y: np.ndarray) -> float:
    keys, _ = twins.run(m.encoder, x)
    state, before, total = twins.zero_state(m.cell), np.zeros(K + 1), 0.0
    for symbol in y.tolist():
        weights = np.exp(twins.log_softmax(keys @ (state @ m.attention.A.value)))
        state, s = twins.gru(m.cell, before, state, weights @ keys)
        total += twins.log_softmax(m.c.value + m.V.value @ s + m.Q.value @ (weights @ keys))[symbol]
        before = np.eye(K + 1)[symbol]
    return total


def test_attention_weights(rng: np.random.Generator) -> None:
    m = model(rng, True)
    x = rng.standard_normal((6, 1, F))
    weights = m.weights(x, np.array([1, 0]))
    assert weights.shape == (3, 6)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-12)
    keys, _ = twins.run(m.encoder, x[:, 0])
    np.testing.assert_allclose(weights[0], 1 / 6, rtol=1e-12)  # s(0) = 0
    _, s = twins.gru(m.cell, np.zeros(K + 1), np.zeros(D), keys.mean(0))
    np.testing.assert_allclose(weights[1], np.exp(twins.log_softmax(keys @ (s @ m.attention.A.value))), rtol=1e-11)


def test_states_and_features_of_bidirectional_and_stacked_encoders(rng: np.random.Generator) -> None:
    one, two = nn.RNNCell(F, H, rng=rng, dtype=np.float64), nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    encoder = nn.Stack([nn.Bidirectional(one, two), nn.LSTMCell(2 * H, 3, rng=rng, dtype=np.float64)])
    m = twins.randomise(nn.EncoderDecoder(encoder, K, D, rng=rng, cell="lstm", attention=True), rng)
    xs, ys = [rng.standard_normal((n, F)) for n in (3, 1)], [rng.integers(0, K, n) for n in (2, 3)]
    report = ts.gradcheck(lambda: m.loss(xs, ys), *m.parameters())
    assert report, report


@pytest.mark.parametrize("attention", [False, True])
def test_compiled_equals_reference(attention: bool, rng: np.random.Generator) -> None:
    m = model(rng, attention)
    x, y = rng.standard_normal((4, 3, F)), m.pack(rng.integers(0, K, (3, 5)))
    step = ts.compile(m.loss)
    value = step.backward(x, y)
    assert not isinstance(step.program(x, y), str), step.program(x, y)
    ours = [p.grad.copy() for p in m.parameters()]
    with Tape(executor=ts.Reference):
        wanted = m.loss(x, y)
    wanted.backward()
    np.testing.assert_allclose(value, wanted.value, rtol=1e-12)
    for g, p in zip(ours, m.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_errors_name_the_item(rng: np.random.Generator) -> None:
    m = model(rng, False)
    m.c.value = np.array([50.0, 0.0, -50.0])  # never ends
    x = np.zeros((3, 2, F))
    for message, act in {
        r"2 sequences x, but 3 sequences y": lambda: m.loss(x, np.zeros((2, 3), int)),
        r"target sequence 1 is int64 \(1,\), expected symbols \(length,\) of 0 to 1": lambda: m.loss(
            x, [np.array([0]), np.array([2])]
        ),
        r"sequence 0 had not ended after max_length = 4 symbols": lambda: m.generate(x, max_length=4),
        r"max_length must be a whole number of at least 1, got 0": lambda: m.generate(x, max_length=0),
        r"width of a beam": lambda: m.generate(x, max_length=4, beam=0),
        r"has no attention": lambda: m.weights(x[:, :1], np.array([0])),
        r"sequence 1 has length 0: attention has nothing": lambda: model(rng, True).loss(
            [np.zeros((2, F)), np.zeros((0, F))], [np.array([0])] * 2
        ),
        r"expected a cell or an encoder": lambda: nn.EncoderDecoder("lstm", K, D, rng=rng),
        r"attention reads states \(B, 2\)": lambda: nn.Attention(2, 3, rng=rng)(
            ts.zeros((1, 3)), ts.zeros((1, 2, 3)), ts.zeros((1, 2))
        ),
    }.items():
        with Tape(), pytest.raises(ts.TinyseqError, match=message):
            act()
    assert [y.tolist() for y in m.generate(x, max_length=4, cut=True)] == [[0] * 4] * 2
    assert [y.tolist() for y in m.generate(x, max_length=4, cut=True, beam=2)] == [[0] * 4] * 2
