"""Units on several time scales, section 10.9: leaky units, skip connections through time, removed connections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import plain
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.cells import Affine, RecurrentCell
from tinyseq.nn.module import uniform
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter

Terms = dict[str, Tensor] | None


@advised
def time_constants(alpha: Any) -> np.ndarray:
    """τ = −1/ln α, the steps in which a leaky unit forgets all but 1/e of its past."""
    return -1 / np.log(_between(alpha))


@advised
def decays(tau: Any) -> np.ndarray:
    """α = e^(−1/τ), the inverse of ``time_constants``. A spectrum: ``decays(np.geomspace(1, 100, hidden))``."""
    tau = plain(tau, "τ", np.float64)
    if not (tau > 0).all() or not np.isfinite(tau).all():
        raise TinyseqError(f"time constants are finite numbers of steps above 0, got {tau}")
    return np.exp(-1 / tau)


def _between(alpha: Any) -> np.ndarray:
    given = plain(alpha, "α", np.float64)
    if not ((given > 0) & (given < 1)).all():
        raise TinyseqError(f"alpha lies between 0 (no memory) and 1 (no input), both excluded; got {alpha}")
    return given


class LeakyCell(RecurrentCell):
    """Leaky units, section 10.9.2: each is a running average of what a tanh unit would be.

        h(t) = α ⊙ h(t−1) + (1 − α) ⊙ tanh(b + W h(t−1) + U x(t))

    A pulse leaves (1 − α)αᵏ of itself after k steps, with the time constant −1/ln α. ``alpha`` is a number for all
    units or an array (hidden), one for each: a spectrum of time scales (``decays``). With ``learn_alpha`` it is where
    α = σ(λ) starts, λ being a parameter for each unit. The state is h (B, hidden).
    """

    name = "leaky"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        alpha: Any = 0.9,
        learn_alpha: bool = False,
        dtype: Any = np.float32,
        context_size: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        start = _between(alpha)
        if start.shape not in ((), (hidden_size,)):
            raise ShapeError(
                f"alpha is one number, or one for each of the {hidden_size} units; got an array {start.shape}"
            )
        self.a = Affine("", input_size, hidden_size, context_size, rng, dtype)
        self.fixed: Any = float(start) if start.ndim == 0 else start.astype(self.dtype)
        self.logit: Parameter | None = None
        if learn_alpha:
            self.logit = Parameter(np.broadcast_to(np.log(start / (1 - start)), (hidden_size,)).astype(dtype), "λ")

    @property
    def alpha(self) -> np.ndarray:
        """α of each unit as it is now, (hidden)."""
        if self.logit is None:
            return np.broadcast_to(self.fixed, (self.hidden_size,)).astype(np.float64)
        return 1 / (1 + np.exp(-self.logit.value.astype(np.float64)))

    def step(self, x: Tensor, h: Tensor, terms: Terms = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) (B, hidden) → h(t), h(t)."""
        alpha = self.fixed
        if self.logit is not None:
            alpha = F.sigmoid(F.expand(self.logit, h.shape))
        elif not isinstance(alpha, float):
            alpha = F.expand(tensor(alpha, "α"), h.shape)
        new = F.tanh(self.a(x, h, terms["a"] if terms else None).named("a"))
        h = (alpha * h + (1 - alpha) * new).named(self.symbol)
        return h, h


class SkipCell(RecurrentCell):
    """Skip connections through time, section 10.9.1: edges of any delays d into the hidden units.

        h(t) = tanh(b + Σ_d W_d h(t−d) + U x(t))

    Over τ steps the gradient passes only τ/d units where d is the longest delay (Bengio 1991, Lin et al. 1996). Without
    1 among the ``delays`` the edges of length one are removed, section 10.9.3: the past is reached in long steps only.

    The state is the delay line (h(t−1), …, h(t−D)), D the greatest delay, each (B, hidden); it is handed on without a
    node on the tape, so that the graph is the one ``ts.unfold(…, delays=delays)`` stamps. W_d is (hidden, hidden).
    """

    name = "skip"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        delays: Sequence[int] = (1, 10),
        dtype: Any = np.float32,
        context_size: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        self.delays = whole_numbers("delays", delays)
        fan_in = hidden_size * len(self.delays)
        self.a = Affine("", input_size, hidden_size, context_size, rng, dtype, W={
            d: Parameter(uniform(rng, (hidden_size, hidden_size), fan_in, dtype), f"W_{d}") for d in self.delays
        })  # fmt: skip

    def step(self, x: Tensor, line: tuple[Tensor, ...], terms: Terms = None) -> tuple[tuple[Tensor, ...], Tensor]:
        """x(t) (B, input) or tokens (B), (h(t−1), …, h(t−D)) → (h(t), …, h(t−D+1)), h(t)."""
        first, *others = self.delays
        a = self.a.b + F.linear(line[first - 1], self.a.W[first])
        for d in others:
            a = a + F.linear(line[d - 1], self.a.W[d])
        a = a + self.a.of_input(x)
        a = (a if not terms else a + terms["a"]).named("a")
        h = F.tanh(a).named(self.symbol)
        return (h, *line[:-1]), h

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, ...]:
        """The delay line before the first step: zeros, or ``h`` in place of h(0) and all before it."""
        return (self.zeros(batch) if h is None else h,) * self.delays[-1]

    def hidden(self, state: Any) -> Tensor:
        """h, the newest of the line."""
        return state[0]


class ClockworkCell(RecurrentCell):
    """Groups of units that tick with periods, section 10.9.3: the clockwork RNN (Koutník et al. 2014).

        h_i(t) = tanh(b_i + Σ_{j ≥ i} W_ij h_j(t−1) + U_i x(t))    where t mod T_i = 0,    else h_i(t−1)

    The units form a group of equal size for each of the ``periods``, given in rising order; a group reads those that
    are as slow as itself or slower, so that W is block upper triangular: the connections from faster groups to
    slower ones are removed, they have no weights. t is counted from 0, where every group reads its first input.

    The state is (h, clock), each (B, hidden); clock counts the steps since a unit ticked. ``W_1`` …: row i of the
    blocks, (units of a group, units from group i on). ``matrix`` puts them together.
    """

    name = "clockwork"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        periods: Sequence[int] = (1, 2, 4, 8),
        dtype: Any = np.float32,
        context_size: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, context_size)
        self.periods = whole_numbers("periods", periods)
        size, rest = divmod(hidden_size, len(self.periods))
        if rest:
            raise ShapeError(
                f"{len(self.periods)} groups of equal size need a hidden_size that is a multiple of "
                f"{len(self.periods)}, got {hidden_size}"
            )
        self.starts = range(0, hidden_size, size)
        rows = [
            Parameter(uniform(rng, (size, hidden_size - start), hidden_size - start, dtype), f"W_{period}")
            for period, start in zip(self.periods, self.starts, strict=True)
        ]
        self.a = Affine("", input_size, hidden_size, context_size, rng, dtype, W=rows)
        self.period_of_unit = np.repeat(self.periods, size).astype(self.dtype)

    def matrix(self) -> np.ndarray:
        """W (hidden, hidden), zero where connections are removed."""
        W = np.zeros((self.hidden_size, self.hidden_size), self.dtype)
        for row, start in zip(self.a.W, self.starts, strict=True):
            W[start : start + len(row.value), start:] = row.value
        return W

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], terms: Terms = None) -> tuple[Any, Tensor]:
        """x(t) (B, input) or tokens (B), (h(t−1), clock) → (h(t), clock), h(t)."""
        h, clock = state
        rows = [
            F.linear(h if start == 0 else F.slice_axis(h, start, self.hidden_size), W)
            for start, W in zip(self.starts, self.a.W, strict=True)
        ]
        a = self.a.b + (rows[0] if len(rows) == 1 else F.concatenate(rows)) + self.a.of_input(x)
        a = (a if not terms else a + terms["a"]).named("a")
        h = F.where(clock, h, F.tanh(a)).named(self.symbol)
        later = clock + 1.0
        clock = (later * F.greater(tensor(self.period_of_unit, "T"), later)).named("clock")
        return (h, clock), h

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(h(0), clock): zeros, or ``h`` in place of h(0); every group ticks at the first step."""
        return self.zeros(batch) if h is None else h, self.zeros(batch)

    def hidden(self, state: Any) -> Tensor:
        """h of (h, clock)."""
        return state[0]


def whole_numbers(what: str, given: Any) -> tuple[int, ...]:
    """Check a set of delays or periods: whole numbers of at least 1 in rising order, each once."""
    numbers = tuple(given) if isinstance(given, (tuple, list, range, np.ndarray)) else ()
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in numbers)
    if not numbers or not whole or any(a >= b for a, b in pairwise(numbers)):
        raise TinyseqError(f"{what} are whole numbers of at least 1 in rising order, such as (1, 2, 4); got {given!r}")
    return tuple(int(n) for n in numbers)
