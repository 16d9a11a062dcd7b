"""Truncated back-propagation through time: against one tape for each loss, cut by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.engine.reference import Reference
from tinyseq.errors import ShapeError
from tinyseq.tensor.nesting import flatten, rebuild

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H = 7, 2, 3, 4
CELLS: dict[str, Any] = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
KINDS: list[Any] = [ts.Chunk, ts.Window]


def made(kind: str, rng: np.random.Generator) -> Any:
    cell = CELLS[kind](F, H, rng=rng, dtype=np.float64)
    for p in cell.parameters():
        p.value = rng.standard_normal(p.shape)
    return cell


def lowest(truncate: ts.structure.Truncation, t: int) -> int:
    """The first step that the loss at t reaches."""
    return t // truncate.k * truncate.k if isinstance(truncate, ts.Chunk) else max(0, t - truncate.k + 1)


def by_hand(cell: Any, x: np.ndarray, u: np.ndarray, truncate: Any, state: Any, step: Any = None) -> dict[Any, Any]:
    """Gradients of Σ_t ⟨u(t), output(t)⟩: for each t a tape of its own, a plain loop with one cut."""
    total: dict[Any, np.ndarray] = {}
    for t in range(len(x)):
        with ts.Tape(executor=Reference):
            s = state() if callable(state) else state
            for i in range(t + 1):
                if i == lowest(truncate, t) and i > 0:
                    s = rebuild(s, [leaf.detach() for leaf in flatten(s)])
                s, o = (step or cell)(ts.tensor(x[i]), s)
            ts.sum(o * u[t]).backward()
        for p in cell.parameters():
            total[p] = total.get(p, 0) + (0 if p.grad is None else p.grad)
    return total


@pytest.mark.parametrize("k", [1, 2, 3, T, T + 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_losses_cut_one_by_one(
    name: str, kind: Any, k: int, rng: np.random.Generator, executor: Any
) -> None:
    cell = made(name, rng)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    with ts.Tape() as tape:
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=kind(k))
        plain = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B))
        loss = ts.sum(net.outputs * u)
    ts.verify(tape)
    np.testing.assert_allclose(net.outputs.value, plain.outputs.value, rtol=1e-13)
    for cut, whole in zip(flatten(net.final), flatten(plain.final), strict=True):
        np.testing.assert_allclose(cut.value, whole.value, rtol=1e-13)
    loss.backward()
    assert not getattr(tape.executor, "fallback", ""), "it must be planned"
    got = {p: p.grad for p in cell.parameters()}
    for p, expected in by_hand(cell, x, u, kind(k), lambda: cell.initial_state(B)).items():
        np.testing.assert_allclose(got[p], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_initial_state_is_not_cut(kind: Any, rng: np.random.Generator) -> None:
    """A learned h(0) gets the gradient of the first k losses."""
    cell, h0 = made("rnn", rng), ts.Parameter(rng.standard_normal((B, H)), "h0")
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(T), x, h0, truncate=kind(3))
        ts.sum(net.outputs * u).backward()
        got = h0.grad
        ts.sum(ts.unfold(cell, ts.Chain(3), x[:3], h0).outputs * u[:3]).backward()
    np.testing.assert_allclose(got, h0.grad, rtol=1e-12)


def test_a_chunk_is_the_loop_that_detaches(rng: np.random.Generator) -> None:
    cell = made("lstm", rng)
    x, h0 = rng.standard_normal((T, B, F)), rng.standard_normal((2, B, H))
    with ts.Tape() as stamped:
        sequence, s = ts.tensor(x), (ts.tensor(h0[0]), ts.tensor(h0[1]))
        ts.stack([ts.unfold(cell, ts.Chain(T), sequence, s, truncate=ts.Chunk(3)).output(t) for t in range(1)])
    with ts.Tape() as looped:
        sequence, s = ts.tensor(x), (ts.tensor(h0[0]), ts.tensor(h0[1]))
        outputs = []
        for t in range(T):
            if t and t % 3 == 0:
                s = (s[0].detach(), s[1].detach())
            s, o = cell(sequence[t], s)
            outputs.append(o)
        ts.stack(outputs[:1])
    assert stamped.same_graph(looped)
    assert [n.op for n in stamped.nodes()].count("detach") == 2 * 2


def test_a_chunk_is_what_carrying_the_state_between_batches_gives(rng: np.random.Generator) -> None:
    cell = made("lstm", rng)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    total, state = {p: np.zeros(p.shape) for p in cell.parameters()}, None
    for start in range(0, T, 3):
        with ts.Tape():
            part = x[start : start + 3]
            s = cell.initial_state(B) if state is None else state
            net = ts.unfold(cell, ts.Chain(len(part)), part, s)
            ts.sum(net.outputs * u[start : start + 3]).backward()
            state = tuple(h.value for h in net.final)
        for p in total:
            total[p] += p.grad
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=ts.Chunk(3))
        ts.sum(net.outputs * u).backward()
    for p, expected in total.items():
        np.testing.assert_allclose(p.grad, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backwards", [False, True])
def test_sequences_of_different_lengths_are_those_run_one_by_one(
    kind: Any, backwards: bool, rng: np.random.Generator
) -> None:
    cell, lengths = made("lstm", rng), [3, 7, 5, 1, 5]
    xs = [rng.standard_normal((n, F)) for n in lengths]
    us = [rng.standard_normal((n, H)) for n in lengths]
    chain, plain = ts.Chain(lengths, backwards), ts.Chain(lengths)
    with ts.Tape() as tape:
        net = ts.unfold(cell, chain, plain.pack(xs), cell.initial_state(len(lengths)), truncate=kind(2))
        ts.sum(net.outputs * plain.pack(us)).backward()
    ts.verify(tape)
    if kind is ts.Chunk:  # windows of such sequences run node by node
        assert not getattr(tape.executor, "fallback", ""), tape.executor.fallback
    got = {p: p.grad for p in cell.parameters()}
    total: dict[Any, Any] = {}
    for x, u in zip(xs, us, strict=True):
        way = slice(None, None, -1) if backwards else slice(None)
        for p, g in by_hand(cell, x[way, None], u[way, None], kind(2), lambda: cell.initial_state(1)).items():
            total[p] = total.get(p, 0) + g
    for p, expected in total.items():
        np.testing.assert_allclose(got[p], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_reversed(kind: Any, rng: np.random.Generator) -> None:
    cell = made("gru", rng)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    with ts.Tape():
        net = ts.unfold(cell, ts.Chain(T).reversed(), x, cell.initial_state(B), truncate=kind(3))
        ts.sum(net.outputs * u).backward()
    got = {p: p.grad for p in cell.parameters()}
    for p, expected in by_hand(cell, x[::-1], u[::-1], kind(3), lambda: cell.initial_state(B)).items():
        np.testing.assert_allclose(got[p], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delays", [(2,), (1, 3), (4,)])
def test_delays(kind: Any, delays: tuple[int, ...], rng: np.random.Generator) -> None:
    """Every edge into a step before the first that a loss reaches is cut, however far back it goes."""
    cell, k = made("rnn", rng), 3
    x, u, h0 = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H)), rng.standard_normal((B, H))

    def step(x_t: ts.Tensor, states: Any) -> Any:
        h = states if len(delays) == 1 else states[0] + 0.5 * states[1]
        return cell.step(x_t, h)

    with ts.Tape():
        net = ts.unfold(step, ts.Chain(T), x, h0, delays=delays, truncate=kind(k))
        ts.sum(net.outputs * u).backward()
    got = {p: p.grad for p in cell.parameters()}
    total = {p: np.zeros(p.shape) for p in cell.parameters()}
    for t in range(T):
        low = lowest(kind(k), t)
        with ts.Tape():
            made_: dict[int, ts.Tensor] = {}
            for i in range(t + 1):
                read = [made_[i - d] if i - d >= 0 else ts.tensor(h0) for d in delays]
                read = [h.detach() if 0 <= i - d < low <= i else h for h, d in zip(read, delays, strict=True)]
                made_[i], o = step(ts.tensor(x[i]), read[0] if len(delays) == 1 else tuple(read))
            ts.sum(o * u[t]).backward()
        for p in total:
            total[p] += 0 if p.grad is None else p.grad
    for p, expected in total.items():
        np.testing.assert_allclose(got[p], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_hands_on_unchanged_is_not_cut_and_delay_lines_are(kind: Any, rng: np.random.Generator) -> None:
    W, R = ts.Parameter(rng.standard_normal((H, H)), "W"), ts.Parameter(rng.standard_normal((B, H)), "R")
    x, u = rng.standard_normal((T, B, H)), rng.standard_normal((T, B, H))

    def step(x_t: ts.Tensor, state: Any) -> Any:
        h, before, context = state
        new = ts.tanh(ts.linear(h, W) + 0.3 * before + context + x_t)
        return (new, h, context), new

    def start() -> tuple[ts.Tensor, ts.Tensor, ts.Tensor]:
        return ts.zeros((B, H), np.float64), ts.zeros((B, H), np.float64), R * 1.0

    with ts.Tape():
        ts.sum(ts.unfold(step, ts.Chain(T), x, start(), truncate=kind(2)).outputs * u).backward()
    got = W.grad, R.grad
    total = np.zeros((H, H)), np.zeros((B, H))
    for t in range(T):
        with ts.Tape():
            s: Any = start()
            for i in range(t + 1):
                if i == lowest(kind(2), t) and i > 0:
                    s = (s[0].detach(), s[1].detach(), s[2])
                s, o = step(ts.tensor(x[i]), s)
            ts.sum(o * u[t]).backward()
        for a, g in zip(total, (W.grad, R.grad), strict=True):
            a += 0 if g is None else g
    for a, b in zip(got, total, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_layers_cut_one_by_one_are_cells_cut_together(rng: np.random.Generator) -> None:
    """Chunks of two layers coincide, so a stack of chains is the chain of a stack."""
    low, top = nn.RNNCell(F, H, rng=rng, dtype=np.float64), nn.GRUCell(H, H, rng=rng, dtype=np.float64)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))
    both = nn.StackedCells([low, top])
    with ts.Tape():
        below = ts.unfold(low, ts.Chain(T), x, low.initial_state(B), truncate=ts.Chunk(3)).outputs
        above = ts.unfold(top, ts.Chain(T), below, top.initial_state(B), truncate=ts.Chunk(3)).outputs
        ts.sum(above * u).backward()
    apart = [p.grad for p in both.parameters()]
    with ts.Tape():
        net = ts.unfold(both, ts.Chain(T), x, both.initial_state(B), truncate=ts.Chunk(3))
        ts.sum(net.outputs * u).backward()
    for p, expected in zip(both.parameters(), apart, strict=True):
        np.testing.assert_allclose(p.grad, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_functions_compile(kind: Any, rng: np.random.Generator) -> None:
    cell = made("rnn", rng)
    x = rng.standard_normal((T, B, F))

    def f(x: Any, truncate: Any) -> Any:
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=truncate)
        return ts.sum(net.outputs * net.outputs)

    compiled = ts.compile(f)
    assert not isinstance(compiled.program(x, kind(2)), str)
    compiled.backward(x, kind(2))
    two = cell.a.W.grad.copy()
    compiled.backward(x, kind(4))
    assert not np.allclose(two, cell.a.W.grad), "a compiled function tells truncations apart"
    compiled.backward(x, kind(2))
    np.testing.assert_array_equal(two, cell.a.W.grad)


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_a_truncation_needs_a_whole_number_of_steps(k: Any) -> None:
    with pytest.raises(ShapeError, match=r"whole number of steps of at least 1.*write ts\.Window\(10\)"):
        ts.Window(k)


def test_wrong_truncations(rng: np.random.Generator) -> None:
    cell, x = made("rnn", rng), np.zeros((T, B, F))
    with ts.Tape():
        with pytest.raises(ShapeError, match=r"truncate is ts\.Chunk\(k\) or ts\.Window\(k\), got 10"):
            ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=10)  # type: ignore[call-overload]
        with pytest.raises(ShapeError, match="truncation cuts time, and a tree has none"):
            ts.unfold(cell, ts.Tree.balanced(4), x, truncate=ts.Chunk(2))  # type: ignore[call-overload]


@pytest.mark.parametrize("lengths", [(1, 3, 3), (2, 1, 1), (1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_sequences_of_which_one_ends_at_once(kind: Any, lengths: tuple[int, ...], rng: np.random.Generator) -> None:
    """The batch shrinks after the first step, or there is no other step; each sequence is as if it were alone."""
    cell = made("rnn", rng)
    xs = [rng.standard_normal((n, F)) for n in lengths]
    chain = ts.Chain(lengths)
    with ts.Tape():
        net = ts.unfold(cell, chain, chain.pack(xs), cell.initial_state(len(lengths)), truncate=kind(2))
        ts.sum(net.outputs**2).backward()
        found = {p: p.grad.copy() for p in cell.parameters()}
    expected = {p: np.zeros(p.shape) for p in cell.parameters()}
    for x in xs:
        with ts.Tape():
            alone = ts.unfold(cell, ts.Chain(len(x)), x[:, None], cell.initial_state(1), truncate=kind(2))
            ts.sum(alone.outputs**2).backward()
        for p in cell.parameters():
            expected[p] += p.grad
    for p in cell.parameters():
        np.testing.assert_allclose(found[p], expected[p], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_a_step_takes_from_outside(kind: Any, rng: np.random.Generator) -> None:
    """From the second step on the state is a tensor that no step makes: it is read there, and cut like any state."""
    W, x = ts.Parameter(rng.standard_normal((H, H)), "W"), rng.standard_normal((T, B, H))

    def loss(unfolded: bool) -> tuple[float, np.ndarray]:
        with ts.Tape():
            outside = ts.tanh(W * 1.0)[:B]

            def step(x_t: Any, state: Any) -> Any:
                h, k = state
                h = ts.tanh(x_t @ W + h * k)
                return (h, outside), h

            zeros = ts.zeros((B, H), np.float64), ts.zeros((B, H), np.float64)
            if unfolded:
                outputs = ts.unfold(step, ts.Chain(T), x, zeros, truncate=kind(T)).outputs
                total = ts.sum(outputs**2)
            else:
                state, total = zeros, 0.0
                for x_t in x:
                    state, o = step(ts.tensor(x_t), state)
                    total = total + ts.sum(o**2)
            total.backward()
            return total.item(), W.grad.copy()

    (value, grad), (by_loop, expected) = loss(True), loss(False)
    assert value == pytest.approx(by_loop, rel=1e-12)
    np.testing.assert_allclose(grad, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_belong_to_no_step(kind: Any, rng: np.random.Generator) -> None:
    cell = made("rnn", rng)
    with ts.Tape() as tape:
        ts.unfold(cell, ts.Chain(T), rng.standard_normal((T, B, F)), cell.initial_state(B), truncate=kind(2))
    cuts = [node for node in tape.nodes() if node.op == "detach"]
    assert cuts and {(node.cell, node.step) for node in cuts} == {("", -1)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_ragged_sequences_handed_on_unchanged_is_not_cut(kind: Any, rng: np.random.Generator) -> None:
    """The context of each sequence reaches the losses of all its steps, as in sequences that are run one by one."""
    lengths = [3, 7, 5]
    W, R = ts.Parameter(rng.standard_normal((H, H)), "W"), ts.Parameter(rng.standard_normal((len(lengths), H)), "R")
    xs, us = ([rng.standard_normal((n, H)) for n in lengths] for _ in range(2))

    def step(x_t: ts.Tensor, state: Any) -> Any:
        h, context = state
        new = ts.tanh(ts.linear(h, W) + context + x_t)
        return (new, context), new

    chain = ts.Chain(lengths)
    with ts.Tape():
        start = ts.zeros((len(lengths), H), np.float64), R * 1.0
        net = ts.unfold(step, chain, chain.pack(xs), start, truncate=kind(2))
        ts.sum(net.outputs * chain.pack(us)).backward()
    got = W.grad, R.grad
    total = np.zeros((H, H)), np.zeros((len(lengths), H))
    for b, (x, u) in enumerate(zip(xs, us, strict=True)):
        with ts.Tape():
            start = ts.zeros((1, H), np.float64), ts.window(R * 1.0, b, 1)
            ts.sum(
                ts.unfold(step, ts.Chain(len(x)), x[:, None], start, truncate=kind(2)).outputs * u[:, None]
            ).backward()
        for a, g in zip(total, (W.grad, R.grad), strict=True):
            a += g
    for a, b in zip(got, total, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_made_before_the_state(kind: Any, rng: np.random.Generator) -> None:
    """Lanes of windows leave out what only an output needs: the nodes of the state have other numbers there."""
    W, V = ts.Parameter(rng.standard_normal((H, H)), "W"), ts.Parameter(rng.standard_normal((H, H)), "V")
    x, u = rng.standard_normal((T, B, H)), rng.standard_normal((T, B, H))

    class Step:
        def parameters(self) -> list[ts.Parameter]:
            return [W, V]

        def __call__(self, x_t: ts.Tensor, h: ts.Tensor) -> Any:
            o = ts.tanh(ts.linear(h, V))
            return ts.tanh(ts.linear(h, W) + x_t), o

    cell = Step()
    with ts.Tape():
        h = ts.zeros((B, H), np.float64)
        ts.sum(ts.unfold(cell, ts.Chain(T), x, h, truncate=kind(3)).outputs * u).backward()
    got = {p: p.grad for p in cell.parameters()}
    for p, expected in by_hand(cell, x, u, kind(3), lambda: ts.zeros((B, H), np.float64)).items():
        np.testing.assert_allclose(got[p], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_ragged_sequences_that_a_step_takes_from_outside(kind: Any, rng: np.random.Generator) -> None:
    lengths = [2, 5, 3]
    W, x = ts.Parameter(rng.standard_normal((H, H)), "W"), rng.standard_normal((sum(lengths), H))
    chain = ts.Chain(lengths)
    with ts.Tape() as tape:
        outside = ts.tensor(rng.standard_normal((len(lengths), H)))

        def step(x_t: Any, state: Any) -> Any:
            h, k = state
            h = ts.tanh(x_t @ W + h * k)
            return (h, outside), h

        zeros = ts.zeros((len(lengths), H), np.float64), ts.zeros((len(lengths), H), np.float64)
        net = ts.unfold(step, chain, x, zeros, truncate=kind(2))
        plain = ts.unfold(step, chain, x, zeros)
    ts.verify(tape)
    np.testing.assert_allclose(net.outputs.value, plain.outputs.value, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_records_nothing(kind: Any) -> None:
    with ts.Tape():
        outputs = ts.unfold(lambda h: (h, h), ts.Chain(3), (), np.ones((B, H)), truncate=kind(2)).outputs
    np.testing.assert_array_equal(outputs.value, np.ones((3, B, H)))
