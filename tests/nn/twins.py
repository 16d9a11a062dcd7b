"""NumPy twins of the cells, one sequence at a time in plain loops: oracles that share nothing with tinyseq."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def relu(a: Array) -> Array:
    return np.where(a > 0, a, 0.0)


SQUASH: dict[str, Any] = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": relu}


def affine(part: Any, x: Array, h: Array, c: Array | None = None) -> Array:
    a = part.b.value + part.W.value @ h + part.U.value @ x
    return a if c is None else a + part.R.value @ c


def rnn(cell: Any, x: Array, h: Array, c: Array | None = None) -> tuple[Array, Array]:
    h = SQUASH[cell.squash](affine(cell.a, x, h, c))
    return h, h


def lstm(cell: Any, x: Array, state: tuple[Array, Array], c: Array | None = None) -> tuple[Any, Array]:
    h, s = state
    f, g, q = (affine(part, x, h, c) for part in (cell.f, cell.g, cell.q))
    if cell.peepholes:
        f, g = f + cell.p["f"].value * s, g + cell.p["g"].value * s
    new = sigmoid(f) * s + sigmoid(g) * SQUASH[cell.squash](affine(cell.a, x, h, c))
    if cell.peepholes:
        q = q + cell.p["q"].value * {"book": s, "gers": new}[cell.peepholes]
    h = np.tanh(new) * sigmoid(q)
    return (h, new), h


def gru(cell: Any, x: Array, h: Array, c: Array | None = None) -> tuple[Array, Array]:
    u, r = (sigmoid(affine(part, x, h, c)) for part in (cell.u, cell.r))
    if cell.reset_after:
        a = cell.a.b.value + cell.a.U.value @ x + r * (cell.a.W.value @ h + cell.b_h.value)
        a = a if c is None else a + cell.a.R.value @ c
    else:
        a = affine(cell.a, x, r * h, c)
    h = u * h + (1 - u) * SQUASH[cell.squash](a)
    return h, h


def leaky(cell: Any, x: Array, h: Array, c: Array | None = None) -> tuple[Array, Array]:
    alpha = cell.fixed if cell.logit is None else sigmoid(cell.logit.value)
    h = alpha * h + (1 - alpha) * np.tanh(affine(cell.a, x, h, c))
    return h, h


def skip(cell: Any, x: Array, past: list[Array], c: Array | None = None) -> tuple[Any, Array]:
    """``past`` is all states so far, the newest last."""
    a = cell.a.b.value + cell.a.U.value @ x
    for d, W in cell.a.W.items():
        a = a + W.value @ (past[-d] if d <= len(past) else np.zeros(cell.hidden_size))
    h = np.tanh(a if c is None else a + cell.a.R.value @ c)
    return [*past, h], h


def clockwork(cell: Any, x: Array, state: tuple[Array, int], c: Array | None = None) -> tuple[Any, Array]:
    """By units, from one full matrix; the state is (h, t)."""
    h, t = state
    size = cell.hidden_size // len(cell.periods)
    W = np.zeros((cell.hidden_size, cell.hidden_size))
    for i in range(len(cell.periods)):
        W[i * size : (i + 1) * size, i * size :] = cell.a.W[i].value
    a = cell.a.b.value + W @ h + cell.a.U.value @ x + (0 if c is None else cell.a.R.value @ c)
    new = [np.tanh(a[k]) if t % cell.periods[k // size] == 0 else h[k] for k in range(cell.hidden_size)]
    return (np.array(new), t + 1), np.array(new)


TWINS: dict[str, Any] = {
    "RNNCell": rnn,
    "LSTMCell": lstm,
    "GRUCell": gru,
    "LeakyCell": leaky,
    "SkipCell": skip,
    "ClockworkCell": clockwork,
}


def zero_state(cell: Any) -> Any:
    h = np.zeros(cell.hidden_size)
    kind = type(cell).__name__
    return {"LSTMCell": (h, h), "SkipCell": [], "ClockworkCell": (h, 0)}.get(kind, h)


def run(cell: Any, xs: Array, state: Any = None, c: Array | None = None) -> tuple[Array, Any]:
    """Outputs (T, H) of one sequence (T, F) and the final state."""
    state = zero_state(cell) if state is None else state
    outputs = []
    for x in xs:
        state, h = TWINS[type(cell).__name__](cell, x, state, c)
        outputs.append(h)
    return np.array(outputs), state


def log_softmax(o: Array) -> Array:
    o = o - o.max()
    return o - np.log(np.exp(o).sum())


def randomise(module: Any, rng: np.random.Generator, scale: float = 0.7) -> Any:
    """Every parameter random, biases too, so that a forgotten one is seen."""
    for parameter in module.parameters():
        parameter.value = (rng.standard_normal(parameter.shape) * scale).astype(parameter.dtype)
    return module
