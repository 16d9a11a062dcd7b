"""Cells put together at random: any list of integers is a cell.

An instruction is four numbers: which operation, then which of the values so far it reads and how; numbers are taken
modulo what there is to choose from, so nothing drawn is ever invalid and an example shrinks freely. All values are
(batch, width); ``kink`` marks operations whose gradient jumps, which no comparison across precisions can use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinyseq as ts

Instruction = tuple[int, int, int, int]
TOKENS = 5


class Pool:
    """Parameters and constant arrays by shape and slot: asking twice for one gives the same, so weights are shared.

    All numbers are float32 numbers, whatever the dtype: a float32 and a float64 run start from equal inputs.
    """

    def __init__(self, seed: int, dtype: Any, scale: float = 1.0) -> None:
        self.seed, self.dtype, self.scale = seed, np.dtype(dtype), scale
        self.parameters: dict[tuple, ts.Parameter] = {}

    def array(self, shape: tuple[int, ...], slot: int) -> np.ndarray:
        """Normal numbers that depend on the seed, shape and slot alone."""
        rng = np.random.default_rng([self.seed, slot, *shape])
        return rng.normal(size=shape).astype(np.float32).astype(self.dtype)

    def integers(self, shape: tuple[int, ...], below: int, slot: int) -> np.ndarray:
        """Integers from 0 to below − 1."""
        return np.random.default_rng([self.seed, slot, below, *shape]).integers(0, below, shape)

    def parameter(self, shape: tuple[int, ...], slot: int) -> ts.Parameter:
        """A parameter, of two for each shape."""
        key = (shape, slot % 2)
        if key not in self.parameters:
            value = self.array(shape, 100 + slot % 2) * (self.scale / np.sqrt(shape[-1]))
            self.parameters[key] = ts.Parameter(value.astype(self.dtype), f"p{'x'.join(map(str, shape))}_{slot % 2}")
        return self.parameters[key]


class RandomCell(ts.nn.Cell):
    """``step(x, …, state)`` and, for trees, ``leaf`` and ``merge``, as the instructions say.

    ``widths`` are the sizes values may have, ``states`` those of the state; ``ends`` say how each new state and output
    is made. ``outside`` are tensors recorded before the loop, that a step may read.
    """

    def __init__(
        self, pool: Pool, code: Sequence[Instruction], states: Sequence[int], widths: Sequence[int],
        ends: Sequence[Instruction], outputs: int = 1, name: str = "cell",
    ) -> None:  # fmt: skip
        self.pool, self.code, self.states, self.widths = pool, list(code), tuple(states), tuple(widths)
        self.ends, self.n_outputs, self.name = list(ends), outputs, name
        self.outside: list[ts.Tensor] = []
        self.memory: ts.Tensor | None = None
        self.shrinking = False  # whether batches differ from step to step, so that no number of rows may be fixed

    def parameters(self) -> list[ts.Parameter]:
        """Parameters are found as the step is recorded."""
        return []

    def width(self, number: int) -> int:
        """A size to give a new value."""
        return self.widths[number % len(self.widths)]

    def fit(self, x: ts.Tensor, width: int, slot: int = 0) -> ts.Tensor:
        """The value itself if it has this width, else multiplied to it."""
        return x if x.shape[1] == width else ts.linear(x, self.pool.parameter((width, x.shape[1]), slot))

    def run(self, inputs: list[Any], old: list[ts.Tensor]) -> tuple[tuple, Any]:
        """New states and outputs from inputs and old states."""
        values = [self.enter(x) for x in inputs] + list(old)
        for operation, *operands in self.code:
            maker = OPERATIONS[operation % len(OPERATIONS)]
            values += maker(self, values, *operands)
        new = [self.end(values, old, size, end) for size, end in zip(self.states, self.ends, strict=False)]
        made = [self.end(values, old, self.widths[0], end) for end in self.ends[len(self.states) :]]
        outputs = made[: self.n_outputs]
        return tuple(new), outputs[0] if len(outputs) == 1 else tuple(outputs)

    def enter(self, x: ts.Tensor) -> ts.Tensor:
        """Inputs as (batch, width): tokens through a table, one number a row repeated."""
        if x.dtype == np.int64:
            return ts.take(self.pool.parameter((TOKENS, self.widths[0]), 0), x)
        if x.ndim == 1:
            return ts.expand(ts.reshape(x, (x.shape[0], 1)), (x.shape[0], self.widths[0]))
        return x

    def end(self, values: list, old: list, width: int, end: Instruction) -> ts.Tensor:
        """A new state or output."""
        how, a, b, _ = end
        x = values[-1 - a % len(values)]
        same = [h for h in old if h.shape[1] == width]
        match how % 6:
            case 1 if same:
                return same[a % len(same)]
            case 2:
                return 0.5 * self.fit(x, width, b)
            case 3 if same:
                z = ts.sigmoid(self.fit(values[b % len(values)], width, b))
                return z * same[a % len(same)] + (1 - z) * ts.tanh(self.fit(x, width, b))
            case 4 if a % 3 == 0:
                return ts.tanh(self.fit(x, width, b)).detach()
        return ts.tanh(self.fit(x, width, b))

    def step(self, *inputs_and_state: Any) -> tuple[Any, Any]:
        """One step of a chain; with several delays the state is a tuple of states."""
        *inputs, state = inputs_and_state
        flat: list[ts.Tensor] = []
        for part in state:
            flat.extend(part if isinstance(part, tuple) else [part])
        states, out = self.run(inputs, flat)
        if self.pool.seed % 5 == 4:  # gradients come to a recurrence from its outputs alone, for all steps at once
            states = tuple(h.detach() for h in states)
        return states, out

    def leaf(self, x: ts.Tensor) -> tuple:
        """State of a leaf."""
        x = self.enter(x)
        return tuple(ts.tanh(ts.linear(x, self.pool.parameter((n, x.shape[1]), 1))) for n in self.states)

    def merge(self, *children: tuple, x: ts.Tensor | None = None) -> tuple:
        """State of an inner node."""
        return self.run([] if x is None else [x], [h for child in children for h in child])[0]


# -- operations: (cell, values, a, b, c) → new values ---------------------------------------------------------------
Maker = Callable[[RandomCell, list, int, int, int], list]
OPERATIONS: list[Maker] = []
KINKS: set[int] = set()


def operation(kink: bool = False) -> Callable[[Maker], Maker]:
    """Put a maker into the table."""

    def enter(maker: Maker) -> Maker:
        if kink:
            KINKS.add(len(OPERATIONS))
        OPERATIONS.append(maker)
        return maker

    return enter


def mate(cell: RandomCell, values: list, x: ts.Tensor, b: int) -> ts.Tensor:
    """Another value as wide as x, or one made so."""
    same = [v for v in values if v.shape[1] == x.shape[1]]
    return same[b % len(same)] if b % 3 else cell.fit(values[b % len(values)], x.shape[1], b)


def one(values: list, a: int) -> ts.Tensor:
    """Late values are nearer."""
    return values[-1 - a % len(values)]


@operation()
def linear(cell, values, a, b, c):
    x = one(values, a)
    n = cell.width(c)
    if b % 3 == 0:
        return [x @ cell.pool.parameter((x.shape[1], n), b)]
    return [ts.linear(x, cell.pool.parameter((n, x.shape[1]), b))]


@operation()
def gate(cell, values, a, b, c):
    x, y, n = one(values, a), one(values, b), cell.width(c)
    total = cell.pool.parameter((n,), a) + ts.linear(x, cell.pool.parameter((n, x.shape[1]), c))
    return [ts.sigmoid(total + ts.linear(y, cell.pool.parameter((n, y.shape[1]), b)))]


@operation()
def plain_sum(cell, values, a, b, c):
    """A sum of products and values in some order, not followed by anything."""
    x, y, n = one(values, a), one(values, b), cell.width(c)
    total = ts.linear(x, cell.pool.parameter((n, x.shape[1]), a))
    other = [v for v in values if v.shape[1] == n]
    if other:
        total = other[c % len(other)] + total
    if b % 2:
        total = total + ts.linear(y, cell.pool.parameter((n, y.shape[1]), b))
    return [0.3 * (total + cell.pool.parameter((n,), c)) if c % 2 else total + total]


@operation()
def two_gates(cell, values, a, b, c):
    """Gates from one product, cut apart."""
    x, n = one(values, a), cell.width(c)
    both = ts.linear(x, cell.pool.parameter((2 * n, x.shape[1]), b)) + cell.pool.parameter((2 * n,), b)
    left, right = ts.split(both, 2)
    return [ts.sigmoid(left) * ts.tanh(right)] if b % 2 else [ts.tanh(left), ts.sigmoid(right)]


@operation()
def smooth(cell, values, a, b, c):
    x = one(values, a)
    choices = [
        ts.tanh, ts.sigmoid, ts.softplus, ts.neg, lambda v: ts.exp(ts.tanh(v)), lambda v: ts.log(ts.softplus(v) + 0.2),
        lambda v: ts.sqrt(ts.softplus(v) + 0.1), lambda v: 1 - 0.5 * v, lambda v: v**2 * 0.3, lambda v: v,
        lambda v: (ts.softplus(v) + 0.5) ** (0.3 * ts.tanh(v)),
    ]  # fmt: skip
    return [choices[b % len(choices)](x)]


@operation(kink=True)
def kinked(cell, values, a, b, c):
    x = one(values, a)
    y = mate(cell, values, x, c)
    choices = [
        ts.relu, ts.abs, lambda v: ts.maximum(v, y), lambda v: ts.minimum(v, 0.3),
        lambda v: ts.where(v > y, v, 0.5 * y), lambda v: v * (v > 0.1),
        lambda v: v * ts.expand(ts.max(v, axis=1, keepdims=True), v.shape),
    ]  # fmt: skip
    return [choices[b % len(choices)](x)]


@operation()
def combine(cell, values, a, b, c):
    x = one(values, a)
    y = mate(cell, values, x, b)
    choices = [
        lambda: x + y, lambda: x - y, lambda: x * y, lambda: x / (ts.softplus(y) + 1.0),
        lambda: 0.3 * ts.squared_error(x, y), lambda: ts.bernoulli_cross_entropy(x, ts.sigmoid(y)), lambda: x * x + x,
        lambda: x + x,
    ]  # fmt: skip
    return [choices[c % len(choices)]()]


@operation()
def row(cell, values, a, b, c):
    """A parameter's row: a bias, a peephole, or a layer norm's gain and bias."""
    x = one(values, a)
    n = x.shape[1]
    p = cell.pool.parameter((n,), b)
    if c % 3 == 0:
        return [x + p]
    if c % 3 == 1:
        return [x * p]
    return [ts.layer_norm(x, p, cell.pool.parameter((n,), b + 1), 1e-2)]


@operation()
def soft(cell, values, a, b, c):
    x = one(values, a)
    return [ts.softmax(x) if b % 2 else 0.3 * ts.log_softmax(x)]


@operation()
def columns(cell, values, a, b, c):
    """Joined and cut along the features."""
    x, y = one(values, a), one(values, b)
    if c % 2 or x.shape[1] == 1:
        return [ts.concatenate([x, y] if c % 3 else [x, y, x])]
    cut = 1 + b % (x.shape[1] - 1)
    return [x[:, :cut], x[:, cut:]]


@operation()
def rows(cell, values, a, b, c):
    """Along the batch: its mean taken away, or joined with another and cut apart again."""
    x = one(values, a)
    if c % 3 == 0 or cell.shrinking:
        return [x - ts.expand(ts.mean(x, axis=0, keepdims=True), x.shape)]
    y = mate(cell, values, x, b)
    both = ts.tanh(ts.concatenate([x, y], 0))
    return [both[: x.shape[0]] * both[x.shape[0] :]] if c % 3 == 1 else [x * ts.sum(y, axis=0)]


@operation()
def reduced(cell, values, a, b, c):
    """One number a row, given back to all columns."""
    x = one(values, a)
    choices = [ts.sum, ts.mean, lambda v, **k: ts.norm(v + 3.0, **k)]
    r = choices[b % 3](x, axis=1, keepdims=bool(c % 2))
    if c % 2 == 0:
        r = ts.reshape(r, (x.shape[0], 1))
    return [x * ts.tanh(r) if c % 3 else r]


@operation()
def shaped(cell, values, a, b, c):
    """Reshapes, transposes and batched products."""
    x = one(values, a)
    batch, n = x.shape
    if c % 3 == 0:
        return [ts.reshape(ts.transpose(ts.reshape(x, (batch, n, 1)), (0, 2, 1)), (batch, n))]
    if c % 3 == 1:
        outer = ts.reshape(x, (batch, n, 1)) @ ts.reshape(x, (batch, 1, n))
        return [ts.mean(outer, axis=2)]
    if n % 2 == 0:
        turned = ts.transpose(ts.reshape(x, (batch, 2, n // 2)), (0, 2, 1))
        return [ts.tanh(ts.reshape(turned, (batch, n)))]
    return [x if cell.shrinking else ts.transpose(ts.transpose(x))]


@operation()
def cut(cell, values, a, b, c):
    x = one(values, a)
    return [x.detach() if c % 2 else x * ts.sigmoid(mate(cell, values, x, b)).detach()]


@operation()
def outside(cell, values, a, b, c):
    """What was recorded before the loop."""
    x = one(values, a)
    found = [t for t in cell.outside if t.ndim == 2 and t.shape[0] == x.shape[0]]
    if not found:
        return [x * cell.pool.array((x.shape[1],), 7 + c % 2)]
    return [x + 0.2 * cell.fit(found[b % len(found)], x.shape[1], c)]


@operation()
def attend(cell, values, a, b, c):
    """Dot-product attention over a memory (batch, places, width)."""
    x = one(values, a)
    if cell.memory is None or cell.memory.shape[0] != x.shape[0]:
        return [x * 0.9]
    batch, places, n = cell.memory.shape
    query = ts.reshape(cell.fit(x, n, b), (batch, n, 1))
    weights = ts.softmax(ts.reshape(cell.memory @ query, (batch, places)))
    return [ts.reshape(ts.reshape(weights, (batch, 1, places)) @ cell.memory, (batch, n))]


def uses_kinks(code: Sequence[Instruction]) -> bool:
    """Whether a gradient of this cell may jump."""
    return any(op % len(OPERATIONS) in KINKS for op, *_ in code)
