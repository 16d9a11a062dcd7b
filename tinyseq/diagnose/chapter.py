"""The computations behind the chapter's two plots, run on tapes: figures 10.15 and 10.17."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator
from tinyseq.structure.chain import Chain
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold


@dataclass(frozen=True)
class Compositions:
    """Figure 10.15: along a line through a space of states, one projection of h(t), t = 0 … T.

    coordinate   of the initial state along a random direction, (n,)
    projection   pᵀ h(t), (T + 1, n)
    slope        its derivative by the coordinate, by a backward pass through the same tape, (T + 1, n)
    """

    coordinate: np.ndarray
    projection: np.ndarray
    slope: np.ndarray

    @property
    def alternations(self) -> list[int]:
        """How often each curve turns between rising and falling."""
        return [int((np.diff(np.sign(row)) != 0).sum()) for row in self.slope]

    @property
    def flat(self) -> list[float]:
        """The part of each curve whose slope is below a hundredth of its largest."""
        return [float((np.abs(row) < 0.01 * np.abs(row).max()).mean()) for row in self.slope]


def compositions(
    rng: np.random.Generator,
    *,
    units: int = 100,
    steps: int = 5,
    reach: float = 50.0,
    points: int = 2001,
    gain: float,
    bias: float,
) -> Compositions:
    """h(t) = tanh(b + W h(t−1)) from h(0) = c u, c from −reach to reach, u a random unit vector.

    W ~ N(0, gain²/units), b ~ N(0, bias²).
    """
    rng = generator(rng)
    W = Parameter(rng.normal(0, gain / np.sqrt(units), (units, units)), "W")
    b = Parameter(rng.normal(0, bias, units), "b")
    u, p = (v / np.linalg.norm(v) for v in rng.standard_normal((2, units)))
    c = np.linspace(-reach, reach, points)
    start = Parameter(c[:, None], "c")

    def step(h: Tensor) -> tuple[Tensor, Tensor]:
        h = F.tanh(b + F.linear(h, W)).named("h")
        return h, h

    with Tape():
        h0 = F.matmul(start, u[None]).named("h")
        net = unfold(step, Chain(steps), (), h0)
        seen = [F.matmul(h, p[:, None]) for h in (h0, *(net.state(t) for t in range(steps)))]
        projection, slope = [], []
        for y in seen:
            F.sum(y).backward()
            assert start.grad is not None
            projection.append(y.value[:, 0].copy())
            slope.append(start.grad[:, 0].copy())
    return Compositions(c, np.array(projection), np.array(slope))


@dataclass(frozen=True)
class Descent:
    """One run of gradient descent on J(w, b): the places (steps + 1, 2), J and ‖∇J‖ at each."""

    place: np.ndarray
    loss: np.ndarray
    norm: np.ndarray


@dataclass(frozen=True)
class Cliff:
    """Figure 10.17: J(w, b) of a recurrent net on a grid, and descents without and with clipping.

    w, b       (n,), (m,)
    surface    J, (m, n): rows are b
    """

    w: np.ndarray
    b: np.ndarray
    surface: np.ndarray
    without: Descent
    clipped: Descent
    limit: float
    rate: float


class OneUnit:
    """h(t) = σ(w h(t−1) + b) for T steps from h(0); J = (h(T) − target)². A row of w and b is one net."""

    def __init__(self, steps: int, start: float, target: float) -> None:
        self.steps, self.start, self.target = steps, start, target

    def __call__(self, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """J, ∂J/∂w, ∂J/∂b at each of n places, on one tape."""
        W, B = Parameter(np.asarray(w, np.float64), "w"), Parameter(np.asarray(b, np.float64), "b")

        def step(h: Tensor) -> tuple[Tensor, Tensor]:
            h = F.sigmoid(W * h + B).named("h")
            return h, h

        with Tape():
            net = unfold(step, Chain(self.steps), (), np.full(W.shape, self.start))
            losses = F.squared_error(net.final, np.full(W.shape, self.target))
            F.sum(losses).backward()
            assert W.grad is not None and B.grad is not None
            return losses.value.copy(), W.grad, B.grad


def descend(
    J: OneUnit, place: tuple[float, float], rate: float, steps: int, limit: float | None = None, floor: float = 0.0
) -> Descent:
    """Gradient descent; with ``limit`` the gradient is clipped by its norm (10.48, 10.49). Stops where J < floor."""
    here, places, losses, norms = np.array(place), [], [], []
    for _ in range(steps + 1):
        loss, dw, db = J(here[:1], here[1:])
        g = np.array([dw[0], db[0]])
        norm = float(np.hypot(*g))
        places.append(here.copy())
        losses.append(float(loss[0]))
        norms.append(norm)
        if losses[-1] < floor:
            break
        if limit is not None and norm > limit:
            g *= limit / norm
        here = here - rate * g
    return Descent(np.array(places), np.array(losses), np.array(norms))


def cliff(
    *,
    steps: int = 50,
    place: tuple[float, float],
    rate: float,
    limit: float,
    updates: int,
    w: tuple[float, float],
    b: tuple[float, float],
    points: int = 121,
) -> Cliff:
    """The surface of one sigmoid unit unfolded over ``steps``, and the two descents from one place."""
    J = OneUnit(steps, start=0.5, target=0.7)
    ws, bs = np.linspace(*w, points), np.linspace(*b, points)
    W, B = np.meshgrid(ws, bs)
    losses, _, _ = J(W.ravel(), B.ravel())
    found: dict[str, Any] = {
        name: descend(J, place, rate, updates, bound) for name, bound in (("without", None), ("clipped", limit))
    }
    return Cliff(ws, bs, losses.reshape(W.shape), limit=limit, rate=rate, **found)
