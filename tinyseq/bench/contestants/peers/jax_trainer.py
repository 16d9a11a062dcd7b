"""JAX: training the character LSTM, the whole step (gradient, clipping, Adam) under one jit, buffers donated."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tinyseq.bench.contestants.peers.jax_peer import OPS
from tinyseq.bench.problems.cells import CELLS, Params, State, pack, unpack
from tinyseq.bench.problems.training import ADAM_EPSILON, BETA1, BETA2, CHECKED_STEPS, Training
from tinyseq.bench.variant import Gradients, Variant

LSTM = CELLS["lstm"]


def _loss(p: Params, tokens: Any) -> Any:
    def body(state: State, x: Any) -> tuple[State, Any]:
        new = LSTM.recur(OPS, p, LSTM.project(OPS, p, x), state)
        return new, new[0]

    hidden = p["V"].shape[0]
    start = (jnp.zeros((tokens.shape[1], hidden)),) * 2
    hs = jax.lax.scan(body, start, p["E"][tokens[:-1]])[1]
    logits = hs.reshape(-1, hidden) @ p["V"] + p["c"]
    return OPS.cross_entropy(logits, tokens[1:].reshape(-1)) / tokens.shape[1]


class _Trainer:
    def __init__(self, training: Training) -> None:
        arrays = pack(LSTM, training.params())
        p = {name: jnp.asarray(array) for name, array in arrays.items()}
        self.state = (p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.zeros(()))
        self.batches = cycle([jnp.asarray(batch, jnp.int32) for batch in training.tokens()[0]])

        def update(state: Any, tokens: Any) -> Any:
            p, mean, square, count = state
            loss, grads = jax.value_and_grad(_loss)(p, tokens)
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in grads.values()))
            scale = jnp.minimum(1, training.clip / (norm + 1e-6))
            count = count + 1
            new: tuple[dict[str, Any], ...] = ({}, {}, {})
            for name, raw in grads.items():
                g = raw * scale
                m = BETA1 * mean[name] + (1 - BETA1) * g
                v = BETA2 * square[name] + (1 - BETA2) * g * g
                root = jnp.sqrt(v / (1 - BETA2**count)) + ADAM_EPSILON
                moved = p[name] - training.rate * m / (1 - BETA1**count) / root
                for part, value in zip(new, (moved, m, v), strict=True):
                    part[name] = value
            return (*new, count), loss

        self.update = jax.jit(update, donate_argnums=0)

    def step(self) -> Any:
        self.state, loss = self.update(self.state, next(self.batches))
        return jax.block_until_ready((self.state, loss))[1]


def trainers(training: Training) -> dict[str, Variant]:
    """`run` trains on; calling the variant trains afresh for a few steps: (last loss, parameters)."""

    def check() -> Gradients:
        fresh = _Trainer(training)
        losses = [float(fresh.step()) for _ in range(CHECKED_STEPS)]
        return losses[-1], unpack(LSTM, {name: np.asarray(a) for name, a in fresh.state[0].items()})

    return {"jit": Variant(_Trainer(training).step, check)}
