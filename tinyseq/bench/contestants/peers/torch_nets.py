"""PyTorch: the nets of `nets.py`, with `nn.LSTM` where a layer runs by itself, loops and levels elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tinyseq.bench.contestants.peers.torch_peer import leaves
from tinyseq.bench.problems.net_equations import NetOps, loss, pack, targets, unpack
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.variant import Gradients, Variant


def _scan(body: Callable[..., Any], state: Any, xs: torch.Tensor) -> torch.Tensor:
    outputs = []
    for x in xs.unbind():
        state, output = body(state, x)
        outputs.append(output)
    return torch.stack(outputs)


def _kept_take() -> Callable[[torch.Tensor, np.ndarray], torch.Tensor]:
    indices: dict[int, tuple[np.ndarray, torch.Tensor]] = {}  # kept, as a careful author would

    def take(x: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        kept = indices.setdefault(id(rows), (rows, torch.tensor(rows)))
        return x.index_select(0, kept[1])

    return take


def net_ops(take: Callable[[torch.Tensor, np.ndarray], torch.Tensor]) -> NetOps:
    """The operators, with what picks rows."""
    return NetOps(
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
        softmax=lambda x: torch.softmax(x, -1),
        concat=lambda parts, axis: torch.cat(list(parts), axis),
        split=lambda x, n: x.chunk(n, -1),
        einsum=torch.einsum,
        linear=F.linear,
        take=take,
        zeros=torch.zeros,
        scan=_scan,
        cross_entropy=lambda o, y: F.cross_entropy(o, y, reduction="sum"),
    )


def _layer(x: torch.Tensor, U: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The kernel behind nn.LSTM, whose gates are in the order g, f, a, q."""

    def ordered(packed: torch.Tensor) -> torch.Tensor:
        f, g, q, a = packed.chunk(4)
        return torch.cat([g, f, a, q])

    start = torch.zeros(1, x.shape[1], W.shape[1])
    flat = [ordered(U), ordered(W), ordered(b), torch.zeros_like(b)]
    return torch.lstm(x, (start, start), flat, True, 1, 0.0, True, False, False)[0]


def variants(net: Net, weights: dict[str, np.ndarray]) -> dict[str, Variant]:
    """The equations, recurrences in Python loops or by levels; LSTM layers through the kernel of nn.LSTM too."""
    data = net.data()
    x, y = torch.tensor(data.x), torch.tensor(targets(net, data))
    ops = net_ops(_kept_take())
    ways = {"by level": ops} if data.trees else {"loop": ops, "nn": replace(ops, layer=_layer)}
    found: dict[str, Variant] = {}
    for name, ops in ways.items():
        found |= _timed(name, net, leaves(pack(net, weights)), loss(ops, net, data), x, y)
    return found


def _timed(
    name: str, net: Net, p: dict[str, torch.Tensor], f: Callable[..., torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> dict[str, Variant]:
    def run() -> torch.Tensor:
        for tensor in p.values():
            tensor.grad = None
        value = f(p, x, y)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    def gradients() -> Gradients:
        value = float(run().detach())
        grads = {k: np.zeros(v.shape, np.float32) if v.grad is None else v.grad.numpy().copy() for k, v in p.items()}
        return value, unpack(net, grads)

    return {f"{name}, {threads} thr": Variant(run, gradients, threads) for threads in (1, 2)}
