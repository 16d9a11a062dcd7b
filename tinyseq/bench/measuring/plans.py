"""What each optional decision of the planner brings, and what it costs to check a plan, in times of planning."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.bench.contestants import ours
from tinyseq.bench.contestants.ours import Ours
from tinyseq.bench.measuring.agree import BOUND, deviation
from tinyseq.bench.measuring.timing import alternate
from tinyseq.bench.problems.problems import ROWS, Problem
from tinyseq.bench.results.report import ALL
from tinyseq.bench.results.results import OURS, Row, Settings
from tinyseq.bench.variant import Gradients
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.folded import Unplannable
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import is_quick, verify_meaning

_ROWS = {problem.row: problem for problem in ROWS}
PROBLEMS = {
    "rnn": _ROWS["rnn 65,128,100,32"],
    "lstm": _ROWS["lstm 65,128,100,32"],
    "antisymmetric rnn": _ROWS["user: antisymmetric rnn 65,128,100,32"],
    "lstm of lengths 5-100": _ROWS["lstm lengths 5-100 32,64,64 sequences"],
    "tree of 1024 leaves": _ROWS["tree balanced 1024 leaves H 64"],
    "forest of 32 trees": _ROWS["forest 32 trees 10-50 leaves H 64"],
}
CHECKED = {"rnn, batch 1": _ROWS["rnn 32,64,100,1"], "lstm, batch 1": _ROWS["lstm 32,64,100,1"], **PROBLEMS}

Tell = Callable[[str], object]


def _recorded(problem: Problem) -> ts.Tensor:
    """The loss on a tape of its own."""
    way = next(iter(ours.variants(problem).values()))
    assert isinstance(way, Ours) and way.record is not None
    return way.record()


def _computed(program: Program, loss: ts.Tensor) -> Gradients:
    return float(program.value(loss.index)), {str(i): g.copy() for i, g in program.gradients().items()}


def choices_row(name: str, problem: Problem, settings: Settings, tell: Tell) -> Row:
    """Times of a replay, and bytes that it runs in, by the plan with all decisions and by those without one each."""
    row, loss = Row(name, "choices"), _recorded(problem)
    tape = loss.tape
    leaves: dict[int, np.ndarray] = dict(tape.executor.values)
    leaves |= {
        node: p.value
        for p, node in zip(tape.parameters, map(tape.node_of, tape.parameters), strict=True)
        if node is not None
    }
    programs: dict[str, Program] = {}
    expected: Gradients | None = None
    for choice in (ALL, *OPTIONAL):
        tell(f"without {choice}")
        try:
            without = frozenset({choice} & OPTIONAL.keys())
            program = Program(plan_tape(tape, [loss.index], loss.index, without=without))
        except Unplannable as reason:
            row.failed[f"{OURS} {choice}"] = str(reason)
            continue
        program.bind(leaves)
        program.run()
        expected = expected or _computed(program, loss)
        distance = deviation(_computed(program, loss), expected)
        if distance > BOUND:
            row.refused[f"{OURS} {choice}"] = distance
            continue
        programs[choice] = program
        row.bytes[choice] = program.memory.bytes.nbytes + program.integers.nbytes
    row.standard, row.nodes = "the plan with all decisions", len(tape)
    runs = {f"{OURS} {choice}": program.run for choice, program in programs.items()}
    row.samples = alternate(runs, None, settings.rounds, settings.sample_seconds, tell)
    return row


def checking_row(name: str, problem: Problem, settings: Settings, tell: Tell) -> Row:
    """Seconds to plan, and to check every pass, every element and what the plan means, as TINYSEQ_CHECK=1 does."""
    row, loss = Row(name, "checking"), _recorded(problem)
    row.nodes = len(loss.tape)

    def plan(check: bool) -> Plan:
        return plan_tape(loss.tape, [loss.index], loss.index, check=check)

    made = plan(False)
    steps: dict[str, Callable[[], Any]] = {
        "plan": lambda: plan(False),
        "passes": lambda: plan(True),
        "elements": lambda: verify_plan(made),
    }
    if is_quick(made, loss.tape):
        steps["meaning"] = lambda: verify_meaning(made, loss.tape)
    found: dict[str, list[float]] = {step: [] for step in steps}
    for _ in range(settings.rounds):
        for step, run in steps.items():
            tell(f"{OURS} {step}")
            gc.collect()
            start = time.perf_counter()
            run()
            found[step].append(time.perf_counter() - start)
    found["passes"] = [max(both - alone, 0.0) for both, alone in zip(found["passes"], found["plan"], strict=True)]
    row.samples = {f"{OURS} {step}": taken for step, taken in found.items()}
    return row
