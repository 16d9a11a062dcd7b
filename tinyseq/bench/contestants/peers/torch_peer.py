"""PyTorch: nn modules, cell loop, equations in a loop, and loops batched by hand; on one and on two threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shutil import which
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinyseq.bench.problems.cells import EPSILON, Ops
from tinyseq.bench.problems.eager import (
    hoisted_loss,
    level_loss,
    loop_loss,
    node_loss,
    packed_params,
    under,
    unpacked_params,
)
from tinyseq.bench.problems.forest import levels
from tinyseq.bench.problems.problems import Data, Problem, packed
from tinyseq.bench.variant import Gradients, Variant

OPS = Ops(
    tanh=torch.tanh,
    sigmoid=torch.sigmoid,
    concat=lambda parts: torch.cat(parts, dim=-1),
    split=lambda x, n: x.chunk(n, dim=-1),
    layer_norm=lambda x, gain, bias: F.layer_norm(x, x.shape[-1:], gain, bias, EPSILON),
    addmm=torch.addmm,
    cross_entropy=lambda logits, y: F.cross_entropy(logits, y, reduction="sum"),
)

# torch's order of the gates inside its packed weights, by the problem's suffixes
ORDER = {"rnn": ("",), "lstm": ("_g", "_f", "", "_o"), "gru": ("_r", "_u", "")}
MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELL_MODULES = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}

COMPILED_STEPS = 100


def leaves(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Parameters as tensors that want gradients."""
    return {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    assert tensor.grad is not None
    return tensor.grad.numpy().copy()


def _variants(
    name: str, params: list[torch.Tensor], loss: Callable[[], torch.Tensor], grads: Callable[[], Any]
) -> dict[str, Variant]:
    def run() -> torch.Tensor:
        for param in params:
            param.grad = None
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    def gradients() -> Gradients:
        value = float(run().detach())
        return value, grads()

    return {f"{name}, {threads} thr": Variant(run, gradients, threads) for threads in (1, 2)}


def load(weights: nn.Module, suffix: str, cell: str, p: Mapping[str, np.ndarray]) -> None:
    """Copy the problem's parameters into a module's `weight_ih<suffix>` and so on (torch keeps (gates H, V))."""
    gates = ORDER[cell]
    hidden = p[f"W{gates[0]}"].shape[0]
    second = np.zeros(len(gates) * hidden, np.float32)
    if cell == "gru":
        second[2 * hidden :] = p["d"]
    values = {
        "weight_ih": np.concatenate([p[f"U{gate}"].T for gate in gates]),
        "weight_hh": np.concatenate([p[f"W{gate}"].T for gate in gates]),
        "bias_ih": np.concatenate([p[f"b{gate}"] for gate in gates]),
        "bias_hh": second,
    }
    with torch.no_grad():
        for name, value in values.items():
            getattr(weights, name + suffix).copy_(torch.tensor(value))


def read(weights: nn.Module, suffix: str, cell: str, of: Callable[[Any], np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse, for `of` = gradient (the first bias stands for both) or value."""
    gates = ORDER[cell]
    found: dict[str, np.ndarray] = {}
    for short, name in (("U", "weight_ih"), ("W", "weight_hh"), ("b", "bias_ih")):
        parts = np.split(of(getattr(weights, name + suffix)), len(gates))
        found |= {short + gate: part.T for gate, part in zip(gates, parts, strict=True)}
    if cell == "gru":
        found["d"] = np.split(of(getattr(weights, "bias_hh" + suffix)), 3)[2]
    return found


def _suffixes(problem: Problem) -> list[tuple[str, str]]:
    return [
        (prefix, f"_l{depth}" + ("_reverse" if "backward" in prefix else ""))
        for depth, layer in enumerate(problem.prefixes())
        for prefix in layer
    ]


def _module(problem: Problem, data: Data) -> dict[str, Variant]:
    net = MODULES[problem.cell](
        problem.inputs, problem.hidden, num_layers=problem.layers, bidirectional=problem.bidirectional
    )
    for prefix, suffix in _suffixes(problem):
        load(net, suffix, problem.cell, under(data.params, prefix))
    out = leaves({name: data.params[name] for name in "Vc"})
    x = torch.tensor(data.x)
    if data.lengths is None:
        source: Any = x
        targets = torch.tensor(data.targets).reshape(-1)
    else:
        # in the order of `packed`: torch's own sort is not stable, and targets would belong to other sequences
        order = np.argsort(-data.lengths, kind="stable")
        source = nn.utils.rnn.pack_padded_sequence(x[:, order], torch.tensor(data.lengths[order]))
        targets = torch.tensor(packed(data).targets)

    def loss() -> torch.Tensor:
        hs = net(source)[0]
        rows = hs.flatten(0, 1) if data.lengths is None else hs.data
        return OPS.cross_entropy(torch.addmm(out["c"], rows, out["V"]), targets) / problem.batch

    def grads() -> dict[str, np.ndarray]:
        found = {name: _numpy(tensor) for name, tensor in out.items()}
        for prefix, suffix in _suffixes(problem):
            found |= {prefix + k: v for k, v in read(net, suffix, problem.cell, _numpy).items()}
        return found

    return _variants("nn", [*net.parameters(), *out.values()], loss, grads)


def _cell_loop(problem: Problem, data: Data) -> dict[str, Variant]:
    cell = CELL_MODULES[problem.cell](problem.inputs, problem.hidden)
    load(cell, "", problem.cell, data.params)
    out = leaves({name: data.params[name] for name in "Vc"})
    x, targets = torch.tensor(data.x), torch.tensor(data.targets).reshape(-1)

    def loss() -> torch.Tensor:
        state: Any = None
        hs = []
        for x_t in x.unbind():
            state = cell(x_t, state)
            hs.append(state[0] if problem.cell == "lstm" else state)
        logits = torch.addmm(out["c"], torch.cat(hs), out["V"])
        return OPS.cross_entropy(logits, targets) / problem.batch

    def grads() -> dict[str, np.ndarray]:
        found = {name: _numpy(tensor) for name, tensor in out.items()}
        return found | read(cell, "", problem.cell, _numpy)

    return _variants("cell loop", [*cell.parameters(), *out.values()], loss, grads)


def _loop(problem: Problem, data: Data) -> dict[str, Variant]:
    """The equations as written; what lies beyond the end of a sequence is skipped."""
    flat = packed(data)
    xs, targets = torch.tensor(flat.x).split(flat.sizes), torch.tensor(flat.targets).split(flat.sizes)
    p = leaves(data.params)

    def loss() -> torch.Tensor:
        return loop_loss(OPS, problem, p, xs, targets, torch.zeros)

    return _variants("loop", list(p.values()), loss, lambda: {k: _numpy(v) for k, v in p.items()})


def _hoisted(problem: Problem, data: Data, compiled: bool = False) -> dict[str, Variant]:
    """The same with the products hoisted and the gates packed, optionally under torch.compile."""
    flat = packed(data)
    rows, targets = torch.tensor(flat.x), torch.tensor(flat.targets)
    q = leaves(packed_params(problem, data.params))

    def cut(a: torch.Tensor) -> list[torch.Tensor]:
        return list(a.split(flat.sizes))

    def loss() -> torch.Tensor:
        return hoisted_loss(OPS, problem, q, rows, targets, cut, torch.cat, torch.zeros)

    def grads() -> dict[str, np.ndarray]:
        return unpacked_params(problem, {name: _numpy(tensor) for name, tensor in q.items()})

    name = "compiled hoisted loop" if compiled else "hoisted loop"
    return _variants(name, list(q.values()), torch.compile(loss) if compiled else loss, grads)


def _trees(problem: Problem, data: Data) -> dict[str, Variant]:
    assert data.forest is not None
    forest, p = data.forest, leaves(data.params)
    x, targets = torch.tensor(data.x), torch.tensor(data.targets)
    singles = x.split(1)
    plan = levels(forest)
    indices = [a for level in plan for a in (level.leaves, level.order) if a is not None]
    tensors = {id(a): torch.tensor(a) for a in indices}

    def per_node() -> torch.Tensor:
        return node_loss(OPS, problem, forest, p, singles, targets, torch.cat)

    def by_level() -> torch.Tensor:
        def take(a: torch.Tensor, index: np.ndarray) -> torch.Tensor:
            return a.index_select(0, tensors[id(index)])

        return level_loss(OPS, problem, plan, p, x, targets, torch.cat, take)

    def grads() -> dict[str, np.ndarray]:
        return {name: _numpy(tensor) for name, tensor in p.items()}

    found = _variants("by level", list(p.values()), by_level, grads)
    return found | _variants("per node", list(p.values()), per_node, grads)


def variants(problem: Problem) -> dict[str, Variant]:
    """All of PyTorch's ways to run the problem, except `compiled`."""
    data = problem.data()
    if data.forest is not None:
        return _trees(problem, data)
    found = _loop(problem, data) | _hoisted(problem, data)
    if problem.cell in MODULES and not problem.recorded:
        found |= _module(problem, data)
        if not problem.stacked and data.lengths is None:
            found |= _cell_loop(problem, data)
    return found


def compiled(problem: Problem) -> dict[str, Variant]:
    """torch.compile of the hoisted loop. It unrolls the loop and needs a C++ compiler: 10-40 s per row at its first
    call, so it is asked for by name. Its code is made for the thread count at that first call; two threads here."""
    chain = problem.leaves is None and not problem.recorded and problem.steps <= COMPILED_STEPS
    if not chain or not any(which(name) for name in ("g++", "clang++")):
        return {}
    found = _hoisted(problem, problem.data(), compiled=True)
    return {name: variant for name, variant in found.items() if variant.threads == 2}
