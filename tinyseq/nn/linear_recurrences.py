"""Chapter 10, continued: recurrences linear in the state. Diagonal gates, minGRU and minLSTM, the LRU, LegS."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import plain, positive
from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import RecurrentCell
from tinyseq.nn.module import Module, uniform
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

RANGES = {"[0, 1]": F.sigmoid, "[-1, 1]": F.tanh}


class FromInput(Module):
    """b + U x: what a gate that does not see the state looks at. Shapes: U (hidden, input), b (hidden)."""

    def __init__(self, gate: str, input_size: int, hidden_size: int, rng: np.random.Generator, dtype: Any) -> None:
        suffix = f"_{gate}" if gate else ""
        self.U = Parameter(uniform(rng, (hidden_size, input_size), input_size, dtype), f"U{suffix}")
        self.b = Parameter(np.zeros(hidden_size, dtype), f"b{suffix}")

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, input) or tokens (B)."""
        return self.b + (F.take(self.U, x, axis=1) if x.dtype_code == INT64 else F.linear(x, self.U))


class DiagonalCell(RecurrentCell):
    """A linear recurrence whose diagonal gate is a function of the input alone (Grazzi et al. 2024).

        h(t) = a(x(t)) ⊙ h(t−1) + b + U x(t),    a = σ(b_a + U_a x) in [0, 1], or tanh of it in [−1, 1]

    With gates in [0, 1] no such net of any depth keeps the parity of its input; with gates in [−1, 1] one unit does, by
    h ← −h. ``gate`` is "[0, 1]" or "[-1, 1]". The state is h (B, hidden).
    """

    name = "diagonal"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        gate: str = "[-1, 1]",
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        if gate not in RANGES:
            raise TinyseqError(f"the range of the gate is one of {', '.join(map(repr, RANGES))}, got {gate!r}")
        self.range = gate
        self.gate = FromInput("a", input_size, hidden_size, rng, dtype)
        self.new = FromInput("", input_size, hidden_size, rng, dtype)

    def step(self, x: Tensor, h: Tensor, terms: Any = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) → h(t), h(t)."""
        a = RANGES[self.range](self.gate(x)).named("a")
        h = (a * h + self.new(x)).named(self.symbol)
        return h, h


class MinGRUCell(RecurrentCell):
    """The minGRU (Feng et al. 2024): a GRU without its reset gate, whose gate and candidate do not see the state.

    z(t) = σ(b_z + U_z x(t))
    h(t) = (1 − z(t)) ⊙ h(t−1) + z(t) ⊙ (b + U x(t))
    """

    name = "min_gru"

    def __init__(self, input_size: int, hidden_size: int, *, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        self.z = FromInput("z", input_size, hidden_size, rng, dtype)
        self.new = FromInput("", input_size, hidden_size, rng, dtype)

    def step(self, x: Tensor, h: Tensor, terms: Any = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) → h(t), h(t)."""
        z = F.sigmoid(self.z(x)).named("z")
        h = ((1 - z) * h + z * self.new(x)).named(self.symbol)
        return h, h


class MinLSTMCell(RecurrentCell):
    """The minLSTM (Feng et al. 2024): forget and input gate, normalised to add up to 1, do not see the state.

        f(t) = σ(b_f + U_f x(t)),   g(t) = σ(b_g + U_g x(t))
        h(t) = f/(f + g) ⊙ h(t−1) + g/(f + g) ⊙ (b + U x(t))

    b_f starts at ``forget_bias``.
    """

    name = "min_lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator,
        forget_bias: float = 1.0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        self.f = FromInput("f", input_size, hidden_size, rng, dtype)
        self.f.b.value[...] = forget_bias
        self.g = FromInput("g", input_size, hidden_size, rng, dtype)
        self.new = FromInput("", input_size, hidden_size, rng, dtype)

    def step(self, x: Tensor, h: Tensor, terms: Any = None) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) → h(t), h(t)."""
        f, g = F.sigmoid(self.f(x)).named("f"), F.sigmoid(self.g(x)).named("g")
        both = f + g
        h = (f / both * h + g / both * self.new(x)).named(self.symbol)
        return h, h


class LRUCell(RecurrentCell):
    """The linear recurrent unit (Orvieto et al. 2023), its complex numbers as pairs of reals.

        λ = exp(−e^ν) e^{iθ},   γ = √(1 − |λ|²)
        h(t) = λ ⊙ h(t−1) + γ ⊙ B x(t),   h = u + i v
        y(t) = Re(C h(t)) + D x(t)  =  C_u u − C_v v + D x

    |λ| < 1 whatever ν, and at the start |λ|² is uniform between the squares of ``radius``, θ between 0 and ``angle``.
    The angle is learned through r = tan(θ/2), of which cos θ = (1 − r²)/(1 + r²) and sin θ = 2r/(1 + r²) are rational;
    the paper learns ln θ. The state is (u, v, y), the output y (B, output). Shapes: ν, r (hidden), B_u,
    B_v (hidden, input), C_u, C_v (output, hidden), D (output, input). ``eigenvalues`` are λ as they are now.
    """

    name = "lru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        rng: np.random.Generator,
        radius: tuple[float, float] = (0.9, 0.999),
        angle: float = 0.9 * np.pi,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        low, high = radius
        if not 0 <= low < high < 1 or not 0 < angle < np.pi:
            raise TinyseqError(
                f"|λ| lies in radius = (low, high) with 0 ≤ low < high < 1 and 0 < angle < π; got {radius}, {angle}"
            )
        self.outputs = output_size or hidden_size
        positive(output_size=self.outputs)
        size = np.sqrt(rng.uniform(low**2, high**2, hidden_size))
        self.nu = Parameter(np.log(-np.log(size)).astype(dtype), "ν")
        self.half_tangent = Parameter(np.tan(rng.uniform(0, angle, hidden_size) / 2).astype(dtype), "r")

        def normal(rows: int, columns: int, name: str, scale: float) -> Parameter:
            return Parameter((rng.standard_normal((rows, columns)) * scale).astype(dtype), name)

        self.B_u, self.B_v = (normal(hidden_size, input_size, n, 1 / np.sqrt(2 * input_size)) for n in ("B_u", "B_v"))
        self.C_u, self.C_v = (normal(self.outputs, hidden_size, n, 1 / np.sqrt(hidden_size)) for n in ("C_u", "C_v"))
        self.D = normal(self.outputs, input_size, "D", 1 / np.sqrt(input_size))

    @property
    def output_size(self) -> int:
        """Features of y."""
        return self.outputs

    @property
    def eigenvalues(self) -> np.ndarray:
        """λ, (hidden) complex numbers."""
        return np.exp(-np.exp(self.nu.value.astype(float)) + 2j * np.arctan(self.half_tangent.value.astype(float)))

    def step(self, x: Tensor, state: tuple[Tensor, ...], terms: Any = None) -> tuple[Any, Tensor]:
        """x(t) (B, input), (u, v, y)(t−1), of which y is not read → (u, v, y)(t), y(t)."""
        u, v, _ = state
        size, r = F.exp(-F.exp(self.nu)), self.half_tangent
        gain, scale = F.sqrt(1 - size * size), size / (1 + r * r)
        real, imaginary = (scale * (1 - r * r)).named("Re λ"), (2.0 * scale * r).named("Im λ")
        u, v = (
            (real * u - imaginary * v + gain * F.linear(x, self.B_u)).named("u"),
            (imaginary * u + real * v + gain * F.linear(x, self.B_v)).named("v"),
        )
        y = (F.linear(u, self.C_u) - F.linear(v, self.C_v) + F.linear(x, self.D)).named("y")
        return (u, v, y), y

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, ...]:
        """(u, v, y): zeros, or ``h`` in place of u(0)."""
        return self.zeros(batch) if h is None else h, self.zeros(batch), F.zeros((batch, self.outputs), self.dtype)

    def hidden(self, state: Any) -> Tensor:
        """y of (u, v, y)."""
        return state[2]


class LegSCell(RecurrentCell):
    """HiPPO-LegS (Gu et al. 2020): the coefficients of a signal's whole past in Legendre polynomials, nothing learned.

        c(k) = (I − A/k) c(k−1) + (1/k) B f(k),   k = 1, 2, …

    A_nm = √((2n+1)(2m+1)) below the diagonal, n + 1 on it, 0 above; B_n = √(2n+1): the paper's discretisation by
    Euler's rule. Then f(s) ≈ Σ_n c_n √(2n+1) P_n(2s/k − 1) for s in [0, k], the best in the mean square, whatever the
    scale of time. One signal: f (B, 1). The state is (c (B, hidden), k (B, 1)), the output c.
    """

    name = "legs"

    def __init__(self, hidden_size: int, *, dtype: Any = np.float64) -> None:
        super().__init__(1, hidden_size, np.random.default_rng(0), dtype, 0)
        n = np.arange(hidden_size)
        A = np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) + np.diag(n + 1)
        self.A = Parameter(A.astype(dtype), "A", trainable=False)
        self.B = Parameter(np.sqrt(2 * n + 1)[:, None].astype(dtype), "B", trainable=False)

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], terms: Any = None) -> tuple[Any, Tensor]:
        """f(k) (B, 1), (c(k−1), k − 1) → (c(k), k), c(k)."""
        c, k = state
        k = (k + 1.0).named("k")
        c = (c + (F.linear(x, self.B) - F.linear(c, self.A)) / k).named("c")
        return (c, k), c

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(c, k): zeros."""
        return self.zeros(batch) if h is None else h, F.zeros((batch, 1), self.dtype)

    def hidden(self, state: Any) -> Tensor:
        """c of (c, k)."""
        return state[0]

    def reconstruct(self, c: Any, points: int) -> np.ndarray:
        """The signal that coefficients c (…, hidden) stand for, at the middles of so many equal parts of the past,
        oldest first: (…, points)."""
        from numpy.polynomial import legendre

        positive(points=points)
        c = plain(c, "c", np.float64)
        s = 2 * (np.arange(points) + 0.5) / points - 1
        basis = legendre.legvander(s, self.hidden_size - 1) * np.sqrt(2 * np.arange(self.hidden_size) + 1)
        return c @ basis.T
