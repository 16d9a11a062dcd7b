"""Linear readouts y = c + V z in closed form: ridge regression over any number of steps in O(n²) memory, and online."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.jit import kernel
from tinyseq.nn.module import positive

METHODS = ("normal", "qr")


def linalg() -> Any:
    """scipy.linalg, which takes 0.15 s to import that programs without a readout do not spend."""
    import scipy.linalg

    return scipy.linalg


@advised
class Ridge:
    """min Σ_t ‖y(t) − c − V z(t)‖² + λ ‖V‖², from rows that come in any number of parts (``add``), in float64.

    What is kept of them is a square matrix of the features' number, by one of two methods:

    normal   ZᵀZ and ZᵀY; the faster one, but what is smaller than √ε ‖Z‖ is lost in ZᵀZ
    qr       the triangle R of [1 Z Y] = Q R; twice the digits, for λ below ε ‖Z‖² (and for λ = 0)
    """

    def __init__(self, features: int, outputs: int, penalty: float = 1e-6, method: str = "normal") -> None:
        positive(features=features, outputs=outputs)
        if isinstance(penalty, bool) or not isinstance(penalty, (int, float, np.number)) or not 0 <= penalty < np.inf:
            raise TinyseqError(f"the ridge λ is a finite number of at least 0, got {penalty!r}")
        if method not in METHODS:
            raise TinyseqError(f"method is 'normal' (fast) or 'qr' (twice the digits), got {method!r}")
        self.features, self.outputs, self.penalty, self.method = features, outputs, float(penalty), method
        self.count = 0
        width = 1 + features + outputs  # [1 Z Y]
        self._gram = np.zeros((width, width), order="F")  # its upper triangle, of the products or of R
        self._waiting: list[np.ndarray] = []

    def add(self, z: Any, y: Any) -> None:
        """Rows z (T, features) with their targets y (T, outputs)."""
        z, y = np.asarray(z), np.asarray(y)
        for name, rows, width in (("features z", z, self.features), ("targets y", y, self.outputs)):
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ShapeError(f"{name} are rows (T, {width}), got shape {rows.shape}")
        if len(z) != len(y):
            raise ShapeError(f"each row of features has a target: got {len(z)} rows z and {len(y)} rows y")
        rows = np.concatenate([np.ones((len(z), 1)), z, y], axis=1, dtype=np.float64)
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise DataError(f"a readout cannot be fitted to NaN or infinity: row {bad} of z or y is not finite")
        self.count += len(rows)
        if self.method == "normal":
            linalg().blas.dsyrk(1.0, rows.T, beta=1.0, c=self._gram, overwrite_c=1)
            return
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= 2 * len(self._gram):
            self._reduce()

    def _reduce(self) -> None:
        """R of all rows so far, from R of those before and the rows that came since."""
        if self._waiting:
            stacked = np.concatenate([self._gram, *self._waiting])
            self._gram = linalg().qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][: len(self._gram)]
            self._waiting = []

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """V (outputs, features) and c (outputs). Raises TinyseqError where the method's digits do not suffice."""
        if not self.count:
            raise TinyseqError("nothing to fit: add(z, y) rows first")
        self._reduce()
        inner, outer = slice(1, 1 + self.features), slice(1 + self.features, None)
        G = self._gram
        V = (self._normal if self.method == "normal" else self._orthogonal)(G, inner, outer)
        # the first row of either triangle says it: c = mean of y − V · mean of z
        c = (G[0, outer] - V @ G[0, inner]) / G[0, 0]
        return V, c

    def _normal(self, G: np.ndarray, inner: slice, outer: slice) -> np.ndarray:
        """(Z̃ᵀZ̃ + λ) Vᵀ = Z̃ᵀỸ by Cholesky, Z̃ and Ỹ without their means."""
        means = G[0, 1:] / self.count
        A = G[inner, inner] - self.count * np.outer(means[: self.features], means[: self.features])
        b = G[inner, outer] - self.count * np.outer(means[: self.features], means[self.features :])
        A[np.diag_indices(self.features)] += self.penalty
        size = np.abs(np.diag(A)).max(initial=0.0)
        factor, info = linalg().lapack.dpotrf(A, lower=0)
        smallest = np.square(np.diag(factor)).min(initial=np.inf)
        if info or not smallest > self.features * np.finfo(float).eps * size:
            raise TinyseqError(
                f"the {self.features} features depend on each other up to rounding, and the ridge {self.penalty:g} is "
                "too small to tell: write method='qr', which keeps twice the digits, or a larger ridge"
            )
        return linalg().cho_solve((factor, False), b).T

    def _orthogonal(self, R: np.ndarray, inner: slice, outer: slice) -> np.ndarray:
        """V from the singular values of the triangle that is left without the means: s / (s² + λ)."""
        u, s, vt = linalg().svd(R[inner, inner], check_finite=False)
        if self.penalty:
            scale = s / (np.square(s) + self.penalty)
        else:  # least squares of least norm
            known = s > max(self.count, self.features) * np.finfo(float).eps * s.max(initial=0.0)
            scale = np.where(known, 1 / np.where(known, s, 1), 0.0)
        return ((u.T @ R[inner, outer]).T * scale) @ vt


@advised
class RecursiveLeastSquares:
    """A readout learned online, exact at each step: min Σ_s φ^(t−s) ‖y(s) − w z(s)‖² + δ φᵗ ‖w‖², with z₀ = 1.

        k = P z / (φ + zᵀ P z),   w ← w + (y − w z) kᵀ,   P ← (P − k zᵀ P) / φ,   P(0) = 1/δ

    φ is the forgetting factor, 1 for none. With φ = 1 this is ridge regression with λ = δ, the bias penalised too.
    """

    def __init__(self, features: int, outputs: int, forgetting: float = 1.0, delta: float = 1e-6) -> None:
        positive(features=features, outputs=outputs)
        if not 0 < forgetting <= 1:
            raise TinyseqError(
                f"the forgetting factor lies above 0 and is at most 1 (nothing forgotten), got {forgetting}"
            )
        if not 0 < delta < np.inf:
            raise TinyseqError(f"delta, the first ridge, is a finite number above 0, got {delta}")
        self.features, self.outputs, self.forgetting, self.delta = features, outputs, float(forgetting), float(delta)
        self.weights = np.zeros((outputs, 1 + features))
        self.inverse = np.eye(1 + features) / delta

    @property
    def V(self) -> np.ndarray:
        """(outputs, features)."""
        return self.weights[:, 1:]

    @property
    def c(self) -> np.ndarray:
        """(outputs)."""
        return self.weights[:, 0]

    def update(self, z: Any, y: Any) -> np.ndarray:
        """Learn rows z (T, features) one after the other; returns what was predicted of each before it was learned."""
        z, y = np.asarray(z, np.float64), np.asarray(y, np.float64)
        if z.ndim != 2 or z.shape[1] != self.features or y.shape != (len(z), self.outputs):
            raise ShapeError(
                f"online learning takes rows z (T, {self.features}) and y (T, {self.outputs}), got {z.shape}, {y.shape}"
            )
        if not (np.isfinite(z).all() and np.isfinite(y).all()):
            raise DataError("a readout cannot learn from NaN or infinity: z or y is not finite")
        rows = np.concatenate([np.ones((len(z), 1)), z], axis=1)
        predicted = np.empty(y.shape)
        _recursive_least_squares(rows, np.ascontiguousarray(y), self.weights, self.inverse, self.forgetting, predicted)
        return predicted


@kernel
def _recursive_least_squares(rows, targets, weights, inverse, forgetting, predicted):
    """The updates of all rows in turn, in place. P stays symmetric: both halves are written from one."""
    n = rows.shape[1]
    product = np.empty(n)
    for t in range(rows.shape[0]):
        z = rows[t]
        denominator = forgetting
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += inverse[i, j] * z[j]
            product[i] = total
            denominator += total * z[i]
        for o in range(weights.shape[0]):
            answer = 0.0
            for j in range(n):
                answer += weights[o, j] * z[j]
            predicted[t, o] = answer
            step = (targets[t, o] - answer) / denominator
            for j in range(n):
                weights[o, j] += step * product[j]
        for i in range(n):
            scale = product[i] / denominator
            for j in range(i + 1):
                inverse[i, j] = (inverse[i, j] - scale * product[j]) / forgetting
            for j in range(i):
                inverse[j, i] = inverse[i, j]
