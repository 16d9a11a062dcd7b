"""Random nets for the pictures: cells of random equations over random structures, one or several on a tape."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinyseq as ts

B, H = 1, 2
NAMES = ["a", "b", "c", "f", "g", "k", "q", "u", "z", "gate", "long_name", "α", "x̃"]


class Draws:
    """Choices of one random net."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def upto(self, n: int) -> int:
        return int(self.rng.integers(n))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def weight(self) -> ts.Parameter:
        self.count += 1
        name = f"W_{self.count}" if self.chance(0.7) else f"U_x{self.count}"
        return ts.Parameter(self.rng.normal(size=(H, H)), name)


def equations(draws: Draws, inputs: int, states: int) -> Any:
    """A step of random equations: a list of (op, operands, name, weight), replayed at each call."""
    pool, plan = inputs + states, []
    for _ in range(1 + draws.upto(7)):
        op = ["linear", "tanh", "sigmoid", "mul", "add", "join"][draws.upto(6)]
        operands = [draws.upto(pool) for _ in range(1 if op in ("tanh", "sigmoid", "linear") else 2)]
        name = NAMES[draws.upto(len(NAMES))] if draws.chance(0.5) else ""
        plan.append((op, operands, name, [draws.weight() for _ in operands]))
        pool += 1
    news = [inputs + states + draws.upto(pool - inputs - states) for _ in range(states)]
    named = [draws.chance(0.7) for _ in range(states)]
    out = inputs + states + draws.upto(pool - inputs - states)

    def step(*given: Any) -> Any:
        *xs, state = given
        held = state if isinstance(state, tuple) else (() if state is None else (state,))
        values = [*xs, *held]
        for op, operands, name, weights in plan:
            a = [values[i] for i in operands]
            if op == "linear":
                made = ts.linear(a[0], weights[0])
            elif op in ("tanh", "sigmoid"):
                made = getattr(ts, op)(ts.linear(a[0], weights[0]))
            elif op == "join":
                made = ts.tanh(ts.linear(a[0], weights[0]) + ts.linear(a[1], weights[1]))
            else:
                made = a[0] * a[1] if op == "mul" else a[0] + a[1]
            values.append(made.named(name) if name else made)
        new = []
        for n, (i, is_named) in enumerate(zip(news, named, strict=True)):
            value = values[i] + held[n] * 0.5 if i in news[:n] else values[i]
            new.append(value.named(f"h_{n + 1}" if states > 1 else "h") if is_named else value)
        following = tuple(new) if isinstance(state, tuple) else (new[0] if new else None)
        return following, values[out]

    return step


def chain_tape(draws: Draws, longest: int) -> ts.Tape:
    T = 1 + draws.upto(longest)
    with ts.Tape() as tape:
        x: Any = ts.tensor(draws.rng.normal(size=(T, B, H)), "x")
        total = None
        for layer in range(1 + draws.upto(3)):
            states = 1 + draws.upto(3)
            step = equations(draws, 1, states)
            step.__name__ = f"layer{layer}"
            start = tuple(ts.tensor(np.zeros((B, H)), f"h_{n + 1}" if draws.chance(0.5) else "") for n in range(states))
            delays = (1,) if draws.chance(0.8) or T < 3 else (1, 2)  # in two steps nothing is two steps late
            if len(delays) > 1:

                def late(x_t, held, step=step):
                    near, far = held
                    mixed = tuple(a + b for a, b in zip(near, far, strict=True))
                    return step(x_t, mixed)

                late.__name__ = step.__name__
                made = ts.unfold(late, ts.Chain(T), x, start, delays=delays)
            else:
                structure = ts.Chain(T) if draws.chance(0.75) else ts.Chain(T, backwards=True)
                made = ts.unfold(step, structure, x, start)
            x = made.outputs
        if draws.chance(0.5):
            total = ts.sum(x * x).named("L")
            _ = total
    return tape


def tree_tape(draws: Draws, longest: int) -> ts.Tape:
    leaves = 1 + draws.upto(longest + 1)
    kinds = [ts.Tree.balanced, ts.Tree.chain]
    tree = kinds[draws.upto(2)](leaves)
    W, U, V = (draws.weight() for _ in range(3))
    gated = draws.chance(0.5)

    class Cell(ts.nn.TreeCell):
        def leaf(self, x):
            h = ts.tanh(ts.linear(x, V)).named("h")
            return (h, (h * 0.5).named("c")) if gated else h

        def merge(self, left, right):
            if not gated:
                return ts.tanh(ts.linear(left, U) + ts.linear(right, W)).named("h")
            f = ts.sigmoid(ts.linear(left[0], U) + ts.linear(right[0], W)).named("f")
            c = (f * left[1] + (1.0 - f) * right[1]).named("c")
            return ts.tanh(c).named("h"), c

    with ts.Tape() as tape:
        Cell().unfold(tree, ts.tensor(draws.rng.normal(size=(leaves, H)), "x"))
    return tape


def tape_of(seed: int, longest: int = 5) -> ts.Tape:
    """The tape of a number, over at most so many steps."""
    draws = Draws(seed)
    return tree_tape(draws, longest) if draws.chance(0.2) else chain_tape(draws, longest)
