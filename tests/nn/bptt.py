"""Equations 10.8–10.28 of the book, coded by hand with NumPy: the oracle for the vanilla net."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def forward(p: Arrays, x: np.ndarray, h0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h (T + 1, B, H) with h[0] = h0, and ŷ (T, B, O): 10.8 to 10.11."""
    h, y_hat = [h0], []
    for x_t in x:
        a = p["b"] + h[-1] @ p["W"].T + x_t @ p["U"].T
        h.append(np.tanh(a))
        o = p["c"] + h[-1] @ p["V"].T
        e = np.exp(o - o.max(-1, keepdims=True))
        y_hat.append(e / e.sum(-1, keepdims=True))
    return np.array(h), np.array(y_hat)


def loss(p: Arrays, x: np.ndarray, y: np.ndarray, h0: np.ndarray) -> float:
    """L = −Σ_t log ŷ(t)_y(t), averaged over the batch."""
    _, y_hat = forward(p, x, h0)
    return float(-np.log(np.take_along_axis(y_hat, y[..., None], -1)).sum() / y.shape[1])


def gradients(p: Arrays, x: np.ndarray, y: np.ndarray, h0: np.ndarray, misprinted: bool = False) -> Arrays:
    """10.17 to 10.28. ``misprinted`` takes 10.21 as it is printed.

    The book prints ∇h(t) = Wᵀ ∇h(t+1) diag(1 − h(t+1)²) + Vᵀ ∇o(t): a column times a matrix, which does not
    conform; read as the product of three factors in that order, diag(1 − h²) acts after Wᵀ instead of before.
    """
    T, B = y.shape
    h, y_hat = forward(p, x, h0)
    do = (y_hat - np.eye(y_hat.shape[-1])[y]) / B  # 10.18, with 1/B for the mean over the batch
    dh = np.empty((T, *h0.shape))
    dh[-1] = do[-1] @ p["V"]  # 10.19
    for t in range(T - 2, -1, -1):  # 10.20, 10.21; h[t + 2] is h(t+1), since h[0] is the initial state
        slope = 1 - h[t + 2] ** 2
        through = (dh[t + 1] @ p["W"]) * slope if misprinted else (dh[t + 1] * slope) @ p["W"]
        dh[t] = through + do[t] @ p["V"]
    delta = (1 - h[1:] ** 2) * dh
    return {
        "c": do.sum((0, 1)),  # 10.22
        "b": delta.sum((0, 1)),  # 10.23
        "V": np.einsum("tbo,tbh->oh", do, h[1:]),  # 10.24
        "W": np.einsum("tbi,tbj->ij", delta, h[:-1]),  # 10.26
        "U": np.einsum("tbi,tbj->ij", delta, x),  # 10.28
        "h": dh,
        "o": do,
        "h0": delta[0] @ p["W"],
        "terms": np.einsum("tbi,tbj->tij", delta, h[:-1]),
        "delta": delta,
    }
