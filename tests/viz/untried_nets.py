"""Nets that mix what others have apart: trees over and under chains, rates, directions, attention, halting, heads."""

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


def _root(tree: nn.TreeNet, words: str = "((a b) (c d))") -> object:
    leaves = ts.Tree.from_brackets(words, labelled=False)
    return tree.unfold(leaves, ts.tensor(np.ones((leaves.n_leaves, F)), "x")).root


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


@net
def siamese(T: int) -> ts.Tape:
    """Two sequences read by one cell, each from a state of its own; the loss is how far apart they end."""
    cell = nn.GRUCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        ends = []
        for name in ("x", "z"):
            sequence = ts.tensor(np.random.default_rng(1).normal(size=(T, B, F)), name)
            ends.append(ts.unfold(cell, ts.Chain(T), sequence, cell.initial_state(B)).final)
        ts.sum((ends[0] - ends[1]) ** 2).named("L")
    return tape


@net
def translator(T: int) -> ts.Tape:
    """Bidirectional encoder, two stacked decoder layers, the upper looks at the encoder."""
    w, g = Weights(), np.random.default_rng(0)
    both = nn.Bidirectional(nn.GRUCell(F, 2, rng=g, dtype=np.float64), nn.GRUCell(F, 2, rng=g, dtype=np.float64))
    with ts.Tape() as tape:
        keys = ts.transpose(both.encode(data(T)).outputs, (1, 0, 2)).named("K")

        def step(y, state):
            s, d = state
            s = ts.tanh(ts.linear(y, w("U_1", H, F)) + ts.linear(s, w("W_1", H, H))).named("s")
            e = ts.matmul(keys, ts.linear(s, w("A", H, H)).reshape((B, H, 1))).reshape((B, T))
            a = ts.softmax(e).named(r"\alpha")
            C = ts.matmul(a.reshape((B, 1, T)), keys).reshape((B, H)).named("C")
            d = ts.tanh(
                ts.linear(s, w("U_2", H, H)) + ts.linear(C, w("C_2", H, H)) + ts.linear(d, w("W_2", H, H))
            ).named("d")
            return (s, d), ts.linear(d, w("V", 3, H)).named("o")

        step.__name__ = "decoder"
        ys = ts.tensor(np.ones((T, B, F)), "y")
        ts.unfold(step, ts.Chain(T), ys, zeros("s", "d"))
    return tape


@net
def tree_into_chain(T: int) -> ts.Tape:
    """A tree over words whose root starts a chain that writes an answer."""
    w = Weights()
    tree = nn.RecursiveNet(F, H, 2, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        root = _root(tree, "((the cat) (sat on))")

        def step(y, h):
            h = ts.tanh(ts.linear(y, w("U_d", H, F)) + ts.linear(h, w("W_d", H, H))).named("d")
            return h, ts.linear(h, w("V_d", 2, H)).named("o")

        step.__name__ = "writer"
        ts.unfold(step, ts.Chain(T), ts.tensor(np.ones((T, B, F)), "y"), root)
    return tape


@net
def beam(T: int) -> ts.Tape:
    """Three chains of one cell that start from one state and go apart, compared at each step."""
    w = Weights()
    cell = nn.RNNCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        enc = ts.unfold(cell, ts.Chain(T), data(T), cell.initial_state(B))
        tops = []
        for k in range(3):

            def step(y, h):
                h = ts.tanh(ts.linear(y, w("U", H, F)) + ts.linear(h, w("W", H, H))).named("h")
                return h, ts.linear(h, w("V", 1, H)).named("s")

            step.__name__ = f"beam {k + 1}"
            r = ts.unfold(step, ts.Chain(T), ts.tensor(np.ones((T, B, F)) * k, f"y_{k + 1}"), enc.final)
            tops.append(ts.sum(r.outputs).named(f"S_{k + 1}"))
        ts.softmax(ts.stack(tops)).named("p")
    return tape


@net
def variational(T: int) -> ts.Tape:
    """A variational RNN: prior, posterior, a sample by given noise, a decoder; two terms of loss at each step."""
    w = Weights()

    def step(x, eps, h):
        m0 = ts.linear(h, w("P_m", 2, H)).named(r"\mu_0")
        s0 = ts.exp(ts.linear(h, w("P_s", 2, H))).named(r"\sigma_0")
        xh = ts.concatenate([x, h], axis=-1)
        m = ts.linear(xh, w("Q_m", 2, F + H)).named(r"\mu")
        s = ts.exp(ts.linear(xh, w("Q_s", 2, F + H))).named(r"\sigma")
        z = (m + s * eps).named("z")
        y = (ts.linear(z, w("D_z", F, 2)) + ts.linear(h, w("D_h", F, H))).named(r"\hat x")
        kl = ts.sum(ts.log(s0 / s) + (s * s + (m - m0) ** 2) / (2.0 * s0 * s0)).named("K")
        rec = ts.sum((y - x) ** 2).named("R")
        h = ts.tanh(ts.linear(h, w("W", H, H)) + ts.linear(x, w("U", H, F)) + ts.linear(z, w("Z", H, 2))).named("h")
        return h, (rec + kl).named("L")

    step.__name__ = "vrnn"
    with ts.Tape() as tape:
        r = ts.unfold(step, ts.Chain(T), (data(T), ts.tensor(np.ones((T, B, 2)), r"\epsilon")), zeros("h")[0])
        ts.sum(r.outputs).named("L")
    return tape


@net
def tree_over_directions_with_readout(T: int) -> ts.Tape:
    """A tree over the outputs of two directions; its root is read by a chain that reads the outputs again."""
    w, g = Weights(), np.random.default_rng(0)
    both = nn.Bidirectional(nn.RNNCell(F, 2, rng=g, dtype=np.float64), nn.RNNCell(F, 2, rng=g, dtype=np.float64))
    tree = nn.RecursiveNet(4, H, 2, rng=g, dtype=np.float64)
    with ts.Tape() as tape:
        outs = both.encode(data(T)).outputs
        root = tree.unfold(ts.Tree.balanced(T), outs.reshape((T, 4))).root

        def step(x, h):
            h = ts.tanh(ts.linear(x, w("U_r", H, 4)) + ts.linear(h, w("W_r", H, H))).named("r")
            return h, ts.linear(h, w("V_r", 2, H)).named("y")

        step.__name__ = "readout"
        ts.unfold(step, ts.Chain(T), outs, root)
    return tape


@net
def many_heads(T: int) -> ts.Tape:
    """One GRU, four tasks: a tag and a value at each step, a class and a length at the end."""
    w = Weights()
    cell = nn.GRUCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        h = ts.unfold(cell, ts.Chain(T), data(T), cell.initial_state(B)).outputs

        def heads(h, s):
            tag = ts.linear(h, w("V_t", 3, H)).named("t")
            value = ts.linear(h, w("V_v", 1, H)).named("v")
            return s, (tag, value)

        heads.__name__ = "heads"
        tag, value = ts.unfold(heads, ts.Chain(T), h, None).outputs
        made = {"t": tag, "v": value}
        for name, size in (("k", 2), ("l", 1)):
            made[name] = ts.linear(h[T - 1], w(f"V_{name}", size, H)).named(name)
        losses = [ts.sum(out**2).named(f"L_{name}") for name, out in made.items()]
        (losses[0] + losses[1] + losses[2] + losses[3]).named("L")
    return tape


@net
def tree_lstm_into_lstm(T: int) -> ts.Tape:
    """Both states of a tree's root start a chain that has two states as well."""
    rng = np.random.default_rng(0)
    tree = nn.TreeLSTM(F, H, 2, rng=rng, dtype=np.float64)
    cell = nn.LSTMCell(F, H, rng=rng, dtype=np.float64)
    with ts.Tape() as tape:
        root = _root(tree)
        ts.unfold(cell, ts.Chain(T), ts.tensor(np.ones((T, B, F)), "y"), root)
    return tape


@net
def tree_as_context(T: int) -> ts.Tape:
    """Every step of a chain reads the root of a tree."""
    w, tree = Weights(), nn.RecursiveNet(F, H, 2, rng=np.random.default_rng(0), dtype=np.float64)
    with ts.Tape() as tape:
        root = _root(tree)

        def step(y, d):
            a = ts.linear(y, w("U_d", H, F)) + ts.linear(d, w("W_d", H, H)) + ts.linear(root, w("C", H, H))
            d = ts.tanh(a).named("d")
            return d, d

        step.__name__ = "writer"
        ts.unfold(step, ts.Chain(T), ts.tensor(np.ones((T, B, F)), "y"), zeros("d")[0])
    return tape
