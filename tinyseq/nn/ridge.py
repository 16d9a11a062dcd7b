"""Linear readouts y = c + V z in closed form: ridge regression over any number of steps in O(n²) memory, and online."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import plain, positive
from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.jit.decorators import kernel

METHODS = ("normal", "qr")
LIMIT = 1e9  # of a weight's variance in recursive least squares: beside it float64 keeps seven digits of the others


def linalg() -> Any:
    """scipy.linalg, which takes 0.15 s to import that programs without a readout do not spend."""
    import scipy.linalg

    return scipy.linalg


@advised
class Ridge:
    """min Σ_t ‖y(t) − c − V z(t)‖² + λ ‖V‖², from rows that come in any number of parts (``add``), in float64.

    What is kept of them is a square matrix of the features' number, by one of two methods:

    normal   Z̃ᵀZ̃ and Z̃ᵀỸ, without the means however large they are; the faster one, but what is smaller than √ε ‖Z̃‖ is
             lost in Z̃ᵀZ̃
    qr       the triangle R of [1 Z Y] = Q R; twice the digits, for λ below ε ‖Z̃‖² (and for λ = 0)
    """

    def __init__(self, features: int, outputs: int, penalty: float = 1e-6, method: str = "normal") -> None:
        positive(features=features, outputs=outputs)
        if isinstance(penalty, bool) or not isinstance(penalty, (int, float, np.number)) or not 0 <= penalty < np.inf:
            raise TinyseqError(f"the ridge λ is a finite number of at least 0, got {penalty!r}")
        if method not in METHODS:
            raise TinyseqError(f"method is 'normal' (fast) or 'qr' (twice the digits), got {method!r}")
        self.features, self.outputs, self.penalty, self.method = features, outputs, float(penalty), method
        self.count = 0
        width = features + outputs + (method == "qr")  # [Z̃ Ỹ], or [1 Z Y]
        self._gram = np.zeros((width, width), order="F")  # its upper triangle, of the products or of R
        self._means = np.zeros(features + outputs)
        self._waiting: list[np.ndarray] = []

    def add(self, z: Any, y: Any) -> None:
        """Rows z (T, features) with their targets y (T, outputs)."""
        z, y = plain(z, "z"), plain(y, "y")
        for name, rows, width in (("features z", z, self.features), ("targets y", y, self.outputs)):
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ShapeError(f"{name} are rows (T, {width}), got shape {rows.shape}")
        if len(z) != len(y):
            raise ShapeError(f"each row of features has a target: got {len(z)} rows z and {len(y)} rows y")
        rows = np.concatenate([np.ones((len(z), 1)), z, y], axis=1, dtype=np.float64)
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise DataError(f"a readout cannot be fitted to NaN or infinity: row {bad} of z or y is not finite")
        if self.method == "normal":
            self._add_centred(rows[:, 1:])
            return
        self.count += len(rows)
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= 2 * len(self._gram):
            self._reduce()

    def _add_centred(self, rows: np.ndarray) -> None:
        """Products of rows without their mean, and what their mean and that of the rows before differ by (Chan, Golub
        and LeVeque 1983). Products of the rows themselves would lose all that is small beside an offset."""
        before, self.count = self.count, self.count + len(rows)
        if not len(rows):
            return
        mean = rows.mean(0)
        shift = mean - self._means
        self._means += shift * (len(rows) / self.count)
        parts = np.concatenate([rows - mean, shift[None] * np.sqrt(before * len(rows) / self.count)])
        linalg().blas.dsyrk(1.0, parts.T, beta=1.0, c=self._gram, overwrite_c=1)

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
        if self.method == "normal":
            V, means = self._normal(self._gram), self._means
        else:
            V, means = self._orthogonal(self._gram), self._gram[0, 1:] / self._gram[0, 0]
        return V, means[self.features :] - V @ means[: self.features]

    def _normal(self, G: np.ndarray) -> np.ndarray:
        """(Z̃ᵀZ̃ + λ) Vᵀ = Z̃ᵀỸ by Cholesky, Z̃ and Ỹ without their means."""
        A, b = G[: self.features, : self.features].copy(), G[: self.features, self.features :]
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

    def _orthogonal(self, R: np.ndarray) -> np.ndarray:
        """V from the singular values of the triangle that is left without the means: s / (s² + λ)."""
        inner, outer = slice(1, 1 + self.features), slice(1 + self.features, None)
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

    What the rows do not excite (silence, a constant, features that depend on each other) is forgotten too, and there P
    would grow as 1/φᵗ until nothing but rounding is left. No element of its diagonal passes `LIMIT` or 1/δ: beyond, a
    weight is held where it is, as lightly as a ridge of the limit's inverse does; all others go on forgetting.
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
        z, y = plain(z, "z", np.float64), plain(y, "y", np.float64)
        if z.ndim != 2 or z.shape[1] != self.features or y.shape != (len(z), self.outputs):
            raise ShapeError(
                f"online learning takes rows z (T, {self.features}) and y (T, {self.outputs}), got {z.shape}, {y.shape}"
            )
        if not (np.isfinite(z).all() and np.isfinite(y).all()):
            raise DataError("a readout cannot learn from NaN or infinity: z or y is not finite")
        rows = np.concatenate([np.ones((len(z), 1)), z], axis=1)
        predicted = np.empty(y.shape)
        limit = max(LIMIT, 1 / self.delta) if self.forgetting < 1 else np.inf
        targets = np.ascontiguousarray(y)
        _recursive_least_squares(rows, targets, self.weights, self.inverse, self.forgetting, limit, predicted)
        return predicted


@kernel
def _recursive_least_squares(rows, targets, weights, inverse, forgetting, limit, predicted):
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
        for i in range(n):
            if inverse[i, i] > limit:
                _hold(inverse, i, 0.5 * limit, product)


@kernel
def _hold(inverse, i, variance, product):
    """P with the element P_ii lowered to a variance, as an observation of weight i at its present value does."""
    n, before = inverse.shape[0], inverse[i, i]
    scale = (before - variance) / (before * before)
    product[:] = inverse[i]
    for j in range(n):
        for k in range(j + 1):
            inverse[j, k] -= scale * product[j] * product[k]
            inverse[k, j] = inverse[j, k]
