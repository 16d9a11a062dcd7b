"""What a gated state keeps of its past: products of forget gates, beside the product of Jacobians of a plain RNN."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import RNNCell
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.time_scales import LeakyCell
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor


def forget_products(cell: Any, x: Any, state: Any = None) -> np.ndarray:
    """Π_{j ≤ t} of the factors by which a state keeps itself, (T, B, hidden), over x (T, B, input) or tokens (T, B).

    The factor is f(j) in an LSTM, u(j) in a GRU, α in leaky units. The product is ∂s(t)/∂s(0) along the straight way,
    through the state's own loop, unit by unit; what goes round through gates and h comes on top. It shrinks more
    slowly than the product of an RNN because a gate can be near 1; it is never above 1.
    """
    if isinstance(cell, LeakyCell):
        shape = (*np.shape(x)[:2], cell.hidden_size)
        return np.cumprod(np.broadcast_to(cell.alpha, shape), axis=0)
    names = {LSTMCell: "f", GRUCell: "u"}
    if type(cell) not in names:
        raise TinyseqError(
            f"an LSTMCell, GRUCell or LeakyCell keeps its state by a factor, a {type(cell).__name__} does not; "
            "for an RNNCell see jacobian_norms"
        )
    return np.cumprod(_named(cell, x, state, names[type(cell)]), axis=0)


def jacobian_norms(cell: RNNCell, x: Any, state: Any = None) -> np.ndarray:
    """‖∂h(t)/∂h(0)‖₂ = ‖Π_{j ≤ t} diag(φ′(a(j))) W‖₂ of an RNN, (T, B): the largest factor a gradient can have."""
    if not isinstance(cell, RNNCell) or cell.layer_norm:
        raise TinyseqError(
            f"this product is diag(φ′(a)) W of an RNNCell without layer_norm, got a {type(cell).__name__}; "
            "for gated cells see forget_products"
        )
    h = _named(cell, x, state, cell.symbol)
    slopes = 1 - np.square(h) if cell.squash == "tanh" else (h > 0).astype(h.dtype)
    W = cell.a.W.value.astype(np.float64)
    T, B, H = h.shape
    norms, product = np.empty((T, B)), np.broadcast_to(np.eye(H), (B, H, H))
    for t in range(T):
        product = slopes[t][:, :, None] * (W @ product)
        norms[t] = np.linalg.norm(product, 2, axis=(1, 2))
    return norms


def _named(cell: Any, x: Any, state: Any, name: str) -> np.ndarray:
    """The values of a cell's node of that name at each step, (T, B, hidden) in float64."""
    with Tape() as tape:
        cell.encode(tensor(x), state=state)
        nodes = [node for node in tape.nodes() if node.name == name and node.cell]
        return np.array([Tensor.at(tape, n.index).value for n in nodes], np.float64)
