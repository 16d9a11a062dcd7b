"""MyGrad: the equations in a loop. It records every operation of every step in Python, so only small rows are
run."""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import sigmoid
from mygrad.nnet.losses import softmax_crossentropy

from tinyseq.bench.problems.cells import EPSILON, Ops
from tinyseq.bench.problems.eager import loop_loss, node_loss, small
from tinyseq.bench.problems.problems import Problem, packed
from tinyseq.bench.variant import Gradients, Variant


def _layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - mg.mean(x, axis=-1, keepdims=True)
    variance = mg.mean(centred * centred, axis=-1, keepdims=True)
    return centred / mg.sqrt(variance + EPSILON) * gain + bias


def _split(x: Any, parts: int) -> list[Any]:
    width = x.shape[-1] // parts
    return [x[..., k * width : (k + 1) * width] for k in range(parts)]


OPS = Ops(
    tanh=mg.tanh,
    sigmoid=sigmoid,
    concat=lambda parts: mg.concatenate(parts, axis=-1),
    split=_split,
    layer_norm=_layer_norm,
    addmm=lambda a, x, w: a + x @ w,
    cross_entropy=lambda logits, targets: softmax_crossentropy(logits, targets) * len(targets),
)


def _zeros(rows: int, hidden: int) -> Any:
    return mg.tensor(np.zeros((rows, hidden), np.float32), constant=True)


def variants(problem: Problem) -> dict[str, Variant]:
    """The loop for small chains, node by node for small trees, nothing for the rest."""
    if not small(problem):
        return {}
    data = problem.data()
    p = {name: mg.tensor(array) for name, array in data.params.items()}
    if data.forest is None:
        flat = packed(data)
        ends = np.cumsum(flat.sizes)[:-1]
        xs = [mg.tensor(x, constant=True) for x in np.split(flat.x, ends)]
        targets = np.split(flat.targets, ends)
    else:
        singles = [mg.tensor(x, constant=True) for x in np.split(data.x, data.x.shape[0])]

    def run() -> Any:
        for tensor in p.values():
            tensor.null_grad()
        if data.forest is not None:
            loss = node_loss(OPS, problem, data.forest, p, singles, data.targets, mg.concatenate)
        else:
            loss = loop_loss(OPS, problem, p, xs, targets, _zeros)
        loss.backward()
        return loss

    def gradients() -> Gradients:
        value = float(run().data)
        return value, {name: np.array(tensor.grad) for name, tensor in p.items()}

    return {"loop" if data.forest is None else "per node": Variant(run, gradients, 1)}
