"""From a tape to a program that is ready to run, or the reason why there is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tinyseq.engine.check import verify_plan
from tinyseq.engine.condense import Unplannable
from tinyseq.engine.equivalence import verify_meaning
from tinyseq.engine.plan import plan_tape
from tinyseq.engine.program import Program
from tinyseq.verify import verify

if TYPE_CHECKING:
    from tinyseq.tape import Tape

CHECK = "TINYSEQ_CHECK"  # set to 1, every tape and every plan is verified before it runs


def checking() -> bool:
    """Whether the environment asks for every tape and plan to be verified."""
    return os.environ.get(CHECK, "0") not in ("", "0")


def planned(tape: Tape, outputs: list[int], loss: int) -> Program | str:
    """A program for a tape, or the reason why it cannot be planned.

    With ``TINYSEQ_CHECK=1`` in the environment the tape and the plan are verified; raises TapeError where one of them
    breaks its rules, or the plan computes something else than the tape.
    """
    if checking():
        verify(tape)
    try:
        plan = plan_tape(tape, outputs, loss)
        program = Program(plan)
    except Unplannable as reason:
        return str(reason)
    if checking():
        verify_plan(plan)
        verify_meaning(plan, tape, bounded=True)
    return program
