"""Memory capacity (Jaeger 2001): how well a linear readout of a reservoir recalls its input of k steps ago."""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, plain, positive
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.nn.echo_state import EchoStateNetwork
from tinyseq.nn.reservoir import Reservoir, spectral_radius


def memory_capacity(
    reservoir: Reservoir, delays: int, *, rng: np.random.Generator, steps: int = 20_000, ridge: float = 0.0
) -> np.ndarray:
    """MC_k, k = 0 … delays − 1: squared correlation of u(t−k) with the best readout of h(t), u white noise U[−1, 1].

    The readouts are fitted to ``steps`` steps and tested on as many others. ΣMC_k is at most the number of units.
    """
    positive(delays=delays, steps=steps)
    if reservoir.input_size != 1 or reservoir.feedback_size:
        raise ShapeError("memory capacity is of one input and no feedback: make the reservoir with input_size=1")
    start = max(200, 2 * delays)
    net = EchoStateNetwork(reservoir, delays, ridge=ridge, method="qr")
    u = [generator(rng).uniform(-1, 1, (start + steps, 1, 1)).astype(reservoir.dtype) for _ in range(2)]
    late = [np.concatenate([np.roll(a, k, axis=0) for k in range(delays)], axis=2) for a in u]
    net.fit(u[0], late[0], washout=start)
    found, true = (a[start:, 0].astype(float) for a in (net.predict(u[1]), late[1]))
    found, true = found - found.mean(0), true - true.mean(0)
    scale = np.square(found).sum(0) * np.square(true).sum(0)
    return np.square((found * true).sum(0)) / np.where(scale > 0, scale, 1)


def linear_memory(W: np.ndarray, v: np.ndarray, delays: int) -> np.ndarray:
    """MC_k of h(t) = W h(t−1) + v u(t) exactly: (Wᵏv)ᵀ Γ⁻¹ (Wᵏv), Γ = W Γ Wᵀ + v vᵀ."""
    from scipy.linalg import solve_discrete_lyapunov

    positive(delays=delays)
    W, v = plain(W, "W", float), plain(v, "v", float).reshape(-1)
    radius = spectral_radius(W)
    if radius >= 1:
        raise TinyseqError(f"a linear reservoir with spectral radius {radius:.3g} forgets nothing; it must be below 1")
    covariance = solve_discrete_lyapunov(W, np.outer(v, v))
    columns = [v]
    for _ in range(delays - 1):
        columns.append(W @ columns[-1])
    responses = np.stack(columns, axis=1)
    return np.einsum("nk,nk->k", responses, np.linalg.pinv(covariance, hermitian=True) @ responses)


def ring_memory(radius: float, units: int, delays: int) -> np.ndarray:
    """MC_k of a linear ring W = rP with one unit that reads u: (1 − r^{2N}) r^{2N⌊k/N⌋}, which add up to N."""
    positive(units=units, delays=delays)
    return (1 - radius ** (2 * units)) * radius ** (2.0 * units * (np.arange(delays) // units))
