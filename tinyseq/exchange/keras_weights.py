"""Weights of Keras layers both ways: lists of arrays as ``layer.get_weights()`` gives them.

Keras                                   here
kernel (input, n·units)                 Uᵀ of each gate, side by side
recurrent_kernel (units, n·units)       Wᵀ
SimpleRNN                               the input itself
LSTM, gates i, f, c, o                  g (external input gate), f (forget gate), the input itself, q (output gate)
GRU, gates z, r, h                      u (update gate), r (reset gate), the input itself
GRU with reset_after, bias (2, 3·units) its second row stands inside the brackets that r multiplies: b_h of gate h
Bidirectional                           the arrays of the forward layer, then those of the backward one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.exchange.torch_state import parts
from tinyseq.habits import advised
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.cells import RecurrentCell, RNNCell
from tinyseq.nn.deep import Stack
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.torch_weights import _array

ORDER: dict[type, tuple[str, ...]] = {RNNCell: ("a",), LSTMCell: ("g", "f", "a", "q"), GRUCell: ("u", "r", "a")}
CELLS: dict[int, Any] = {1: RNNCell, 3: GRUCell, 4: LSTMCell}
NAMES = {RNNCell: "SimpleRNN", LSTMCell: "LSTM", GRUCell: "GRU"}


@advised
def from_keras(weights: Sequence[Any], activation: str = "tanh", reset_after: bool | None = None) -> Any:
    """A net with the weights of a Keras layer: a cell, a Bidirectional, or a Stack for a list of layers.

        ts.exchange.from_keras(layer.get_weights())
        ts.exchange.from_keras([layer.get_weights() for layer in model.layers])

    The kind is read from the shapes, SimpleRNN, GRU (of either ``reset_after``) or LSTM; two or three arrays are a
    layer without or with bias, twice as many a Bidirectional. Gates are sigmoids; ``activation`` is the other one, as
    Keras calls it. ``reset_after`` is told by a GRU's bias; one without has Keras' default, True, or what is said here.
    Raises TinyseqError that names the array that does not fit.
    """
    given = list(weights) if isinstance(weights, (list, tuple)) else None
    if not given:
        what = "layer.get_weights()" if hasattr(weights, "get_weights") else "a list of arrays"
        raise TinyseqError(
            f"expected the arrays of a Keras layer, got {type(weights).__name__}; write from_keras({what})"
        )
    if all(isinstance(one, (list, tuple)) for one in given):
        layers = [_layer(list(one), activation, f"layer {i}: ", reset_after) for i, one in enumerate(given)]
        return layers[0] if len(layers) == 1 else Stack(layers)
    return _layer(given, activation, "", reset_after)


def _layer(given: list[Any], activation: str, where: str, after: bool | None) -> Any:
    arrays = [_array(f"{where}array {i}", a) for i, a in enumerate(given)]
    if len(arrays) in (2, 3):
        return _cell(arrays, activation, where, after)
    if len(arrays) in (4, 6):
        half = len(arrays) // 2
        there, back = (_cell(arrays[i : i + half], activation, where, after) for i in (0, half))
        return Bidirectional(there, back)
    raise TinyseqError(
        f"{where}a recurrent Keras layer has 2 or 3 arrays (kernel, recurrent_kernel, bias), a Bidirectional twice as "
        f"many; got {len(arrays)}"
    )


def _cell(arrays: list[np.ndarray], activation: str, where: str, after: bool | None) -> RecurrentCell:
    kernel, recurrent, *rest = arrays
    units = recurrent.shape[0] if recurrent.ndim == 2 else 0
    gates = recurrent.shape[1] // units if units and recurrent.shape[1] % units == 0 else 0
    if gates not in CELLS or kernel.ndim != 2 or kernel.shape[1] != recurrent.shape[1]:
        turned = (
            "; they look transposed, as PyTorch has them: from_torch reads those" if _turned(kernel, recurrent) else ""
        )
        raise TinyseqError(
            f"{where}kernel {kernel.shape} and recurrent_kernel {recurrent.shape} do not fit; expected (input, n·units)"
            f" and (units, n·units) with n = 1 (SimpleRNN), 3 (GRU) or 4 (LSTM){turned}"
        )
    made: Any = CELLS[gates]
    bias = rest[0] if rest else None
    reset_after = made is GRUCell and (after is not False if bias is None else bias.ndim == 2)
    if made is GRUCell and after is not None and after is not reset_after:
        raise TinyseqError(
            f"{where}a bias {rest[0].shape} is that of reset_after={reset_after}, not {after}: leave it out"
        )
    wanted = (2, 3 * units) if reset_after else (gates * units,)
    bias = np.zeros(wanted, kernel.dtype) if bias is None else bias
    if bias.shape != wanted:
        raise TinyseqError(f"{where}bias has shape {bias.shape}, expected {wanted}")
    options = {"reset_after": reset_after} if made is GRUCell else {}
    dtype = np.result_type(kernel, recurrent, bias)
    cell = made(kernel.shape[0], units, rng=np.random.default_rng(0), dtype=dtype, squash=activation, **options)
    for i, part in enumerate(ORDER[made]):
        affine, columns = getattr(cell, part), slice(i * units, (i + 1) * units)
        affine.U.value[...], affine.W.value[...] = kernel[:, columns].T, recurrent[:, columns].T
        if not reset_after:
            affine.b.value[...] = bias[columns]
        elif part == "a":
            affine.b.value[...], cell.b_h.value[...] = bias[0, columns], bias[1, columns]
        else:
            affine.b.value[...] = bias[0, columns] + bias[1, columns]
    return cell


def _turned(kernel: np.ndarray, recurrent: np.ndarray) -> bool:
    units = recurrent.shape[1] if recurrent.ndim == 2 else 0
    return bool(units) and recurrent.shape[0] % units == 0 and recurrent.shape[0] // units in CELLS


@advised
def to_keras(net: Any) -> list[Any]:
    """The arrays that ``layer.set_weights`` takes: of one layer a list of arrays, of several a list of such lists.

    A cell becomes SimpleRNN, LSTM or GRU (with its ``reset_after``), a Bidirectional one with merge_mode "concat" or
    "sum"; of a head or net the parts are [embedding], layers, [kernel, bias] of the Dense that follows. Raises
    TinyseqError for what Keras has not.
    """
    found: list[Any] = []
    for part in parts(net):
        if part.layers is not None:
            found += [_arrays(layer) for layer in part.layers]
        else:
            arrays = [parameter.value.copy() for _, parameter in part.arrays]
            found.append([arrays[0].T.copy(), *arrays[1:]] if part.name == "output" else arrays)
    return found[0] if len(found) == 1 else found


def _arrays(layer: Any) -> list[np.ndarray]:
    if isinstance(layer, Bidirectional):
        return [*_arrays(layer.forward), *_arrays(layer.backward)]
    kind = type(layer)
    if kind not in ORDER:
        raise TinyseqError(f"Keras has no counterpart of {kind.__name__}; RNNCell, LSTMCell and GRUCell have one")
    more = ("context_size", "layer_norm", "peepholes", "projection_size")
    extra = next((name for name in more if getattr(layer, name, None)), None)
    if extra:
        raise TinyseqError(f"Keras' {NAMES[kind]} has no {extra.removesuffix('_size').replace('_', ' ')}; this one has")
    gates = [getattr(layer, part) for part in ORDER[kind]]
    kernel = np.concatenate([gate.U.value.T for gate in gates], 1)
    recurrent = np.concatenate([gate.W.value.T for gate in gates], 1)
    bias = np.concatenate([gate.b.value for gate in gates])
    if kind is GRUCell and layer.b_h is not None:
        inside = np.zeros_like(bias)
        inside[-layer.hidden_size :] = layer.b_h.value
        bias = np.stack([bias, inside])
    return [kernel, recurrent, bias]
