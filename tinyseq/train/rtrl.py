"""Real-time recurrent learning (Williams and Zipser 1989): the gradient carried forward in time, beside the state.

    P(t) = ∂s(t)/∂s(t−1) · P(t−1) + ∂s(t)/∂θ,   P(0) = 0
    ∂L/∂θ = Σ_t  ∂L(t)/∂s(t−1) · P(t−1) + ∂L(t)/∂θ

P is the influence matrix, (numbers of the state) × (numbers of θ). Nothing of the past is kept, so memory does not grow
with T, but for a net of H units it grows as H³ and the time of a step as H⁴: for teaching, and for small nets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.functions import sum as total_of
from tinyseq.habits import advised
from tinyseq.replay.compiling import compile
from tinyseq.replay.segments import leaves, links
from tinyseq.tensor.nesting import flatten, matched, rebuild
from tinyseq.tensor.parameter import Parameter


@advised
class RTRL:
    """Online gradients of ``step(*x_t, state) -> (state, L(t))``, the same as those of back-propagation.

    ``advance(*x_t)`` runs one step and returns L(t); ``gradients()`` is ∂/∂θ of all losses so far, one array for each
    parameter; ``publish()`` sets them on the parameters.
    """

    def __init__(self, step: Callable[..., Any], parameters: Sequence[Parameter], state: Any) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise TinyseqError("no parameters to differentiate by: give RTRL cell.parameters()")
        self.links = links(state)
        if not self.links:
            raise TinyseqError("RTRL carries a state: give it arrays, e.g. np.zeros((B, H))")
        tree = state
        count = sum(p.value.size for p in self.parameters)
        self.influence = np.zeros((sum(s.value.size for s in self.links), count))
        self.total = np.zeros(count)

        def loss(*inputs: Any) -> Any:
            new, out = step(*inputs, rebuild(tree, self.links))
            return out, matched(new, tree, "the state a step returns")

        def seeded(*inputs_and_seeds: Any) -> Any:
            *inputs, seeds = inputs_and_seeds
            new, _ = step(*inputs, rebuild(tree, self.links))
            ends = flatten(matched(new, tree, "the state a step returns"))
            terms = [total_of(leaf * seed) for leaf, seed in zip(ends, seeds, strict=True)]
            result = terms[0]
            for term in terms[1:]:
                result = result + term
            return result

        self._loss, self._seeded = compile(loss), compile(seeded)

    @property
    def bytes(self) -> int:
        """Bytes of the influence matrix and of one step's Jacobian."""
        return int(self.influence.nbytes + 8 * len(self.influence) ** 2)

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays of the state now."""
        return [s.value for s in self.links]

    def advance(self, *inputs: np.ndarray) -> float:
        """One step: the loss, its gradient added up, the influence carried on."""
        out, new = self._loss.backward(*inputs)
        self.total += _flat(self.parameters) + _flat(self.links) @ self.influence
        jacobian = np.empty((len(self.influence), len(self.influence)))
        direct = np.empty_like(self.influence)
        for row in range(len(jacobian)):
            self._seeded.backward(*inputs, self._seeds(row))
            jacobian[row], direct[row] = _flat(self.links), _flat(self.parameters)
        self.carry(jacobian, direct)
        for link, value in zip(self.links, leaves(new), strict=True):
            link.value = value
        return float(out)

    def carry(self, jacobian: np.ndarray, direct: np.ndarray) -> None:
        """Set P(t)."""
        self.influence = jacobian @ self.influence + direct

    def _seeds(self, row: int) -> tuple[np.ndarray, ...]:
        flat, seeds, start = np.zeros(len(self.influence)), [], 0
        flat[row] = 1.0
        for s in self.links:
            seeds.append(flat[start : start + s.value.size].reshape(s.shape).astype(s.dtype))
            start += s.value.size
        return tuple(seeds)

    def gradients(self) -> list[np.ndarray]:
        """∂/∂θ of the sum of all losses so far."""
        cuts = np.cumsum([p.value.size for p in self.parameters])[:-1]
        pairs = zip(self.parameters, np.split(self.total, cuts), strict=True)
        return [part.reshape(p.shape).astype(p.dtype) for p, part in pairs]

    def restart(self, state: Sequence[np.ndarray]) -> None:
        """Begin anew at a state, its arrays: nothing is known of the past, and no gradient added up."""
        for link, value in zip(self.links, state, strict=True):
            link.value = value
        self.influence = np.zeros_like(self.influence)
        self.total[:] = 0

    def publish(self) -> None:
        """Set the gradients on the parameters, for an optimiser; the sum starts anew, the influence stays."""
        for p, grad in zip(self.parameters, self.gradients(), strict=True):
            p.grad = grad
        self.total[:] = 0


def _flat(parameters: Sequence[Parameter]) -> np.ndarray:
    return np.concatenate([np.zeros(p.value.size) if p.grad is None else p.grad.reshape(-1) for p in parameters])
