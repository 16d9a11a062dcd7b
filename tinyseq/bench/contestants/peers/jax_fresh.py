"""JAX on batches that are all new: scans under jit, compiled once for each bucket of lengths.

Steps are padded to a multiple of `BUCKET`, so few programs serve all batches; those met first are compiled in the
timed call, as anybody would meet them. Forests would compile at each call (seconds), so there is no variant for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tinyseq.bench.contestants.peers.jax_peer import BUCKETS, hoisted_sum
from tinyseq.bench.problems.eager import packed_params, unpacked_params
from tinyseq.bench.problems.fresh import Fresh, Stream
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.problems.problems import Data
from tinyseq.bench.variant import Gradients, Variant

BUCKET = 20  # steps


def buckets(data: Data) -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, targets) of sequences of like lengths, padded to a multiple of `BUCKET` steps; targets are -1 there."""
    steps, batch = data.targets.shape
    lengths = np.full(batch, steps) if data.lengths is None else data.lengths
    groups = [np.arange(batch)] if data.lengths is None else np.array_split(np.argsort(-lengths), BUCKETS)
    found = []
    for group in groups:
        longest = int(lengths[group].max())
        room = -(-longest // BUCKET) * BUCKET
        x = np.zeros((room, len(group), data.x.shape[2]), np.float32)
        y = np.full((room, len(group)), -1)
        x[:longest], y[:longest] = data.x[:longest, group], data.targets[:longest, group]
        found.append((x, y))
    return found


def variants(fresh: Fresh) -> dict[str, Variant]:
    """A hoisted scan over buckets; none for trees, nor for rows that time recording, since jit records ahead."""
    problem = fresh.of
    if isinstance(problem, Net) or problem.leaves is not None or problem.recorded:
        return {}
    q = jax.tree.map(jnp.asarray, packed_params(problem, fresh.params()))
    compiled = jax.jit(jax.value_and_grad(lambda q, x, y: hoisted_sum(problem, q, x, y, 1) / problem.batch))
    stream: Stream[Data] = Stream(fresh, lambda data: data)

    def run() -> tuple[Any, Mapping[str, Any]]:
        parts = [compiled(q, jnp.asarray(x), jnp.asarray(y)) for x, y in buckets(stream.take())]
        value = sum(value for value, _ in parts)
        grads = jax.tree.map(lambda *summands: sum(summands), *[grads for _, grads in parts])
        return jax.block_until_ready((value, grads))  # type: ignore[no-any-return]

    def gradients() -> Gradients:
        stream.go_to(0)
        value, grads = run()
        return float(value), unpacked_params(problem, {name: np.asarray(grad) for name, grad in grads.items()})

    return {f"jit hoisted scan, buckets of {BUCKET} steps": Variant(run, gradients, before=stream.next)}
