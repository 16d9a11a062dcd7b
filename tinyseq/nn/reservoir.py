"""The reservoir of section 10.8: a recurrent cell whose weights are drawn once and never learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, plain, positive
from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.functions.sparse import Sparsity
from tinyseq.habits import advised
from tinyseq.nn.module import Cell
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

SPARSE_UP_TO = 0.2
"""Share of nonzero weights up to which a sparse product was the faster one (float64, 100 to 1000 units)."""
DENSE_EIGENVALUES = 400
RADIUS = 0.9
ACTIVATIONS = ("tanh", "linear")


class Reservoir(Cell):
    """h(t) = (1 − α) h(t−1) + γ tanh(b + W h(t−1) + U x(t) + R y(t−1) + ν(t))

    (Jaeger 2001, with γ = C and α = C a; Lukoševičius and Jaeger 2009 have γ = α.) W, U, b and R are fixed parameters:
    no gradient reaches them, no optimiser changes them.

    leak             α in (0, 1]; 1, the default, keeps nothing of h(t−1)
    gain             γ; by default α
    spectral_radius  the largest |eigenvalue| of W, exactly; 0.9 for a W that is drawn here
    density          share of the elements of W that are not 0, at places drawn by chance; up to a fifth, W is kept and
                     multiplied as a sparse matrix
    input_scaling    U ~ U[−s, s], one s or one for each input; ``input_density`` as ``density``
    bias_scaling     b ~ U[−s, s]; 0: no bias
    feedback_size    outputs y that are fed back, R ~ U[−s, s] with s = ``feedback_scaling``; 0: none
    activation       "tanh", or "linear" for the theory
    W, U, b, R       given instead of drawn: arrays, W also of scipy.sparse; W is scaled if ``spectral_radius`` is given
    """

    name = "reservoir"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        spectral_radius: float | None = None,
        density: float = 0.1,
        leak: float = 1.0,
        gain: float | None = None,
        input_scaling: Any = 1.0,
        input_density: float = 1.0,
        bias_scaling: float = 0.0,
        feedback_size: int = 0,
        feedback_scaling: float = 1.0,
        activation: str = "tanh",
        W: Any = None,
        U: Any = None,
        b: Any = None,
        R: Any = None,
    ) -> None:
        positive(hidden_size=hidden_size, **({"input_size": input_size} if input_size else {}))
        if not input_size and not feedback_size:
            raise TinyseqError("nothing would drive this reservoir: give it an input_size or a feedback_size")
        self.input_size, self.hidden_size, self.feedback_size = int(input_size), int(hidden_size), int(feedback_size)
        self.dtype, self.activation = np.dtype(dtype), activation
        if activation not in ACTIVATIONS:
            raise TinyseqError(f"activation is 'tanh' or 'linear', got {activation!r}")
        if not 0 < leak <= 1:
            raise TinyseqError(f"the leak α lies above 0 and is at most 1 (nothing kept of h(t−1)), got {leak}")
        self.leak, self.gain = float(leak), float(leak if gain is None else gain)
        n, rng = self.hidden_size, generator(rng)
        radius = RADIUS if spectral_radius is None and W is None else spectral_radius
        drawn = _drawn(rng, (n, n), density, "density", normal=True) if W is None else W
        self.places, values = self._recurrent(drawn, radius)
        self.W = self._fixed("W", values)
        self.U = self.b = self.R = None
        if self.input_size:
            scale = np.broadcast_to(plain(input_scaling, "input_scaling", float), (self.input_size,))
            U = _drawn(rng, (n, self.input_size), input_density, "input_density") * scale if U is None else U
            self.U = self._fixed("U", U, (n, self.input_size))
        if bias_scaling or b is not None:
            self.b = self._fixed("b", rng.uniform(-1, 1, n) * bias_scaling if b is None else b, (n,))
        if self.feedback_size:
            shape = (n, self.feedback_size)
            self.R = self._fixed("R", rng.uniform(-1, 1, shape) * feedback_scaling if R is None else R, shape)

    def _recurrent(self, W: Any, radius: float | None) -> tuple[Sparsity | None, np.ndarray]:
        """W scaled to its spectral radius: the places of its elements and these, or None and the matrix."""
        places, values = Sparsity.of(W)
        if places.shape != (self.hidden_size, self.hidden_size):
            raise ShapeError(f"W is (hidden, hidden) = ({self.hidden_size}, {self.hidden_size}), got {places.shape}")
        if radius is not None:
            if not 0 <= radius < np.inf:
                raise TinyseqError(f"the spectral radius is a finite number of at least 0, got {radius}")
            own = spectral_radius(places.dense(values))
            if own < 1e-9 * max(float(np.abs(values).max(initial=0.0)), 1e-300):
                raise TinyseqError(
                    f"W has no eigenvalue but 0 ({len(values)} of {self.hidden_size}² elements), so nothing scales it "
                    f"to a spectral radius of {radius}; write a larger density"
                )
            values = values * (radius / own)
        if len(values) > SPARSE_UP_TO * self.hidden_size**2:
            return None, places.dense(values)
        return places, values

    def _fixed(self, name: str, value: Any, shape: tuple[int, ...] | None = None) -> Parameter:
        value = plain(value, "W", self.dtype)
        if shape is not None and value.shape != shape:
            raise ShapeError(f"{name} of this reservoir has shape {shape}, got {value.shape}")
        if not np.isfinite(value).all():
            raise DataError(f"{name} holds NaN or infinity")
        return Parameter(value, name, trainable=False)

    def _structure(self) -> dict[str, np.ndarray]:
        return {} if self.places is None else {"W.columns": self.places.columns, "W.starts": self.places.starts}

    def _restructure(self, state: dict[str, np.ndarray]) -> Callable[[], None]:
        """Sparse or dense, and the places of a sparse W, as in the state."""
        before = self.places, self.W

        def back() -> None:
            self.places, self.W = before

        n, size = self.hidden_size, (0,)  # type: int, tuple[int, ...]
        if "W.columns" in state and "W.starts" in state:
            places = Sparsity(state["W.columns"], state["W.starts"], n)
            if places.shape != (n, n):
                raise ShapeError(f"W is ({n}, {n}) in this reservoir, the places are for one of {places.shape}")
            own = self.places
            if own and np.array_equal(own.columns, places.columns) and np.array_equal(own.starts, places.starts):
                return back
            self.places, size = places, (len(places.columns),)
        elif self.places is not None and np.ndim(state.get("W", 0)) == 2:
            self.places, size = None, (n, n)
        else:
            if self.places is not None and "W" in state:
                raise TinyseqError(
                    "these weights do not say where the elements of the sparse W stand (W.columns, W.starts): save "
                    "them again with state_dict() of the reservoir they are from"
                )
            return back
        self.W = Parameter(np.zeros(size, self.dtype), "W", trainable=False)
        return back

    @property
    def output_size(self) -> int:
        """Features of an output: those of h."""
        return self.hidden_size

    @property
    def matrix(self) -> np.ndarray:
        """W (hidden, hidden), dense."""
        return self.W.value.copy() if self.places is None else self.places.dense(self.W.value)

    def step(self, x: Tensor | None, h: Tensor, y: Tensor | None = None, noise: Tensor | None = None) -> Any:
        """x(t) (B, input), h(t−1) (B, hidden), y(t−1) (B, feedback), ν(t) (B, hidden) → h(t), h(t)."""
        a = F.linear(h, self.W) if self.places is None else F.sparse_linear(h, self.W, self.places)
        if self.U is not None:
            a = a + F.linear(x, self.U)
        if self.R is not None and y is not None:
            a = a + F.linear(y, self.R)
        for term in (self.b, noise):
            a = a if term is None else a + term
        new = F.tanh(a) if self.activation == "tanh" else a
        if self.gain != 1:
            new = self.gain * new
        h = ((1 - self.leak) * h + new if self.leak != 1 else new).named("h")
        return h, h

    def initial_state(self, batch: int) -> Tensor:
        """h(0) (B, hidden): zeros."""
        return F.zeros((batch, self.hidden_size), self.dtype)


def _drawn(rng: np.random.Generator, shape: tuple[int, int], density: float, name: str, normal: bool = False) -> Any:
    """Elements N(0, 1) or U[−1, 1], each kept with the probability ``density``."""
    if not 0 < density <= 1:
        raise TinyseqError(
            f"{name}, the share of elements that are not 0, lies above 0 and is at most 1, got {density}"
        )
    full = rng.standard_normal(shape) if normal else rng.uniform(-1, 1, shape)
    return full if density == 1 else np.where(rng.random(shape) < density, full, 0.0)


@advised
def spectral_radius(W: Any) -> float:
    """max |λ| over the eigenvalues of W, dense."""
    W = plain(W, "W", np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ShapeError(f"only a square matrix has eigenvalues, got shape {W.shape}")
    if not np.isfinite(W).all():
        raise DataError("W holds NaN or infinity, so it has no eigenvalues")
    if len(W) > DENSE_EIGENVALUES:  # Arnoldi's iteration, to machine precision, is much faster where it converges
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import ArpackError, eigs

        start = np.random.default_rng(0).standard_normal(len(W))
        try:
            found = eigs(csr_array(W), k=6, ncv=60, which="LM", v0=start, return_eigenvectors=False)
            return float(np.abs(found).max())
        except ArpackError:
            pass
    return float(np.abs(np.linalg.eigvals(W)).max())
