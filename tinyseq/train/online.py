"""Online gradients cheaper than RTRL: unbiased noise of rank one (UORO), and a part of the paths (SnAp-1 and more)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.errors import TinyseqError
from tinyseq.habits import advised
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.rtrl import RTRL


@advised
class SparseRTRL(RTRL):
    """RTRL that carries the influence along a part of the paths from state to state.

        P(t) = (M ⊙ ∂s(t)/∂s(t−1)) P(t−1) + ∂s(t)/∂θ

    M is 1 on the diagonal and, drawn once from ``rng``, on a share ``paths`` of all other elements. With 0 it is SnAp-1
    of a dense net (Menick et al. 2021): of each parameter only the influence on the numbers of the state that it enters
    directly is kept, carried on by the diagonal. With 1 it is RTRL.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        parameters: Sequence[Parameter],
        state: Any,
        *,
        paths: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(step, parameters, state)
        if not 0 <= paths <= 1:
            raise TinyseqError(f"paths is the share of the paths that are kept, from 0 to 1; got {paths}")
        size = len(self.influence)
        kept = np.zeros((size, size), bool)
        if paths:
            kept = generator(rng).random((size, size)) < paths  # type: ignore[arg-type]
        self.kept = kept | np.eye(size, dtype=bool)

    def carry(self, jacobian: np.ndarray, direct: np.ndarray) -> None:
        """Set P(t)."""
        self.influence = np.where(self.kept, jacobian, 0.0) @ self.influence + direct


@advised
class UORO(RTRL):
    """Unbiased online recurrent optimisation (Tallec and Ollivier 2018): P(t) as one product of two vectors.

        s̃(t) = ρ₀ ∂s(t)/∂s(t−1) s̃(t−1) + ρ₁ ν,   θ̃(t) = θ̃(t−1)/ρ₀ + νᵀ ∂s(t)/∂θ/ρ₁,   E[s̃ θ̃ᵀ] = P

    ν is ±1, drawn from ``rng`` at each step; ρ₀ = √(‖θ̃‖/‖∂s s̃‖) and ρ₁ = √(‖νᵀ∂θ‖/‖ν‖) keep both vectors of one size.
    The gradient is noise around that of RTRL, whose mean it is; two vectors are all that it must keep.
    (For teaching: as in RTRL the Jacobian is made row by row, and P is written out.)
    """

    def __init__(
        self, step: Callable[..., Any], parameters: Sequence[Parameter], state: Any, *, rng: np.random.Generator
    ) -> None:
        super().__init__(step, parameters, state)
        self.rng = generator(rng)
        self.of_state, self.of_parameters = np.zeros(len(self.influence)), np.zeros(self.influence.shape[1])

    def restart(self, state: Sequence[np.ndarray]) -> None:
        """Begin anew at a state."""
        super().restart(state)
        self.of_state[:] = 0
        self.of_parameters[:] = 0

    def carry(self, jacobian: np.ndarray, direct: np.ndarray) -> None:
        """Set s̃(t) and θ̃(t), and P(t) to their product."""
        nu = self.rng.choice([-1.0, 1.0], len(jacobian))
        forward, back = jacobian @ self.of_state, nu @ direct
        rho_0 = _ratio(self.of_parameters, forward)
        rho_1 = _ratio(back, nu)
        self.of_state = rho_0 * forward + rho_1 * nu
        self.of_parameters = self.of_parameters / rho_0 + back / rho_1
        self.influence = np.outer(self.of_state, self.of_parameters)


def _ratio(over: np.ndarray, under: np.ndarray) -> float:
    """√(‖over‖/‖under‖), 1 where one of them is nothing."""
    above, below = float(np.linalg.norm(over)), float(np.linalg.norm(under))
    return (above / below) ** 0.5 if above > 0 and below > 0 else 1.0
