"""The nets of `nets.py` in the form that one writes for speed, over the operators that PyTorch and JAX share.

Gates lie side by side in packed weights [f, g, q, a]; products of all steps are taken at once; only what recurs is in
`scan(body, state, xs) -> stacked outputs`. Weights keep the orientation of the package: U (hidden, input).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.bench.problems.forest import Level, levels
from tinyseq.bench.problems.nets import Net, NetData

GATES = ("f", "g", "q", "a")
TREE_GATES = ("g", "q", "candidate")
Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class NetOps:
    """`linear(x, W)` is x Wᵀ over the last axis, `take(x, rows)` picks rows, `cross_entropy` sums over rows.

    `layer(x, U, W, b)` is a library's own LSTM over a whole sequence, where it has one.
    """

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    softmax: Callable[[Any], Any]
    concat: Callable[[Sequence[Any], int], Any]
    split: Callable[[Any, int], Any]
    einsum: Callable[..., Any]
    linear: Callable[[Any, Any], Any]
    take: Callable[[Any, np.ndarray], Any]
    zeros: Callable[[tuple[int, ...]], Any]
    scan: Callable[[Callable[..., Any], Any, Any], Any]
    cross_entropy: Callable[[Any, Any], Any]
    layer: Callable[[Any, Any, Any, Any], Any] | None = None


def packs(net: Net) -> dict[str, tuple[str, ...]]:
    """Packed name → the weights that lie one under the other in it."""
    found: dict[str, tuple[str, ...]] = {}
    if net.kind == "tree lstm":
        for letter in ("U", "W", "b"):
            found[letter] = tuple(f"{gate}.{letter}" for gate in TREE_GATES)
        return found | {"Wf": ("f.W", "f_more.0")}
    for prefix, letters in cells(net).items():
        for letter in letters:
            found[f"{prefix}.{letter}"] = tuple(f"{prefix}.{gate}.{letter}" for gate in GATES)
    return found


def cells(net: Net) -> dict[str, str]:
    """Each LSTM of a net and the letters of its weights."""
    if net.kind == "skips":
        return {f"encoder.cells.{layer}": "UWb" for layer in range(net.layers)}
    return {"encoder": "UWb", "cell": "UWbR"}


def pack(net: Net, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights with their gates packed; those that take no part (a leaf-only forget gate's U) are kept."""
    layout = packs(net)
    taken = {name for names in layout.values() for name in names}
    packed = {name: array for name, array in weights.items() if name not in taken}
    return packed | {name: np.concatenate([weights[n] for n in names]) for name, names in layout.items()}


def unpack(net: Net, packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `pack`, for gradients."""
    layout = packs(net)
    found = {name: array for name, array in packed.items() if name not in layout}
    for name, names in layout.items():
        found |= dict(zip(names, np.split(packed[name], len(names)), strict=True))
    return found


def gate(ops: NetOps, a: Any, s: Any) -> tuple[Any, Any]:
    """(h, s) from the packed pre-activations, equations 10.40 to 10.44 with tanh."""
    f, g, q, c = ops.split(a, 4)
    s = ops.sigmoid(f) * s + ops.sigmoid(g) * ops.tanh(c)
    return ops.tanh(s) * ops.sigmoid(q), s


def lstm(ops: NetOps, p: Arrays, prefix: str, x: Any, hidden: int) -> Any:
    """h (T, B, H) over x (T, B, V)."""
    if ops.layer is not None:
        return ops.layer(x, p[f"{prefix}.U"], p[f"{prefix}.W"], p[f"{prefix}.b"])

    def body(state: Any, a: Any) -> tuple[Any, Any]:
        state = gate(ops, a + ops.linear(state[0], p[f"{prefix}.W"]), state[1])
        return state, state[0]

    start = ops.zeros((x.shape[1], hidden))
    return ops.scan(body, (start, start), ops.linear(x, p[f"{prefix}.U"]) + p[f"{prefix}.b"])


def skips_loss(ops: NetOps, net: Net, p: Arrays, x: Any, y: Any) -> Any:
    """Layers run one after the other over the whole sequence; each reads the one below and x, the output all."""
    outputs = [lstm(ops, p, "encoder.cells.0", x, net.hidden)]
    for layer in range(1, net.layers):
        below = ops.concat([outputs[-1], x], -1)
        outputs.append(lstm(ops, p, f"encoder.cells.{layer}", below, net.hidden))
    o = ops.linear(ops.concat(outputs, -1), p["V"]) + p["c"]
    return ops.cross_entropy(o.reshape(-1, net.outputs), y.reshape(-1)) / net.batch


def attention_loss(ops: NetOps, net: Net, p: Arrays, x: Any, y: Any) -> Any:
    """The decoder's state asks for C, then C, the symbol before and the state make the next state."""
    keys = ops.einsum("tbc->btc", lstm(ops, p, "encoder", x, net.hidden))
    asked = ops.linear(keys, p["attention.A"])
    symbols = p["cell.U"].T[y[:-1].reshape(-1)].reshape(y.shape[0] - 1, net.batch, -1)
    first = ops.zeros((1, net.batch, symbols.shape[-1]))
    given = ops.concat([first, symbols], 0) + p["cell.b"]

    def body(state: Any, a: Any) -> tuple[Any, Any]:
        h, s = state
        alpha = ops.softmax(ops.einsum("bs,bts->bt", h, asked))
        C = ops.einsum("bt,btc->bc", alpha, keys)
        state = gate(ops, a + ops.linear(h, p["cell.W"]) + ops.linear(C, p["cell.R"]), s)
        return state, ops.concat([state[0], C], -1)

    start = ops.zeros((net.batch, net.hidden))
    read = ops.scan(body, (start, start), given)
    o = ops.linear(read, ops.concat([p["V"], p["Q"]], -1)) + p["c"]
    return ops.cross_entropy(o.reshape(-1, net.outputs + 1), y.reshape(-1)) / net.batch


def tree_loss(ops: NetOps, net: Net, plan: Sequence[Level], p: Arrays, x: Any, y: Any) -> Any:
    """One product a level: the children of a level's nodes lie in pairs in the states of the level below."""
    H = net.hidden

    def remember(a: Any, kept: Any = 0.0) -> Any:
        g, q, c = ops.split(a, 3)
        s = ops.sigmoid(g) * ops.tanh(c) + kept
        return ops.concat([ops.tanh(s) * ops.sigmoid(q), s], -1)

    leaves = remember(ops.linear(x, p["U"]) + p["b"])
    states: Any = None
    for level in plan:
        parts = []
        if states is not None:
            pairs = states.reshape(-1, 2, 2 * H)
            z, below = pairs[:, :, :H].reshape(-1, 2 * H), pairs[:, :, H:].reshape(-1, 2 * H)
            f = ops.sigmoid(ops.linear(z, p["Wf"]) + ops.concat([p["f.b"], p["f.b"]], 0)) * below
            parts.append(remember(ops.linear(z, p["W"]) + p["b"], f[:, :H] + f[:, H:]))
        if level.leaves.size:
            parts.append(ops.take(leaves, level.leaves))
        states = parts[0] if len(parts) == 1 else ops.concat(parts, 0)
        if level.order is not None:
            states = ops.take(states, level.order)
    o = ops.linear(states[:, :H], p["V_o"]) + p["c"]
    return ops.cross_entropy(o, y) / net.batch


def loss(ops: NetOps, net: Net, data: NetData) -> Callable[[Arrays, Any, Any], Any]:
    """loss(packed weights, x, y) of a net."""
    if data.trees is not None:
        plan = levels(data.trees)
        return lambda p, x, y: tree_loss(ops, net, plan, p, x, y)
    made = skips_loss if net.kind == "skips" else attention_loss
    return lambda p, x, y: made(ops, net, p, x, y)


def targets(net: Net, data: NetData) -> np.ndarray:
    """Targets as the equations take them: those of the decoder with the end symbol."""
    if net.kind != "attention":
        return data.targets
    return np.concatenate([data.targets, np.full((1, net.batch), net.outputs)])
