"""The regulariser that keeps information flowing back: section 10.11.2, equation 10.52 (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyseq import functions as F
from tinyseq.checks import plain
from tinyseq.diagnose.cuts import States, states_of
from tinyseq.errors import GradientError, ShapeError, TapeError
from tinyseq.functions.gradients import recorded_pullback
from tinyseq.habits import advised
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.source_lines import internal

internal(__file__)


@advised
def information_flow(loss: Tensor, states: Any, gradients: Sequence[Any] | None = None) -> Tensor:
    """Ω, to be added to a loss with a weight: ``loss + 0.1 * information_flow(loss, unfolded)``.

        Ω = Σ_t (‖∇_{h(t)}L · ∂h(t)/∂h(t−1)‖ / ‖∇_{h(t)}L‖ − 1)²        (10.52), averaged over the batch

    It asks that the gradient keep its size from step to step, in the direction in which it goes. As there, ∇_{h(t)}L
    counts as a constant; the Jacobian does not, so ∇Ω needs second derivatives of one step. States are as
    ``gradient_flow`` takes them, of any cell; a state of several tensors counts as one vector. Steps to which no
    gradient comes add nothing.

    gradients   ∇_{h(t)}L for each state, arrays (tuples of them for several tensors), where they are known already

    How: the backward pass through the states is recorded as nodes and cut by ``detach``, which gives ∇_{h(t)}L; from
    there each step's vector–Jacobian product is recorded once more. The rest is the usual backward pass over these
    nodes. Cost: a training step takes about five times as long as with the loss alone (tanh, 50 units, 50 steps).
    """
    if not isinstance(loss, Tensor) or loss.shape:
        raise GradientError("information_flow needs the scalar loss that the gradients are of; write ts.sum(loss)")
    found = states_of(states)
    if found.tape is not loss.tape:
        raise TapeError(
            "the loss and the states are on two tapes; gradients flow through one graph: record both on one tape"
        )
    if len(found.cuts) < 2:
        raise GradientError("information_flow compares steps: it needs two states or more")
    with loss.tape:
        given = _recorded(loss, found) if gradients is None else _given(found, gradients)
        units, flows = [], []
        for t in range(len(found.cuts) - 1, 0, -1):
            unit, size = _normalised(given[t])
            seeds = dict(zip(found.cuts[t], unit, strict=True))
            (flow,) = recorded_pullback(found.tape, seeds, [found.cuts[t - 1]])
            units.append(size)
            flows.append(_rows([_first(part, len(size)) for part in flow]))
        return _penalty(units, flows).named("Ω")


def _recorded(loss: Tensor, found: States) -> list[list[Tensor]]:
    """∇_{h(t)}L as nodes, detached."""
    start = F.broadcast(1.0, loss)[0]
    return [[F.detach(g) for g in parts] for parts in recorded_pullback(found.tape, {loss.index: start}, found.cuts)]


def _given(found: States, gradients: Sequence[Any]) -> list[list[Tensor]]:
    if len(gradients) != len(found.cuts):
        raise ShapeError(f"{len(found.cuts)} states need as many gradients, got {len(gradients)}")
    made = []
    for cut, parts in zip(found.cuts, gradients, strict=True):
        arrays = [plain(p, "a gradient") for p in (parts if isinstance(parts, (tuple, list)) else (parts,))]
        shapes = [found.tape.shape(i) for i in cut]
        if [a.shape for a in arrays] != shapes:
            raise ShapeError(f"the gradients of a state have its shapes, {shapes}; got {[a.shape for a in arrays]}")
        made.append([tensor(a.astype(found.tape.node(i).dtype)) for a, i in zip(arrays, cut, strict=True)])
    return made


def _rows(parts: list[Tensor]) -> Tensor:
    """The tensors of a state as one matrix, a row for each sequence of the batch."""
    flat = [p if p.ndim == 2 else F.reshape(p, (p.shape[0], -1) if p.ndim > 1 else (1, -1)) for p in parts]
    return flat[0] if len(flat) == 1 else F.concatenate(flat, 1)


def _first(part: Tensor, rows: int) -> Tensor:
    """The rows that still run in the later step, where sequences differ in length."""
    return F.rows(part, 0, rows) if part.ndim > 1 and part.shape[0] != rows else part


def _normalised(parts: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """∇/‖∇‖ row by row, and ‖∇‖ (B, 1); rows without a gradient stay 0. Divided first, so that nothing underflows."""
    size = F.norm(_rows(parts), axis=1, keepdims=True)
    inverse = 1.0 / (size + (1.0 - F.greater(size, 0.0)))
    units = []
    for p in parts:
        wide = p.ndim > 2
        scale = F.reshape(inverse, (p.shape[0], *(1,) * (p.ndim - 1))) if wide else inverse
        units.append(p * (F.reshape(scale, (1,)) if p.ndim < 2 else scale))
    return units, size


def _penalty(sizes: list[Tensor], flows: list[Tensor]) -> Tensor:
    batch = sizes[-1].shape[0]
    size, flow = F.concatenate(sizes, 0), F.concatenate(flows, 0)
    apart = F.norm(flow, axis=1, keepdims=True) - 1.0
    return F.sum(F.greater(size, 0.0) * apart * apart) / float(batch)
