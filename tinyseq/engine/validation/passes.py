"""Which pass of the planner is the first to be wrong about a tape."""

from __future__ import annotations

from typing import Any

from tinyseq.engine.plan.choices import switched_off
from tinyseq.engine.plan.pipeline import PASSES, Stages, finished
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.errors import TapeError
from tinyseq.tape import Tape


def guilty_pass(tape: Tape, loss: Any = -1, outputs: list[int] | None = None) -> tuple[str, str]:
    """(pass, what is wrong: class, member and source line) of the first pass whose value its verifier refuses; then
    "assemble" where the threads' programs are not the plan, "emit" where the elements or the meaning of the whole plan
    are refused, ("", "") where nothing is. ``loss`` is a tensor of the tape or its node."""
    loss = getattr(loss, "index", loss)
    wanted = outputs if outputs is not None else [loss if loss >= 0 else len(tape) - 1]
    stages = Stages(tape, wanted, loss, switched_off(), check=True)
    try:
        stages.run(PASSES[-1])
        plan = finished(stages)
    except TapeError as error:
        return stages.at, str(error)
    try:
        verify_plan(plan)
        verify_meaning(plan, tape)
    except TapeError as error:
        return "assemble" if str(error).startswith("assemble: ") else "emit", str(error)
    return "", ""
