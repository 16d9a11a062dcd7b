"""tinyseq: the nets of `nets.py` through ts.compile, and what they cost by their recorded graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.bench.contestants.ours import Ours, forest, gradients_of
from tinyseq.bench.problems.flops import Counts
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.variant import Gradients
from tinyseq.ops import OPS
from tinyseq.ops.groups import CUTS, GIVEN, MULTIPLYING, PARAMETERS

Loss = Callable[[Any, Any], ts.Tensor]


def _ours(net: Net, model: Any) -> tuple[Loss, np.ndarray, np.ndarray]:
    data = net.data()
    if data.trees is None:
        return model.loss, data.x, data.targets
    trees = forest(data.trees)
    order = trees.labels[: trees.n_leaves].astype(np.int64)
    return (lambda x, y: model.loss(trees, x, y)), data.x[order], data.targets


def variants(net: Net) -> dict[str, Ours]:
    """The net through ts.compile, as anybody would run it."""
    model = net.model()
    loss, x, y = _ours(net, model)
    step = ts.compile(loss)

    def record() -> ts.Tensor:
        with ts.Tape(ts.Compiled):
            return loss(ts.tensor(x), ts.tensor(y))

    def gradients() -> Gradients:
        return float(step.backward(x, y)), gradients_of(dict(model.named_parameters()))

    return {"compiled": Ours(lambda: step.backward(x, y), gradients, record=record)}


def reference(net: Net) -> Gradients:
    """The same on the reference executor."""
    model = net.model()
    loss, x, y = _ours(net, model)
    with ts.Tape(ts.Reference):
        value = loss(ts.tensor(x), ts.tensor(y))
        value.backward()
        return value.item(), gradients_of(dict(model.named_parameters()))


def count(net: Net) -> Counts:
    """Counts read off the recorded graph: 2mnk for each product, and again for each operand with a gradient.

    Bytes are the least that must cross memory: inputs, weights and the values named h, once forward, once backward.
    """
    model = net.model()
    loss, x, y = _ours(net, model)
    with ts.Tape(ts.Reference) as tape:
        loss(ts.tensor(x), ts.tensor(y))
    counts, wants = Counts(), np.zeros(len(tape), bool)
    for node in tape.nodes():
        op, learned = OPS[node.op], node.op in PARAMETERS
        wants[node.index] = learned or (node.op not in CUTS and bool(wants[list(node.inputs)].any()))
        size = int(np.prod(node.shape))
        if node.op in MULTIPLYING:
            a = tape.shape(node.inputs[0])
            inner = a[-2] if dict(node.attrs).get("transpose_a") else a[-1]
            counts.matmul += 2 * size * inner * (1 + int(wants[list(node.inputs[:2])].sum()))
        counts.elementwise += op.work[0] * size
        counts.transcendental += op.work[1] * size
        if node.op in GIVEN or node.name == "h":
            counts.bytes += 8 * size
    return counts
