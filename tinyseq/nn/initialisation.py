"""Where weights start so that the past is kept: orthogonal and identity matrices, chrono biases.

Each function sets values in place and returns what it was given; parameters keep their dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.cells import RNNCell
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.time_scales import LeakyCell
from tinyseq.tensor.parameter import Parameter


@advised
def orthogonal(parameter: Parameter, *, rng: np.random.Generator, gain: float = 1.0) -> Parameter:
    """A random matrix Q with QᵀQ = gain² I (rows orthonormal where it is wide), uniform among all such.

    Every singular value is ``gain``, so that W h neither grows nor shrinks (Saxe et al. 2014, section 10.7).
    """
    rows, columns = _matrix(parameter)
    tall = generator(rng).standard_normal((max(rows, columns), min(rows, columns)))
    Q, R = np.linalg.qr(tall)
    Q *= np.sign(np.diag(R))  # without it, the signs would not be uniform (Mezzadri 2007)
    parameter.value[...] = gain * (Q if rows >= columns else Q.T)
    return parameter


@advised
def identity(parameter: Parameter, scale: float = 1.0) -> Parameter:
    """scale · I: at first the state is kept as it is."""
    rows, columns = _matrix(parameter)
    if rows != columns:
        raise ShapeError(f"the identity is a square matrix, {parameter.name or 'the parameter'} is {rows} by {columns}")
    parameter.value[...] = scale * np.eye(rows)
    return parameter


@advised
def irnn(cell: RNNCell, *, rng: np.random.Generator, scale: float = 1.0, spread: float = 0.001) -> RNNCell:
    """An IRNN (Le, Jaitly and Hinton 2015): units max(a, 0), W = scale · I, b = 0, U ~ N(0, spread²)."""
    if not isinstance(cell, RNNCell) or cell.squash != "relu":
        raise TinyseqError("an IRNN is an nn.RNNCell(..., squash='relu'); with tanh the state would shrink")
    identity(cell.a.W, scale)
    cell.a.b.value[...] = 0
    cell.a.U.value[...] = spread * generator(rng).standard_normal(cell.a.U.shape)
    return cell


@advised
def token_columns(cell: Any, *, rng: np.random.Generator, spread: float = 1.0) -> Any:
    """U ~ N(0, spread²) in a cell, or a net of one, that reads tokens: a start as that of the rows of ``nn.Embedding``.

    U x is then one column of U. Cells start with U(−1/√H, 1/√H), where H inputs together make a sum of about 1; one
    column alone is so small that the state hears little of its input, and a character model learns slowly at first.
    """
    known = {name.split(".")[-1]: True for name, _ in cell.named_parameters()}
    reads = "U_x" if "U_x" in known else "U"  # a deep transition reads x by U_x
    found = [p for name, p in cell.named_parameters() if name.split(".")[-1] == reads]
    if not found:
        raise TinyseqError(f"{type(cell).__name__} has no U that reads tokens: give it the cell that does, cells[0]")
    for parameter in found:
        parameter.value[...] = spread * generator(rng).standard_normal(parameter.shape)
    return cell


@advised
def chrono(cell: Any, longest: float, *, rng: np.random.Generator) -> Any:
    """Biases that keep the state for 1 to ``longest`` steps (Tallec and Ollivier 2018), longest = T_max.

        LSTM                      b_f ~ log U(1, T_max − 1),  b_g = −b_f    (b_g the input gate's)
        GRU                       b_u ~ log U(1, T_max − 1)                 (u keeps the old state)
        leaky units, α learned    λ ~ log U(1, T_max − 1)                   (α = σ(λ))

    A gate σ(log n) = 1 − 1/(n + 1) keeps for about n steps.
    """
    if isinstance(longest, bool) or not isinstance(longest, (int, float, np.number)) or not 2 < longest < float("inf"):
        raise TinyseqError(f"longest is the number of steps to be kept, more than 2; got {longest!r}")
    if isinstance(cell, LSTMCell):
        keep: Parameter | None = cell.f.b
    elif isinstance(cell, GRUCell):
        keep = cell.u.b
    else:
        keep = cell.logit if isinstance(cell, LeakyCell) else None
    if keep is None:
        raise TinyseqError(
            f"chrono sets the bias of a gate that keeps the state: give it an LSTMCell, a GRUCell or a LeakyCell(..., "
            f"learn_alpha=True), got {type(cell).__name__}"
        )
    keep.value[...] = np.log(generator(rng).uniform(1, longest - 1, keep.shape))
    if isinstance(cell, LSTMCell):
        cell.g.b.value[...] = -cell.f.b.value
    return cell


def _matrix(parameter: Parameter) -> tuple[int, int]:
    if not isinstance(parameter, Parameter):
        raise TinyseqError(f"give the parameter to set, such as cell.a.W; got {type(parameter).__name__}")
    if parameter.ndim != 2:
        raise ShapeError(f"this sets a matrix, {parameter.name or 'the parameter'} has shape {parameter.shape}")
    return parameter.shape[0], parameter.shape[1]
