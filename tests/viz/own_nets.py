"""Ten nets that are not in the package, as their users would write them: pictures must not need a net to be known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyseq as ts
from tinyseq import nn

B, F, H = 1, 3, 4
NETS: dict[str, Callable[[int], ts.Tape]] = {}


def net(record: Callable[[int], ts.Tape]) -> Callable[[int], ts.Tape]:
    """Under the name of the function; it takes the number of time steps."""
    NETS[record.__name__] = record
    return record


def weight(name: str, *shape: int) -> ts.Parameter:
    return ts.Parameter(np.random.default_rng(len(name)).normal(size=shape) * 0.3, name)


def data(T: int, features: int = F) -> ts.Tensor:
    return ts.tensor(np.random.default_rng(1).normal(size=(T, B, features)), "x")


def zeros(*names: str, size: int = H) -> tuple[ts.Tensor, ...]:
    return tuple(ts.tensor(np.zeros((B, size)), name) for name in names)


class Weights:
    """Parameters made where they are first used, by name."""

    def __init__(self) -> None:
        self.known: dict[str, ts.Parameter] = {}

    def __call__(self, name: str, *shape: int) -> ts.Parameter:
        if name not in self.known:
            self.known[name] = weight(name, *shape)
        return self.known[name]


@net
def peephole_lstm_with_projection(T: int) -> ts.Tape:
    w, P = Weights(), 2

    def step(x, state):
        c, r = state

        def gate(k, peep):
            return ts.linear(x, w(f"W_{k}x", H, F)) + ts.linear(r, w(f"W_{k}r", H, P)) + peep * w(f"p_{k}", H)

        i, f = ts.sigmoid(gate("i", c)).named("i"), ts.sigmoid(gate("f", c)).named("f")
        candidate = ts.tanh(ts.linear(x, w("W_cx", H, F)) + ts.linear(r, w("W_cr", H, P))).named(r"\tilde c")
        c = (f * c + i * candidate).named("c")
        o = ts.sigmoid(gate("o", c)).named("o")
        m = (o * ts.tanh(c)).named("m")
        r = ts.linear(m, w("W_rm", P, H)).named("r")
        return (c, r), ts.linear(r, w("V", 2, P)).named("y")

    step.__name__ = "lstmp"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), (*zeros("c"), *zeros("r", size=P)))
    return tape


@net
def coupled_gates(T: int) -> ts.Tape:
    w = Weights()

    def step(x, state):
        h, c = state
        f = ts.sigmoid(ts.linear(x, w("U_f", H, F)) + ts.linear(h, w("W_f", H, H))).named("f")
        z = ts.tanh(ts.linear(x, w("U_z", H, F)) + ts.linear(h, w("W_z", H, H))).named("z")
        c = (f * c + (1.0 - f) * z).named("c")
        h = ts.tanh(c).named("h")
        return (h, c), h

    step.__name__ = "coupled"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("h", "c"))
    return tape


@net
def highway(T: int) -> ts.Tape:
    w = Weights()

    def step(x, s):
        for layer in range(3):
            a = ts.linear(s, w(f"R_H{layer + 1}", H, H))
            b = ts.linear(s, w(f"R_T{layer + 1}", H, H))
            if layer == 0:
                a, b = a + ts.linear(x, w("W_H", H, F)), b + ts.linear(x, w("W_T", H, F))
            h = ts.tanh(a).named(f"h_{layer + 1}")
            t = ts.sigmoid(b).named(f"t_{layer + 1}")
            s = (h * t + s * (1.0 - t)).named(f"s_{layer + 1}" if layer < 2 else "s")
        return s, ts.linear(s, w("V", 2, H)).named("y")

    step.__name__ = "highway"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("s")[0])
    return tape


@net
def min_gru(T: int) -> ts.Tape:
    w = Weights()

    def step(x, h):
        z = ts.sigmoid(ts.linear(x, w("U_z", H, F))).named("z")
        candidate = ts.linear(x, w("U_h", H, F)).named(r"\tilde h")
        h = ((1.0 - z) * h + z * candidate).named("h")
        return h, h

    step.__name__ = "min_gru"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("h")[0])
    return tape


@net
def attention_loop(T: int) -> ts.Tape:
    """A decoder in a plain loop that looks at all of the encoder's states at each of its steps."""
    w = Weights()
    encoder = nn.RNNCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)

    class Decoder(nn.Cell):
        name = "decoder"

        def step(self, keys, s):
            query = (s * w("A", H)).reshape((B, H, 1))
            scores = ts.matmul(keys, query).reshape((B, T))
            alpha = ts.softmax(scores).named(r"\alpha")
            C = ts.matmul(alpha.reshape((B, 1, T)), keys).reshape((B, H)).named("C")
            s = ts.tanh(ts.linear(s, w("W_ss", H, H)) + ts.linear(C, w("W_sc", H, H))).named("s")
            return s, ts.linear(s, w("V", 2, H)).named("y")

    with ts.Tape() as tape:
        h = ts.unfold(encoder, ts.Chain(T), data(T), encoder.initial_state(B)).outputs
        keys, decoder, s = ts.transpose(h, (1, 0, 2)).named("K"), Decoder(), zeros("s")[0]
        for _ in range(T):
            s, _ = decoder(keys, s)
    return tape


@net
def two_directions_into_a_tree(T: int) -> ts.Tape:
    rng = np.random.default_rng(0)
    forward, backward = (nn.RNNCell(F, H, rng=rng, dtype=np.float64) for _ in range(2))
    both = nn.Bidirectional(forward, backward)
    tree = nn.RecursiveNet(2 * H, H, 2, rng=rng, dtype=np.float64)
    with ts.Tape() as tape:
        rows = both.encode(data(T)).outputs.reshape((T, 2 * H))
        tree.loss(ts.Tree.balanced(T), rows, np.zeros(1, np.int64))
    return tape


@net
def three_layers_with_skips(T: int) -> ts.Tape:
    """Each layer unfolded for itself; every layer reads the input and the layer below, the output reads all."""
    w = Weights()
    with ts.Tape() as tape:
        x = data(T)
        layers, below = [], None
        for n in (1, 2, 3):

            def step(*given, n=n):
                first, *rest, h = given
                a = ts.linear(first, w(f"U_{n}", H, F)) + ts.linear(h, w(f"W_{n}", H, H))
                for r in rest:
                    a = a + ts.linear(r, w(f"D_{n}", H, H))
                h = ts.tanh(a).named("h")
                return h, h

            step.__name__ = f"layer_{n}"
            below = ts.unfold(step, ts.Chain(T), x if below is None else (x, below), zeros("h")[0]).outputs
            layers.append(below)

        def out(*given):
            *hs, state = given
            total = ts.linear(hs[0], w("V_1", 2, H))
            for n, h in enumerate(hs[1:], 2):
                total = total + ts.linear(h, w(f"V_{n}", 2, H))
            return state, total.named("y")

        out.__name__ = "output"
        ts.unfold(out, ts.Chain(T), tuple(layers), None)
    return tape


@net
def memory_with_two_heads(T: int) -> ts.Tape:
    w, slots, width = Weights(), 5, 3

    def step(x, state):
        h, M, r1, r2 = state
        h = ts.tanh(
            ts.linear(x, w("U", H, F)) + ts.linear(h, w("W", H, H))
            + ts.linear(r1, w("R_1", H, width)) + ts.linear(r2, w("R_2", H, width))
        ).named("h")  # fmt: skip
        write = ts.softmax(ts.linear(h, w("A_w", slots, H))).named("w")
        value = ts.tanh(ts.linear(h, w("A_v", width, H))).named("v")
        where, what = write.reshape((B, slots, 1)), value.reshape((B, 1, width))
        M = (M * (1.0 - where) + ts.matmul(where, what)).named("M")
        reads = []
        for n in (1, 2):
            a = ts.softmax(ts.linear(h, w(f"A_{n}", slots, H))).named(f"a_{n}")
            reads.append(ts.matmul(a.reshape((B, 1, slots)), M).reshape((B, width)).named(f"r_{n}"))
        y = (ts.linear(reads[0], w("V_1", 2, width)) + ts.linear(reads[1], w("V_2", 2, width))).named("y")
        return (h, M, *reads), y

    step.__name__ = "memory"
    with ts.Tape() as tape:
        start = (*zeros("h"), ts.tensor(np.zeros((B, slots, width)), "M"), *zeros("r_1", "r_2", size=width))
        ts.unfold(step, ts.Chain(T), data(T), start)
    return tape


@net
def delay_line(T: int) -> ts.Tape:
    w = Weights()

    def step(x, states):
        a = ts.linear(x, w("U", H, F))
        for n, h in zip((1, 2, 4), states, strict=True):
            a = a + ts.linear(h, w(f"W_{n}", H, H))
        h = ts.tanh(a).named("h")
        return h, ts.linear(h, w("V", 2, H)).named("y")

    step.__name__ = "delay_line"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("h")[0], delays=(1, 2, 4))
    return tape


@net
def three_states(T: int) -> ts.Tape:
    """Position, velocity and a trace of both, each read by the others."""
    w = Weights()

    def step(x, state):
        p, v, e = state
        v = ts.tanh(ts.linear(v, w("W_vv", H, H)) + ts.linear(p, w("W_vp", H, H)) + ts.linear(x, w("U", H, F))).named(
            "v"
        )
        p = (p + v * 0.1).named("p")
        e = ts.sigmoid(ts.linear(e, w("W_ee", H, H)) + ts.linear(p, w("W_ep", H, H))).named("e")
        return (p, v, e), (ts.linear(p, w("V_p", 2, H)) + ts.linear(e, w("V_e", 2, H))).named("y")

    step.__name__ = "motion"
    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(T), data(T), zeros("p", "v", "e"))
    return tape
