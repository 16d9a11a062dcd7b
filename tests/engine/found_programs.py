"""Programs on which a plan was once wrong, as the search found them and made them small."""

from __future__ import annotations

from tests.engine.programs import Array, Program

FOUND: dict[str, Program] = {
    # One class for calls at several sizes: all members ran with the first one's.
    "a cell over bags of words in a loop": Program(
        """def program(i0s):
    def step(a, state):
        v = ts.linear(ts.take(W0, a), W1)
        v = ts.tanh(ts.expand(ts.sum(v, 0, False), (3,)))
        return v, v
    h = ts.zeros((2, 3), DTYPE)
    for t in range(8):
        s, o = step(i0s[t], ts.sum(h, 0, False))
        h = ts.tanh(ts.expand(ts.linear(o, W2), (2, 3)))
    loss = ts.sum(ts.tanh(ts.linear(h, W3)))
    return loss
""",
        {"W0": (4, 1), "W1": (1, 1), "W2": (1, 3), "W3": (3, 3)},
        {"i0s": Array(((1,), (2,), (1,), (2,), (1,), (2,), (1,), (2,)), True, 4)},
    ),
    "a batch cut down step by step, and its sum": Program(
        """def program(x0s):
    h = ts.expand(W0, (4, 3))
    outs = []
    for t in range(8):
        b = [4, 4, 4, 4, 4, 3, 3, 3][t]
        h = h[:b]
        v = h + h
        v = v - ts.tanh(ts.sum(v, 0, False))
        h = ts.tanh(ts.expand(ts.linear(v, W1), (b, 3)) + x0s[t])
        outs.append(h)
    return ts.sum(h * V) + ts.mean(ts.concatenate(outs, 0))
""",
        {"W0": (3,), "W1": (1, 3), "V": (3,)},
        {"x0s": Array(tuple((n, 3) for n in (4, 4, 4, 4, 4, 3, 3, 3)), True)},
    ),
    "sums over rows that differ beside a state of some steps ago": Program(
        """def program(x0s):
    h = ts.zeros((3, 3), DTYPE)
    history = []
    for t in range(8):
        history.append(h)
        v = history[-min(3, len(history))]
        v = v - ts.tanh(ts.sum(v, 0, False))
        v = ts.take(ts.tanh(v @ W1) + 0.5 * v, C0)
        x = ts.sum(ts.linear(ts.tanh(x0s[t]), W0), 0, True)
        h = ts.tanh(ts.expand(x, (3, 3)) + v)
    return ts.sum(h * h)
""",
        {"W0": (3, 2), "W1": (3, 3)},
        {"x0s": Array(tuple((1 + t % 3, 2) for t in range(8)), True)},
        {"C0": Array(((3,),), below=3)},
    ),
}
