"""Nets that nobody would draw by hand: odd sizes, delays, names and structures that pictures must hold all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyseq as ts
from tests.viz.own_nets import B, F, H, Weights, data, weight, zeros

NETS: dict[str, Callable[[int], ts.Tape]] = {}


def net(record: Callable[[int], ts.Tape]) -> Callable[[int], ts.Tape]:
    """Under the name of the function; it takes the number of time steps."""
    NETS[record.__name__] = record
    return record


def unfolded(step, T, x, start, **options) -> ts.Tape:
    with ts.Tape() as tape:
        made = ts.unfold(step, ts.Chain(T), x() if callable(x) else x, start() if callable(start) else start, **options)
        ts.sum(made.outputs).named("L")
    return tape


@net
def two_sizes_and_delays_of_one_and_three(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        (h, s), (_, far) = states
        s = ts.tanh(ts.linear(far, w("W_ss", 2, 2)) + ts.linear(h, w("W_sh", 2, H))).named("s")
        h = ts.tanh(ts.linear(h, w("W_hh", H, H)) + ts.linear(s, w("W_hs", H, 2)) + ts.linear(x, w("U", H, F)))
        return (h.named("h"), s), ts.linear(h, w("V", 2, H)).named("y")

    return unfolded(step, T, lambda: data(T), lambda: (*zeros("h"), *zeros("s", size=2)), delays=(1, 3))


@net
def computed_weight(T: int) -> ts.Tape:
    """W is a rotation by a learned angle times a learned scale, made anew in every step; U is made of two factors."""
    w = Weights()

    def step(x, h):
        W = (w("A", H, H) * ts.sigmoid(w("d", H, H))).named("W")
        U = ts.matmul(w("P", H, 2), w("Q", 2, F)).named("U")
        return (h := ts.tanh(ts.linear(h, W) + ts.linear(x, U)).named("h")), h

    return unfolded(step, T, lambda: data(T), lambda: zeros("h")[0])


@net
def state_that_is_not_read(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        h, _ = states
        h = ts.tanh(ts.linear(h, w("W", H, H)) + ts.linear(x, w("U", H, F))).named("h")
        return (h, ts.sigmoid(h).named("e")), h

    return unfolded(step, T, lambda: data(T), lambda: zeros("h", "e"))


@net
def output_that_is_the_input(T: int) -> ts.Tape:
    w = Weights()

    def step(x, h):
        return ts.tanh(ts.linear(h, w("W", H, H)) + ts.linear(x, w("U", H, F))).named("h"), x

    with ts.Tape() as tape:
        made = ts.unfold(step, ts.Chain(T), data(T), zeros("h")[0])
        (ts.sum(made.outputs * made.outputs) + ts.sum(made.final)).named("L")
    return tape


@net
def states_in_states(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        (h, (c, n)), m = states
        f = ts.sigmoid(ts.linear(h, w("W_f", H, H)) + ts.linear(x, w("U_f", H, F))).named("f")
        n = (f * n + 1.0).named("n")
        c = (f * c + ts.linear(x, w("U_c", H, F))).named("c")
        m = ts.maximum(m, c).named("m")
        h = (ts.tanh(c) / n).named("h")
        return ((h, (c, n)), m), h

    return unfolded(step, T, lambda: data(T), lambda: ((zeros("h")[0], zeros("c", "n")), zeros("m")[0]))


@net
def scalar_state(T: int) -> ts.Tape:
    """A leaky count without any batch."""
    k = ts.Parameter(np.array(0.3), "k")

    def step(x, c):
        c = (c * k + ts.sum(x)).named("c")
        return c, c

    return unfolded(step, T, lambda: ts.tensor(np.ones((T, 1, 1)), "x"), lambda: ts.tensor(np.array(0.0), "c"))


@net
def names_of_all_kinds(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        a, b = states
        g = ts.sigmoid(ts.linear(a, w("W_{<&>}", H, H)) + ts.linear(x, w("\\Theta_x", H, F))).named("gate_<in>&out")
        a = (g * a + (1.0 - g) * ts.tanh(ts.linear(b, w("U''", H, H)))).named("σ'")
        b = ts.tanh(ts.linear(a, w("W_hidden_to_hidden", H, H))).named("long_state_name_number_two")
        return (a, b), ts.linear(b, w('"V"', 2, H)).named("ŷ_{out}")

    step.__name__ = "cell <of> & many: names"
    return unfolded(step, T, lambda: data(T), lambda: zeros("σ'", "long_state_name_number_two"))


@net
def step_of_sixty_ops(T: int) -> ts.Tape:
    w = Weights()

    def step(x, h):
        a = ts.linear(x, w("U", H, F)) + ts.linear(h, w("W", H, H))
        for n in range(14):
            b = ts.tanh(a * (n + 1.0))
            a = a + ts.sigmoid(b) * (h if n % 3 == 0 else b)
        return (h := ts.tanh(a).named("h")), h

    return unfolded(step, T, lambda: data(T), lambda: zeros("h")[0])


class Sum(ts.nn.TreeCell):
    """h of any number of children: tanh(Σ U h_k)."""

    def __init__(self) -> None:
        self.U, self.V = weight("U", H, H), weight("V", H, F)

    def leaf(self, x):
        return ts.tanh(ts.linear(x, self.V)).named("h")

    def merge(self, *children):
        total = ts.linear(children[0], self.U)
        for h in children[1:]:
            total = total + ts.linear(h, self.U)
        return ts.tanh(total).named("h")


@net
def tree_of_two_hundred_of_unequal_arity(T: int) -> ts.Tape:
    rng = np.random.default_rng(3)
    rows: list[str] = [f"w{n}" for n in range(140)]
    while len(rows) > 1:
        at, width = int(rng.integers(0, len(rows))), int(rng.integers(2, 6))
        rows[at : at + width] = ["(" + " ".join(rows[at : at + width]) + ")"] if at + 1 < len(rows) else [rows[at]]
    tree = ts.Tree.from_brackets(rows[0], labelled=False)
    with ts.Tape() as tape:
        ts.sum(Sum().unfold(tree, ts.tensor(rng.normal(size=(tree.n_leaves, F)), "x")).roots).named("L")
    return tape


@net
def forest(T: int) -> ts.Tape:
    rng = np.random.default_rng(4)
    trees = ts.Forest([ts.Tree.balanced(n) for n in (1, 2, 5)])
    cell = ts.nn.RecursiveNet(F, H, 2, rng=rng, dtype=np.float64)
    with ts.Tape() as tape:
        cell.loss(trees, rng.normal(size=(trees.n_leaves, F)), np.zeros(3, np.int64))
    return tape


@net
def one_step_alone(T: int) -> ts.Tape:
    """A batch of one over a single step."""
    cell = ts.nn.LSTMCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        ts.sum(ts.unfold(cell, ts.Chain(1), data(1), cell.initial_state(B)).outputs).named("L")
    return tape
