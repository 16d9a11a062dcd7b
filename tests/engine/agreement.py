"""Both executors on one graph: values and gradients of the reference, then of a plan with its memory poisoned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import tinyseq as ts
from tests.engine.strategies import Graph, Recipe
from tinyseq.checking.schedule import poison, run_last_thread_first
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.fold import Unplannable
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning


@dataclass
class Results:
    """Values by node and gradients by parameter node; None where nothing flows."""

    values: dict[int, np.ndarray]
    gradients: dict[int, np.ndarray | None]
    reason: str = ""
    plan: Plan | None = None


def reference(tape: ts.Tape, wanted: list[int], loss: int) -> Results:
    """What the tape means."""
    executor = tape.executor
    if loss >= 0:
        executor.differentiate(loss)
    nodes = tape._parameter_nodes.values()
    return Results({i: executor.value(i) for i in wanted}, {i: executor.grad(i) for i in nodes} if loss >= 0 else {})


def results_of(program: Program, wanted: list[int], loss: int, tape: ts.Tape) -> Results:
    shapes = {i: p.shape for p, i in zip(tape.parameters, tape._parameter_nodes.values(), strict=True)}
    grads = program.gradients() if loss >= 0 else {}
    return Results(
        {i: program.value(i).copy() for i in wanted},
        {i: grads[i].reshape(shape).copy() if i in grads else None for i, shape in shapes.items()} if loss >= 0 else {},
    )


def leaves(tape: ts.Tape) -> list[int]:
    return np.flatnonzero(np.isin(tape.column("op"), ["input", "parameter"])).tolist()


def planned(tape: ts.Tape, wanted: list[int], loss: int, threads: int = 1) -> Results:
    """The same by plan, verified, run over poisoned memory with the same bits each time."""
    try:
        plan = plan_tape(tape, wanted, loss)
    except Unplannable as reason:
        return Results({}, {}, str(reason))
    verify_plan(plan)
    return run_plan(plan, tape, wanted, loss, threads)


def run_plan(plan: Plan, tape: ts.Tape, wanted: list[int], loss: int, threads: int = 1) -> Results:
    """Run a plan over poisoned memory, by threads at once and in two orders one after the other, with the same bits."""
    program = Program(plan, threads)
    runs = []
    ways = program.run_together, program.run_together, program.run_in_turn, partial(run_last_thread_first, program)
    for run in ways:
        program.bind({i: tape.executor.value(i) for i in leaves(tape)})
        poison(program)
        run()
        runs.append(results_of(program, wanted, loss, tape))
    for first, second, in_turn, other in zip(*map(entries, runs), strict=True):
        np.testing.assert_array_equal(first, second, "two runs differ")
        np.testing.assert_array_equal(first, in_turn, "the threads' work done in turn differs")
        np.testing.assert_array_equal(first, other, "a thread reads what another writes with no barrier between")
    runs[0].plan = plan
    return runs[0]


def agreeing(
    tape: ts.Tape, wanted: list[int], loss: int, threads: int = 2, tolerance: float = 1e-12, bounded: bool = False,
    **how: Any,
) -> Plan:  # fmt: skip
    """The plan of a tape, of which every pass, every element and the meaning (``bounded``: of what is small) are
    verified, and whose numbers are the reference's."""
    plan = plan_tape(tape, wanted, loss, check=True, **how)
    verify_plan(plan)
    verify_meaning(plan, tape, bounded=bounded)
    within = 1e-5 if plan.dtype == np.float32 else tolerance
    compare(run_plan(plan, tape, wanted, loss, threads), reference(tape, wanted, loss), within, names_of(tape))
    return plan


def entries(results: Results) -> list[np.ndarray]:
    return [a for a in (*results.values.values(), *results.gradients.values()) if a is not None]


def compare(found: Results, expected: Results, tolerance: float, names: dict[int, str]) -> None:
    """Every value and gradient within tolerance · (1 + largest number of its array)."""
    for i, value in expected.values.items():
        close(found.values[i], value, tolerance, f"value of %{i}")
    for i, grad in expected.gradients.items():
        other = found.gradients[i]
        what = f"∂L/∂{names[i]}"
        if grad is None:  # a class whose members are partly used has zeros where nothing flows
            assert other is None or not other.any(), f"{what}: none by the reference, plan {other!r}"
            continue
        assert other is not None, f"{what}: none by plan, reference {grad!r}"
        close(other, grad, tolerance, what)


def close(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    scale = 1 + np.abs(expected).max(initial=0)
    wrong = ~(np.abs(found - expected) <= tolerance * scale)
    if wrong.any():
        place = tuple(int(k[0]) for k in np.nonzero(np.atleast_1d(wrong)))
        raise AssertionError(
            f"{what}: {int(wrong.sum())} of {wrong.size} wrong, first at {place}: "
            f"{np.atleast_1d(found)[place]} for {np.atleast_1d(expected)[place]} (scale {scale:.3g})"
        )


def recorded(recipe: Recipe, dtype: Any) -> tuple[ts.Tape, list[int], int]:
    """A recipe on a tape: the tape, the nodes whose values are wanted, the loss."""
    with ts.Tape(executor=ts.Reference) as tape:
        graph = Graph(recipe, dtype)
    return tape, list(dict.fromkeys(t.index for t in graph.wanted)), graph.loss.index


def names_of(tape: ts.Tape) -> dict[int, str]:
    return {i: p.name for p, i in zip(tape.parameters, tape._parameter_nodes.values(), strict=True)}


def agree(recipe: Recipe, tolerance: float = 1e-10, threads: int = 1) -> str:
    """Record in float64, run both, compare. Returns why there is no plan, or ''."""
    tape, wanted, loss = recorded(recipe, np.float64)
    expected = reference(tape, wanted, loss)
    found = planned(tape, wanted, loss, threads)
    if not found.reason:
        compare(found, expected, tolerance, names_of(tape))
    return found.reason


def agree_in_single(recipe: Recipe) -> str:
    """Both in float32 against the reference in float64, started from equal numbers.

    The reference's own rounding error e, the largest of any array relative to 1 + its largest number, tells how well
    the graph is conditioned. A plan adds in another order and gets 8 e, and √nodes units in the last place for what
    the reference happened to have exactly.
    """
    tape, wanted, loss = recorded(recipe, np.float64)
    exact = reference(tape, wanted, loss)
    tape, wanted, loss = recorded(recipe, np.float32)
    single = reference(tape, wanted, loss)
    found = planned(tape, wanted, loss)
    if not found.reason:
        pairs = zip(entries(single), entries(exact), strict=True)
        error = max(float(np.abs(a - b).max(initial=0)) / (1 + float(np.abs(b).max(initial=0))) for a, b in pairs)
        compare(found, exact, 8 * error + float(np.finfo(np.float32).eps) * len(tape) ** 0.5, names_of(tape))
    return found.reason


__all__ = ["Results", "agree", "agree_in_single", "compare", "planned", "poison", "recorded", "reference", "run_plan"]
