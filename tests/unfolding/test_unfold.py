"""Unfolding: the same tape as a plain loop, and the same numbers as sequences run one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tinyseq.errors import ShapeError
from tinyseq.nn import Cell
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
T, B, N, H = 6, 3, 4, 5


class Elman(Cell):
    """h = tanh(W h⁻ + U x + b), output a product of h with a tensor given from outside, if any."""

    name = "elman"

    def __init__(self, rng: np.random.Generator, outer: Any = None) -> None:
        self.W = ts.Parameter(rng.standard_normal((H, H)) / 3, "W")
        self.U = ts.Parameter(rng.standard_normal((H, N)), "U")
        self.b = ts.Parameter(rng.standard_normal(H), "b")
        self.outer = outer

    def step(self, x: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
        h = ts.tanh(self.b + ts.linear(h, self.W) + ts.linear(x, self.U)).named("h")
        return h, h if self.outer is None else h * self.outer


class TwoStates(Cell):
    """A gated cell whose state is a pair; the second is also passed on from the first: a delay line."""

    name = "pair"

    def __init__(self, rng: np.random.Generator) -> None:
        self.W = ts.Parameter(rng.standard_normal((H, H)) / 3, "W")
        self.U = ts.Parameter(rng.standard_normal((H, N)), "U")

    def step(self, x: ts.Tensor, state: tuple[ts.Tensor, ts.Tensor]) -> tuple[Any, Any]:
        h, before = state
        new = ts.tanh(ts.linear(h, self.W) + ts.linear(x, self.U)) * ts.sigmoid(before)
        return (new, h), (new, before)


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def loss_of(y: ts.Tensor) -> ts.Tensor:
    return ts.sum(y * y)


def run(build: Any, parameters: list[ts.Parameter]) -> tuple[Tape, list[np.ndarray], list[np.ndarray]]:
    """The tape, the values of what ``build`` returns, and the gradients of the sum of their squares."""
    with Tape() as tape:
        outputs = build()
        loss = loss_of(outputs[0])
        for y in outputs[1:]:
            loss = loss + loss_of(y)
    ts.verify(tape)
    loss.backward()
    grads = []
    for p in parameters:
        assert p.grad is not None
        grads.append(p.grad)
    return tape, [y.value for y in outputs], grads


def agree(one: list[np.ndarray], other: list[np.ndarray], tolerance: float = 1e-12) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# -- the same tape ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_unfold_records_what_a_plain_loop_records(rng: np.random.Generator, backwards: bool) -> None:
    cell = Elman(rng)
    x, h0 = draw(rng, T, B, N), draw(rng, B, H)
    chain = ts.Chain(T).reversed() if backwards else ts.Chain(T)

    def stamped() -> list[ts.Tensor]:
        sequence, h = ts.tensor(x), ts.tensor(h0)
        unfolded = ts.unfold(cell, chain, sequence, h)
        return [unfolded.outputs, unfolded.final]

    def looped() -> list[ts.Tensor]:
        sequence, h = ts.tensor(x), ts.tensor(h0)
        outputs: dict[int, ts.Tensor] = {}
        for t in range(T)[::-1] if backwards else range(T):
            h, outputs[t] = cell(sequence[t], h, at=t)
        return [ts.stack([outputs[t] for t in range(T)]), h]

    tape, values, grads = run(stamped, cell.parameters())
    other, other_values, other_grads = run(looped, cell.parameters())
    assert [n.op for n in tape.nodes()].count("tanh") == T
    assert sorted(n.step for n in tape.nodes() if n.op == "tanh") == list(range(T))
    agree(values, other_values, 0)
    agree(grads, other_grads, 1e-14)
    assert tape.same_graph(other) and other.same_graph(tape)


def test_same_graph_tells_different_graphs_apart(rng: np.random.Generator) -> None:
    cell, x = Elman(rng), draw(rng, T, B, N)

    def tape_of(steps: int, backwards: bool = False, name: str | None = None) -> Tape:
        with Tape() as tape:
            chain = ts.Chain(steps, backwards)
            ts.unfold(cell, chain, x[:steps], np.zeros((B, H)), name=name)
        return tape

    reference = tape_of(T)
    assert reference.same_graph(tape_of(T))
    assert not reference.same_graph(tape_of(T - 1))
    assert not reference.same_graph(tape_of(T, backwards=True))
    assert not reference.same_graph(tape_of(T, name="other"))


def test_a_second_unfolding_goes_on_counting_steps_as_a_loop_does(rng: np.random.Generator) -> None:
    cell, x, h0 = Elman(rng), draw(rng, T, B, N), draw(rng, B, H)

    def stamped() -> list[ts.Tensor]:
        xs = ts.tensor(x)
        first = ts.unfold(cell, ts.Chain(2), xs[:2], ts.tensor(h0))
        return [ts.unfold(cell, ts.Chain(T - 2), xs[2:], first.final).final]

    def looped() -> list[ts.Tensor]:
        xs, h = ts.tensor(x), ts.tensor(h0)
        for t in range(T):
            h, _ = cell(xs[t], h)
        return [h]

    tape, values, grads = run(stamped, cell.parameters())
    other, other_values, other_grads = run(looped, cell.parameters())
    agree(values, other_values)
    agree(grads, other_grads)
    steps = [sorted({n.step for n in t.nodes() if n.cell}) for t in (tape, other)]
    assert steps[0] == steps[1] == list(range(T))
    assert {n.cell for n in tape.nodes()} == {"", "elman"}


def test_two_cells_of_one_name_get_two_scopes(rng: np.random.Generator) -> None:
    one, two, x = Elman(rng), Elman(rng), draw(rng, T, B, N)
    with Tape() as tape:
        ts.unfold(one, ts.Chain(T), x, np.zeros((B, H)))
        ts.unfold(two, ts.Chain(T), x, np.zeros((B, H)))
    assert {n.cell for n in tape.nodes()} == {"", "elman", "elman_2"}


def test_one_cell_over_two_sequences_shares_its_parameters(rng: np.random.Generator) -> None:
    cell, x, y = Elman(rng), draw(rng, T, B, N), draw(rng, 2, B, N)
    h0 = np.zeros((B, H))

    def both() -> list[ts.Tensor]:
        return [ts.unfold(cell, ts.Chain(len(s)), s, ts.tensor(h0)).final for s in (x, y)]

    _, _, grads = run(both, cell.parameters())
    parts = [run(lambda s=s: [ts.unfold(cell, ts.Chain(len(s)), s, h0).final], cell.parameters())[2] for s in (x, y)]
    agree(grads, [a + b for a, b in zip(*parts, strict=True)])


# -- states -------------------------------------------------------------------------------------------------------
def looped_pair(cell: TwoStates, x: np.ndarray, h0: np.ndarray, s0: np.ndarray) -> list[ts.Tensor]:
    xs, state = ts.tensor(x), (ts.tensor(h0), ts.tensor(s0))
    outputs = []
    for t in range(len(x)):
        state, y = cell(xs[t], state)
        outputs.append(y)
    return [ts.stack([a for a, _ in outputs]), ts.stack([b for _, b in outputs]), *state]


def test_several_states_one_of_them_handed_on(rng: np.random.Generator) -> None:
    cell, x = TwoStates(rng), draw(rng, T, B, N)
    h0, s0 = draw(rng, B, H), draw(rng, B, H)

    def stamped() -> list[ts.Tensor]:
        unfolded = ts.unfold(cell, ts.Chain(T), x, (ts.tensor(h0), ts.tensor(s0)))
        return [*unfolded.outputs, *unfolded.final]

    _, values, grads = run(stamped, cell.parameters())
    _, other, other_grads = run(lambda: looped_pair(cell, x, h0, s0), cell.parameters())
    agree(values, other)
    agree(grads, other_grads)
    np.testing.assert_array_equal(values[3], values[0][-2])  # the second state is the first, one step late


def test_a_pure_delay_line(rng: np.random.Generator) -> None:
    x = draw(rng, T, B)
    with Tape() as tape:
        unfolded = ts.unfold(
            lambda x, state: ((x * 1.0, *state[:-1]), state[-1]), ts.Chain(T), x, tuple(np.zeros(B) for _ in range(3))
        )
        y = unfolded.outputs
    ts.verify(tape)
    np.testing.assert_array_equal(y.value, np.concatenate([np.zeros((3, B)), x[:-3]]))
    for t in range(T):
        states = [s.value for s in unfolded.state(t)]
        wanted = [x[t - d] if t >= d else np.zeros(B) for d in range(3)]
        agree(states, wanted, 0)


@pytest.mark.parametrize("delays", [(1,), (2,), (1, 3), (4, 2, 1), (9,)], ids=str)
def test_delays(rng: np.random.Generator, delays: tuple[int, ...]) -> None:
    W = [ts.Parameter(draw(rng, H, H) / 2, f"W{d}") for d in delays]
    x, h0 = draw(rng, T, B, H), draw(rng, B, H)

    def step(x: ts.Tensor, states: Any) -> tuple[Any, Any]:
        earlier = states if len(delays) > 1 else (states,)
        h = x
        for w, state in zip(W, earlier, strict=True):
            h = h + ts.linear(state, w)
        h = ts.tanh(h)
        return h, h

    def stamped() -> list[ts.Tensor]:
        return [ts.unfold(step, ts.Chain(T), x, ts.tensor(h0), delays=delays).outputs]

    def looped() -> list[ts.Tensor]:
        xs, states = ts.tensor(x), [ts.tensor(h0)] * max(delays)
        for t in range(T):
            given = tuple(states[-d] for d in delays)
            states.append(step(xs[t], given if len(delays) > 1 else given[0])[0])
        return [ts.stack(states[max(delays) :])]

    used = [w for w, d in zip(W, delays, strict=True) if d > 0]
    _, values, grads = run(stamped, used)
    _, other, other_grads = run(looped, used)
    agree(values, other)
    agree(grads, other_grads)


def test_states_may_be_dicts_in_any_order_and_named_tuples(rng: np.random.Generator) -> None:
    x = draw(rng, T, B, H)

    def step(x: ts.Tensor, state: dict[str, ts.Tensor]) -> tuple[Any, Any]:
        h, s = state["h"], state["s"]
        return {"s": s + x, "h": h * 0.5 + s}, {"sum": s, "h": h}

    with Tape():
        unfolded = ts.unfold(step, ts.Chain(T), x, {"h": np.ones((B, H)), "s": np.zeros((B, H))})
        h, s = np.ones((B, H)), np.zeros((B, H))
        for t in range(T):
            np.testing.assert_allclose(unfolded.output(t)["sum"].value, s, atol=1e-14)
            h, s = h * 0.5 + s, s + x[t]
            np.testing.assert_allclose(unfolded.state(t)["h"].value, h, atol=1e-14)
        np.testing.assert_allclose(unfolded.final["s"].value, s, atol=1e-14)
        np.testing.assert_allclose(unfolded.states["h"].value[-1], h, atol=1e-14)


def test_a_step_without_input_or_without_state(rng: np.random.Generator) -> None:
    with Tape():
        free = ts.unfold(lambda h: (h * 0.5, h), ts.Chain(4), (), np.ones(2))
        np.testing.assert_array_equal(free.outputs.value, 0.5 ** np.arange(4)[:, None] * np.ones(2))
        x = draw(rng, 4, 2)
        stateless = ts.unfold(lambda x, state: ((), ts.tanh(x)), ts.Chain(4), x, ())
        np.testing.assert_allclose(stateless.outputs.value, np.tanh(x), rtol=1e-14)


def test_several_input_sequences_and_integer_ones(rng: np.random.Generator) -> None:
    table, x, tokens = ts.Parameter(draw(rng, 7, H), "E"), draw(rng, T, B, H), rng.integers(0, 7, (T, B))

    def step(x: ts.Tensor, i: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
        h = ts.tanh(h * 0.5 + x + ts.take(table, i))
        return h, h

    def stamped() -> list[ts.Tensor]:
        return [ts.unfold(step, ts.Chain(T), (x, tokens), np.zeros((B, H))).outputs]

    _, (y,), (grad,) = run(stamped, [table])
    h, hs = np.zeros((B, H)), []
    for t in range(T):
        h = np.tanh(h * 0.5 + x[t] + table.value[tokens[t]])
        hs.append(h)
    np.testing.assert_allclose(y, hs, rtol=1e-13)
    assert ts.gradcheck(lambda: loss_of(stamped()[0]), table)
    assert grad.shape == (7, H)


# -- what a step takes from outside ---------------------------------------------------------------------------------
def test_tensors_arrays_and_parameters_captured_by_a_step(rng: np.random.Generator) -> None:
    scale, array = ts.Parameter(draw(rng, H), "scale"), draw(rng, H)
    cell, x = Elman(rng), draw(rng, T, B, N)

    def stamped() -> list[ts.Tensor]:
        cell.outer = ts.exp(scale)  # one node outside, read by every step
        unfolded = ts.unfold(cell, ts.Chain(T), x, np.zeros((B, H)))
        shifted = ts.unfold(lambda h, s: (s, h * array + scale), ts.Chain(T), unfolded.outputs, np.zeros(1))
        return [shifted.outputs]

    tape, (y,), _ = run(stamped, [scale, *cell.parameters()])
    assert [n.op for n in tape.nodes()].count("exp") == 1
    leaves = [n for n in tape.nodes() if n.op in ("input", "parameter")]
    assert {(n.cell, n.step) for n in leaves} == {("", -1)}  # an array made in a step belongs to no step
    h, hs = np.zeros((B, H)), []
    for t in range(T):
        h = np.tanh(cell.b.value + h @ cell.W.value.T + x[t] @ cell.U.value.T)
        hs.append(h * np.exp(scale.value) * array + scale.value)
    np.testing.assert_allclose(y, hs, rtol=1e-12)
    assert ts.gradcheck(lambda: loss_of(stamped()[0]), scale, cell.W)


def test_a_transposed_tensor_from_outside_is_recorded_where_it_is_needed(rng: np.random.Generator) -> None:
    W = ts.Parameter(draw(rng, 2, 2), "W")
    with Tape() as tape:
        flipped = (W * 1.0).T
        unfolded = ts.unfold(lambda h: (ts.tanh(h + flipped), h), ts.Chain(3), (), np.zeros((2, 2)))
        after = flipped * 2.0
        ragged = ts.unfold(lambda h: (ts.tanh(h @ flipped), h), ts.Chain([3, 2]), (), np.ones((2, 2)))
    ts.verify(tape)
    h = np.zeros((2, 2))
    for _ in range(3):
        h = np.tanh(h + W.value.T)
    np.testing.assert_allclose(unfolded.final.value, h, rtol=1e-13)
    np.testing.assert_allclose(after.value, 2 * W.value.T, rtol=1e-13)
    assert ragged.final.shape == (2, 2)


def test_a_learned_initial_state_gets_a_gradient(rng: np.random.Generator) -> None:
    cell, x = Elman(rng), draw(rng, T, B, N)
    h0 = ts.Parameter(draw(rng, H), "h0")

    def loss() -> ts.Tensor:
        return loss_of(ts.unfold(cell, ts.Chain(T), x, ts.expand(h0, (B, H))).outputs)

    assert ts.gradcheck(loss, h0, *cell.parameters())


def test_a_carried_state_gives_the_same_values_and_cut_gradients(rng: np.random.Generator) -> None:
    cell, x = Elman(rng), draw(rng, T, B, N)
    with Tape() as whole:
        full = ts.unfold(cell, ts.Chain(T), x, np.zeros((B, H)))
        full_loss = loss_of(full.outputs)
    full_loss.backward()
    whole_gradient = np.array(cell.W.grad)
    state: Any = np.zeros((B, H))
    outputs, parts = [], []
    for first in range(0, T, 2):
        with Tape():
            piece = ts.unfold(cell, ts.Chain(2), x[first : first + 2], state)
            loss_of(piece.outputs).backward()
            outputs.append(piece.outputs.value)
            state = piece.final.value
            parts.append(np.array(cell.W.grad))
    np.testing.assert_allclose(np.concatenate(outputs), full.outputs.value, rtol=1e-13)
    assert whole.node_of(cell.W) is not None
    assert not np.allclose(sum(parts), whole_gradient)  # truncation loses the terms across the cuts

    def detached() -> list[ts.Tensor]:
        h: Any = np.zeros((B, H))
        pieces = []
        for first in range(0, T, 2):
            piece = ts.unfold(cell, ts.Chain(2), x[first : first + 2], ts.detach(ts.expand(h, (B, H))))
            h = piece.final
            pieces.append(piece.outputs)
        return [ts.concatenate(pieces, 0)]

    _, _, grads = run(detached, [cell.W])
    np.testing.assert_allclose(grads[0], sum(parts), rtol=1e-12)


# -- lengths that differ --------------------------------------------------------------------------------------------
LENGTHS = [3, 6, 1, 6, 4]


@pytest.mark.parametrize("padded", [False, True], ids=["packed", "padded"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_ragged_chains_equal_sequences_one_by_one(rng: np.random.Generator, backwards: bool, padded: bool) -> None:
    cell = Elman(rng)
    sequences = [draw(rng, n, N) for n in LENGTHS]
    h0 = ts.Parameter(draw(rng, len(LENGTHS), H), "h0")
    chain = ts.Chain(LENGTHS, backwards)
    if padded:
        x = np.full((max(LENGTHS), len(LENGTHS), N), 1e3)  # padding that would show
        for i, s in enumerate(sequences):
            x[: len(s), i] = s
    else:
        x = ts.Chain(LENGTHS).pack(sequences)

    def together() -> list[ts.Tensor]:
        unfolded = ts.unfold(cell, chain, x, h0)
        rows = ts.Chain(LENGTHS).unpack_rows()
        return [ts.take(unfolded.outputs, rows), unfolded.final]

    def apart() -> list[ts.Tensor]:
        outputs, finals = [], []
        for i, s in enumerate(sequences):
            one = ts.unfold(cell, ts.Chain(len(s), backwards), s[:, None], h0[i : i + 1])
            outputs.append(one.outputs[:, 0])
            finals.append(one.final)
        return [ts.concatenate(outputs, 0), ts.concatenate(finals, 0)]

    parameters = [h0, *cell.parameters()]
    tape, values, grads = run(together, parameters)
    _, other, other_grads = run(apart, parameters)
    agree(values, other)
    agree(grads, other_grads)
    assert int(tape.rows[tape.column("op") == "tanh"].sum()) == sum(LENGTHS)  # no work for padding


def test_ragged_chains_with_several_states_delays_and_tokens(rng: np.random.Generator) -> None:
    cell, table = TwoStates(rng), ts.Parameter(draw(rng, 7, N), "E")
    sequences = [rng.integers(0, 7, n) for n in LENGTHS]
    states = [draw(rng, len(LENGTHS), H) for _ in range(2)]

    def step(i: ts.Tensor, state: Any) -> tuple[Any, Any]:
        near, far = state
        (h, line), (old, _) = near, far
        return cell.step(ts.take(table, i), (h, line + old))

    def together() -> list[ts.Tensor]:
        chain = ts.Chain(LENGTHS)
        unfolded = ts.unfold(step, chain, chain.pack(sequences), tuple(states), delays=(1, 2))
        return [*unfolded.final, ts.take(unfolded.outputs[1], chain.unpack_rows())]

    def apart() -> list[ts.Tensor]:
        finals: list[Any] = [[], [], []]
        for i, s in enumerate(sequences):
            one = ts.unfold(step, ts.Chain(len(s)), s[:, None], tuple(h[i : i + 1] for h in states), delays=(1, 2))
            for place, y in enumerate((*one.final, one.outputs[1][:, 0])):
                finals[place].append(y)
        return [ts.concatenate(f, 0) for f in finals]

    parameters = [table, *cell.parameters()]
    _, values, grads = run(together, parameters)
    _, other, other_grads = run(apart, parameters)
    agree(values, other)
    agree(grads, other_grads)


def test_packed_rows_of_several_tokens_each(rng: np.random.Generator) -> None:
    table, chain = ts.Parameter(draw(rng, 7, H), "E"), ts.Chain([2, 3])
    tokens = [rng.integers(0, 7, (n, 2)) for n in (2, 3)]
    with Tape():
        unfolded = ts.unfold(
            lambda i, h: ((n := h + ts.sum(ts.take(table, i), 1)), n), chain, chain.pack(tokens), np.zeros((2, H))
        )
        wanted = [table.value[s].sum((0, 1)) for s in tokens]
        np.testing.assert_allclose(unfolded.final.value, wanted, rtol=1e-13)


def test_ragged_losses_and_means_inside_a_step(rng: np.random.Generator) -> None:
    """Scalars, reductions over the batch and constants of the batch's size follow the shrinking batch."""
    sequences = [draw(rng, n, H) for n in LENGTHS]
    chain = ts.Chain(LENGTHS)

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
        h = h * 0.5 + x + ts.zeros(x.shape, np.float64)
        return h, ts.expand(ts.mean(h, 0), h.shape)

    with Tape() as tape:
        y = ts.unfold(step, chain, chain.pack(sequences), np.zeros((len(LENGTHS), H))).outputs
    ts.verify(tape)
    h = np.zeros((len(LENGTHS), H))
    wanted = []
    for t in range(max(LENGTHS)):
        active = [i for i in chain.order if LENGTHS[i] > t]
        for i in active:
            h[i] = h[i] * 0.5 + sequences[i][t]
        wanted += [h[active].mean(0)] * len(active)
    np.testing.assert_allclose(y.value, wanted, rtol=1e-13)


def test_a_ragged_chain_of_equal_lengths_equals_a_plain_one(rng: np.random.Generator) -> None:
    cell, x = Elman(rng), draw(rng, T, B, N)
    _, (plain, final), grads = run(
        lambda: [(u := ts.unfold(cell, ts.Chain(T), x, np.zeros((B, H)))).outputs, u.final], cell.parameters()
    )
    _, (ragged, ragged_final), ragged_grads = run(
        lambda: [(u := ts.unfold(cell, ts.Chain([T] * B), x, np.zeros((B, H)))).outputs, u.final], cell.parameters()
    )
    np.testing.assert_allclose(ragged.reshape(T, B, H), plain, rtol=1e-13)
    np.testing.assert_allclose(ragged_final, final, rtol=1e-13)
    agree(grads, ragged_grads)


# -- reading ----------------------------------------------------------------------------------------------------------
def test_outputs_and_states_by_time(rng: np.random.Generator) -> None:
    cell, x = Elman(rng), draw(rng, T, B, N)
    for backwards in (False, True):
        with Tape():
            unfolded = ts.unfold(cell, ts.Chain(T, backwards), x, np.zeros((B, H)))
            for t in (0, 2, -1):
                np.testing.assert_array_equal(unfolded.output(t).value, unfolded.outputs.value[t])
                np.testing.assert_array_equal(unfolded.state(t).value, unfolded.states.value[t])
            np.testing.assert_array_equal(unfolded.final.value, unfolded.state(0 if backwards else T - 1).value)
            assert unfolded.outputs is unfolded.outputs


def test_a_long_chain_is_stamped_without_a_python_loop(rng: np.random.Generator) -> None:
    with Tape() as tape:
        unfolded = ts.unfold(lambda h: (ts.tanh(h), h), ts.Chain(200_000), (), np.full(1, 0.5))
        assert unfolded.final.shape == (1,)
    assert len(tape) == 200_001
    ts.verify(tape)
    assert naive.value(lambda h: ts.tanh(ts.tanh(h)), np.array([0.5])) == unfolded.state(1).value


@pytest.mark.parametrize("lengths", [[3, 2, 1], [2, 4, 1, 4], [1], [3, 3]])
def test_packed_tokens_are_read_from_their_ends_as_their_embeddings_are(lengths: list[int]) -> None:
    rng = np.random.default_rng(3)
    chain = ts.Chain(lengths).reversed()
    E, W = ts.Parameter(rng.normal(size=(5, 3)), "E"), ts.Parameter(rng.normal(size=(3, 3)), "W")
    tokens = [rng.integers(0, 5, n) for n in lengths]

    def loss(packed: Any, enter: Any) -> tuple[float, Any, Any]:
        def step(a: Any, h: Any) -> tuple[Any, Any]:
            h = ts.tanh(h @ W + enter(a))
            return h, h

        with Tape():
            net = ts.unfold(step, chain, packed(), ts.zeros((len(lengths), 3), np.float64))
            L = ts.sum(net.outputs * np.arange(1.0, 1.0 + 3 * sum(lengths)).reshape(-1, 3)) + ts.sum(net.final)
        L.backward()
        return L.item(), E.grad.copy(), W.grad.copy()

    found = loss(lambda: ts.Chain(lengths).pack(tokens), lambda a: ts.take(E, a))
    floats = loss(lambda: ts.take(E, ts.Chain(lengths).pack(tokens)), lambda a: a)
    for a, b in zip(found, floats, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    h = {}
    for k, sequence in enumerate(tokens):  # each sequence by itself, from its end
        state = np.zeros(3)
        for token in sequence[::-1]:
            state = np.tanh(state @ W.value + E.value[token])
        h[k] = state
    with Tape():
        net = ts.unfold(
            lambda a, s: (ts.tanh(s @ W + ts.take(E, a)),) * 2, chain, ts.Chain(lengths).pack(tokens),
            ts.zeros((len(lengths), 3), np.float64),
        )  # fmt: skip
        final = net.final
    np.testing.assert_allclose(final.value, np.stack(list(h.values())), rtol=1e-12)


@pytest.mark.parametrize("T", [1, 2])
def test_an_unfolded_chain_says_its_cell_and_shapes(T: int) -> None:
    def leaky(x, h):
        h = 0.5 * h + x
        return h, h

    with ts.Tape():
        unfolded = ts.unfold(leaky, ts.Chain(T), np.ones((T, 1, 2)), ts.zeros((1, 2), np.float64))
    assert repr(unfolded) == f"Unfolded(leaky over Chain(T={T}): outputs ({T}, 1, 2), states ({T}, 1, 2))"


def test_a_step_that_records_another_op_for_another_batch_cannot_run_over_ragged_sequences() -> None:
    """As many nodes that read alike, but of another kind, are other nodes all the same."""

    def step(x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = (ts.tanh if x.shape[0] == 2 else ts.exp)(h + x)
        return h, h

    with ts.Tape(), pytest.raises(ShapeError, match="records other nodes for other batch sizes"):
        ts.unfold(step, ts.Chain([2, 3]), np.ones((5, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize("lengths", [[5], [4, 4, 4]], ids=str)
def test_a_batch_that_never_shrinks_may_be_of_one_sequence(lengths: list[int], rng: np.random.Generator) -> None:
    """With one row both operands of x + c are broadcast in another way than with two: the step is as good as any."""
    T, B = lengths[0], len(lengths)
    x, c, h = rng.standard_normal((T, B, 1)), rng.standard_normal((1, 3)), rng.standard_normal((B, 3))

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(h * 0.5 + (x + c))
        return h, h

    with ts.Tape():
        told = ts.unfold(step, ts.Chain(lengths), x.reshape(T * B, 1), h).outputs.value
        plain = ts.unfold(step, ts.Chain(T), x, h).outputs.value
    np.testing.assert_array_equal(told, plain.reshape(T * B, 3))
