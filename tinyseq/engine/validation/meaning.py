"""Translation validation, meaning: whether a program computes what its tape says, for every input.

The tape node by node and the program instruction by instruction, as its threads run it, are both followed over numbers
of a finite field (`field`, `meanings`) in place of floating-point numbers. What is read or multiplied wrongly, counted
twice, lost, or run with another member's sizes shows as other numbers in a value or a gradient; sums in another order
do not. No tolerance is needed, and no input can hide a difference.
"""

from __future__ import annotations

from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.plan.sharing import work
from tinyseq.engine.validation.following import Followed, Told
from tinyseq.engine.validation.guilty import guilty
from tinyseq.errors import TapeError
from tinyseq.tape import Tape

MOST_NODES, MOST_ELEMENTS, MOST_PRODUCTS = 4000, 1 << 20, 3e7


def is_quick(plan: Plan, tape: Tape) -> bool:
    """Whether a plan's meaning is verified within a second or so."""
    return len(tape) <= MOST_NODES and plan.arena <= MOST_ELEMENTS and work(plan) <= MOST_PRODUCTS


def verify_meaning(plan: Plan, tape: Tape, threads: int = 1, bounded: bool = False) -> None:
    """Raise TapeError naming the first value or gradient of a plan that is not what its tape says, and the node that
    is the first to differ. ``bounded`` leaves out plans for which that takes more than a second or so."""
    if bounded and not is_quick(plan, tape):
        return
    told = Told(tape, plan)
    followed = Followed(plan, told, threads)
    followed.run()
    wrong = followed.compare()
    if wrong:
        first = guilty(plan, told)
        raise TapeError(f"{wrong}; {first}" if first else wrong)
