"""The gradient checker: random-vector products against central differences, in float64.

For y = f(x), a random u and a random direction v of ±1, φ(x) = Σ u ⊙ f(x) has the directional derivative

    ⟨∇φ, v⟩ = (φ(x + εv) − φ(x − εv)) / 2ε + O(ε²)

The left side is the gradient that the tape computes with the seed u, the right side needs values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DtypeError, GradientError
from tinyseq.habits import advised
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter

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

    @property
    def empty(self) -> bool:
        """Whether nothing was checked: inputs have elements, but no gradient and no difference other than 0."""
        return any(0 not in c.shape for c in self.checks) and all(
            c.from_tape == 0 and c.from_differences == 0 for c in self.checks
        )

    def __bool__(self) -> bool:
        return all(check.passed for check in self.checks) and not self.empty

    def __str__(self) -> str:
        width = max(len("input"), *(len(f"{c.name} {c.shape}") for c in self.checks))
        lines = [f"{'input':<{width}}  {'tape':>14}  {'differences':>14}  {'error':>8}"]
        for c in self.checks:
            nothing = c.from_tape == 0 and c.from_differences == 0
            verdict = "WRONG" if not c.passed else "ok" if not nothing else "nothing to check: 0 either way"
            lines.append(
                f"{f'{c.name} {c.shape}':<{width}}  {c.from_tape:>14.7g}  {c.from_differences:>14.7g}  "
                f"{c.error:>8.1e}  {verdict}"
            )
            if c.unreached and not c.passed:
                lines.append("  no gradient reaches it, though the result changes with it: detached?")
            lines += [f"  at {place}: tape {a:.7g}, differences {b:.7g}" for place, a, b in c.elements]
        failed = sum(not c.passed for c in self.checks)
        if self.empty and not failed:
            lines.append(
                "NOTHING WAS CHECKED: every gradient is 0, and so is every difference. Check at a point where the "
                "result changes with its inputs"
            )
            return "\n".join(lines)
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
    have any shape. ``error`` is relative to the larger of both derivatives and the gradient's norm, along
    steps in proportion to each element. Values and
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
    if isinstance(x, list | tuple) and any(isinstance(each, Parameter) for each in x):
        raise GradientError(
            f"gradcheck argument {place} is a {type(x).__name__} of parameters: hand over each by itself, "
            "gradcheck(f, *parameters)"
        )
    if hasattr(x, "parameters"):
        raise GradientError(
            f"gradcheck argument {place} is a {type(x).__name__}: hand over its parameters, "
            "gradcheck(f, *net.parameters())"
        )
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

    def change(self, leaf: Parameter, steps: np.ndarray) -> tuple[float, float]:
        """(φ(x + steps) − φ(x − steps)) / 2, and how large what it is the difference of is: of the results that change,
        or of all where rounding hides every change. The steps become those that floating point really takes."""
        start = leaf.value.copy()
        try:
            leaf.value[...] = start + steps
            up, above = self.run(), leaf.value.copy()
            leaf.value[...] = start - steps
            down, below = self.run(), leaf.value.copy()
        finally:
            leaf.value[...] = start
        steps[...] = (above - below) / 2
        terms, changed = self.u * (up - down), up != down
        sizes = np.abs(self.u * up)
        return float(terms.sum() / 2), float((sizes[changed] if changed.any() else sizes).sum())


class _Compared(NamedTuple):
    """⟨∇φ, steps⟩ and the change of φ over the steps, both for steps of mean size 1."""

    from_tape: float
    from_differences: float
    error: float
    passed: bool


def _check(
    function: _Seeded,
    leaf: Parameter,
    gradient: np.ndarray | None,
    rng: np.random.Generator,
    epsilon: float,
    tolerance: float,
    directions: int,
) -> Check:
    """Elements of one size at a time, so that the large ones hide nothing of the small ones."""
    grad = np.zeros(leaf.shape) if gradient is None else gradient
    size, worst = np.abs(leaf.value), _Compared(0.0, 0.0, 0.0, True)

    def compare(chosen: np.ndarray, steps: np.ndarray, noisy: bool) -> _Compared:
        found = [_along(function, leaf, grad, chosen, steps, rng, tolerance, noisy) for _ in range(directions)]
        return max(found, key=lambda c: (not c.passed, np.nan_to_num(c.error, nan=np.inf)))

    for chosen in _of_one_size(np.maximum(size, 1.0)):
        found = compare(chosen, epsilon * np.maximum(size, 1.0), True)
        if not found.passed:  # what curves near 0, as a logarithm, wants steps smaller than the elements
            finer = [compare(part, epsilon * size, False) for part in _of_one_size(np.where(chosen, size, 0.0))]
            if (size[chosen] > 0).all() and all(c.passed for c in finer):
                found = max(finer, key=lambda c: c.error)
        if not found.passed or (worst.passed and found.error >= worst.error):
            worst = found
    name = leaf.name or "parameter"
    elements = () if worst.passed else _worst_elements(function, leaf, grad, epsilon)
    return Check(name, leaf.shape, *worst, elements, gradient is None)


def _of_one_size(size: np.ndarray) -> list[np.ndarray]:
    """The elements above 0, those within three powers of ten together."""
    decade = np.floor(np.log10(np.where(size > 0, size, 1.0)) / 3)
    return [(decade == d) & (size > 0) for d in np.unique(decade[size > 0])]


def _along(
    function: _Seeded,
    leaf: Parameter,
    grad: np.ndarray,
    chosen: np.ndarray,
    steps: np.ndarray,
    rng: np.random.Generator,
    tolerance: float,
    noisy: bool,
) -> _Compared:
    """One direction: a step of its own for each chosen element, of either sign. What rounding may change is allowed for
    if it is `noisy`, else it must be small beside what is compared."""
    taken = np.where(chosen, steps * rng.choice([-1.0, 1.0], leaf.shape), 0.0)
    theirs, magnitude = function.change(leaf, taken)
    ours, unit = float((grad * taken).sum()), float(np.abs(taken[chosen]).mean()) or 1.0
    scale = max(abs(ours), abs(theirs), float(np.linalg.norm(grad * taken)), np.finfo(np.float64).tiny)
    noise = 16 * np.finfo(np.float64).eps * magnitude
    gap = abs(ours - theirs)
    passed = bool(gap <= tolerance * scale + noise and (noisy or noise <= tolerance * scale))
    return _Compared(ours / unit, theirs / unit, gap / scale, passed)


def _worst_elements(
    function: _Seeded, leaf: Parameter, grad: np.ndarray, epsilon: float
) -> tuple[tuple[tuple[int, ...], float, float], ...]:
    """The elements that differ most, among the first ones of a large input."""
    found = []
    for place in list(np.ndindex(leaf.shape))[:LOOKED_AT]:
        steps = np.zeros(leaf.shape)
        steps[place] = epsilon * max(1.0, abs(float(leaf.value[place])))
        change, _ = function.change(leaf, steps)
        found.append((place, float(grad[place]), change / float(steps[place])))
    found.sort(key=lambda element: -np.nan_to_num(abs(element[1] - element[2]), nan=np.inf))
    return tuple(found[:SHOWN])
