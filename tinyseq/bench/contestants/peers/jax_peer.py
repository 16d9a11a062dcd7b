"""JAX: jit + scan, the same with the products hoisted out of the scan, trees batched by level under jit.

XLA keeps one thread pool per process, so there is no variant per thread count. Everything is compiled for fixed
shapes: another T or another forest compiles again (seconds, not charged here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tinyseq.bench.problems.cells import CELLS, EPSILON, Ops, Params, State
from tinyseq.bench.problems.eager import level_loss, packed_params, under, unpacked_params
from tinyseq.bench.problems.forest import levels
from tinyseq.bench.problems.problems import Data, Problem
from tinyseq.bench.variant import Gradients, Variant

UNROLL = 4
BUCKETS = 4


def _layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + EPSILON) * gain + bias


def _cross_entropy(logits: Any, targets: Any) -> Any:
    scores = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[:, None], axis=1)[:, 0]
    return jnp.where(targets >= 0, jax.nn.logsumexp(logits, axis=-1) - scores, 0).sum()


OPS = Ops(
    tanh=jnp.tanh,
    sigmoid=jax.nn.sigmoid,
    concat=lambda parts: jnp.concatenate(parts, axis=-1),
    split=lambda x, n: jnp.split(x, n, axis=-1),
    layer_norm=_layer_norm,
    addmm=lambda a, x, w: a + x @ w,
    cross_entropy=_cross_entropy,
)


def variant(loss: Callable[..., Any], params: Mapping[str, np.ndarray], inputs: Any, names: Any) -> Variant:
    """A jitted loss(params, *inputs); `names` maps NumPy gradients back to the problem's names."""
    compiled = jax.jit(jax.value_and_grad(loss))
    p = jax.tree.map(jnp.asarray, dict(params))
    arrays = jax.tree.map(jnp.asarray, inputs)

    def run() -> Any:
        return jax.block_until_ready(compiled(p, *arrays))

    def gradients() -> Gradients:
        value, grads = run()
        return float(value), names({name: np.asarray(grad) for name, grad in grads.items()})

    return Variant(run, gradients)


def _zeros(problem: Problem, batch: int) -> State:
    return (jnp.zeros((batch, problem.hidden)),) * CELLS[problem.cell].states


def _scan_loss(problem: Problem) -> Callable[..., Any]:
    """One layer, everything of a step inside the scan."""
    cell = CELLS[problem.cell]

    def loss(p: Params, x: Any, targets: Any) -> Any:
        def body(carry: tuple[State, Any], step: Any) -> tuple[tuple[State, Any], None]:
            state = cell.step(OPS, p, step[0], carry[0])
            term = _cross_entropy(state[0] @ p["V"] + p["c"], step[1])
            return (state, carry[1] + term), None

        start = (_zeros(problem, x.shape[1]), jnp.zeros(()))
        return jax.lax.scan(body, start, (x, targets))[0][1] / problem.batch

    return loss


def _packed_loss(problem: Problem) -> Callable[..., Any]:
    """One layer, gates packed, input product inside the scan and output product outside: XLA then saves less per
    step than when the input product is hoisted."""
    cell = CELLS[problem.cell]

    def loss(q: Params, x: Any, targets: Any) -> Any:
        inner = cell.prepare(q)

        def body(state: State, x_t: Any) -> tuple[State, Any]:
            new = cell.recur(OPS, inner, cell.project(OPS, inner, x_t), state)
            return new, new[0]

        hs = jax.lax.scan(body, _zeros(problem, x.shape[1]), x)[1]
        logits = hs.reshape(-1, problem.hidden) @ q["V"] + q["c"]
        return _cross_entropy(logits, targets.reshape(-1)) / problem.batch

    return loss


def hoisted_sum(problem: Problem, q: Params, x: Any, targets: Any, unroll: int) -> Any:
    """Any stack, with only the recurrence inside the scan; loss summed, not yet divided."""
    cell = CELLS[problem.cell]
    hs = x
    for layer in problem.prefixes():
        outs = []
        for prefix in layer:
            inner = cell.prepare(under(q, prefix) if prefix else q)

            def body(state: State, a: Any, p: Params = inner) -> tuple[State, Any]:
                new = cell.recur(OPS, p, a, state)
                return new, new[0]

            a = cell.project(OPS, inner, hs)
            start = _zeros(problem, x.shape[1])
            outs.append(jax.lax.scan(body, start, a, reverse="backward" in prefix, unroll=unroll)[1])
        hs = jnp.concatenate(outs, axis=-1)
    logits = hs.reshape(-1, hs.shape[-1]) @ q["V"] + q["c"]
    return _cross_entropy(logits, targets.reshape(-1))


def _buckets(data: Data) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sequences sorted by length in a few groups, each cut to its longest: less padding, still fixed shapes."""
    assert data.lengths is not None
    found = []
    for group in np.array_split(np.argsort(-data.lengths), BUCKETS):
        steps = int(data.lengths[group].max())
        found.append((data.x[:steps, group], data.targets[:steps, group]))
    return found


def _chains(problem: Problem, data: Data) -> dict[str, Variant]:
    inputs = (data.x, data.targets)
    found: dict[str, Variant] = {}
    if not problem.stacked:
        found["jit scan"] = variant(_scan_loss(problem), data.params, inputs, lambda grads: grads)
    q = packed_params(problem, data.params)

    def names(grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return unpacked_params(problem, grads)

    if not problem.stacked:
        found["jit packed scan"] = variant(_packed_loss(problem), q, inputs, names)
    for label, unroll in (("jit hoisted scan", 1), (f"jit hoisted scan unroll {UNROLL}", UNROLL)):

        def loss(p: Params, x: Any, targets: Any, unroll: int = unroll) -> Any:
            return hoisted_sum(problem, p, x, targets, unroll) / problem.batch

        found[label] = variant(loss, q, inputs, names)
    if data.lengths is not None:

        def bucketed(p: Params, *groups: Any) -> Any:
            return sum(hoisted_sum(problem, p, x, y, 1) for x, y in groups) / problem.batch

        found[f"jit hoisted scan, {BUCKETS} buckets"] = variant(bucketed, q, _buckets(data), names)
    return found


def _trees(problem: Problem, data: Data) -> dict[str, Variant]:
    assert data.forest is not None
    plan = levels(data.forest)

    def loss(p: Params, x: Any, targets: Any) -> Any:
        def take(a: Any, index: np.ndarray) -> Any:
            return a[index]

        return level_loss(OPS, problem, plan, p, x, targets, jnp.concatenate, take)

    return {"jit by level": variant(loss, data.params, (data.x, data.targets), lambda grads: grads)}


def variants(problem: Problem) -> dict[str, Variant]:
    """All of JAX's ways to run the problem; none for rows that time recording, since jit records ahead."""
    if problem.recorded:
        return {}
    data = problem.data()
    return _trees(problem, data) if data.forest is not None else _chains(problem, data)
