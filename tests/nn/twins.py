"""NumPy twins of the cells, one sequence at a time in plain loops: oracles that share nothing with tinyseq."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


SQUASH: dict[str, Any] = {"tanh": np.tanh, "sigmoid": sigmoid}


def affine(part: Any, x: Array, h: Array, c: Array | None = None) -> Array:
    a = part.b.value + part.W.value @ h + part.U.value @ x
    return a if c is None else a + part.R.value @ c


def rnn(cell: Any, x: Array, h: Array, c: Array | None = None) -> tuple[Array, Array]:
    h = np.tanh(affine(cell.a, x, h, c))
    return h, h


def lstm(cell: Any, x: Array, state: tuple[Array, Array], c: Array | None = None) -> tuple[Any, Array]:
    h, s = state
    f, g, q = (sigmoid(affine(part, x, h, c)) for part in (cell.f, cell.g, cell.q))
    s = f * s + g * SQUASH[cell.squash](affine(cell.a, x, h, c))
    h = np.tanh(s) * q
    return (h, s), h


def gru(cell: Any, x: Array, h: Array, c: Array | None = None) -> tuple[Array, Array]:
    u, r = (sigmoid(affine(part, x, h, c)) for part in (cell.u, cell.r))
    if cell.reset_after:
        a = cell.a.b.value + cell.a.U.value @ x + r * (cell.a.W.value @ h + cell.b_h.value)
        a = a if c is None else a + cell.a.R.value @ c
    else:
        a = affine(cell.a, x, r * h, c)
    h = u * h + (1 - u) * SQUASH[cell.squash](a)
    return h, h


TWINS: dict[str, Any] = {"RNNCell": rnn, "LSTMCell": lstm, "GRUCell": gru}


def zero_state(cell: Any) -> Any:
    h = np.zeros(cell.hidden_size)
    return (h, h) if type(cell).__name__ == "LSTMCell" else h


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
