"""Leaky units, skips through time, clockwork groups: closed forms, what is removed, their place in every model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.diagnose.path_length import path_length
from tinyseq.tape import Tape
from tinyseq.train import OPTIMISERS, SGD, Adam
from tinyseq.viz import draw

pytestmark = pytest.mark.usefixtures("executor")
F, H = 3, 4

CELLS: dict[str, Any] = {
    "leaky": lambda n, h, **k: nn.LeakyCell(n, h, learn_alpha=True, alpha=0.8, **k),
    "skip": lambda n, h, **k: nn.SkipCell(n, h, delays=(1, 3), **k),
    "clockwork": lambda n, h, **k: nn.ClockworkCell(n, h, periods=(1, 2), **k),
    "peepholes": lambda n, h, **k: nn.LSTMCell(n, h, peepholes="gers", **k),
}


# -- leaky units ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alpha", [0.5, 0.9, np.array([0.1, 0.5, 0.9, 0.999])])
def test_impulse_response_of_a_leaky_unit(alpha: Any, rng: np.random.Generator) -> None:
    """With W = 0 a pulse u leaves (1 − α) αᵏ tanh(u) after k steps, exactly; so does the gradient."""
    cell = twins.randomise(nn.LeakyCell(F, H, alpha=alpha, rng=rng, dtype=np.float64), rng)
    cell.a.W.value[...] = 0
    cell.a.b.value[...] = 0
    x = np.zeros((8, 1, F))
    x[0, 0] = rng.standard_normal(F)
    k = np.arange(8)[:, None]
    with Tape():
        unfolded = ts.unfold(cell, ts.Chain(8), x, cell.initial_state(1))
        outputs = unfolded.outputs.value[:, 0]
        ts.sum(unfolded.state(7)).backward()
        gradients = np.array([unfolded.state(t).grad[0] for t in range(8)])
    np.testing.assert_allclose(outputs, (1 - alpha) * alpha**k * np.tanh(cell.a.U.value @ x[0, 0]), rtol=1e-12)
    np.testing.assert_allclose(gradients, np.broadcast_to(alpha ** k[::-1], (8, H)), rtol=1e-12)


def test_time_constants_and_decays() -> None:
    np.testing.assert_allclose(nn.time_constants([0.5, 0.9]), [1.442695040888963, 9.491221581029903], rtol=1e-14)
    np.testing.assert_allclose(nn.decays(nn.time_constants([0.3, 0.99])), [0.3, 0.99], rtol=1e-14)
    assert nn.decays(10.0) ** 10 == pytest.approx(np.exp(-1))


def test_a_learned_alpha_starts_where_it_was_given_and_is_learned(rng: np.random.Generator) -> None:
    """Target: a leaky average with α = 0.95 of the inputs; the units begin at 0.5."""
    start = np.array([0.5, 0.6])
    cell = nn.LeakyCell(1, 2, alpha=start, learn_alpha=True, rng=rng, dtype=np.float64)
    np.testing.assert_allclose(cell.alpha, start, rtol=1e-12)
    cell.a.W.value[...] = 0
    cell.a.U.value[...] = 1
    x = rng.uniform(-1, 1, (60, 8, 1))
    wanted, h = [], np.zeros((8, 1))
    for u in x:
        h = 0.95 * h + 0.05 * np.tanh(u)
        wanted.append(np.repeat(h, 2, axis=1))
    loss = ts.compile(lambda x, y: ts.sum((cell.encode(x).outputs - y) ** 2))
    optimiser = Adam([cell.logit], 0.05)
    for _ in range(300):
        loss.backward(x, np.array(wanted))
        optimiser.step()
    np.testing.assert_allclose(cell.alpha, 0.95, atol=1e-3)


# -- skips ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("d", [1, 3, 5])
def test_gradient_through_skips_of_length_d(d: int) -> None:
    """h(t) = w h(t−d) has ∂h(τ)/∂h(0) = w^(τ/d) for τ = d, 2d, …, by the delays of unfold and by a delay line."""
    w, T = 0.8, 15

    def step(h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        return h * w, h * w

    def line_step(line: tuple) -> tuple[tuple, ts.Tensor]:
        return (line[-1] * w, *line[:-1]), line[-1] * w

    for t in range(d - 1, T, d):
        h0 = ts.Parameter(np.ones((1, 1)))
        with Tape():
            ts.sum(ts.unfold(step, ts.Chain(T), (), h0, delays=(d,)).output(t)).backward()
        assert h0.grad is not None and h0.grad[0, 0] == pytest.approx(w ** ((t + 1) / d), rel=1e-12)
        with Tape():
            line = tuple(ts.tensor(np.ones((1, 1))) for _ in range(d - 1))
            ts.sum(ts.unfold(line_step, ts.Chain(T), (), (h0, *line)).output(t)).backward()
        assert h0.grad[0, 0] == pytest.approx(w ** ((t + 1) / d), rel=1e-12)


def test_a_saturating_skip_cell_keeps_the_gradient_longer(rng: np.random.Generator) -> None:
    """Of W = w I at the linear point x = 0: the norm over τ = 12 steps is wᵗ with one delay, w^(τ/4) with four."""
    for delays, exponent in (((1,), 12), ((4,), 3)):
        cell = nn.SkipCell(F, H, delays=delays, rng=rng, dtype=np.float64)
        cell.a.W[delays[0]].value[...] = 0.5 * np.eye(H)
        with Tape():
            unfolded = ts.unfold(cell, ts.Chain(13), np.zeros((13, 1, F)), cell.initial_state(1))
            ts.sum(unfolded.output(12)).backward()
            np.testing.assert_allclose(unfolded.output(0).grad, 0.5**exponent, rtol=1e-12)
            assert path_length(unfolded.output(0), unfolded.output(12)) == exponent
        if delays == (4,):
            assert unfolded.output(1).grad is None or not unfolded.output(1).grad.any()  # no way of 11 steps


def test_the_delay_line_leaves_no_node_on_the_tape(rng: np.random.Generator) -> None:
    """The graph is the one that ts.unfold stamps with delays."""
    cell = twins.randomise(nn.SkipCell(F, H, delays=(1, 4), rng=rng, dtype=np.float64), rng)
    x, h0 = rng.standard_normal((9, 2, F)), rng.standard_normal((2, H))

    def equations(x: ts.Tensor, states: tuple) -> tuple[ts.Tensor, ts.Tensor]:
        a = cell.a.b + ts.linear(states[0], cell.a.W[1]) + ts.linear(states[1], cell.a.W[4]) + ts.linear(x, cell.a.U)
        h = ts.tanh(a.named("a")).named("h")
        return h, h

    with Tape() as ours:
        start = ts.tensor(h0)
        outputs = ts.unfold(cell, ts.Chain(9), x, cell.initial_state(2, start)).outputs
    with Tape() as theirs:
        for p in cell.parameters():
            ts.expand(p, p.shape)  # the parameters in the same order
        start = ts.tensor(h0)
        wanted = ts.unfold(equations, ts.Chain(9), x, start, delays=(1, 4)).outputs
    inside = ours.step >= 0
    assert inside.sum() == (theirs.step >= 0).sum()
    assert ours.column("op")[inside].tolist() == theirs.column("op")[theirs.step >= 0].tolist()
    np.testing.assert_array_equal(outputs.value, wanted.value)


def test_delays_are_delay_squares_in_the_folded_picture(rng: np.random.Generator) -> None:
    cell = nn.SkipCell(F, H, delays=(1, 5), rng=rng)
    with Tape() as tape:
        cell.encode(np.zeros((12, 1, F), np.float32))
    links = draw(tape, view="folded").diagram.links
    assert sorted((link.label[0], link.delay) for link in links if link.delay) == [("W_1", 1), ("W_5", 5)]


# -- clockwork groups ---------------------------------------------------------------------------------------------
def test_groups_tick_with_their_periods(rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.ClockworkCell(F, 6, periods=(1, 2, 5), rng=rng, dtype=np.float64), rng)
    x = rng.standard_normal((11, 1, F))
    with Tape():
        h = cell.encode(x).outputs.value[:, 0]
    for i, period in enumerate((1, 2, 5)):
        moved = [(h[t, 2 * i : 2 * i + 2] != h[t - 1, 2 * i : 2 * i + 2]).all() for t in range(1, 11)]
        assert moved == [t % period == 0 for t in range(1, 11)]


def test_a_carried_state_carries_the_clock(rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.ClockworkCell(F, 6, periods=(1, 3, 4), rng=rng, dtype=np.float64), rng)
    x = rng.standard_normal((10, 2, F))
    with Tape():
        whole = cell.encode(x).outputs.value
        first = cell.encode(x[:5])
        np.testing.assert_allclose(cell.encode(x[5:], state=first.final).outputs.value, whole[5:], rtol=1e-13)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_removed_connections_stay_exactly_zero(name: str, rng: np.random.Generator) -> None:
    """Through training with every optimiser, with slots full; what is left does move."""
    cell = nn.ClockworkCell(F, 6, periods=(1, 2, 4), rng=rng, dtype=np.float64)
    net = nn.ManyToMany(cell, 2, rng=rng)
    before = cell.matrix()
    removed = np.tril(np.ones((6, 6)), -1).reshape(3, 2, 3, 2)
    removed[range(3), :, range(3)] = 0  # inside a group all are connected
    removed = removed.reshape(6, 6) > 0
    optimiser = OPTIMISERS[name](net.parameters(), 0.05)
    loss = ts.compile(net.loss)
    for _ in range(20):
        loss.backward(rng.standard_normal((9, 4, F)), rng.integers(0, 2, (9, 4)))
        optimiser.step()
    after = cell.matrix()
    assert removed.sum() == 12 and (before[removed] == 0).all() and (after[removed] == 0).all()
    assert (after[~removed] != before[~removed]).all()


def test_momentum_too(rng: np.random.Generator) -> None:
    cell = nn.ClockworkCell(F, 4, periods=(1, 2), rng=rng)
    optimiser = SGD(cell.parameters(), 0.1, momentum=0.9)
    loss = ts.compile(lambda x: ts.sum(cell.encode(x).outputs ** 2))
    for _ in range(5):
        loss.backward(rng.standard_normal((6, 2, F)).astype(np.float32))
        optimiser.step()
    np.testing.assert_array_equal(cell.matrix()[2:, :2], 0)
    assert not any("matrix" in name for name in cell.state_dict())


def test_a_faster_group_does_not_reach_a_slower_one(rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.ClockworkCell(F, 4, periods=(1, 2), rng=rng, dtype=np.float64), rng)
    with Tape():
        h0 = ts.tensor(rng.standard_normal((1, 4)))
        unfolded = ts.unfold(cell, ts.Chain(5), np.zeros((5, 1, F)), cell.initial_state(1, h0))
        ts.sum(unfolded.output(4)[:, 2:]).backward()
    assert (h0.grad[0, :2] == 0).all() and (h0.grad[0, 2:] != 0).all()


# -- as every other cell --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", CELLS)
def test_in_every_model_with_lengths_that_differ(
    kind: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stacked, in both directions, under a head: each sequence as if it were alone; planned, not on the slow path."""
    monkeypatch.setattr(ts.Compiled, "small", 0)
    make, k = CELLS[kind], {"rng": rng, "dtype": np.float64}
    one, there, back = make(F, H, **k), make(H, H, **k), make(H, H, **k)
    encoder = nn.Stack([one, nn.Bidirectional(there, back)])
    net = twins.randomise(nn.ManyToMany(encoder, 2, rng=rng), rng)
    xs = [rng.standard_normal((n, F)) for n in (2, 6, 3)]
    with Tape() as tape:
        o = nn.unpack(net.outputs(xs).value, (2, 6, 3))
    assert not getattr(tape.executor, "fallback", "")
    for x, ours in zip(xs, o, strict=True):
        below = twins.run(one, x)[0]
        h, g = twins.run(there, below)[0], twins.run(back, below[::-1])[0][::-1]
        wanted = net.c.value + np.concatenate([h, g], axis=1) @ net.V.value.T
        np.testing.assert_allclose(ours, wanted, rtol=1e-11)
    ys = [rng.integers(0, 2, len(x)) for x in xs]
    report = ts.gradcheck(lambda: net.loss(xs, ys), *net.parameters())
    assert report, report
    step = ts.compile(net.loss)
    step.backward(nn.pack(xs), nn.pack(ys))
    assert not isinstance(step.program(nn.pack(xs), nn.pack(ys)), str)


@pytest.mark.parametrize("kind", CELLS)
def test_as_one_layer_of_stacked_cells(kind: str, rng: np.random.Generator) -> None:
    one, two = (CELLS[kind](n, H, rng=rng, dtype=np.float64) for n in (F, H))
    stack = twins.randomise(nn.StackedCells([one, two]), rng)
    x = rng.standard_normal((5, F))
    with Tape():
        ours = stack.encode([x, x[:2]]).unpacked()[0]
    np.testing.assert_allclose(ours, twins.run(two, twins.run(one, x)[0])[0], rtol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_in_a_sequence_model(kind: str, rng: np.random.Generator) -> None:
    """The probabilities of all strings of a length sum to 1, and what it draws has them."""
    model = nn.SequenceModel(2, H, cell=CELLS[kind], length="end", rng=rng, dtype=np.float64)
    twins.randomise(model, rng)
    strings = [np.array([i >> k & 1 for k in range(n)], int) for n in range(4) for i in range(2**n)]
    with Tape():
        p = np.exp(model.log_prob(strings).value)
        begin = np.exp(model.log_prob([s for s in strings if len(s) == 3], complete=False).value)
    assert p[:7].sum() + begin.sum() == pytest.approx(1, abs=1e-12)  # ended before three symbols, or three and more
    drawn = model.sample(4000, rng=rng, max_length=200, cut=True)
    share = np.array([np.mean([np.array_equal(s, d) for d in drawn]) for s in strings[:7]])
    np.testing.assert_allclose(share, p[:7], atol=0.03)


def test_dtype_and_generator(rng: np.random.Generator) -> None:
    for make in CELLS.values():
        same = [make(F, H, rng=np.random.default_rng(3)) for _ in range(2)]
        for one, two in zip(*(c.parameters() for c in same), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one.value, two.value)
        with Tape():
            assert same[0].encode(rng.standard_normal((4, 2, F)).astype(np.float32)).outputs.dtype == np.float32


def errors(rng: np.random.Generator) -> dict[str, Any]:
    k = {"rng": rng}
    return {
        r"between 0 \(no memory\) and 1 \(no input\), both excluded; got 1.0": lambda: nn.LeakyCell(
            F, H, alpha=1.0, **k
        ),
        r"one for each of the 4 units; got an array \(3,\)": lambda: nn.LeakyCell(F, H, alpha=np.full(3, 0.5), **k),
        r"finite numbers of steps above 0, got \[": lambda: nn.decays([1.0, 0.0]),
        r"delays are whole numbers of at least 1 in rising order.*got \(0, 1\)": lambda: nn.SkipCell(
            F, H, delays=(0, 1), **k
        ),
        r"delays are whole.*got \(3, 1\)": lambda: nn.SkipCell(F, H, delays=(3, 1), **k),
        r"delays are whole.*got 3": lambda: nn.SkipCell(F, H, delays=3, **k),
        r"periods are whole.*got \(\)": lambda: nn.ClockworkCell(F, H, periods=(), **k),
        r"periods are whole.*got \(1, 1\)": lambda: nn.ClockworkCell(F, H, periods=(1, 1), **k),
        r"3 groups of equal size need a hidden_size that is a multiple of 3, got 4": lambda: nn.ClockworkCell(
            F, H, periods=(1, 2, 4), **k
        ),
        r"write rng=np.random.default_rng": lambda: nn.SkipCell(F, H, rng=0),
    }


@pytest.mark.parametrize("message", errors(np.random.default_rng(0)))
def test_errors(message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ts.TinyseqError, match=message):
        errors(rng)[message]()
