"""Back-propagation through time: autodiff, the chapter's 10.17 to 10.28 by hand, central differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.replay import compile
from tinyseq.results.experiment import Experiment, Figure

STEP = 2e-4  # of differences of fourth order: what they leave out and what rounding costs are both below 1e-9


def by_hand(net: nn.RNN, x: np.ndarray, y: np.ndarray, misprinted: bool = False) -> dict[str, np.ndarray]:
    """∇U, ∇W, ∇b, ∇V, ∇c of L = −Σ_t log p(y_t), mean over the batch, by 10.17 to 10.28 in plain NumPy.

    10.21 as printed has ∇h_t = Wᵀ(∇h_{t+1}) diag(1 − h²_{t+1}) + Vᵀ∇o_t, where W acts before the Jacobian's diagonal.
    """
    U, W, b, V, c = (p.value for p in (net.U, net.W, net.b, net.V, net.c))
    T, B, _ = x.shape
    h, o = np.zeros((T + 1, B, len(b))), np.zeros((T, B, len(c)))
    for t in range(T):
        h[t + 1] = np.tanh(b + h[t] @ W.T + x[t] @ U.T)
        o[t] = c + h[t + 1] @ V.T
    p = np.exp(o - o.max(-1, keepdims=True))
    d_o = (p / p.sum(-1, keepdims=True) - np.eye(len(c))[y]) / B  # 10.18
    found = {"U": np.zeros_like(U), "W": np.zeros_like(W), "b": np.zeros_like(b), "V": np.zeros_like(V), "c": 0 * c}
    after = np.zeros((B, len(b)))  # what comes from t + 1
    for t in reversed(range(T)):
        d_h = after + d_o[t] @ V  # 10.19, 10.20
        d_a = (1 - h[t + 1] ** 2) * d_h
        found["c"] += d_o[t].sum(0)  # 10.22
        found["b"] += d_a.sum(0)  # 10.23
        found["V"] += d_o[t].T @ h[t + 1]  # 10.24
        found["W"] += d_a.T @ h[t]  # 10.26
        found["U"] += d_a.T @ x[t]  # 10.28
        after = (d_h @ W) * (1 - h[t] ** 2) if misprinted else d_a @ W  # 10.21
        if misprinted:
            after = (d_h @ W) * (1 - h[t + 1] ** 2)
    return found


def identity(seed: int, *, T: int = 12, hidden: int = 7, batch: int = 3) -> dict[str, Any]:
    """Largest relative differences of autodiff's gradients, by parameter: to those by hand, to central differences of
    the loss, and to what 10.21 as printed gives."""
    rng = np.random.default_rng(seed)
    net = nn.RNN(4, hidden, 3, rng=rng, dtype=np.float64)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.5, p.shape)
    x, y = rng.normal(size=(T, batch, 4)), rng.integers(0, 3, (T, batch))
    loss = compile(net.loss)
    loss.backward(x, y)
    auto = {name: p.grad.copy() for name, p in net.named_parameters() if p.grad is not None}
    apart = {"by_hand": 0.0, "differences": 0.0, "misprint": 0.0}
    true, wrong = by_hand(net, x, y), by_hand(net, x, y, misprinted=True)
    for name, p in net.named_parameters():
        numeric, flat = np.zeros(p.value.size), p.value.reshape(-1)
        for i in range(flat.size):
            values = []
            for step in (STEP, -STEP, 2 * STEP, -2 * STEP):
                before = flat[i]
                flat[i] = before + step
                values.append(float(loss(x, y)))
                flat[i] = before
            numeric[i] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * STEP)
        size = np.abs(auto[name]).max()
        last = name.rsplit(".", 1)[-1]
        for key, other in (
            ("by_hand", true[last]),
            ("differences", numeric.reshape(p.shape)),
            ("misprint", wrong[last]),
        ):
            apart[key] = max(apart[key], float(np.abs(auto[name] - other).max() / size))
    return dict(apart)


EXPERIMENTS = (
    Experiment(
        "bptt",
        "starred",
        "Gradients of the vanilla net",
        "equations 10.17 to 10.28",
        (
            Figure(
                "by_hand",
                "autodiff against 10.17–10.28 by hand, relative",
                "equal",
                at_most=1e-12,
                over="worst",
                shown=".1e",
            ),
            Figure(
                "differences",
                "against central differences",
                "equal",
                at_most=1e-7,
                over="worst",
                shown=".1e",
                why="the error of the differences themselves",
            ),
            Figure("misprint", "against 10.21 as printed in the book", "wrong", at_least=1e-2, shown=".2f"),
        ),
        identity,
        "float64, 12 steps, 7 units, differences of fourth order.",
        "nothing to choose.",
        seeds=20,
        full=20,
        seconds=0.1,
        short={"T": 5, "hidden": 4},
    ),
)
