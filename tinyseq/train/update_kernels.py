"""The rules of the optimisers as single passes over flat arrays."""

from __future__ import annotations

from tinyseq.jit.decorators import kernel
from tinyseq.ops import elementary

sqrt = elementary.sqrt


@kernel
def square_sum(g):
    """Σ g² in float64."""
    total = 0.0
    for i in range(g.size):
        value = float(g[i])
        total += value * value
    return total


@kernel
def sgd(w, g, v, rate, momentum):
    """v ← αv − εg, w ← w + v."""
    number = w.dtype.type
    epsilon, alpha = number(rate), number(momentum)
    for i in range(w.size):
        velocity = alpha * v[i] - epsilon * g[i]
        v[i] = velocity
        w[i] += velocity


@kernel
def rmsprop(w, g, r, rate, decay, delta):
    """r ← ρr + (1−ρ) g⊙g, w ← w − ε g / √(δ + r)."""
    number = w.dtype.type
    epsilon, rho, rest, small = number(rate), number(decay), number(1 - decay), number(delta)
    for i in range(w.size):
        square = rho * r[i] + rest * (g[i] * g[i])
        r[i] = square
        w[i] -= epsilon * g[i] / sqrt(small + square)


@kernel
def adam(w, g, s, r, rate, decay1, decay2, root, delta):
    """s ← ρ₁s + (1−ρ₁)g, r ← ρ₂r + (1−ρ₂) g⊙g, w ← w − ε s / (√r/root + δ); rate and root carry the corrections."""
    number = w.dtype.type
    epsilon, rho1, rest1 = number(rate), number(decay1), number(1 - decay1)
    rho2, rest2, scale, small = number(decay2), number(1 - decay2), number(root), number(delta)
    for i in range(w.size):
        mean = rho1 * s[i] + rest1 * g[i]
        square = rho2 * r[i] + rest2 * (g[i] * g[i])
        s[i], r[i] = mean, square
        w[i] -= epsilon * mean / (sqrt(square) / scale + small)
