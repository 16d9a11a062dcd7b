"""An op of your own tried out: its kernels run in guarded memory, its gradients against central differences, its rows
one by one, and the whole on both executors.

``tinyseq.ops.register`` looks at a record without running it; what kernels do with their memory shows only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.engine.reference import Place, Reference
from tinyseq.errors import OpError, TinyseqError
from tinyseq.functions import reductions
from tinyseq.ops import OPS
from tinyseq.ops.op import Call, Op, Site, row_by_row
from tinyseq.replay import compile as compiled
from tinyseq.tape import DTYPES, FLOAT32, FLOAT64, INT64, Tape
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.record import record

Arrays = dict[str, np.ndarray]
GUARD = 4096  # elements before and behind each array, which no kernel may touch
FILLS = ((np.nan, 0), (0.5, 1))  # what the guards hold, floats and integers: no result may depend on it
STARTS = ((12345.678, 7), (-9876.54, -7))  # what lies in a result before it is written
EPSILON, TOLERANCE = 1e-6, 1e-5


@dataclass(frozen=True)
class OpReport:
    """What ``check_op`` found: true where nothing is wrong; as text, what was tried and each problem."""

    op: str
    tried: tuple[str, ...]
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return "\n".join([f"op {self.op!r} has {len(self.problems)} wrong:", *(f"  {p}" for p in self.problems)])
        return "\n".join([f"op {self.op!r} is right on this example:", *(f"  {what}" for what in self.tried)])

    __repr__ = __str__


def check_op(name: str, *inputs: Any, attrs: tuple = (), rng: np.random.Generator | None = None) -> OpReport:
    """Try a registered op: ``assert ts.diagnose.check_op("cumsum")``.

    Without ``inputs``, arrays of numbers between 0.2 and 1.2 in the shapes of its record's ``example`` (or of shape
    (3, 3)), with the attributes of it. Runs forward and vjps as the reference executor does, each array amid guards,
    and says which kernel writes or reads beyond an array, leaves a part of its result unwritten, does not add where it
    should, or changes what it only reads; whether gradients are those of central differences, whether ``rows`` holds,
    and whether the compiled executor, with every plan checked, comes to the same.

    Raises OpError for an op that is not registered, that has no inputs, or whose example lacks an attribute.
    """
    op = OPS.get(name)
    if op is None or op.leaf:
        raise OpError(f"check_op tries ops with inputs that are registered; {name!r} is {'a leaf' if op else 'none'}")
    trial = _Trial(op, inputs, attrs, np.random.default_rng(0) if rng is None else rng)
    tried, problems = [], []
    for what, look in trial.parts():
        found = list(look())
        tried.append(what)
        problems += found
        if found:  # what comes later runs on other memory than its own
            break
    return OpReport(name, tuple(tried), tuple(problems))


class _Trial:
    """One op at one site, its inputs, and what is tried."""

    def __init__(self, op: Op, inputs: tuple, attrs: tuple, rng: np.random.Generator) -> None:
        self.op, self.rng = op, rng
        count = 2 if op.arity < 0 else op.arity
        self.attrs, shapes, codes = op.example or ((), ((3, 3),) * count, (FLOAT64,) * count)
        if inputs:
            arrays = [np.asarray(getattr(x, "value", x)) for x in inputs]
            arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a.astype(np.int64) for a in arrays]
            self.attrs, shapes = attrs, tuple(a.shape for a in arrays)
            codes = tuple(INT64 if a.dtype.kind == "i" else FLOAT64 for a in arrays)
        self.codes = tuple(FLOAT64 if code == FLOAT32 else code for code in codes)
        if missing := [key for key in op.floats if key not in dict(self.attrs)]:
            raise OpError(
                f"op {op.name!r} needs a number for {missing[0]!r}, which its example does not have: give inputs and "
                f"attrs=(({missing[0]!r}, 2.0),)"
            )
        shape, self.code = op.shape(self.attrs, shapes, self.codes)
        self.site = Site(self.attrs, 0, shapes, shape)
        self.place = Place(op, self.site, DTYPES[self.code], [code == INT64 for code in self.codes])
        limit = op.limit(self.site) if op.limit else 2
        self.x = arrays if inputs else [
            rng.integers(0, max(limit, 1), s) if code == INT64 else rng.uniform(0.2, 1.2, s)
            for s, code in zip(shapes, self.codes, strict=True)
        ]  # fmt: skip
        self.g = rng.normal(size=shape)

    def parts(self) -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
        """(what is tried, how), in the order in which a writer would mend it."""
        yield "the number of inputs and the dtype of the result", self.declared
        yield "forward: every element of the result is written, no other memory is touched", self.forward
        yield "vjp: gradients are overwritten or added to, all of them, and nothing else", self.vjps
        if self.code != INT64:
            yield self.passed, self.slopes
        yield "rows: those of the result depend on no others than the record says", self.rows
        if self.place.vjps and self.code != INT64:
            yield "both executors, with every plan checked", self.executors

    @property
    def passed(self) -> str:
        """Which inputs get a gradient, and which none."""
        passed = [k for k, _ in self.place.vjps]
        none = [f"x{k}" for k, code in enumerate(self.codes) if k not in passed and code != INT64]
        without = f"no gradient passes to {', '.join(none)}, as vjp has no rule" if none else ""
        tried = f"∂L/∂{', ∂L/∂'.join(f'x{k}' for k in passed)} against central differences" if passed else ""
        return "; ".join(filter(None, [tried, without])) or "no floating-point inputs: no gradients"

    def declared(self) -> Iterator[str]:
        """What the record says of inputs and dtypes."""
        if 0 <= self.op.arity != len(self.x):
            yield f"arity is {self.op.arity}, the example has {len(self.x)} inputs"
        floats = [code != INT64 for code in self.codes]
        if self.code == INT64 and self.place.vjps:
            yield "the shape rule makes integers, and no gradient passes through them: leave vjp out"
        if any(floats) and self.code != INT64:
            for code in (FLOAT64, FLOAT32):
                made = self.op.shape(self.attrs, self.site.shapes, tuple(code if f else INT64 for f in floats))[1]
                if made != code:
                    yield f"the shape rule makes {DTYPES[made]} of {DTYPES[code]} inputs: hand their dtype code on"

    # -- kernels
    def run(self, calls: list[Call], roles: Arrays, target: str, start: Any, adds: bool) -> tuple[np.ndarray, str]:
        """(what the calls leave in ``target``, which held ``start``; the first problem)."""
        outcomes = []
        for fill in FILLS:
            out = np.array(np.broadcast_to(start, roles[target].shape), roles[target].dtype)
            for call in calls:
                if problem := _beyond(call, roles):
                    return out, problem
                d = np.concatenate([call.d, np.zeros(64, np.int64)])  # a size that is not given reads as 0
                d[call.accumulate_slot] = adds
                given = {role: out if role == target else roles[role] for role in call.operands}
                memory = {role: _Guarded(array, fill[array.dtype.kind == "i"]) for role, array in given.items()}
                call.kernel(d, *[memory[role].view for role in call.operands])
                for role, held in memory.items():
                    if held.touched():
                        return out, f"kernel {call.kernel.name!r} writes beyond {role!r}, of shape {given[role].shape}"
                    if role != target and not np.array_equal(held.view, given[role].reshape(-1), equal_nan=True):
                        return out, f"kernel {call.kernel.name!r} changes {role!r}, which it should only read"
                out = memory[target].view.reshape(out.shape).copy() if target in memory else out
            outcomes.append(out)
        if not np.array_equal(outcomes[0], outcomes[1], equal_nan=True):
            return outcomes[1], f"kernel {calls[0].kernel.name!r} reads beyond its operands, for sizes {_sizes(calls)}"
        return outcomes[0], ""

    def roles(self, x: list[np.ndarray] | None = None) -> Arrays:
        """Arrays by role; the result not yet computed."""
        y = np.zeros(self.site.shape, DTYPES[self.code])
        return {"y": y, "attr": self.place.floats, **{f"x{i}": v for i, v in enumerate(self.x if x is None else x)}}

    def value(self, x: list[np.ndarray] | None = None) -> np.ndarray:
        """The result for some inputs."""
        return self.run(self.place.forward, self.roles(x), "y", 0, False)[0]

    def whole(self, calls: list[Call], roles: Arrays, target: str, where: str) -> Iterator[str]:
        """Calls that overwrite write each element, whatever lay there, and no other memory."""
        left = np.ones(roles[target].shape, bool)
        for start in STARTS:
            begun = start[roles[target].dtype.kind == "i"]
            out, problem = self.run(calls, roles, target, begun, False)
            if problem:
                yield f"{where}: {problem}"
                return
            left &= out == np.array(begun, out.dtype)
        if left.any():
            yield (
                f"{where}: {int(left.sum())} of the {left.size} elements of {target!r} are not written, for sizes "
                f"{_sizes(calls)}"
            )

    def forward(self) -> Iterator[str]:
        """The forward calls."""
        yield from self.whole(self.place.forward, self.roles(), "y", "forward")

    def gradient(self, k: int, calls: list[Call], start: Any = 0.0) -> tuple[np.ndarray, str]:
        """(∂L/∂x_k added to ``start``, the first problem)."""
        roles = self.roles() | {"y": self.value(), "g": self.g, f"gx{k}": self.x[k]}
        return self.run(calls, roles, f"gx{k}", start, True)

    def vjps(self) -> Iterator[str]:
        """Each vjp where it overwrites and where it adds."""
        for k, calls in self.place.vjps:
            where = f"vjp[{0 if self.op.joins else k}]"
            alone, problem = self.gradient(k, calls)
            if problem:
                yield f"{where}: {problem}"
                continue
            if len(calls) == 1 and not calls[0].partial:
                roles = self.roles() | {"y": self.value(), "g": self.g, f"gx{k}": self.x[k]}
                if found := list(self.whole(calls, roles, f"gx{k}", where)):
                    yield from found
                    continue
                written, _ = self.run(calls, roles, f"gx{k}", STARTS[0][0], False)
                if not np.allclose(written, alone, 1e-9, 1e-12, equal_nan=True):
                    yield f"{where}: accumulate 0 (in d behind the strides) has to overwrite 'gx{k}', and does not"
            start = self.rng.normal(size=self.x[k].shape)
            added, _ = self.gradient(k, calls, start)
            if not np.allclose(added, start + alone, 1e-9, 1e-12, equal_nan=True):
                yield f"{where}: accumulate 1 (in d behind the strides) has to add to 'gx{k}', and does not"

    # -- mathematics
    def slopes(self) -> Iterator[str]:
        """Each vjp against central differences, each input without one against none."""
        passed = dict(self.place.vjps)
        for k, x in enumerate(self.x):
            if k not in passed:
                continue
            found, wanted = self.gradient(k, passed[k])[0], np.zeros(x.shape)
            for at in np.ndindex(x.shape):
                ends = []
                for step in (EPSILON, -EPSILON):
                    moved = [v.copy() if i == k else v for i, v in enumerate(self.x)]
                    moved[k][at] += step
                    ends.append((self.g * self.value(moved)).sum())
                wanted[at] = (ends[0] - ends[1]) / (2 * EPSILON)
            off = np.abs(found - wanted) > TOLERANCE * (1 + np.abs(wanted).max(initial=0))
            if off.any():
                at = tuple(int(i) for i in np.argwhere(off)[0])
                yield (
                    f"vjp[{0 if self.op.joins else k}]: ∂L/∂x{k}{list(at)} is {found[at]:.6g}, central differences say "
                    f"{wanted[at]:.6g} ({int(off.sum())} of {off.size} elements differ)"
                )

    def rows(self) -> Iterator[str]:
        """Where the record says EACH, row r of the result changes with row r of the input alone."""
        before, shape = self.value(), self.site.shape
        for k, x in enumerate(self.x):
            alike = shape[:1] == x.shape[:1] != () and x.dtype.kind == "f"
            if not alike or not row_by_row(self.op, self.attrs, shape[1:], k, x.shape[1:]):
                continue
            for r in range(shape[0]):
                moved = [v.copy() if i == k else v for i, v in enumerate(self.x)]
                moved[k][r] += 0.125
                changed = (self.value(moved) != before).reshape(shape[0], -1).any(axis=1)
                changed[r] = False
                if changed.any():
                    other = int(np.flatnonzero(changed)[0])
                    yield f"rows says EACH of x{k}, but row {other} of the result changes with row {r} of it: write ALL"
                    break

    def executors(self) -> Iterator[str]:
        """A loss of the op, run by the reference executor and by a plan that is checked."""
        attrs, wanted_shape = ((), self.attrs) if self.op.shape_is_given else (self.attrs, ())
        passed = dict(self.place.vjps)
        held = [Parameter(x, f"x{k}") if k in passed else x for k, x in enumerate(self.x)]

        def loss() -> Any:
            given = [x if isinstance(x, Parameter) else tensor(x) for x in held]
            y = record(self.op.name, given, attrs, wanted_shape=wanted_shape)
            return reductions.sum(y * self.g)

        parameters = [x for x in held if isinstance(x, Parameter)]
        try:
            with Tape(executor=Reference):
                expected = loss()
            expected.backward()
            wanted = [expected.value, *(p.grad for p in parameters)]
            value = compiled(loss, check=True).backward()
        except TinyseqError as error:
            yield f"compiled with check=True: {error}"
            return
        for what, a, b in zip(("the loss", *held), wanted, [value, *(p.grad for p in parameters)], strict=False):
            if not np.allclose(a, b, 1e-9, 1e-12, equal_nan=True):
                yield f"the executors differ in {what}: the reference has {a}, a plan {b}"


class _Guarded:
    """An array's numbers amid guards."""

    def __init__(self, array: np.ndarray, fill: Any) -> None:
        guard = GUARD + 4 * array.size
        self.whole = np.full(array.size + 2 * guard, fill, array.dtype)
        self.view = self.whole[guard : guard + array.size]
        self.view[:] = array.reshape(-1)
        self.guards = self.whole[:guard], self.whole[guard + array.size :]
        self.before = [guard.copy() for guard in self.guards]

    def touched(self) -> bool:
        """Whether a guard has changed."""
        pairs = zip(self.guards, self.before, strict=True)
        return any(now.tobytes() != then.tobytes() for now, then in pairs)


def _beyond(call: Call, roles: Arrays) -> str:
    """Rows that lie beyond an operand; such a kernel is not run."""
    rows = int(call.d[0])
    for place, role in enumerate(call.operands):
        stride, size = int(call.d[1 + place]), roles[role].size
        if rows > 0 and (rows - 1) * stride >= max(size, 1):
            return (
                f"kernel {call.kernel.name!r} gets {rows} rows of stride {stride} in {role!r}, which has {size} "
                f"elements, shape {roles[role].shape}"
            )
    return ""


def _sizes(calls: list[Call]) -> str:
    """The d of each call, in words."""
    return "; ".join(f"d = {call.d.tolist()} of {call.kernel.name}({', '.join(call.operands)})" for call in calls)
