"""One program on both executors: the plan's numbers beside the reference's, whatever the order of its threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.checking.programs import Program
from tinyseq.checking.schedule import poison, run_last_thread_first
from tinyseq.engine.machine import program as bound
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.errors import FallbackWarning, TinyseqError

Arrays = dict[str, "np.ndarray | None"]


@dataclass(frozen=True)
class Outcome:
    """How a program went: "same", "differs", "no plan", "not recorded", "verifier", "died"; and what was seen."""

    kind: str
    what: str = ""
    threads: int = 1


def tolerance(dtype: Any) -> float:
    return 1e-9 if dtype == np.float64 else 3e-4


def difference(found: Arrays, expected: Arrays, most: float) -> str:
    """What differs, or "". No gradient (None) is as good as zeros; NaN and infinity must be in the same places."""
    for name, want in expected.items():
        got = found.get(name)
        if want is None and got is None:
            continue
        want = np.zeros(()) if want is None else np.asarray(want)
        got = np.zeros(()) if got is None else np.asarray(got)
        nan = np.isnan(want) != np.isnan(got)
        if nan.any():
            return f"{name}: NaN in {int(np.isnan(got).sum())} places, {int(np.isnan(want).sum())} by the reference"
        finite = np.isfinite(want)
        if (np.isfinite(got) != finite).any() or (np.where(finite, 0, want) != np.where(np.isfinite(got), 0, got))[
            ~np.isnan(want)
        ].any():
            return f"{name}: infinite in other places"
        scale = 1 + np.abs(want[finite]).max(initial=0)
        gap = np.abs(np.where(finite, got, 0) - np.where(finite, want, 0)).max(initial=0)
        if not gap <= most * scale:
            return f"{name}: off by {gap:.3g} of {scale:.3g}"
    return ""


def gap(found: Arrays, expected: Arrays) -> float:
    """The largest difference of finite numbers, relative to 1 + the largest of its array; infinite where NaN, infinity
    or a shape stands in one and not in the other."""
    worst = 0.0
    for name, want in expected.items():
        got = found.get(name)
        if want is None and got is None:
            continue
        want = np.zeros(() if got is None else got.shape) if want is None else np.asarray(want)
        got = np.zeros(want.shape) if got is None else np.asarray(got)
        if got.shape != want.shape and got.size != want.size:
            return float("inf")
        got = got.reshape(want.shape)
        with np.errstate(invalid="ignore"):
            same = (got == want) | (np.isnan(got) & np.isnan(want))
            finite = np.isfinite(want) & np.isfinite(got)
            if (~finite & ~same).any():
                return float("inf")
            scale = 1 + np.abs(want[finite]).max(initial=0)
            worst = max(worst, float(np.abs(got[finite] - want[finite]).max(initial=0) / scale))
    return worst


class Run:
    """A program recorded once, to be run by the reference and by plan on several sets of numbers."""

    def __init__(self, program: Program, dtype: Any = np.float64) -> None:
        self.program, self.dtype = program, dtype
        self.function, self.parameters = program.function(dtype)
        self.fast = ts.compile(self.function)
        _, inputs, _ = program.numbers(0, dtype)
        with ts.Tape(executor=ts.Reference) as self.tape:
            entered = [[ts.tensor(a) for a in x] if isinstance(x, list) else ts.tensor(x) for x in inputs]
            result = self.function(*entered)
        self.slots = [t.index for t in flat(entered)]
        self.nodes = [t.index for t in flat([result])]
        self.loss = self.nodes[0]
        self.frozen = {i: v for i, v in self.tape.executor.values.items() if i not in self.slots}
        self.where = {p.name: i for p, i in zip(self.tape.parameters, self.tape._parameter_nodes.values(), strict=True)}

    def numbers(self, number: int) -> list[Any]:
        """Put the parameters' numbers in their places; the inputs."""
        values, inputs, _ = self.program.numbers(number, self.dtype)
        for name, p in self.parameters.items():
            p.value = values[name]
        return inputs

    def leaves(self, number: int) -> dict[int, np.ndarray]:
        """The numbers of all leaves of the tape."""
        inputs = flat(self.numbers(number))
        found = self.frozen | dict(zip(self.slots, inputs, strict=True))
        return found | {i: np.array(self.parameters[name].value) for name, i in self.where.items()}

    def reference(self, number: int) -> Arrays:
        """Values and gradients of the reference."""
        executor = ts.Reference(self.tape)
        executor.values.update({i: v.copy() for i, v in self.leaves(number).items()})
        executor.differentiate(self.loss)
        found: Arrays = {f"result {k}": executor.value(i) for k, i in enumerate(self.nodes)}
        return found | {f"d{name}": executor.grad(i) for name, i in self.where.items()}

    def bound(self, made: Any, number: int) -> None:
        """Bind a program of the engine to numbers."""
        made.bind(self.leaves(number))

    def results(self, made: Any) -> Arrays:
        """What a program of the engine has computed."""
        found: Arrays = {f"result {k}": made.value(i).copy() for k, i in enumerate(self.nodes)}
        grads = made.gradients()
        shapes = {name: p.shape for name, p in self.parameters.items()}
        return found | {
            f"d{name}": grads[i].reshape(shapes[name]).copy() if i in grads else None for name, i in self.where.items()
        }


def flat(arguments: Any) -> Iterator[Any]:
    """What a list holds, and the lists and tuples in it."""
    for a in arguments:
        if isinstance(a, (list, tuple)):
            yield from flat(a)
        else:
            yield a


def outcome(
    program: Program,
    threads: tuple[int, ...] = (1, 2),
    dtype: Any = np.float64,
    public: bool = False,
    twice: bool = True,
    verify: bool = True,
    errors: dict[str, float] | None = None,
) -> Outcome:
    """Run a program by plan in so many threads, the last one first; ``twice``: in turn too, and with other numbers;
    ``public``: also as a user would, by ``ts.compile``; ``verify``: by the verifier before all else. The largest
    difference from the reference goes into ``errors``."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)  # counted here, told to users
        try:
            run = Run(program, dtype)
            expected = run.reference(0)
        except TinyseqError as error:
            return Outcome("not recorded", f"{type(error).__name__}: {error}")
        if program.checkpoint:
            return checkpointed(program, run, expected)
        try:
            plan = plan_tape(run.tape, run.nodes, run.loss)
        except Unplannable as reason:
            return Outcome("no plan", str(reason))
        except TinyseqError as error:  # of the pass that made what is wrong
            return Outcome("verifier", str(error))
        if verify:
            try:
                verify_plan(plan)
                verify_meaning(plan, run.tape, threads[0], bounded=True)
            except TinyseqError as error:
                return Outcome("verifier", str(error))
        again = run.reference(1) if twice or public else {}
        for count in threads:
            what = by_plan(run, plan, count, expected, again if twice else {}, errors)
            if what:
                return Outcome("differs", f"{what} ({count} threads)", count)
        if public:
            what = as_a_user(run, expected, again)
            if what:
                return Outcome("differs", what)
    return Outcome("same")


def by_plan(run: Run, plan: Any, threads: int, expected: Arrays, again: Arrays, errors: dict[str, float] | None) -> str:
    """Run a plan over poisoned memory, its threads in two orders, then with other numbers."""
    made = bound.Program(plan, threads)
    ways: list[Callable[[], None]] = [made.run] if threads == 1 else [partial(run_last_thread_first, made)]
    if again and threads > 1:
        ways.insert(0, made.run_in_turn)
    most = tolerance(run.dtype)
    for place, way in enumerate(ways):
        run.bound(made, 0)
        poison(made)
        way()
        if what := difference(found := run.results(made), expected, most):
            return what + (", last thread first" if place == len(ways) - 1 and threads > 1 else "")
        if errors is not None:
            what = f"the reference, {np.dtype(run.dtype).name}"
            errors[what] = max(errors.get(what, 0.0), gap(found, expected))
    if not again:
        return ""
    run.bound(made, 1)
    poison(made)
    ways[-1]()
    what = difference(run.results(made), again, most)
    return what and f"second numbers: {what}"


def as_a_user(run: Run, expected: Arrays, again: Arrays) -> str:
    """``f.backward`` as it is documented, values alone, and a tape run by the compiled executor."""
    most = tolerance(run.dtype)
    for number, wanted in ((0, expected), (1, again), (0, expected)):
        result = run.fast.backward(*run.numbers(number))
        if what := difference(published(run, result), wanted, most):
            return f"backward: {what}"
    result = run.fast(*run.numbers(1))
    found = {k: v for k, v in published(run, result).items() if k.startswith("result")}
    if what := difference(found, {k: v for k, v in again.items() if k in found}, most):
        return f"values alone: {what}"
    return ""


def published(run: Run, result: Any) -> Arrays:
    results = result if isinstance(result, tuple) else (result,)
    return {f"result {k}": v for k, v in enumerate(results)} | {f"d{n}": p.grad for n, p in run.parameters.items()}


def checkpointed(program: Program, run: Run, expected: Arrays) -> Outcome:
    """Segment by segment: loss and gradients."""
    segmented = ts.compile(run.function, checkpoint=program.checkpoint)
    for number in (0, 1):
        wanted = run.reference(number)
        loss, final = segmented.backward(*run.numbers(number))
        found: Arrays = {"result 0": loss, "result 1": final}
        found |= {f"d{name}": p.grad for name, p in run.parameters.items()}
        if what := difference(found, wanted, tolerance(run.dtype)):
            return Outcome("differs", f"checkpoint {program.checkpoint}: {what}")
    del expected
    return Outcome("same")


__all__ = ["Outcome", "Run", "difference", "outcome"]
