"""NumPy: backpropagation through time written by hand for the tanh RNN and the LSTM, one product for all steps
wherever the recurrence allows it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyseq.bench.problems.cells import CELLS, pack, unpack
from tinyseq.bench.problems.problems import Data, Problem
from tinyseq.bench.variant import Gradients, Variant

Arrays = dict[str, np.ndarray]
Pass = Callable[[], tuple[float, Arrays]]
Names = Callable[[Arrays], Arrays]


def _output(q: Arrays, hs: np.ndarray, targets: np.ndarray, batch: int) -> tuple[float, np.ndarray, Arrays]:
    """Loss, gradient at the states (equation 10.18 and 10.20's last term), gradients of V and c."""
    logits = hs @ q["V"]
    logits += q["c"]
    logits -= logits.max(axis=1, keepdims=True)
    rows = np.arange(targets.size)
    scores = logits[rows, targets]
    np.exp(logits, out=logits)
    sums = logits.sum(axis=1, keepdims=True)
    loss = float(np.log(sums).sum() - scores.sum()) / batch
    logits /= sums
    logits[rows, targets] -= 1
    logits *= np.float32(1 / batch)
    return loss, logits @ q["V"].T, {"V": hs.T @ logits, "c": logits.sum(axis=0)}


def _rnn(problem: Problem, data: Data) -> tuple[Pass, Names]:
    steps, batch, hidden = problem.steps, problem.batch, problem.hidden
    q = data.params
    rows, targets = data.x.reshape(steps * batch, -1), data.targets.reshape(-1)
    hs = np.zeros((steps + 1, batch, hidden), np.float32)
    a = np.empty((steps, batch, hidden), np.float32)
    product = np.empty((batch, hidden), np.float32)

    def run() -> tuple[float, Arrays]:
        np.matmul(rows, q["U"], out=a.reshape(steps * batch, -1))
        np.add(a, q["b"], out=a)
        for t in range(steps):
            np.dot(hs[t], q["W"], out=product)
            np.add(product, a[t], out=product)
            np.tanh(product, out=hs[t + 1])
        flat = hs[1:].reshape(-1, hidden)
        loss, d_hs, grads = _output(q, flat, targets, batch)
        d_hs = d_hs.reshape(steps, batch, hidden)
        slope = 1 - hs[1:] * hs[1:]
        transposed = np.ascontiguousarray(q["W"].T)
        np.multiply(d_hs[-1], slope[-1], out=slope[-1])
        for t in range(steps - 2, -1, -1):
            np.dot(slope[t + 1], transposed, out=product)
            np.add(product, d_hs[t], out=product)
            np.multiply(product, slope[t], out=slope[t])
        delta = slope.reshape(-1, hidden)
        grads |= {
            "U": rows.T @ delta,
            "W": hs[:-1].reshape(-1, hidden).T @ delta,
            "b": delta.sum(axis=0),
        }
        return loss, grads

    return run, lambda grads: grads


def _lstm(problem: Problem, data: Data) -> tuple[Pass, Names]:
    steps, batch, hidden = problem.steps, problem.batch, problem.hidden
    q = pack(CELLS["lstm"], data.params)
    rows, targets = data.x.reshape(steps * batch, -1), data.targets.reshape(-1)
    hs = np.zeros((steps + 1, batch, hidden), np.float32)
    cells = np.zeros((steps + 1, batch, hidden), np.float32)
    squashed = np.empty((steps, batch, hidden), np.float32)
    gates = np.empty((steps, batch, 4 * hidden), np.float32)
    product = np.empty((batch, 4 * hidden), np.float32)
    half = np.float32(0.5)
    # sigmoid(x) = (tanh(x / 2) + 1) / 2 lets one tanh call serve all four gates
    scale = np.repeat(np.array([half, half, half, 1], np.float32), hidden)
    sigmoids = slice(0, 3 * hidden)

    def run() -> tuple[float, Arrays]:
        np.matmul(rows, q["U_all"], out=gates.reshape(steps * batch, -1))
        np.add(gates, q["b_all"], out=gates)
        for t in range(steps):
            z = gates[t]
            np.dot(hs[t], q["W_all"], out=product)
            np.add(z, product, out=z)
            np.multiply(z, scale, out=z)
            np.tanh(z, out=z)
            z[:, sigmoids] += 1
            z[:, sigmoids] *= half
            f, g, o, c = (z[:, k * hidden : (k + 1) * hidden] for k in range(4))
            np.multiply(f, cells[t], out=cells[t + 1])
            cells[t + 1] += g * c
            np.tanh(cells[t + 1], out=squashed[t])
            np.multiply(squashed[t], o, out=hs[t + 1])
        loss, d_hs, grads = _output(q, hs[1:].reshape(-1, hidden), targets, batch)
        delta = _lstm_deltas(q["W_all"], gates, cells, squashed, d_hs.reshape(steps, batch, hidden))
        flat = delta.reshape(-1, 4 * hidden)
        grads |= {
            "U_all": rows.T @ flat,
            "W_all": hs[:-1].reshape(-1, hidden).T @ flat,
            "b_all": flat.sum(axis=0),
        }
        return loss, grads

    return run, lambda grads: unpack(CELLS["lstm"], grads)


def _lstm_deltas(
    weights: np.ndarray, gates: np.ndarray, cells: np.ndarray, squashed: np.ndarray, d_hs: np.ndarray
) -> np.ndarray:
    """Gradient at the gates' sums for every step, (T, B, 4H). What does not recur is taken for all steps at once."""
    hidden = d_hs.shape[-1]
    f, g, o, c = (gates[..., k * hidden : (k + 1) * hidden] for k in range(4))
    delta = np.empty_like(gates)
    d_f, d_g, d_o, d_c = (delta[..., k * hidden : (k + 1) * hidden] for k in range(4))
    # each factor times the gradient at s (f, g, c) or at h (o) is the gradient at that gate's sum
    np.multiply(cells[:-1] * f, 1 - f, out=d_f)
    np.multiply(c * g, 1 - g, out=d_g)
    np.multiply(squashed * o, 1 - o, out=d_o)
    np.multiply(g, 1 - c * c, out=d_c)
    into_cell = o * (1 - squashed * squashed)
    transposed = np.ascontiguousarray(weights.T)
    d_h = d_hs[-1]
    d_s = np.zeros_like(d_h)
    for t in range(len(d_hs) - 1, -1, -1):
        d_s += d_h * into_cell[t]
        d_f[t] *= d_s
        d_g[t] *= d_s
        d_c[t] *= d_s
        d_o[t] *= d_h
        d_s *= f[t]
        if t:
            d_h = delta[t] @ transposed
            d_h += d_hs[t - 1]
    return delta


def variants(problem: Problem) -> dict[str, Variant]:
    """The hand-written passes for one layer of equal lengths; nothing for the rest."""
    writers = {"rnn": _rnn, "lstm": _lstm}
    if problem.cell not in writers or problem.stacked or problem.shortest is not None or problem.recorded:
        return {}
    run, names = writers[problem.cell](problem, problem.data())

    def gradients() -> Gradients:
        loss, grads = run()
        return loss, names(grads)

    return {f"by hand, {threads} thr": Variant(run, gradients, threads) for threads in (1, 2)}
