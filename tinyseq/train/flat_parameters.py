"""All parameters as one vector, so that an optimiser's step is one kernel over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.tensor.parameter import Parameter


class Flat:
    """Parameters' values moved into one vector; each ``parameter.value`` is then a view of its part.

    ``values`` holds them one after the other, ``grads`` is where ``gather`` collects their gradients.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = list(parameters)
        ends = np.cumsum([p.value.size for p in self.parameters])
        self.parts = [slice(int(end) - p.value.size, int(end)) for end, p in zip(ends, self.parameters, strict=True)]
        self.values = np.concatenate([p.value.reshape(-1) for p in self.parameters])
        self.grads = np.zeros_like(self.values)
        self.views = self.split(self.values)
        for parameter, view in zip(self.parameters, self.views, strict=True):
            parameter.live_in(view)

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """Views of a vector in the shapes of the parameters."""
        return [vector[part].reshape(p.shape) for part, p in zip(self.parts, self.parameters, strict=True)]

    def whole(self) -> bool:
        """Whether every parameter still lies in the vector, has a gradient and is to be trained."""
        return all(
            p.value is view and p.grad is not None and p.trainable
            for p, view in zip(self.parameters, self.views, strict=True)
        )

    def gather(self) -> np.ndarray:
        """The gradients as one vector."""
        for part, p in zip(self.parts, self.parameters, strict=True):
            assert p.grad is not None
            self.grads[part] = p.grad.reshape(-1)
        return self.grads
