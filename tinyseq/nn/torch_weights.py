"""Weights from and to PyTorch's ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``, as plain arrays under PyTorch's names.

No import of torch: ``{name: t.numpy() for name, t in module.state_dict().items()}`` is what goes in, and
``{name: torch.from_numpy(a) for name, a in to_torch(net).items()}`` is what goes back into ``load_state_dict``.

    PyTorch                            here
    weight_ih_l{k}, weight_hh_l{k}     U and W of each affine map, one below the other
    bias_ih_l{k} + bias_hh_l{k}        b (the two biases only ever appear as their sum; all is put into bias_ih)
    LSTM rows i, f, g, o               g (external input gate), f (forget gate), the input itself, q (output gate)
    GRU rows r, z, n                   r (reset gate), u (update gate), the input itself; bias_hn is b_h
    suffix _reverse                    the backward cell of a Bidirectional
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.cells import RecurrentCell, RNNCell
from tinyseq.nn.deep import Stack, StackedCells
from tinyseq.nn.gates import GRUCell, LSTMCell

ORDER: dict[type, tuple[str, ...]] = {RNNCell: ("a",), LSTMCell: ("g", "f", "a", "q"), GRUCell: ("r", "u", "a")}
CELLS: dict[int, Any] = {1: RNNCell, 4: LSTMCell, 3: GRUCell}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(state: Mapping[str, Any], nonlinearity: str = "tanh") -> Any:
    """A net with the weights of a PyTorch module: a cell, a Bidirectional, or a Stack of either where there are layers.

    The kind is read from the shapes: one block of rows is nn.RNN, three are nn.GRU, four nn.LSTM. The arrays of an
    nn.RNN do not tell its ``nonlinearity``, "tanh" or "relu". Raises TinyseqError naming the array that is missing,
    unknown or of the wrong shape.
    """
    arrays = {name: np.asarray(array) for name, array in state.items()}
    depth = 0
    while f"weight_hh_l{depth}" in arrays:
        depth += 1
    if not depth:
        raise TinyseqError(
            f"expected weight_hh_l0 and so on, the state dict of nn.RNN, nn.LSTM or nn.GRU; got {sorted(arrays)}"
        )
    both = "weight_hh_l0_reverse" in arrays
    used: set[str] = set()
    layers = []
    for k in range(depth):
        layer = _cell(arrays, f"l{k}", used, nonlinearity)
        layers.append(Bidirectional(layer, _cell(arrays, f"l{k}_reverse", used, nonlinearity)) if both else layer)
    unknown = sorted(arrays.keys() - used)
    if unknown:
        raise TinyseqError(f"these arrays belong to no net here: {unknown}; projections (proj_size) are not supported")
    return layers[0] if depth == 1 else Stack(layers)


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
    names = [f"{part}_{suffix}" for part in PARTS]
    for name in names[:2]:
        if name not in arrays:
            raise TinyseqError(f"the state dict has no {name}; it has {sorted(arrays)}")
    U, W = arrays[names[0]], arrays[names[1]]
    hidden = W.shape[1] if W.ndim == 2 else 0
    if not hidden or W.shape[0] % hidden or W.shape[0] // hidden not in CELLS or U.shape[:1] != W.shape[:1]:
        raise TinyseqError(
            f"{names[1]} has shape {W.shape} and {names[0]} {U.shape}; expected (n·hidden, hidden) and "
            "(n·hidden, input) with n = 1 (RNN), 3 (GRU) or 4 (LSTM)"
        )
    made: Any = CELLS[W.shape[0] // hidden]
    options = {"squash": nonlinearity} if made is RNNCell else {}
    cell = made(U.shape[1], hidden, rng=np.random.default_rng(0), dtype=W.dtype, **options)
    zeros = np.zeros(W.shape[0], W.dtype)
    b_ih, b_hh = (arrays.get(name, zeros) for name in names[2:])
    for name, bias in zip(names[2:], (b_ih, b_hh), strict=True):
        if bias.shape != zeros.shape:
            raise TinyseqError(f"{name} has shape {bias.shape}, expected {zeros.shape}")
    used.update(name for name in names if name in arrays)
    for i, part in enumerate(ORDER[made]):
        affine, rows = getattr(cell, part), slice(i * hidden, (i + 1) * hidden)
        affine.U.value, affine.W.value = U[rows].copy(), W[rows].copy()
        inside = made is GRUCell and part == "a"  # r ⊙ (W h + b_hn): this one is not added to the other
        affine.b.value = b_ih[rows].copy() if inside else b_ih[rows] + b_hh[rows]
        if inside:
            cell.b_h.value = b_hh[rows].copy()
    return cell


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
    return {
        f"weight_ih_{suffix}": np.concatenate([part.U.value for part in parts]),
        f"weight_hh_{suffix}": np.concatenate([part.W.value for part in parts]),
        f"bias_ih_{suffix}": np.concatenate([part.b.value for part in parts]),
        f"bias_hh_{suffix}": np.concatenate(b_hh),
    }
