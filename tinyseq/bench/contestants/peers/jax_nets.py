"""JAX: the nets of `nets.py` under jit, recurrences as scans, trees by level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tinyseq.bench.contestants.peers.jax_peer import OPS, variant
from tinyseq.bench.problems.net_equations import NetOps, loss, pack, targets, unpack
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.variant import Variant


def _ops(unroll: int) -> NetOps:
    def scan(body: Callable[..., Any], state: Any, xs: Any) -> Any:
        return jax.lax.scan(body, state, xs, unroll=unroll)[1]

    return NetOps(
        tanh=jnp.tanh,
        sigmoid=jax.nn.sigmoid,
        softmax=lambda x: jax.nn.softmax(x, -1),
        concat=jnp.concatenate,
        split=OPS.split,
        einsum=jnp.einsum,
        linear=lambda x, W: x @ W.T,
        take=lambda x, rows: x[rows],
        zeros=jnp.zeros,
        scan=scan,
        cross_entropy=OPS.cross_entropy,
    )


def variants(net: Net, weights: dict[str, np.ndarray]) -> dict[str, Variant]:
    """jit, with scans as they are and unrolled by four."""
    data = net.data()
    ways = {"jit by level": 1} if data.trees else {"jit scan": 1, "jit scan unroll 4": 4}
    return {
        name: variant(
            loss(_ops(unroll), net, data),
            pack(net, weights),
            (data.x, targets(net, data)),
            lambda grads: unpack(net, grads),
        )
        for name, unroll in ways.items()
    }
