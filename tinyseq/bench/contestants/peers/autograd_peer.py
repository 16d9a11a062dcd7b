"""HIPS autograd: the equations in a loop. It records every operation of every step in Python, so only small rows
are run."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from tinyseq.bench.problems.cells import EPSILON, Ops, Params
from tinyseq.bench.problems.eager import loop_loss, node_loss, small
from tinyseq.bench.problems.problems import Problem, packed
from tinyseq.bench.variant import Gradients, Variant


def _layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - anp.mean(x, axis=-1, keepdims=True)
    variance = anp.mean(centred * centred, axis=-1, keepdims=True)
    return centred / anp.sqrt(variance + EPSILON) * gain + bias


def _cross_entropy(logits: Any, targets: np.ndarray) -> Any:
    top = np.max(logits._value if hasattr(logits, "_value") else logits, axis=-1, keepdims=True)
    shifted = logits - top
    scores = shifted[np.arange(targets.size), targets]
    return anp.sum(anp.log(anp.sum(anp.exp(shifted), axis=-1)) - scores)


OPS = Ops(
    tanh=anp.tanh,
    sigmoid=lambda x: 0.5 * (anp.tanh(0.5 * x) + 1),
    concat=lambda parts: anp.concatenate(parts, axis=-1),
    split=lambda x, n: anp.split(x, n, axis=-1),
    layer_norm=_layer_norm,
    addmm=lambda a, x, w: a + anp.dot(x, w),
    cross_entropy=_cross_entropy,
)


def _zeros(rows: int, hidden: int) -> np.ndarray:
    return np.zeros((rows, hidden), np.float32)


def variants(problem: Problem) -> dict[str, Variant]:
    """The loop for small chains, node by node for small trees, nothing for the rest."""
    if not small(problem):
        return {}
    data = problem.data()

    def loss(p: Params) -> Any:
        if data.forest is not None:
            return node_loss(OPS, problem, data.forest, p, singles, data.targets, anp.concatenate)
        return loop_loss(OPS, problem, p, xs, targets, _zeros)

    if data.forest is None:
        flat = packed(data)
        ends = np.cumsum(flat.sizes)[:-1]
        xs, targets = np.split(flat.x, ends), np.split(flat.targets, ends)
    else:
        singles = np.split(data.x, data.x.shape[0])
    both = value_and_grad(loss)

    def gradients() -> Gradients:
        value, grads = both(data.params)
        return float(value), dict(grads)

    return {"loop" if data.forest is None else "per node": Variant(lambda: both(data.params), gradients, 1)}
