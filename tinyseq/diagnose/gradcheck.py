"""The gradient checker: random-vector products against central differences, in float64.

For y = f(x), a random u and a random direction v of ±1, φ(x) = Σ u ⊙ f(x) has the directional derivative

    ⟨∇φ, v⟩ = (φ(x + εv) − φ(x − εv)) / 2ε + O(ε²)

The left side is the gradient that the tape computes with the seed u, the right side needs values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.arrays import plain
from tinyseq.errors import DtypeError, GradientError
from tinyseq.habits import advised
from tinyseq.tape import Tape
from tinyseq.tensor import Parameter, Tensor

SHOWN = 5
LOOKED_AT = 2_000


@dataclass(frozen=True)
class Check:
    """One input: the derivative along the direction that fits worst, from the tape and from differences."""

    name: str
    shape: tuple[int, ...]
    from_tape: float
    from_differences: float
    error: float
    passed: bool
    elements: tuple[tuple[tuple[int, ...], float, float], ...] = ()
    unreached: bool = False


@dataclass(frozen=True)
class Report:
    """What ``gradcheck`` found: true where all inputs passed; as text, a table."""

    checks: tuple[Check, ...]
    tolerance: float

    def __bool__(self) -> bool:
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        width = max(len("input"), *(len(f"{c.name} {c.shape}") for c in self.checks))
        lines = [f"{'input':<{width}}  {'tape':>14}  {'differences':>14}  {'error':>8}"]
        for c in self.checks:
            verdict = "ok" if c.passed else "WRONG"
            lines.append(
                f"{f'{c.name} {c.shape}':<{width}}  {c.from_tape:>14.7g}  {c.from_differences:>14.7g}  "
                f"{c.error:>8.1e}  {verdict}"
            )
            if c.unreached and not c.passed:
                lines.append("  no gradient reaches it, though the result changes with it: detached?")
            lines += [f"  at {place}: tape {a:.7g}, differences {b:.7g}" for place, a, b in c.elements]
        failed = sum(not c.passed for c in self.checks)
        lines.append(
            f"{failed} of {len(self.checks)} inputs have a wrong gradient (tolerance {self.tolerance:g})"
            if failed
            else f"all {len(self.checks)} gradients agree (tolerance {self.tolerance:g})"
        )
        return "\n".join(lines)

    __repr__ = __str__


@advised
def gradcheck(
    f: Callable[..., Tensor],
    *inputs: Any,
    rng: np.random.Generator | None = None,
    epsilon: float = 1e-6,
    tolerance: float = 1e-6,
    directions: int = 3,
) -> Report:
    """Compare the gradients of ``f`` with central differences: ``assert gradcheck(f, x, net.W)``.

    Arrays among ``inputs`` become the arguments of ``f``, in their order, as float64. Parameters are not handed
    over, ``f`` reads them itself: ``gradcheck(lambda: net.loss(x, y), *net.parameters())``. The result of ``f`` may
    have any shape. ``error`` is relative to the larger of both derivatives and the gradient's norm. Values and
    gradients of parameters are left as they were.

    Raises DtypeError for float32 parameters and integer arrays, GradientError where there is nothing to check or
    where ``f`` gives another value when it is called again.
    """
    if not inputs:
        raise GradientError("gradcheck needs something to differentiate by: gradcheck(f, x), arrays or parameters")
    leaves = [x if isinstance(x, Parameter) else _leaf(x, i) for i, x in enumerate(inputs)]
    arguments = [leaf for leaf, x in zip(leaves, inputs, strict=True) if leaf is not x]
    for leaf in leaves:
        if leaf.dtype != np.float64:
            raise DtypeError(f"gradcheck needs float64, {leaf!r} is {leaf.dtype}: build it with dtype=np.float64")
    rng = np.random.default_rng(0) if rng is None else rng
    with _kept(leaves):
        function = _Seeded(f, arguments, rng)
        gradients = function.gradients(leaves)
        checks = [
            _check(function, leaf, gradient, rng, epsilon, tolerance, directions)
            for leaf, gradient in zip(leaves, gradients, strict=True)
        ]
    return Report(tuple(checks), tolerance)


def _leaf(x: Any, place: int) -> Parameter:
    array = plain(x, f"argument {place} of gradcheck")
    if array.dtype.kind != "f":
        raise DtypeError(
            f"gradcheck argument {place} is {array.dtype}: gradients are by floating-point arrays; "
            "let f read the others itself, as lambda x: f(x, tokens)"
        )
    return Parameter(array.astype(np.float64), f"argument {place}")


@contextmanager
def _kept(leaves: list[Parameter]) -> Iterator[None]:
    before = [(leaf, leaf.value.copy(), leaf.grad) for leaf in leaves]
    try:
        yield
    finally:
        for leaf, value, grad in before:
            leaf.value[...], leaf.grad = value, grad


class _Seeded:
    """φ = Σ u ⊙ f with a fixed random u."""

    def __init__(self, f: Callable[..., Tensor], arguments: list[Parameter], rng: np.random.Generator) -> None:
        self.f, self.arguments = f, arguments
        first, again = self.run(), self.run()
        if not np.array_equal(first, again, equal_nan=True):
            raise GradientError(
                "f gave two values for the same inputs: what is random in it must come from a generator made "
                "inside f, e.g. rng = np.random.default_rng(0)"
            )
        self.u = rng.standard_normal(first.shape)
        self.magnitude = float(np.abs(self.u * first).sum())

    def result(self) -> Tensor:
        y = self.f(*self.arguments)
        if not isinstance(y, Tensor):
            raise GradientError(f"gradcheck needs an f that returns a tensor, it returned {type(y).__name__}")
        return y

    def run(self) -> np.ndarray:
        with Tape():
            return self.result().value

    def gradients(self, leaves: list[Parameter]) -> list[np.ndarray | None]:
        with Tape() as tape:
            tape.backward(self.result(), seed=self.u)
            nodes = [tape.node_of(leaf) for leaf in leaves]
            return [None if node is None else tape.executor.grad(node) for node in nodes]

    def slope(self, leaf: Parameter, direction: np.ndarray, epsilon: float) -> float:
        """Central difference of φ along a direction. Steps are those that floating point really takes."""
        start = leaf.value.copy()
        leaf.value[...] = start + epsilon * direction
        up, above = self.run(), leaf.value.copy()
        leaf.value[...] = start - epsilon * direction
        down, below = self.run(), leaf.value.copy()
        leaf.value[...] = start
        steps = np.abs(above - below)[direction != 0]
        return float((self.u * (up - down)).sum() / steps.mean())


def _check(
    function: _Seeded,
    leaf: Parameter,
    gradient: np.ndarray | None,
    rng: np.random.Generator,
    epsilon: float,
    tolerance: float,
    directions: int,
) -> Check:
    grad = np.zeros(leaf.shape) if gradient is None else gradient
    step = epsilon * max(1.0, float(np.abs(leaf.value).max(initial=0.0)))
    noise = 16 * np.finfo(np.float64).eps * function.magnitude / step
    worst, passed = (0.0, 0.0, 0.0), True
    for _ in range(directions if leaf.value.size else 0):
        v = rng.choice([-1.0, 1.0], leaf.shape)
        ours, theirs = float((grad * v).sum()), function.slope(leaf, v, step)
        scale = max(abs(ours), abs(theirs), float(np.linalg.norm(grad)), np.finfo(np.float64).tiny)
        error = abs(ours - theirs) / scale
        if not error <= worst[2]:
            worst = (ours, theirs, error)
        passed = passed and bool(abs(ours - theirs) <= tolerance * scale + noise)
    name = leaf.name or "parameter"
    elements = () if passed else _worst_elements(function, leaf, grad, step)
    return Check(name, leaf.shape, *worst, passed, elements, gradient is None)


def _worst_elements(
    function: _Seeded, leaf: Parameter, grad: np.ndarray, step: float
) -> tuple[tuple[tuple[int, ...], float, float], ...]:
    """The elements that differ most, among the first ones of a large input."""
    found = []
    for place in list(np.ndindex(leaf.shape))[:LOOKED_AT]:
        v = np.zeros(leaf.shape)
        v[place] = 1.0
        found.append((place, float(grad[place]), function.slope(leaf, v, step)))
    found.sort(key=lambda element: -np.nan_to_num(abs(element[1] - element[2]), nan=np.inf))
    return tuple(found[:SHOWN])
