"""PyTorch on batches that are all new: nn modules over packed sequences, loops, trees by level and node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from tinyseq.bench.contestants.peers.torch_nets import net_ops
from tinyseq.bench.contestants.peers.torch_peer import MODULES, OPS, leaves, load, read
from tinyseq.bench.problems.eager import level_loss, loop_loss, node_loss
from tinyseq.bench.problems.forest import levels
from tinyseq.bench.problems.fresh import Fresh, Stream
from tinyseq.bench.problems.net_equations import loss as net_loss
from tinyseq.bench.problems.net_equations import pack, targets, unpack
from tinyseq.bench.problems.nets import Net, NetData
from tinyseq.bench.problems.problems import Data, Problem
from tinyseq.bench.variant import Gradients, Variant

Loss = Callable[[Any], torch.Tensor]


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, np.float32) if tensor.grad is None else tensor.grad.numpy().copy()


def _ways(
    name: str, fresh: Fresh, params: list[torch.Tensor], loss: Loss, grads: Callable[[], dict[str, np.ndarray]]
) -> dict[str, Variant]:
    found: dict[str, Variant] = {}
    for threads in (1, 2):
        stream: Stream[Any] = Stream(fresh, lambda data: data)

        def run(stream: Stream[Any] = stream) -> torch.Tensor:
            for param in params:
                param.grad = None
            value = loss(stream.take())
            value.backward()  # type: ignore[no-untyped-call]
            return value

        def gradients(stream: Stream[Any] = stream, run: Callable[..., torch.Tensor] = run) -> Gradients:
            stream.go_to(0)
            return float(run().detach()), grads()

        found[f"{name}, {threads} thr"] = Variant(run, gradients, threads, before=stream.next)
    return found


def _module(fresh: Fresh, problem: Problem) -> dict[str, Variant]:
    """nn.LSTM and so on; where lengths differ over what `pack_padded_sequence` packs at each call."""
    net = MODULES[problem.cell](problem.inputs, problem.hidden)
    load(net, "_l0", problem.cell, fresh.params())
    out = leaves({name: fresh.params()[name] for name in "Vc"})

    def loss(data: Data) -> torch.Tensor:
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.targets)
        if data.lengths is None:
            rows, wanted = net(x)[0].flatten(0, 1), y.reshape(-1)
        else:
            order = np.argsort(-data.lengths, kind="stable")  # torch's own sort would give targets to other sequences
            lengths = torch.from_numpy(data.lengths[order])
            rows = net(nn.utils.rnn.pack_padded_sequence(x[:, order], lengths))[0].data
            wanted = nn.utils.rnn.pack_padded_sequence(y[:, order], lengths).data
        return OPS.cross_entropy(torch.addmm(out["c"], rows, out["V"]), wanted) / problem.batch

    def grads() -> dict[str, np.ndarray]:
        return {name: _numpy(tensor) for name, tensor in out.items()} | read(net, "_l0", problem.cell, _numpy)

    return _ways("nn", fresh, [*net.parameters(), *out.values()], loss, grads)


def _loop(fresh: Fresh, problem: Problem) -> dict[str, Variant]:
    """The equations as written, in a Python loop."""
    p = leaves(fresh.params())

    def loss(data: Data) -> torch.Tensor:
        xs, ys = torch.from_numpy(data.x).unbind(), torch.from_numpy(data.targets).unbind()
        return loop_loss(OPS, problem, p, xs, ys, torch.zeros)

    return _ways("loop", fresh, list(p.values()), loss, lambda: {k: _numpy(v) for k, v in p.items()})


def _take(x: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    return x.index_select(0, torch.from_numpy(index))


def _trees(fresh: Fresh, problem: Problem) -> dict[str, Variant]:
    """By level, with the levels found anew for each forest; and node by node."""
    p = leaves(fresh.params())

    def by_level(data: Data) -> torch.Tensor:
        assert data.forest is not None
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.targets)
        return level_loss(OPS, problem, levels(data.forest), p, x, y, torch.cat, _take)

    def per_node(data: Data) -> torch.Tensor:
        assert data.forest is not None
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.targets)
        return node_loss(OPS, problem, data.forest, p, x.split(1), y, torch.cat)

    def grads() -> dict[str, np.ndarray]:
        return {k: _numpy(v) for k, v in p.items()}

    params = list(p.values())
    return _ways("by level", fresh, params, by_level, grads) | _ways("per node", fresh, params, per_node, grads)


def _net(fresh: Fresh, net: Net) -> dict[str, Variant]:
    """A net over trees by level, with the levels found anew for each forest."""
    p, ops = leaves(pack(net, fresh.params())), net_ops(_take)

    def loss(data: NetData) -> torch.Tensor:
        x, y = torch.from_numpy(data.x), torch.from_numpy(targets(net, data))
        return net_loss(ops, net, data)(p, x, y)

    def grads() -> dict[str, np.ndarray]:
        return unpack(net, {k: _numpy(v) for k, v in p.items()})

    return _ways("by level", fresh, list(p.values()), loss, grads)


def variants(fresh: Fresh) -> dict[str, Variant]:
    """All of PyTorch's ways to run the row."""
    if isinstance(fresh.of, Net):
        return _net(fresh, fresh.of)
    if fresh.of.leaves is not None:
        return _trees(fresh, fresh.of)
    return (_loop if fresh.of.recorded else _module)(fresh, fresh.of)
