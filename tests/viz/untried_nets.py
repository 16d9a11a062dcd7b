"""Nets that mix what others have apart: trees over two chains, three rates, both directions and attention, halting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyseq as ts
from tests.viz.own_nets import B, F, H, Weights, data, zeros
from tinyseq import nn

NETS: dict[str, Callable[[int], ts.Tape]] = {}


def net(record: Callable[[int], ts.Tape]) -> Callable[[int], ts.Tape]:
    """Under the name of the function; it takes the number of time steps."""
    NETS[record.__name__] = record
    return record


@net
def tree_over_two_chains(T: int) -> ts.Tape:
    """Two sequences, each read by a net of its own; one tree joins what both have made of their steps."""
    rng = np.random.default_rng(0)
    left, right = nn.RNNCell(F, H, rng=rng, dtype=np.float64), nn.GRUCell(F, H, rng=rng, dtype=np.float64)
    tree = nn.RecursiveNet(H, H, 2, rng=rng, dtype=np.float64)
    with ts.Tape() as tape:
        one = ts.unfold(left, ts.Chain(T), data(T), left.initial_state(B)).outputs
        two = ts.unfold(right, ts.Chain(T), data(T), right.initial_state(B)).outputs
        rows = ts.concatenate([one.reshape((T, H)), two.reshape((T, H))], axis=0)
        tree.loss(ts.Tree.balanced(2 * T), rows, np.zeros(1, np.int64))
    return tape


@net
def clockwork_of_three_rates(T: int) -> ts.Tape:
    """Three states, of which the second moves at every second step and the third at every fourth; slow feed fast."""
    w = Weights()

    def step(x, ticks, states):
        a, b, c = states
        new_c = ts.tanh(ts.linear(c, w("W_cc", H, H)) + ts.linear(x, w("U_c", H, F)))
        c = (c + ticks[:, 1:2] * (new_c - c)).named("c")
        new_b = ts.tanh(ts.linear(b, w("W_bb", H, H)) + ts.linear(c, w("W_bc", H, H)) + ts.linear(x, w("U_b", H, F)))
        b = (b + ticks[:, 0:1] * (new_b - b)).named("b")
        a = ts.tanh(ts.linear(a, w("W_aa", H, H)) + ts.linear(b, w("W_ab", H, H)) + ts.linear(x, w("U_a", H, F))).named(
            "a"
        )
        return (a, b, c), ts.linear(a, w("V", 2, H)).named("y")

    step.__name__ = "clockwork"
    ticks = np.array([[[t % 2 == 0, t % 4 == 0]] for t in range(T)], np.float64)
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), (data(T), ts.tensor(ticks, "k")), zeros("a", "b", "c"))
    return tape


@net
def both_directions_and_attention(T: int) -> ts.Tape:
    """An encoder of two directions, a decoder that looks at all their states."""
    rng = np.random.default_rng(0)
    both = nn.Bidirectional(nn.RNNCell(F, 2, rng=rng), nn.RNNCell(F, 2, rng=rng))
    translator = nn.EncoderDecoder(both, 3, H, attention=True, rng=rng)
    with ts.Tape() as tape:
        x = rng.normal(size=(T, B, F)).astype(np.float32)
        translator.loss(x, rng.integers(0, 3, (T, B)))
    return tape


@net
def late_states_and_two_outputs(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        near, far = states
        h = ts.tanh(ts.linear(near, w("W_1", H, H)) + ts.linear(far, w("W_3", H, H)) + ts.linear(x, w("U", H, F)))
        h = h.named("h")
        mean = ts.linear(h, w("V_m", 1, H)).named("m")
        return h, (mean, ts.exp(ts.linear(h, w("V_s", 1, H))).named("s"))

    step.__name__ = "two_heads"
    with ts.Tape() as tape:
        made = ts.unfold(step, ts.Chain(T), data(T), zeros("h")[0], delays=(1, 3))
        mean, spread = made.outputs
        ts.sum((mean / spread) ** 2 + spread).named("L")
    return tape


@net
def halting(T: int) -> ts.Tape:
    """Computation that ends by itself, softly: what is left over shrinks by the chance of stopping at each step."""
    w = Weights()
    with ts.Tape() as tape:
        x = ts.tensor(np.ones((B, F)), "x")
        h, left, answer = *zeros("h"), ts.tensor(np.ones((B, 1)), "r"), ts.tensor(np.zeros((B, 2)), "y")

        def step(state):
            h, left, answer = state
            h = ts.tanh(ts.linear(h, w("W", H, H)) + ts.linear(x, w("U", H, F))).named("h")
            p = ts.sigmoid(ts.linear(h, w("v", 1, H))).named("p")
            answer = (answer + left * p * ts.linear(h, w("V", 2, H))).named("y")
            return (h, (left * (1.0 - p)).named("r"), answer), answer

        step.__name__ = "ponder"
        ts.unfold(step, ts.Chain(T), (), (h, left, answer))
    return tape


@net
def zoneout(T: int) -> ts.Tape:
    """Units of an LSTM that keep what they held, by masks drawn before."""
    w, rng = Weights(), np.random.default_rng(3)

    def step(x, keep_c, keep_h, state):
        h, c = state

        def gate(k):
            return ts.linear(x, w(f"U_{k}", H, F)) + ts.linear(h, w(f"W_{k}", H, H)) + w(f"b_{k}", H)

        i, f, o = (ts.sigmoid(gate(k)).named(k) for k in "ifo")
        new_c = f * c + i * ts.tanh(gate("z")).named("z")
        new_h = o * ts.tanh(new_c)
        c = (keep_c * c + (1.0 - keep_c) * new_c).named("c")
        h = (keep_h * h + (1.0 - keep_h) * new_h).named("h")
        return (h, c), ts.linear(h, w("V", 2, H)).named("y")

    step.__name__ = "zoneout"
    masks = [ts.tensor, rng.integers(0, 2, (2, T, B, H)).astype(float)]
    with ts.Tape() as tape:
        kept = [masks[0](m, name) for m, name in zip(masks[1], ("m_c", "m_h"), strict=True)]
        ts.unfold(step, ts.Chain(T), (data(T), *kept), zeros("h", "c"))
    return tape


@net
def history_window(T: int) -> ts.Tape:
    """The last three states, handed on from one place of the state to the next, are read together."""
    w = Weights()

    def step(x, state):
        a, b, c = state
        seen = ts.stack([a, b, c]).named("H")
        h = ts.tanh(ts.linear(ts.mean(seen, axis=0).named("m"), w("W", H, H)) + ts.linear(x, w("U", H, F))).named("h")
        return (h, a, b), ts.linear(h, w("V", 2, H)).named("y")

    step.__name__ = "window"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("h", "h_1", "h_2"))
    return tape
