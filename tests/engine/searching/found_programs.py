"""Programs on which a plan was once wrong, as the search found them and made them small."""

from __future__ import annotations

from tinyseq.checking.programs import Array, Program

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
    # NaN times a gradient of 0, where one product runs for all steps.
    "NaN in a step that nobody reads, of a product for all steps": Program(
        """def program(x0):
    def step(a, state):
        v = ts.expand(ts.linear(a, W0), (2, 3))
        return v, v
    u = ts.unfold(step, ts.Chain(3), (x0,), ts.zeros((2, 3), DTYPE))
    loss = ts.sum(ts.tanh(ts.linear(u.final, W1)))
    return loss
""",
        {"W0": (1, 3), "W1": (3, 3)},
        {"x0": Array(((3, 2, 3),), blank="nan first")},
    ),
    # The plan was right, and the verifier refused it: it took the table for as long as all members together.
    "rows taken from one member of many": Program(
        """def program(x0):
    h = ts.zeros((4, 3), DTYPE)
    for t in range(4):
        h = ts.tanh(h @ W0 + ts.take(x0[t], C0))
    return ts.sum(h * ts.take(x0[1], C0))
""",
        {"W0": (3, 3)},
        {"x0": Array(((4, 2, 3),))},
        {"C0": Array(((4,),), below=2)},
    ),
    "a state summed by a step whose batch is another": Program(
        """def program(x0):
    def step(a, state):
        h, s = state
        v = ts.expand(ts.linear(s, W0), (2, 1))
        return (v, ts.expand(ts.sum(h, 0, False), (2,))), v
    u = ts.unfold(step, ts.Chain(3), (x0,), (ts.zeros((2, 1), DTYPE), ts.zeros((2,), DTYPE)))
    return ts.sum(ts.tanh(u.final[1]))
""",
        {"W0": (1, 2)},
        {"x0": Array(((3, 2, 3),))},
    ),
    "packed tokens read from their ends": Program(
        """def program(i0):
    def step(a, state):
        v = ts.tanh(ts.take(W0, a) + state @ W1)
        return v, v
    u = ts.unfold(step, ts.Chain([2, 4, 1, 4], True), (i0,), ts.zeros((4, 3), DTYPE))
    return ts.sum(u.outputs * u.outputs) + ts.sum(u.final)
""",
        {"W0": (4, 3), "W1": (3, 3)},
        {"i0": Array(((11,),), below=4)},
    ),
}
