"""Weights from and to PyTorch's ``nn.RNN``, ``nn.LSTM``, ``nn.GRU`` and their cells, under PyTorch's names.

No import of torch: ``module.state_dict()`` is what goes in, and
``{name: torch.from_numpy(a) for name, a in to_torch(net).items()}`` is what goes back into ``load_state_dict``.

    PyTorch                            here
    weight_ih_l{k}, weight_hh_l{k}     U and W of each affine map, one below the other; cells have no _l{k}
    bias_ih_l{k} + bias_hh_l{k}        b (the two biases only ever appear as their sum; all is put into bias_ih)
    LSTM rows i, f, g, o               g (external input gate), f (forget gate), the input itself, q (output gate)
    GRU rows r, z, n                   r (reset gate), u (update gate), the input itself; bias_hn is b_h
    weight_hr_l{k} (proj_size)         P
    suffix _reverse                    the backward cell of a Bidirectional
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DtypeError, TinyseqError
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.cells import RecurrentCell, RNNCell
from tinyseq.nn.deep import Stack, StackedCells
from tinyseq.nn.gates import GRUCell, LSTMCell

ORDER: dict[type, tuple[str, ...]] = {RNNCell: ("a",), LSTMCell: ("g", "f", "a", "q"), GRUCell: ("r", "u", "a")}
CELLS: dict[int, Any] = {1: RNNCell, 4: LSTMCell, 3: GRUCell}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_RECURRENT = re.compile(r"(.*\.|)weight_hh(_l0)?")
FEW = 12


def from_torch(state: Mapping[str, Any], nonlinearity: str = "tanh", prefix: str | None = None) -> Any:
    """A net with the weights of a PyTorch module: a cell, a Bidirectional, or a Stack of either where there are layers.

    ``state`` is a state dict, ``dict(module.named_parameters())``, or arrays by such names. The recurrent net in it is
    found by its names, below whatever prefix (``module.rnn.``), and other layers are left alone; where there are
    several, ``prefix`` says which. Its kind is read from the shapes: one block of rows is nn.RNN, three are nn.GRU,
    four nn.LSTM. The arrays of an nn.RNN do not tell its ``nonlinearity``, "tanh" or "relu". Half precision and
    bfloat16 become float32. Raises TinyseqError naming the array that is missing, unknown or of the wrong shape.
    """
    prefix = _prefix(state, prefix)
    own = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
    arrays = {name: _array(prefix + name, array) for name, array in own.items() if "." not in name}
    used: set[str] = set()
    if "weight_hh" in arrays:
        layers: list[Any] = [_cell(arrays, "", used, nonlinearity)]
    else:
        both, depth, layers = "weight_hh_l0_reverse" in arrays, 0, []
        while f"weight_hh_l{depth}" in arrays:
            layer = _cell(arrays, f"_l{depth}", used, nonlinearity)
            back = _cell(arrays, f"_l{depth}_reverse", used, nonlinearity) if both else None
            layers.append(layer if back is None else Bidirectional(layer, back))
            depth += 1
    unknown = sorted(arrays.keys() - used)
    if unknown:
        raise TinyseqError(f"these arrays belong to no net here: {_some(unknown)}")
    return layers[0] if len(layers) == 1 else Stack(layers)


def _prefix(state: Any, wanted: str | None) -> str:
    """What stands before the names of the recurrent net."""
    if not isinstance(state, Mapping):
        what = "module.state_dict()" if hasattr(state, "state_dict") else "a dict of arrays by name"
        raise TinyseqError(f"expected a state dict, got {type(state).__name__}; write from_torch({what})")
    found = list(dict.fromkeys(m.group(1) for name in state if (m := _RECURRENT.fullmatch(str(name)))))
    if wanted is not None:
        wanted = wanted if wanted.endswith(".") or not wanted else f"{wanted}."
        if wanted in found:
            return wanted
        raise TinyseqError(f"no recurrent net below the prefix {wanted!r}; there are {_some(found)}")
    if not found:
        inner = [str(name) for name, value in state.items() if isinstance(value, Mapping)]
        hint = f"; write from_torch(state[{inner[0]!r}])" if inner else ""
        raise TinyseqError(
            "expected weight_hh_l0 and so on, the state dict of nn.RNN, nn.LSTM or nn.GRU; got "
            f"{_some(sorted(map(str, state)))}{hint}"
        )
    if len(found) > 1:
        raise TinyseqError(
            f"several recurrent nets are in this state dict, below {_some(found)}; write which, for instance "
            f"from_torch(state, prefix={found[0]!r})"
        )
    return found[0]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return f"{names}" if len(names) <= FEW else f"{names[:FEW]} and {len(names) - FEW} more"


def _array(name: str, given: Any) -> np.ndarray:
    """A tensor or array as float32 or float64. Raises DtypeError for what holds no such numbers."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given if str(given.dtype) == "torch.float64" else given.float()
        given = given.numpy()
    array = plain(given, name)
    if array.dtype.kind in "biuOUSmMc":
        raise DtypeError(f"{name} is {array.dtype}; weights are float32 or float64")
    return array.astype(np.float64 if array.dtype.kind == "f" and array.dtype.itemsize >= 8 else np.float32)


def to_torch(net: Any) -> dict[str, np.ndarray]:
    """The state dict of the PyTorch module that computes the same: nn.RNN, nn.LSTM or nn.GRU with as many layers."""
    layers = net.layers if isinstance(net, Stack) else net.cells if isinstance(net, StackedCells) else [net]
    if isinstance(net, StackedCells) and net.skip:
        raise TinyseqError("PyTorch has no skip connections in its stacks")
    state: dict[str, np.ndarray] = {}
    for k, layer in enumerate(layers):
        if isinstance(layer, Bidirectional):
            if layer.merge != "concatenate":
                raise TinyseqError("PyTorch concatenates the two directions; this net sums them")
            state.update(_arrays(layer.forward, f"l{k}"))
            state.update(_arrays(layer.backward, f"l{k}_reverse"))
        else:
            state.update(_arrays(layer, f"l{k}"))
    return state


def _cell(arrays: dict[str, np.ndarray], suffix: str, used: set[str], nonlinearity: str) -> RecurrentCell:
    names = [f"{part}{suffix}" for part in PARTS]
    for name in names[:2]:
        if name not in arrays:
            raise TinyseqError(f"the state dict has no {name}; it has {_some(sorted(arrays))}")
    U, W, P = arrays[names[0]], arrays[names[1]], arrays.get(f"weight_hr{suffix}")
    hidden = _hidden(names, U, W, P, suffix)
    made: Any = CELLS[W.shape[0] // hidden]
    options: dict[str, Any] = {"squash": nonlinearity} if made is RNNCell else {}
    if P is not None:
        options["projection_size"] = len(P)
    zeros = np.zeros(W.shape[0], W.dtype)
    b_ih, b_hh = (arrays.get(name, zeros) for name in names[2:])
    for name, bias in zip(names[2:], (b_ih, b_hh), strict=True):
        if bias.shape != zeros.shape:
            raise TinyseqError(f"{name} has shape {bias.shape}, expected {zeros.shape}")
    dtype = np.result_type(U, W, b_ih, b_hh)
    cell = made(U.shape[1], hidden, rng=np.random.default_rng(0), dtype=dtype, **options)
    used.update(name for name in (*names, f"weight_hr{suffix}") if name in arrays)
    for i, part in enumerate(ORDER[made]):
        affine, rows = getattr(cell, part), slice(i * hidden, (i + 1) * hidden)
        inside = made is GRUCell and part == "a"  # r ⊙ (W h + b_hn): this one is not added to the other
        affine.U.value, affine.W.value = U[rows].astype(dtype), W[rows].astype(dtype)
        affine.b.value = (b_ih[rows] if inside else b_ih[rows] + b_hh[rows]).astype(dtype)
        if inside:
            cell.b_h.value = b_hh[rows].astype(dtype)
    if P is not None:
        cell.P.value = P.astype(dtype)
    return cell


def _hidden(names: list[str], U: np.ndarray, W: np.ndarray, P: np.ndarray | None, suffix: str) -> int:
    """Hidden units, from shapes that fit each other."""
    if P is not None:
        hidden = P.shape[1] if P.ndim == 2 else 0
        if not hidden or W.shape != (4 * hidden, len(P)) or U.ndim != 2 or len(U) != len(W):
            raise TinyseqError(
                f"these arrays do not fit: {[f'weight_hr{suffix}']}; projections (proj_size) of an nn.LSTM have "
                f"weight_hr (proj, hidden), weight_hh (4·hidden, proj), weight_ih (4·hidden, input); got {P.shape}, "
                f"{W.shape}, {U.shape}"
            )
        return hidden
    hidden = W.shape[1] if W.ndim == 2 else 0
    fits = hidden and not W.shape[0] % hidden and W.shape[0] // hidden in CELLS
    if not fits or U.ndim != 2 or len(U) != len(W):
        raise TinyseqError(
            f"{names[1]} has shape {W.shape} and {names[0]} {U.shape}; expected (n·hidden, hidden) and "
            "(n·hidden, input) with n = 1 (RNN), 3 (GRU) or 4 (LSTM)"
        )
    return hidden


def _arrays(cell: Any, suffix: str) -> dict[str, np.ndarray]:
    kind = type(cell)
    if kind not in ORDER:
        raise TinyseqError(f"PyTorch has no counterpart of {kind.__name__}; RNNCell, LSTMCell and GRUCell have one")
    if cell.context_size or getattr(cell, "layer_norm", False):
        raise TinyseqError(f"PyTorch's cells have no context and no layer normalisation; this {kind.__name__} has")
    if getattr(cell, "peepholes", None):
        raise TinyseqError("PyTorch's LSTM has no peepholes; this one has")
    usual = kind is RNNCell or cell.squash == "tanh"
    if not usual or getattr(cell, "reset_after", True) is not True:
        raise TinyseqError(
            f"PyTorch's {kind.__name__} squashes by tanh and resets after the product; this one does not"
        )
    parts = [getattr(cell, part) for part in ORDER[kind]]
    b_hh = [np.zeros_like(part.b.value) for part in parts]
    if kind is GRUCell:
        b_hh[-1] = cell.b_h.value
    state = {
        f"weight_ih_{suffix}": np.concatenate([part.U.value for part in parts]),
        f"weight_hh_{suffix}": np.concatenate([part.W.value for part in parts]),
        f"bias_ih_{suffix}": np.concatenate([part.b.value for part in parts]),
        f"bias_hh_{suffix}": np.concatenate(b_hh),
    }
    if kind is LSTMCell and cell.P is not None:
        state[f"weight_hr_{suffix}"] = cell.P.value
    return state
