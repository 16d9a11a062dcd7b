"""From a tape to a program that is ready to run, or the reason why there is none."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from tinyseq.engine.instances import INSTANCES, verify_instance
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.choices import switched_off
from tinyseq.engine.plan.folded import Class, Unplannable
from tinyseq.engine.plan.pipeline import checking, fold_tape, plan_tape
from tinyseq.engine.reasons import Later
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.errors import FallbackWarning, TapeError, warn
from tinyseq.ops.verify import verify

if TYPE_CHECKING:
    from tinyseq.tape import Tape


CONTENT = (
    "the verifiers of all passes were content: what one of them decided shows only in the whole plan. "
    "TINYSEQ_DUMP=schedule,place,write,emit prints what each has made of this tape; the top of "
    "tinyseq/engine/plan/pipeline.py says what each decides"
)


def planned(tape: Tape, outputs: list[int], loss: int, check: bool = False, apart: bool = True) -> Program | str:
    """A program for a tape, or the reason why there is none: it has no plan, or planning it failed.

    Without ``apart`` members that have no plan together are not planned one by one; the reason is a `Later` then.
    With ``check``, or with ``TINYSEQ_CHECK=1`` in the environment, the tape, every pass and the plan are verified;
    raises TapeError where one of them breaks its rules, or the plan computes something else than the tape. Raises
    DataError where ``TINYSEQ_WITHOUT`` names what can't be switched off.
    """
    check, bounded, without = check or checking(), not check, switched_off()
    if check:
        verify(tape)
    try:
        folded = fold_tape(tape, outputs, loss, check)
        program = INSTANCES.program(folded, outputs, loss, without)
        if program is None:
            plan = plan_tape(tape, outputs, loss, without=without, check=check, folded=folded, apart=apart or check)
            program = Program(plan, shares=True)
        elif check:
            verify_instance(program)
    except Unplannable as reason:
        text = str(reason) if ".py:" in str(reason) else f"{reason}{_where(reason)}"
        return Later(text) if reason.later else text
    except Exception as error:  # whatever went wrong in planning, the reference executor can still run the tape
        if check and isinstance(error, TapeError):  # a pass was found wrong
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(at.filename)}:{at.lineno}"
        return f"planning failed with {type(error).__name__}: {error} ({place}){_where(error)}"
    if check:
        try:
            verify_plan(program.plan)
            verify_meaning(program.plan, tape, bounded=bounded)
        except TapeError as error:
            error.add_note(CONTENT)
            raise
    return program


def _where(error: BaseException) -> str:
    """Op, cell and source line of the class that the planner was at."""
    trace, found = error.__traceback__, None
    while trace is not None:
        for thing in trace.tb_frame.f_locals.values():
            found = thing if isinstance(thing, Class) and len(thing.nodes) else found
        trace = trace.tb_next
    if found is None:
        return ""
    name, cell = f" {found.name!r}" if found.name else "", f" of {found.cell}" if found.cell else ""
    line = f", {found.line[0]}:{found.line[1]}" if found.line[1] else ""
    return f" (at {found.op}{name}{cell}{line})"


def tell_fallback(what: str, reason: str) -> None:
    """Warn that something runs without a plan: why, and what to write instead."""
    if "float32 and float64" in reason:
        instead = "Give all parameters and inputs one dtype: array.astype('float32')"
    elif "repeat nothing" in reason:
        instead = "Write what is repeated as one step: ts.unfold(step, ts.Chain(T), x, state)"
    elif reason.startswith("planning failed"):
        instead = "This is a fault of tinyseq's, please report it with the lines of your step"
    else:
        instead = "Write the step otherwise there, or the loop around it as ts.unfold(step, ts.Chain(T), x, state)"
    warn(
        f"{what} runs node by node on the reference executor, right but many times slower, as it has no plan: "
        f"{reason}.\n{instead}. To run it so and not be told: "
        "warnings.simplefilter('ignore', tinyseq.errors.FallbackWarning)",
        FallbackWarning,
    )
