"""Tapes that the picture tests draw, and ways to read a drawing."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq.viz import draw


def rng():
    return np.random.default_rng(7)


def rnn(size=3):
    return ts.nn.RNN(4, size, 4, rng=rng())


def rnn_tape(steps, executor=None):
    r = rng()
    with ts.Tape(executor) as tape:
        rnn().loss(r.integers(0, 4, (steps, 2)), r.integers(0, 4, (steps, 2)))
    return tape


def loop_tape(steps):
    """The same net in the user's own loop, the loss outside the cell, nothing named but what the cell names."""
    r, net = rng(), rnn()
    with ts.Tape() as tape:
        x = ts.tensor(r.normal(size=(steps, 2, 4)).astype("f"))
        y = ts.tensor(r.integers(0, 4, (steps, 2)))
        h, total = ts.zeros((2, 3)), 0.0
        for t in range(steps):
            h, o = net(x[t], h)
            total = total + ts.cross_entropy(o, y[t])
    return tape


def delayed_tape(chain=None, delays=(1, 3), steps=9):
    """A user's cell function that names nothing and reads two earlier states, on a ragged chain by default."""
    r = rng()
    chain = chain or ts.Chain([9, 7, 5])
    W_1, W_3 = ts.Parameter(r.normal(size=(3, 3)), "W_1"), ts.Parameter(r.normal(size=(3, 3)), "W_3")
    U = ts.Parameter(r.normal(size=(3, 4)), "U")

    def step(x, states):
        near, far = states
        h = ts.tanh(ts.linear(near, W_1) + ts.linear(far, W_3) + ts.linear(x, U))
        return h, h

    rows = int(chain.lengths.sum()) if chain.lengths is not None else steps
    x = r.normal(size=(rows, 4) if chain.lengths is not None else (rows, 2, 4))
    batch = len(chain.lengths) if chain.lengths is not None else 2
    with ts.Tape() as tape:
        _ = ts.unfold(step, chain, x, np.zeros((batch, 3)), delays=delays).outputs
    return tape


def edges(thing, **options):
    """{(source, target, label, delay)} of a drawing."""
    return draw(thing, **options).diagram.edges()


def texts(thing, **options):
    """Labels of a drawing's nodes, sorted."""
    return sorted(v.text for v in draw(thing, **options).diagram.vertices)
