"""Nets as people write them: each has a plan, and the plan agrees with the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, names_of, planned, reference
from tests.engine.random_cells import Pool

V, H, O = 4, 6, 3  # noqa: E741
NETS: dict[str, Callable[[Any, int, int], ts.Tensor]] = {}


def net(build: Callable[[Any, int, int], ts.Tensor]) -> Callable[[Any, int, int], ts.Tensor]:
    """Put a net into the table."""
    NETS[build.__name__] = build
    return build


class Equations(ts.nn.Cell):
    """A cell from a function of (pool, x, state)."""

    def __init__(self, pool: Pool, equations: Callable[..., Any], name: str = "cell") -> None:
        self.pool, self.equations, self.name = pool, equations, name

    def parameters(self) -> list[ts.Parameter]:
        return []

    def step(self, *inputs_and_state: Any) -> tuple[Any, Any]:
        return self.equations(self.pool, *inputs_and_state)


def affine(pool: Pool, slot: int, *sources: ts.Tensor, size: int = H) -> ts.Tensor:
    total: Any = pool.parameter((size,), slot)
    for k, x in enumerate(sources):
        total = total + ts.linear(x, pool.named((size, x.shape[1]), 10 * slot + k))
    return total


def tanh_net(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    h = ts.tanh(affine(pool, 0, x, h))
    return h, affine(pool, 1, h, size=O)


def lstm(pool: Pool, x: ts.Tensor, state: tuple[ts.Tensor, ts.Tensor], peepholes: bool = False) -> Any:
    h, s = state
    looked = [pool.named((H,), 70 + k) * s for k in range(3)] if peepholes else [0.0] * 3
    f = ts.sigmoid(affine(pool, 0, x, h) + looked[0])
    g = ts.sigmoid(affine(pool, 1, x, h) + looked[1])
    q = ts.sigmoid(affine(pool, 2, x, h) + looked[2])
    s = f * s + g * ts.tanh(affine(pool, 3, x, h))
    h = ts.tanh(s) * q
    return (h, s), h


def peephole(pool: Pool, x: ts.Tensor, state: Any) -> Any:
    return lstm(pool, x, state, True)


def packed_lstm(pool: Pool, x: ts.Tensor, state: Any) -> Any:
    h, s = state
    f, g, q, c = ts.split(affine(pool, 0, x, h, size=4 * H), 4)
    s = ts.sigmoid(f) * s + ts.sigmoid(g) * ts.tanh(c)
    h = ts.tanh(s) * ts.sigmoid(q)
    return (h, s), h


def joined_lstm(pool: Pool, x: ts.Tensor, state: Any) -> Any:
    """The gates from [x; h]."""
    h, s = state
    z = ts.concatenate([x, h])
    f, g, q = (ts.sigmoid(affine(pool, k, z)) for k in range(3))
    s = f * s + g * ts.tanh(affine(pool, 3, z))
    h = ts.tanh(s) * q
    return (h, s), h


def gru(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    r, u = ts.sigmoid(affine(pool, 0, x, h)), ts.sigmoid(affine(pool, 1, x, h))
    h = u * h + (1 - u) * ts.tanh(affine(pool, 2, x) + r * affine(pool, 3, h))
    return h, h


def minimal_gated(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    f = ts.sigmoid(affine(pool, 0, x, h))
    h = (1 - f) * h + f * ts.tanh(affine(pool, 1, x, f * h))
    return h, h


def independent(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    h = ts.tanh(affine(pool, 0, x) + pool.named((H,), 80) * h)
    return h, h


def multiplicative(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    m = ts.linear(x, pool.named((H, V), 81)) * ts.linear(h, pool.named((H, H), 82))
    h = ts.tanh(affine(pool, 0, x, m))
    return h, h


def normalised(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    h = ts.tanh(ts.layer_norm(affine(pool, 0, x, h), pool.named((H,), 83), pool.named((H,), 84)))
    return h, h


def leaky(pool: Pool, x: ts.Tensor, h: ts.Tensor) -> Any:
    h = 0.8 * h + 0.2 * ts.tanh(affine(pool, 0, x, h))
    return h, h


def skipping(pool: Pool, x: ts.Tensor, states: tuple[ts.Tensor, ts.Tensor]) -> Any:
    h = ts.tanh(affine(pool, 0, x, *states))
    return h, h


CELLS = {
    "tanh_net": (tanh_net, 1), "lstm": (lstm, 2), "peephole": (peephole, 2), "packed_lstm": (packed_lstm, 2),
    "joined_lstm": (joined_lstm, 2), "gru": (gru, 1), "minimal_gated": (minimal_gated, 1),
    "independent": (independent, 1), "multiplicative": (multiplicative, 1), "normalised": (normalised, 1),
    "leaky": (leaky, 1),
}  # fmt: skip


class Named(Pool):
    """A pool that gives each use a weight of its own."""

    def named(self, shape: tuple[int, ...], slot: int) -> ts.Parameter:
        key = (shape, slot + 1000)
        if key not in self.parameters:
            value = (self.array(shape, 200 + slot) / np.sqrt(shape[-1])).astype(self.dtype)
            self.parameters[key] = ts.Parameter(value, f"w{slot}")
        return self.parameters[key]

    def parameter(self, shape: tuple[int, ...], slot: int) -> ts.Parameter:
        return self.named(shape, 500 + slot)


def zero_state(pool: Pool, count: int, B: int) -> Any:
    zeros = [ts.zeros((B, H), pool.dtype) for _ in range(count)]
    return zeros[0] if count == 1 else tuple(zeros)


def loss_of(pool: Pool, outputs: ts.Tensor) -> ts.Tensor:
    flat = ts.reshape(outputs, (-1, outputs.shape[-1]))
    logits = affine(pool, 9, flat, size=O)
    return ts.cross_entropy(logits, pool.integers((flat.shape[0],), O, 3), reduction="sum")


def agree(build: Callable[[], ts.Tensor]) -> None:
    with ts.Tape(executor=ts.Reference) as tape:
        loss = build()
    expected = reference(tape, [loss.index], loss.index)
    for threads in (1, 2):
        found = planned(tape, [loss.index], loss.index, threads)
        assert not found.reason, found.reason
        compare(found, expected, 1e-10, names_of(tape))


@pytest.mark.parametrize("T", [1, 2, 9])
@pytest.mark.parametrize("how", ["unfold", "reversed", "cell in a loop", "equations in a loop", "lengths"])
@pytest.mark.parametrize("cell", CELLS)
def test_cells_of_a_users_own(cell: str, how: str, T: int) -> None:
    equations, count = CELLS[cell]
    B = 5 if T == 9 else 3

    def build() -> ts.Tensor:
        pool = Named(1, np.float64)
        module = Equations(pool, equations)
        if how == "lengths":
            chain = ts.Chain([max(1, T - k) for k in range(B)])
            x = ts.tensor(pool.array((int(chain.lengths.sum()), V), 1))
            return loss_of(pool, ts.unfold(module, chain, x, zero_state(pool, count, B)).outputs)
        x = ts.tensor(pool.array((T, B, V), 1))
        if how in ("unfold", "reversed"):
            chain = ts.Chain(T, how == "reversed")
            return loss_of(pool, ts.unfold(module, chain, x, zero_state(pool, count, B)).outputs)
        state, outputs = zero_state(pool, count, B), []
        for t in range(T):
            state, o = (module if how.startswith("cell") else module.step)(x[t], state)
            outputs.append(o)
        return loss_of(pool, ts.stack(outputs))

    agree(build)


@net
def delays_of_one_and_three(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    unfolded = ts.unfold(Equations(pool, skipping), ts.Chain(T), x, zero_state(pool, 1, B), delays=(1, 3))
    return loss_of(pool, unfolded.outputs)


@net
def loss_from_the_last_state(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    return loss_of(pool, ts.unfold(Equations(pool, gru), ts.Chain(T), x, zero_state(pool, 1, B)).final)


@net
def loss_from_one_step(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    return loss_of(pool, ts.unfold(Equations(pool, gru), ts.Chain(T), x, zero_state(pool, 1, B)).output(T // 2))


@net
def three_layers(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    for k in range(3):
        layer = Named(k, pool.dtype)
        x = ts.unfold(Equations(layer, gru, f"layer{k}"), ts.Chain(T), x, zero_state(pool, 1, B)).outputs
    return loss_of(pool, x)


@net
def two_bidirectional_layers(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    for k in range(2):
        ends = []
        for way in range(2):
            cell = Equations(Named(10 + 2 * k + way, pool.dtype), packed_lstm, f"layer{k}_{way}")
            ends.append(ts.unfold(cell, ts.Chain(T, bool(way)), x, zero_state(pool, 2, B)).outputs)
        x = ts.concatenate(ends)
    return loss_of(pool, x)


@net
def layers_in_one_loop(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    cells = [Equations(Named(k, pool.dtype), gru, f"layer{k}") for k in range(2)]
    states, outputs = [zero_state(pool, 1, B) for _ in cells], []
    for t in range(T):
        y = x[t]
        for k, cell in enumerate(cells):
            states[k], y = cell(y, states[k])
        outputs.append(y)
    return loss_of(pool, ts.stack(outputs))


@net
def encoder_and_decoder(pool: Any, T: int, B: int) -> ts.Tensor:
    x, y = ts.tensor(pool.array((T, B, V), 1)), ts.tensor(pool.array((T + 1, B, V), 2))
    context = ts.unfold(Equations(Named(1, pool.dtype), gru, "encoder"), ts.Chain(T), x, zero_state(pool, 1, B)).final

    def decoder(own: Pool, y: ts.Tensor, h: ts.Tensor) -> Any:
        h = ts.tanh(affine(own, 0, y, h, context))
        return h, h

    cell = Equations(Named(2, pool.dtype), decoder, "decoder")
    return loss_of(pool, ts.unfold(cell, ts.Chain(T + 1), y, context).outputs)


@net
def attention_over_an_encoder(pool: Any, T: int, B: int) -> ts.Tensor:
    x, y = ts.tensor(pool.array((T, B, V), 1)), ts.tensor(pool.array((T + 1, B, V), 2))
    encoded = ts.unfold(Equations(Named(1, pool.dtype), gru, "encoder"), ts.Chain(T), x, zero_state(pool, 1, B))
    memory = ts.transpose(encoded.outputs, (1, 0, 2))

    def decoder(own: Pool, y: ts.Tensor, h: ts.Tensor) -> Any:
        scores = ts.reshape(memory @ ts.reshape(h, (B, H, 1)), (B, T))
        seen = ts.reshape(ts.reshape(ts.softmax(scores), (B, 1, T)) @ memory, (B, H))
        h = ts.tanh(affine(own, 0, y, h, seen))
        return h, h

    cell = Equations(Named(2, pool.dtype), decoder, "decoder")
    return loss_of(pool, ts.unfold(cell, ts.Chain(T + 1), y, encoded.final).outputs)


@net
def truncated_backpropagation(pool: Any, T: int, B: int) -> ts.Tensor:
    x, cell = ts.tensor(pool.array((T, B, V), 1)), Equations(pool, gru)
    h, outputs = zero_state(pool, 1, B), []
    for start in range(0, T, 4):
        part = x[start : start + 4]
        unfolded = ts.unfold(cell, ts.Chain(part.shape[0]), part, h)
        h = unfolded.final.detach()
        outputs.append(unfolded.outputs)
    return loss_of(pool, ts.concatenate(outputs, 0))


@net
def learned_start_and_weight_decay(pool: Any, T: int, B: int) -> ts.Tensor:
    x = ts.tensor(pool.array((T, B, V), 1))
    start = ts.expand(pool.named((H,), 90), (B, H))
    loss = loss_of(pool, ts.unfold(Equations(pool, gru), ts.Chain(T), x, start).outputs)
    for parameter in list(pool.parameters.values()):
        loss = loss + 1e-2 * ts.sum(parameter * parameter)
    return loss


@net
def frozen_past_and_masked_steps(pool: Any, T: int, B: int) -> ts.Tensor:
    """The usual padded batch: where the mask is 0 the old state stays and no loss counts."""
    x, mask = ts.tensor(pool.array((T, B, V), 1)), (pool.array((T, B, 1), 2) > 0).astype(pool.dtype)

    def masked(own: Pool, x: ts.Tensor, m: ts.Tensor, h: ts.Tensor) -> Any:
        new, _ = gru(own, x, h)
        m = ts.expand(m, new.shape)
        h = m * new + (1 - m) * h
        return h, h * m

    outputs = ts.unfold(Equations(pool, masked), ts.Chain(T), (x, ts.tensor(mask)), zero_state(pool, 1, B)).outputs
    return loss_of(pool, outputs)


@net
def embedding_and_loss_in_the_step(pool: Any, T: int, B: int) -> ts.Tensor:
    tokens, targets = ts.tensor(pool.integers((T, B), 7, 1)), ts.tensor(pool.integers((T, B), O, 2))

    def step(own: Any, i: ts.Tensor, y: ts.Tensor, h: ts.Tensor) -> Any:
        h, _ = gru(own, ts.take(own.named((7, V), 91), i), h)
        return h, ts.cross_entropy(affine(own, 9, h, size=O), y)

    return ts.sum(ts.unfold(Equations(pool, step), ts.Chain(T), (tokens, targets), zero_state(pool, 1, B)).outputs)


@net
def tied_embedding(pool: Any, T: int, B: int) -> ts.Tensor:
    tokens, table = ts.tensor(pool.integers((T, B), 7, 1)), pool.named((7, H), 91)

    def step(own: Any, i: ts.Tensor, h: ts.Tensor) -> Any:
        h = ts.tanh(affine(own, 0, ts.take(table, i), h))
        return h, ts.linear(h, table)

    outputs = ts.unfold(Equations(pool, step), ts.Chain(T), tokens, zero_state(pool, 1, B)).outputs
    return ts.cross_entropy(outputs, pool.integers((T, B), 7, 4))


@net
def output_fed_back(pool: Any, T: int, B: int) -> ts.Tensor:
    """The output at t − 1 is an input at t (10.13), through a softmax."""
    x = ts.tensor(pool.array((T, B, V), 1))

    def step(own: Any, x: ts.Tensor, state: Any) -> Any:
        h, p = state
        h = ts.tanh(affine(own, 0, x, h, p))
        o = affine(own, 1, h, size=H)
        return (h, ts.softmax(o)), o

    return loss_of(pool, ts.unfold(Equations(pool, step), ts.Chain(T), x, zero_state(pool, 2, B)).outputs)


@pytest.mark.parametrize("T", [1, 2, 7])
@pytest.mark.parametrize("name", NETS)
def test_nets(name: str, T: int) -> None:
    agree(lambda: NETS[name](Named(1, np.float64), T, 4))


TREES = [
    ts.Tree.balanced(1), ts.Tree.balanced(2), ts.Tree.balanced(8), ts.Tree.balanced(11), ts.Tree.chain(6),
    ts.Tree.from_nested((((0, 1), 2), (3, (4, (5, 6))))),
]  # fmt: skip
MIXED = [ts.Tree.from_nested((0, (1, 2, 3), (4,))), ts.Tree.from_nested(((((0, 1),),), 2)), ts.Tree.balanced(5)]


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", ["RecursiveNet", "TreeLSTM", "ChildSumTreeLSTM", "RNTN"])
def test_trees_and_forests(kind: str, everywhere: bool) -> None:
    mixed = kind in ("TreeLSTM", "ChildSumTreeLSTM")
    shapes: list[Any] = [*TREES, ts.Forest(TREES), *([*MIXED, ts.Forest(MIXED)] if mixed else [])]
    more: dict[str, Any] = {"arity": 3} if kind == "TreeLSTM" else {}
    for forest in shapes:
        pool = Named(1, np.float64)
        rows = len(forest) if everywhere else forest.n_leaves

        def build(forest: Any = forest, pool: Pool = pool, rows: int = rows) -> ts.Tensor:
            rng = np.random.default_rng(3)
            model = getattr(ts.nn, kind)(V, H, O, rng=rng, dtype=np.float64, **more)
            return model.loss(forest, ts.tensor(pool.array((rows, V), 1)), pool.integers((forest.n_trees,), O, 2))

        agree(build)


def test_one_tree_shared_by_a_batch() -> None:
    tree, pool = ts.Tree.balanced(7), Named(1, np.float64)

    def build() -> ts.Tensor:
        model = ts.nn.TreeLSTM(V, H, O, rng=np.random.default_rng(3), dtype=np.float64)
        return model.loss(tree, ts.tensor(pool.array((tree.n_leaves, 5, V), 1)), pool.integers((5,), O, 2))

    agree(build)
