"""Densities over sequences: enumerated, against a NumPy loop, and against the histogram of what they draw."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq.nn import SequenceModel
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
K, H, M, C = 2, 3, 5, 3
LENGTHS = (None, "end", "halt", "count")


def model(length: str | None, rng: np.random.Generator, cell: str = "rnn", **options: Any) -> SequenceModel:
    if length == "count":
        options["max_length"] = M
    made = SequenceModel(K, H, cell=cell, length=length, rng=rng, dtype=np.float64, **options)
    twins.randomise(made, rng, 0.9)
    if made.d is not None:
        made.d.value = np.zeros(1)
    return made


def strings(low: int, high: int) -> list[np.ndarray]:
    return [np.array(s, int) for n in range(low, high + 1) for s in itertools.product(range(K), repeat=n)]


def probability(m: SequenceModel, y: np.ndarray, context: np.ndarray | None = None, complete: bool = True) -> float:
    """A plain loop over one sequence."""
    log_p = 0.0
    if m.log_length is not None:
        log_p += twins.log_softmax(m.log_length.value[0])[len(y) - 1]
    state, before = twins.zero_state(m.cell), np.zeros(m.symbols)
    if context is not None and m.K is not None:
        h0 = np.tanh(m.k.value + m.K.value @ context)
        state = (h0, state[1]) if isinstance(state, tuple) else h0
    c = context if m.context != "state" else None
    symbols = [*y.tolist(), *([K] if m.length == "end" and complete else [])]
    for t, symbol in enumerate(symbols):
        x = before
        if m.length == "count":
            x = np.concatenate([x, np.eye(M)[len(y) - 1 - t]])
        state, h = twins.TWINS[type(m.cell).__name__](m.cell, x, state, c)
        log_p += twins.log_softmax(m.c.value + m.V.value @ h)[symbol]
        if m.length == "halt" and (complete or t < len(y) - 1):
            stop = twins.sigmoid(m.d.value[0] + m.v.value[0] @ h)
            log_p += np.log(stop if t == len(y) - 1 else 1 - stop)
        before = np.eye(m.symbols)[symbol]
    return float(np.exp(log_p))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("length", LENGTHS)
def test_log_prob_follows_the_chain_rule(length: str | None, cell: str, rng: np.random.Generator) -> None:
    m = model(length, rng, cell)
    ys = [rng.integers(0, K, n) for n in (2, 4, 1, 4)]
    wanted = [np.log(probability(m, y)) for y in ys]
    with Tape():
        np.testing.assert_allclose(m.log_prob(ys).value, wanted, rtol=1e-11)
        np.testing.assert_allclose(m.loss(ys).value, -np.mean(wanted), rtol=1e-11)
        same = np.stack([ys[1], ys[3]], axis=1)
        np.testing.assert_allclose(m.log_prob(same).value, [wanted[1], wanted[3]], rtol=1e-11)
        np.testing.assert_allclose(m.loss(same).value, -(wanted[1] + wanted[3]) / 2, rtol=1e-11)
    report = ts.gradcheck(lambda: m.loss(ys), *m.parameters())
    assert report, report


def total(m: SequenceModel, ys: list[np.ndarray], **options: Any) -> float:
    with Tape():
        return float(np.exp(m.log_prob(ys, **options).value).sum())


def test_probabilities_of_all_strings_sum_to_one(rng: np.random.Generator) -> None:
    """P(τ < n) + P(a beginning of n symbols) = 1 for "end" and "halt"; for P(τ) all strings up to its greatest τ."""
    for n in (1, 4, 7):
        assert total(model(None, rng), strings(n, n)) == pytest.approx(1, abs=1e-12)
        end, halt = model("end", rng), model("halt", rng)
        assert total(end, strings(0, n - 1)) + total(end, strings(n, n), complete=False) == pytest.approx(1, abs=1e-12)
        rest = total(halt, strings(n, n), complete=False)
        ended = total(halt, strings(1, n - 1)) if n > 1 else 0.0
        assert ended + rest == pytest.approx(1, abs=1e-12) and (n == 1 or 0.001 < rest < 0.999)
    assert total(model("count", rng), strings(1, M)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
def test_samples_have_the_models_probabilities(length: str | None, rng: np.random.Generator) -> None:
    """Of whole strings, hence of lengths too."""
    m, n = model(length, rng), 30_000
    if m.d is not None:
        m.d.value = np.array([0.5])
    drawn = m.sample(n, rng=np.random.default_rng(7), steps=3 if length is None else None)
    seen: dict[tuple[int, ...], int] = {}
    for y in drawn:
        seen[tuple(y.tolist())] = seen.get(tuple(y.tolist()), 0) + 1
    possible = strings(3, 3) if length is None else strings(0 if length == "end" else 1, 4)
    for y in possible:
        p = probability(m, y)
        assert seen.get(tuple(y.tolist()), 0) / n == pytest.approx(p, abs=4 * np.sqrt(p / n) + 1e-3), y
    by_length = np.bincount([len(y) for y in drawn], minlength=5)[:5] / n
    pmf = [sum(probability(m, y) for y in possible if len(y) == k) for k in range(5)]
    np.testing.assert_allclose(by_length, pmf, atol=0.012)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("context", ["input", "state", "both"])
@pytest.mark.parametrize("length", ["end", None])
def test_context(length: str | None, context: str, cell: str, rng: np.random.Generator) -> None:
    m = model(length, rng, cell, context_size=C, context=context)
    ys, x = [rng.integers(0, K, n) for n in (1, 3, 2)], rng.standard_normal((3, C))
    wanted = [np.log(probability(m, y, c)) for y, c in zip(ys, x, strict=True)]
    with Tape():
        np.testing.assert_allclose(m.log_prob(ys, x).value, wanted, rtol=1e-11)
        classes = np.array([2, 0, 2])
        np.testing.assert_allclose(m.log_prob(ys, classes).value, m.log_prob(ys, np.eye(C)[classes]).value, rtol=1e-12)
    report = ts.gradcheck(lambda x: m.loss(ys, x), x, *m.parameters())
    assert report, report
    drawn = m.sample(
        20_000, rng=np.random.default_rng(3), context=np.tile(x[1], (20_000, 1)), steps=None if length else 2
    )
    wanted_string = np.array([1, 0])
    p = probability(m, wanted_string, x[1])
    assert np.mean([y.tolist() == [1, 0] for y in drawn]) == pytest.approx(p, abs=0.012)


@pytest.mark.parametrize("length", LENGTHS)
def test_planned_equals_reference(length: str | None, rng: np.random.Generator) -> None:
    m = model(length, rng, "gru", context_size=C, context="both")
    x = rng.standard_normal((3, C))
    ys: Any
    packed, dense = m.pack([rng.integers(0, K, n) for n in (2, 4, 3)]), rng.integers(0, K, (5, 3))
    for ys in (packed, dense):
        step = ts.compile(m.loss)
        value = step.backward(ys, x)
        assert not isinstance(step.program(ys, x), str), step.program(ys, x)
        ours = [p.grad.copy() for p in m.parameters()]
        with Tape(executor=ts.Reference):
            wanted = m.loss(ys, x)
        wanted.backward()
        np.testing.assert_allclose(value, wanted.value, rtol=1e-12)
        for g, p in zip(ours, m.parameters(), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_parameters_do_not_grow_with_the_length(rng: np.random.Generator) -> None:
    m = model("end", rng)
    assert sum(p.value.size for p in m.parameters()) == H * (K + 1) + H * H + H + (K + 1) * H + (K + 1)


def test_errors_name_the_item(rng: np.random.Generator) -> None:
    end, count, plain, halt = (model(n, rng) for n in ("end", "count", None, "halt"))
    given = model(None, rng, context_size=C)
    y = np.zeros((3, 2), int)
    halt.d.value = np.array([-50.0])
    draw = np.random.default_rng(0)
    for message, act in {
        r"sequence 1 has length 0": lambda: halt.loss([np.array([1]), np.array([], int)]),
        r"sequence 1 has 6 symbols, P\(τ\) goes to max_length = 5": lambda: count.loss(
            [np.array([0]), np.zeros(6, int)]
        ),
        r"sequence 0 holds symbol 2; symbols are 0 to 1": lambda: end.loss([np.array([2])]),
        r"symbol 5 is out of range": lambda: plain.loss(y + 5),
        r"sequence 0 had not ended after max_length = 20": lambda: halt.sample(3, rng=draw, max_length=20),
        r"needs a context": lambda: given.loss(y),
        r"was made without a context": lambda: plain.loss(y, np.zeros((2, 3))),
        r"\(B, context\) = \(2, 3\), or \(2,\) class numbers; got float64 \(2, 4\)": lambda: given.loss(
            y, np.zeros((2, 4))
        ),
        r"context 3 is out of range": lambda: given.loss(y, np.array([0, 3])),
        r"length is None, 'end', 'halt' or 'count', got 'eos'": lambda: SequenceModel(K, H, length="eos", rng=rng),
        r"max_length is the greatest length": lambda: SequenceModel(K, H, length="count", rng=rng),
        r"steps is the length to draw": lambda: plain.sample(3, rng=rng),
        r"depends on τ": lambda: count.log_prob(y, complete=False),
        r"sequence 0 is float64": lambda: end.loss([np.zeros(3)]),
    }.items():
        with Tape(), pytest.raises(ts.TinyseqError, match=message):
            act()
    assert [len(s) for s in halt.sample(3, rng=draw, max_length=20, cut=True)] == [20] * 3
