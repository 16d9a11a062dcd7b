"""Why did the gradient vanish? ‖∂L/∂h(t)‖ over time, and what each step multiplies it by: section 10.7.

A gradient that goes back from h(τ) to h(t) is multiplied by the Jacobians of all steps between,

    ∂h(τ)/∂h(t) = Π_{i = t+1 … τ} ∂h(i)/∂h(i−1),      for the vanilla net  ∂h(i)/∂h(i−1) = diag(1 − h(i)²) W,

so it shrinks or grows by a constant rate a step, the more steps the more. The two factors are shown apart: the slopes
of the units, and the largest singular value σ_max(W), which bounds what W does in one step (its spectral radius ρ(W)
rules many steps).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import exp, inf, isfinite, log
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.diagnose.cuts import States, states_of
from tinyseq.diagnose.pullback import jacobians, pullback
from tinyseq.diagnose.step_factors import Weight, between, slopes, weights
from tinyseq.diagnose.table import as_html, as_text, elided
from tinyseq.errors import DataError, GradientError, TapeError
from tinyseq.habits import advised
from tinyseq.tensor.handles import Tensor

VANISHED, EXPLODED = 0.1, 10.0  # what is left after the whole way: below, above


@dataclass(frozen=True)
class GradientFlow:
    """One entry per state in the order of running; the factors have one entry less, that of the step to the next.

    step       time steps t, or positions of a tree from a leaf to the root
    gradient   ‖∂L/∂h(t)‖ of the whole state; ``parts`` has those of its tensors by name
    carried    ‖∂L/∂h(τ) · ∂h(τ)/∂h(t)‖: what the gradient of the last state the loss reads from, at ``last``, becomes
    rate       carried(t) / carried(t+1), the geometric mean over all steps
    slopes     φ′ of the nonlinear units in a step by kind, (steps, 2): mean and largest
    weights    matrices that the state is multiplied by
    norms      with ``jacobians=True``: ‖∂h(τ)/∂h(t)‖, the largest singular value, exact
    """

    step: np.ndarray
    gradient: np.ndarray
    parts: dict[str, np.ndarray]
    carried: np.ndarray
    last: int
    rate: float
    slopes: dict[str, np.ndarray]
    weights: list[Weight]
    norms: np.ndarray | None
    states: States = field(repr=False)

    def __len__(self) -> int:
        return len(self.step)

    # -- any pair -------------------------------------------------------------------------------------------------
    def jacobian(self, t: int, k: int) -> np.ndarray:
        """∂h(t)/∂h(k) for each row of the batch, (B, n, n): by n backward walks, exact. Tensors of a state are joined.

        t and k are entries of ``step``. Where rows of the batch depend on one another, B is 1 and n counts them all.
        """
        later, earlier = self._at(t), self._at(k)
        if later < earlier:
            raise DataError(f"h({t}) comes before h({k}), so ∂h({t})/∂h({k}) is 0: ask for jacobian({k}, {t})")
        return jacobians(self.states.tape, self.states.cuts[later], [self.states.cuts[earlier]])[0]

    def singular_values(self, t: int, k: int) -> np.ndarray:
        """Those of ∂h(t)/∂h(k), largest first, (B, n)."""
        return np.linalg.svd(_finite(self.jacobian(t, k)), compute_uv=False)

    def norm(self, t: int, k: int) -> float:
        """‖∂h(t)/∂h(k)‖, the largest singular value of any row of the batch."""
        return float(self.singular_values(t, k).max())

    def spectral_radius(self, t: int, k: int) -> float:
        """The largest |eigenvalue| of ∂h(t)/∂h(k) in any row of the batch."""
        J = _finite(self.jacobian(t, k))
        if J.shape[1] != J.shape[2]:
            raise DataError(f"h({t}) and h({k}) differ in size, so ∂h({t})/∂h({k}) has no eigenvalues: take norm")
        return float(np.abs(np.linalg.eigvals(J)).max())

    def _at(self, t: int) -> int:
        places = np.flatnonzero(self.step == t)
        if not len(places):
            raise DataError(f"no state at {t}; there are states at {self.states.what} = {_span(self.step)}")
        return int(places[0])

    # -- in words -------------------------------------------------------------------------------------------------
    @property
    def half_life(self) -> float:
        """Steps after which half of the gradient is gone (negative: after which it has doubled)."""
        return -log(2) / log(self.rate) if 0 < self.rate < inf and self.rate != 1 else (0.0 if self.rate == 0 else inf)

    @property
    def verdict(self) -> str:
        """vanishes, explodes or healthy, with the rate a step and the half-life in steps."""
        steps, start, end = self.last, self.carried[self.last], self.carried[0]
        if not steps:
            return "one state: there is no way for a gradient to go"
        way = f"over {steps:,} step{'s' if steps > 1 else ''}"
        if not isfinite(end) or not isfinite(start):
            bad = int(np.flatnonzero(~np.isfinite(self.carried[: self.last + 1]))[-1])
            return (
                f"explodes: no longer finite {self.last - bad:,} steps back, at {self.states.what} = {self.step[bad]}"
            )
        if end == 0:
            gone = int(np.flatnonzero(self.carried[: self.last + 1] == 0)[-1])
            return f"vanishes: exactly 0 from {self.last - gone:,} steps back, {self.states.what} = {self.step[gone]}"
        factor, pace = end / start, f"×{self.rate:.4g} a step"
        peak = int(self.carried[: self.last + 1].argmax())
        hump = self.carried[peak] / max(start, end)
        first = f" (first it grows {hump:.2g}-fold, in {self.last - peak} steps)" if hump > 2 else ""
        if factor < VANISHED:
            return f"vanishes: {way} {factor:.2g} of it is left, {pace}, half-life {self.half_life:.2g} steps{first}"
        if factor > EXPLODED:
            return f"explodes: {way} it grows {factor:.2g}-fold, {pace}, doubling in {-self.half_life:.2g} steps"
        how = f"half-life {self.half_life:.3g} steps" if factor < 1 else f"doubling in {-self.half_life:.3g} steps"
        return f"healthy: {way} {factor:.2g} of it is left, {pace}, {how if factor != 1 else 'for ever'}{first}"

    # -- as a table -----------------------------------------------------------------------------------------------
    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, last state first, its middle left out where it is long."""
        return elided(len(self), lambda i: self._row(len(self) - 1 - i))

    def _row(self, i: int) -> tuple[str, ...]:
        parts = [norms[i] for norms in self.parts.values()]
        cells = [str(self.step[i]), *(f"{x:.4e}" for x in parts)]
        cells.append(f"{self.carried[i]:.4e}" if i <= self.last else "")
        before = self.carried[i + 1] if i < self.last else 0.0
        cells.append(f"{self.carried[i] / before:.4f}" if before and isfinite(before) else "")
        cells += [f"{pair[i, 0]:.4f}" if i < len(pair) else "" for pair in self.slopes.values()]
        if self.norms is not None:
            cells.append(f"{self.norms[i]:.4e}" if i <= self.last else "")
        return tuple(cells)

    def _head(self) -> tuple[str, ...]:
        t = self.states.what
        last = self.step[self.last]
        name = self.states.name()
        return (
            t,
            *(f"‖∂L/∂{part}({t[0]})‖" for part in self.parts),
            f"‖carried from {last}‖",
            "× a step",
            *(f"mean {kind}" for kind in self.slopes),
            *([f"‖∂{name}({last})/∂{name}({t[0]})‖"] if self.norms is not None else []),
        )

    def _foot(self) -> str:
        terms = [
            f"σ_max({w.name}) = {w.sigma_max:.4g}"
            + (f", ρ({w.name}) = {w.radius:.4g}" if isfinite(w.radius) and w.radius != w.sigma_max else "")
            for w in self.weights
        ]
        return "\n".join(filter(None, ["; ".join(terms), self.verdict]))

    def __str__(self) -> str:
        return as_text(self._head(), self.rows(), self._foot())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._head(), self.rows(), self._foot())

    def plot(self, path: str | os.PathLike[str], *, title: str = "") -> Path:
        """Draw the norms on a log axis over t, and below them the factors of each step; returns the path."""
        return display.plot("flow_plots.gradient_flow_plot", self, path, title=title)


@advised
def gradient_flow(loss: Tensor, states: Any, *, leaf: int | None = None, jacobians: bool = False) -> GradientFlow:
    """How the gradient of a loss flows back through the states of a net; printed, a table and a verdict.

    loss        a scalar
    states      what ``ts.unfold`` returned; or a list with the state of each step, [h0, h1, …], from a plain loop; or
                outputs stacked from such. Of a tree: the states on the way from a leaf to the root
    leaf        which leaf of a tree (by default the deepest)
    jacobians   also ‖∂h(τ)/∂h(t)‖ for all t exactly, by as many backward walks as the state has numbers

    Any cell will do, on any executor; gradients that ``backward`` has set stay as they are. A state (h, s) counts as
    one vector: ∂L/∂s(t) is then without the way from s(t) through h(t), which ``s.grad`` includes. Where the loss reads
    every step, ∂L/∂h(t) is a sum over all later losses and hides what vanishes; ``carried`` is not.

    Raises GradientError where the loss depends on none of the states, DataError for states that are none.
    """
    if not isinstance(loss, Tensor) or loss.shape:
        shape = f" of shape {loss.shape}" if isinstance(loss, Tensor) else ""
        raise GradientError(f"gradient_flow needs a scalar loss, got {type(loss).__name__}{shape}; write ts.sum(loss)")
    loss._settled()
    found = states_of(states, leaf)
    if found.tape is not loss.tape:
        raise TapeError(
            "the loss and the states are on two tapes; gradients flow through one graph: record both on one tape"
        )
    tape, cuts = found.tape, found.cuts
    grads = pullback(tape, {loss.index: np.ones((), loss.dtype)}, cuts)
    sizes = np.array([[_norm([g]) for g in parts] for parts in grads])
    read = np.flatnonzero(np.any(sizes != 0, axis=1))
    if not len(read):
        raise GradientError("the loss depends on none of these states, or its gradient by each of them is exactly 0")
    last = int(read[-1])
    carried = np.zeros(len(cuts))
    for i, parts in enumerate(pullback(tape, dict(zip(cuts[last], grads[last], strict=True)), cuts[: last + 1])):
        carried[i] = _norm(parts)
    names = [tape.node(i).name or f"h{n or ''}" for n, i in enumerate(cuts[-1])]
    if len(set(names)) < len(names):
        names = [f"{name}{n}" for n, name in enumerate(names)]
    slope, matrices = _factors(found)
    return GradientFlow(
        step=found.steps,
        gradient=np.array([_norm(parts) for parts in grads]),
        parts=dict(zip(names, sizes.T, strict=True)),
        carried=carried,
        last=last,
        rate=_rate(carried[: last + 1]),
        slopes=slope,
        weights=matrices,
        norms=_norms(found, last) if jacobians else None,
        states=found,
    )


def _rate(carried: np.ndarray) -> float:
    """The geometric mean of the factors, over the steps in which the gradient is finite and not 0."""
    usable = np.flatnonzero(np.isfinite(carried) & (carried > 0))
    first, last = int(usable[0]) if len(usable) else 0, len(carried) - 1
    if first == last or not (isfinite(carried[last]) and carried[last] > 0):
        return 1.0 if last == 0 else (0.0 if carried[0] == 0 else inf)
    return exp((log(carried[first]) - log(carried[last])) / (last - first))


def _factors(found: States) -> tuple[dict[str, np.ndarray], list[Weight]]:
    tape, cuts = found.tape, found.cuts
    slope: dict[str, np.ndarray] = {}
    nodes: list[int] = []
    for i in range(len(cuts) - 1):
        nodes = between(tape, cuts[i], cuts[i + 1])
        for kind, pair in slopes(tape, nodes).items():
            slope.setdefault(kind, np.full((len(cuts) - 1, 2), np.nan))[i] = pair
    return slope, weights(tape, nodes, cuts[-2]) if nodes else []


def _norms(found: States, last: int) -> np.ndarray:
    norms = np.full(len(found.cuts), np.nan)
    for i, J in enumerate(jacobians(found.tape, found.cuts[last], found.cuts[: last + 1])):
        norms[i] = np.linalg.svd(J, compute_uv=False).max() if np.isfinite(J).all() else np.nan
    return norms


def _norm(parts: list[np.ndarray]) -> float:
    """‖·‖ of several arrays together in float64, without overflow."""
    largest = max((float(np.abs(p).max(initial=0.0)) for p in parts), default=0.0)
    if largest == 0 or not isfinite(largest):
        return largest
    return largest * float(np.sqrt(sum(np.square(p / largest, dtype=np.float64).sum() for p in parts)))


def _finite(J: np.ndarray) -> np.ndarray:
    if not np.isfinite(J).all():
        raise GradientError("this Jacobian is not finite; ts.diagnose.find_nonfinite(tape) says where that begins")
    return J


def _span(step: np.ndarray) -> str:
    return f"{step.min()} to {step.max()}" if len(step) == np.ptp(step) + 1 else ", ".join(map(str, step[:20].tolist()))
