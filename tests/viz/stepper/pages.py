"""Tapes that the stepper tests export, and a browser to open them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import tinyseq as ts

CHROMIUM = next((p for p in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if p.exists()), None)


def rng():
    return np.random.default_rng(5)


def rnn(T=6, hidden=3, batch=2, dtype=np.float32):
    r = rng()
    net = ts.nn.RNN(4, hidden, 4, rng=r, dtype=dtype)
    with ts.Tape():
        return net.loss(r.integers(0, 4, (T, batch)), r.integers(0, 4, (T, batch)))


def reservoir(T=6):
    """A net of which only the readout V, c is learned."""
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r)
    for parameter in (net.W, net.U, net.b):
        parameter.trainable = False
    with ts.Tape():
        return net.loss(r.integers(0, 4, (T, 1)), r.integers(0, 4, (T, 1)))


def gated(cell, T=6, hidden=3, batch=1, dtype=np.float64):
    r = rng()
    net = cell(4, hidden, rng=r, dtype=dtype)
    with ts.Tape():
        x = ts.tensor(r.normal(size=(T, batch, 4)).astype(dtype), "x")
        o = ts.unfold(net, ts.Chain(T), x, net.initial_state(batch)).outputs
        return (ts.sum(o * o) * 0.5).named("L")


def tree():
    r = rng()
    net = ts.nn.RecursiveNet(3, 2, 2, rng=r)
    with ts.Tape():
        return net.loss(ts.Tree.balanced(8), r.normal(size=(8, 3)).astype("f"), np.array([1]))


def loop(dtype=np.float64):
    """A loop in primitive ops, without a cell."""
    r = rng()
    W, U = ts.Parameter(r.normal(0, 0.5, (4, 4)), "W"), ts.Parameter(r.normal(0, 0.5, (4, 3)), "U")
    b, x = ts.Parameter(np.zeros(4), "b"), r.normal(size=(4, 2, 3))
    with ts.Tape():
        h = ts.zeros((2, 4), dtype)
        for t in range(4):
            h = ts.tanh(b + ts.linear(h, W) + ts.linear(ts.tensor(x[t]), U)).named("h")
        return ts.sum(h**2).named("L")


def users_loop():
    """The user's own loop around a cell: losses are added up outside."""
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r)
    with ts.Tape():
        x = ts.tensor(r.normal(size=(5, 2, 4)).astype("f"))
        y = ts.tensor(r.integers(0, 4, (5, 2)))
        h, total = ts.zeros((2, 3)), 0.0
        for t in range(5):
            h, o = net(x[t], h)
            total = total + ts.mean(ts.cross_entropy(o, y[t]))
        return total


LOSSES: dict[str, Any] = {
    "rnn": rnn,
    "lstm": lambda: gated(ts.nn.LSTMCell),
    "gru": lambda: gated(ts.nn.GRUCell, dtype=np.float32),
    "tree": tree,
    "loop": loop,
    "users loop": users_loop,
    "reservoir": reservoir,
}


@contextmanager
def opened(browser: Any, path: Path, hash: str = "", **options: Any) -> Iterator[Any]:
    """A page in a context of its own; whatever it says on the console, throws or asks of a network fails the test."""
    context = browser.new_context(viewport={"width": 1300, "height": 900}, **options)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    page.goto(path.as_uri() + hash)
    yield page
    context.close()
    assert wrong == []
