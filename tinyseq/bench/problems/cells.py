"""The equations that every peer runs, written once over the operators that NumPy, PyTorch, JAX, autograd and
MyGrad share.

Row-vector convention: x is (B, V), h is (B, H), U is (V, H), W is (H, H), so a step reads x @ U + h @ W + b.
The first entry of a state is the output h. A cell is given twice: `step`, the equations as one writes them, and
`project` + `recur`, the same equations the way one writes them for speed, with the products of one input packed
into one matrix and the input's product taken for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

State = tuple[Any, ...]
Params = Mapping[str, Any]
EPSILON = 1e-5


@dataclass(frozen=True)
class Ops:
    """What a cell needs beyond `+ - * / @`; all act on the last axis.

    `addmm(a, x, W)` is a + x @ W; `cross_entropy(logits (N, K), targets (N,))` is the sum over the N rows.
    """

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    concat: Callable[[list[Any]], Any]
    split: Callable[[Any, int], Any]
    layer_norm: Callable[[Any, Any, Any], Any]
    addmm: Callable[[Any, Any, Any], Any]
    cross_entropy: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Cell:
    """One step: parameter shapes, equations, and how the fast form packs its parameters.

    `packs` maps a packed name to the parameters that are laid side by side (last axis) to make it; `prepare` makes of
    the fast form's parameters, once for all steps, what the equations make of them in each.
    """

    states: int
    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    step: Callable[[Ops, Params, Any, State], State]
    project: Callable[[Ops, Params, Any], Any]
    recur: Callable[[Ops, Params, Any, State], State]
    packs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prepare: Callable[[Params], Params] = dict


def pack(cell: Cell, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters of the fast form from those of the equations."""
    taken = {name for names in cell.packs.values() for name in names}
    packed = {name: array for name, array in params.items() if name not in taken}
    for name, parts in cell.packs.items():
        packed[name] = np.concatenate([params[part] for part in parts], axis=-1)
    return packed


def unpack(cell: Cell, packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `pack`, for gradients."""
    params = {name: array for name, array in packed.items() if name not in cell.packs}
    for name, parts in cell.packs.items():
        params.update(zip(parts, np.split(packed[name], len(parts), axis=-1), strict=True))
    return params


def _shapes(gates: tuple[str, ...]) -> Callable[[int, int], dict[str, tuple[int, ...]]]:
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for gate in gates:
            found |= {f"U{gate}": (inputs, hidden), f"W{gate}": (hidden, hidden), f"b{gate}": (hidden,)}
        return found

    return shapes


def _packs(names: str, gates: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {f"{name}_all": tuple(f"{name}{gate}" for gate in gates) for name in names}


def _affine(ops: Ops, p: Params, x: Any) -> Any:
    return ops.addmm(p["b_all"], x, p["U_all"])


def _affine_single(ops: Ops, p: Params, x: Any) -> Any:
    return ops.addmm(p["b"], x, p["U"])


# --- tanh RNN, equations 10.8 and 10.9 ------------------------------------------------------------------------


def _rnn(ops: Ops, p: Params, x: Any, state: State) -> State:
    return (ops.tanh(x @ p["U"] + state[0] @ p["W"] + p["b"]),)


def _rnn_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    return (ops.tanh(ops.addmm(a, state[0], p["W"])),)


# --- LSTM, equations 10.40-10.44 with tanh for the input squashing; peepholes as in Gers 2002 --------------------

LSTM_GATES = ("_f", "_g", "_o", "")


def _lstm(ops: Ops, p: Params, x: Any, state: State) -> State:
    h, s = state
    f = ops.sigmoid(x @ p["U_f"] + h @ p["W_f"] + p["b_f"])
    g = ops.sigmoid(x @ p["U_g"] + h @ p["W_g"] + p["b_g"])
    q = ops.sigmoid(x @ p["U_o"] + h @ p["W_o"] + p["b_o"])
    s = f * s + g * ops.tanh(x @ p["U"] + h @ p["W"] + p["b"])
    return ops.tanh(s) * q, s


def _lstm_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    h, s = state
    f, g, q, c = ops.split(ops.addmm(a, h, p["W_all"]), 4)
    s = ops.sigmoid(f) * s + ops.sigmoid(g) * ops.tanh(c)
    return ops.tanh(s) * ops.sigmoid(q), s


def _peephole_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return _shapes(LSTM_GATES)(inputs, hidden) | dict.fromkeys(("p_f", "p_g", "p_o"), (hidden,))


def _peephole(ops: Ops, p: Params, x: Any, state: State) -> State:
    h, s = state
    f = ops.sigmoid(x @ p["U_f"] + h @ p["W_f"] + p["p_f"] * s + p["b_f"])
    g = ops.sigmoid(x @ p["U_g"] + h @ p["W_g"] + p["p_g"] * s + p["b_g"])
    s = f * s + g * ops.tanh(x @ p["U"] + h @ p["W"] + p["b"])
    q = ops.sigmoid(x @ p["U_o"] + h @ p["W_o"] + p["p_o"] * s + p["b_o"])
    return ops.tanh(s) * q, s


def _peephole_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    h, s = state
    f, g, q, c = ops.split(ops.addmm(a, h, p["W_all"]), 4)
    s = ops.sigmoid(f + p["p_f"] * s) * s + ops.sigmoid(g + p["p_g"] * s) * ops.tanh(c)
    return ops.tanh(s) * ops.sigmoid(q + p["p_o"] * s), s


# --- GRU, equations 10.45-10.47 with tanh and with the reset gate after the product, as PyTorch and cuDNN --------

GRU_GATES = ("_r", "_u", "")


def _gru_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return _shapes(GRU_GATES)(inputs, hidden) | {"d": (hidden,)}


def _gru(ops: Ops, p: Params, x: Any, state: State) -> State:
    (h,) = state
    r = ops.sigmoid(x @ p["U_r"] + h @ p["W_r"] + p["b_r"])
    u = ops.sigmoid(x @ p["U_u"] + h @ p["W_u"] + p["b_u"])
    n = ops.tanh(x @ p["U"] + p["b"] + r * (h @ p["W"] + p["d"]))
    return (u * h + (1 - u) * n,)


def _gru_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    (h,) = state
    a_r, a_u, a_n = ops.split(a, 3)
    m_r, m_u, m_n = ops.split(h @ p["W_all"], 3)
    n = ops.tanh(a_n + ops.sigmoid(a_r + m_r) * (m_n + p["d"]))
    return (n + ops.sigmoid(a_u + m_u) * (h - n),)


# --- Cells of a user's own --------------------------------------------------------------------------------------


def _mgu(ops: Ops, p: Params, x: Any, state: State) -> State:
    """Minimal gated unit, Zhou et al. 2016."""
    (h,) = state
    f = ops.sigmoid(x @ p["U_f"] + h @ p["W_f"] + p["b_f"])
    n = ops.tanh(x @ p["U"] + (f * h) @ p["W"] + p["b"])
    return ((1 - f) * h + f * n,)


def _mgu_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    (h,) = state
    a_f, a_n = ops.split(a, 2)
    f = ops.sigmoid(ops.addmm(a_f, h, p["W_f"]))
    return (h + f * (ops.tanh(ops.addmm(a_n, f * h, p["W"])) - h),)


def _indrnn_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return {"U": (inputs, hidden), "w": (hidden,), "b": (hidden,)}


def _indrnn(ops: Ops, p: Params, x: Any, state: State) -> State:
    """Independently recurrent network, Li et al. 2018, with tanh."""
    return (ops.tanh(x @ p["U"] + p["w"] * state[0] + p["b"]),)


def _indrnn_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    return (ops.tanh(a + p["w"] * state[0]),)


def _mrnn_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return _shapes(("",))(inputs, hidden) | {"A": (inputs, hidden), "B": (hidden, hidden)}


def _mrnn(ops: Ops, p: Params, x: Any, state: State) -> State:
    """Multiplicative RNN, Sutskever et al. 2011."""
    m = (x @ p["A"]) * (state[0] @ p["B"])
    return (ops.tanh(m @ p["W"] + x @ p["U"] + p["b"]),)


def _mrnn_project(ops: Ops, p: Params, x: Any) -> Any:
    return x @ p["U_all"]


def _mrnn_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    a_m, a_h = ops.split(a, 2)
    return (ops.tanh(ops.addmm(a_h + p["b"], a_m * (state[0] @ p["B"]), p["W"])),)


def _lnrnn_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return _shapes(("",))(inputs, hidden) | {"gain": (hidden,)}


def _lnrnn(ops: Ops, p: Params, x: Any, state: State) -> State:
    """Layer-normalised RNN, Ba et al. 2016: gain and bias after the normalisation, variance biased."""
    return (ops.tanh(ops.layer_norm(x @ p["U"] + state[0] @ p["W"], p["gain"], p["b"])),)


def _lnrnn_project(ops: Ops, p: Params, x: Any) -> Any:
    return x @ p["U"]


def _lnrnn_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    return (ops.tanh(ops.layer_norm(ops.addmm(a, state[0], p["W"]), p["gain"], p["b"])),)


FRICTION, STEP = 0.01, 0.1


def _antisymmetric(ops: Ops, p: Params, x: Any, state: State) -> State:
    """Antisymmetric RNN, Chang et al. 2019: h + ε tanh(x U + h (W − Wᵀ − γ I) + b)."""
    (h,) = state
    return (h + STEP * ops.tanh(x @ p["U"] + h @ (p["W"] - p["W"].T) - FRICTION * h + p["b"]),)


def _antisymmetric_prepare(p: Params) -> Params:
    return {**p, "W": p["W"] - p["W"].T}


def _antisymmetric_recur(ops: Ops, p: Params, a: Any, state: State) -> State:
    (h,) = state
    return (h + STEP * ops.tanh(ops.addmm(a, h, p["W"]) - FRICTION * h),)


def tree_leaf(ops: Ops, p: Params, x: Any) -> Any:
    """h = tanh(x V + c) for the leaves' inputs (n, V)."""
    return ops.tanh(ops.addmm(p["c"], x, p["V"]))


def tree_node(ops: Ops, p: Params, children: Any) -> Any:
    """h = tanh([left; right] W + b) for the children's states side by side, (n, 2H)."""
    return ops.tanh(ops.addmm(p["b"], children, p["W"]))


CELLS: dict[str, Cell] = {
    "rnn": Cell(1, _shapes(("",)), _rnn, _affine_single, _rnn_recur),
    "lstm": Cell(2, _shapes(LSTM_GATES), _lstm, _affine, _lstm_recur, _packs("UWb", LSTM_GATES)),
    "gru": Cell(1, _gru_shapes, _gru, _affine, _gru_recur, _packs("UWb", GRU_GATES)),
    "peephole": Cell(2, _peephole_shapes, _peephole, _affine, _peephole_recur, _packs("UWb", LSTM_GATES)),
    "mgu": Cell(1, _shapes(("_f", "")), _mgu, _affine, _mgu_recur, _packs("Ub", ("_f", ""))),
    "indrnn": Cell(1, _indrnn_shapes, _indrnn, _affine_single, _indrnn_recur),
    "mrnn": Cell(1, _mrnn_shapes, _mrnn, _mrnn_project, _mrnn_recur, {"U_all": ("A", "U")}),
    "lnrnn": Cell(1, _lnrnn_shapes, _lnrnn, _lnrnn_project, _lnrnn_recur),
    "antisymmetric": Cell(
        1, _shapes(("",)), _antisymmetric, _affine_single, _antisymmetric_recur, prepare=_antisymmetric_prepare
    ),
}
